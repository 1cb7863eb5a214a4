"""``fuserec data import``, ``check`` and ``info``: what a dataset is, and turning others' formats into a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fuserec.cli.screen import Debug, Format, Json, Quiet, Screen, shown

data = typer.Typer(help="Import, check and describe datasets.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(help="A dataset folder, or its main file.", show_default=False)]
Items = Annotated[Path | None, typer.Option("--items", help="The file that describes the items.")]


@data.command("import")
def import_(
    source: Annotated[Path, typer.Argument(help="A folder or file in that format.", show_default=False)],
    dest: Annotated[Path, typer.Argument(help="The dataset folder to write.", show_default=False)],
    format: Format = "folder",
    items: Items = None,
    k_core: Annotated[
        int, typer.Option("--k-core", help="Keep users and items with at least this many interactions.")
    ] = 0,
    drop_outliers: Annotated[
        bool,
        typer.Option("--drop-outliers", help="Leave out users and items with impossible counts or speed."),
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Read and clean a dataset, and write it as a folder; tells what was dropped or mended, and why."""
    screen = Screen(json, quiet, debug)
    from fuserec.data.cleaning.options import CleaningOptions
    from fuserec.data.readers import import_folder

    options = CleaningOptions.parse({"k_core": k_core, "drop_outliers": drop_outliers}, "data import")
    with screen.working(f"written to {dest}"):
        report = import_folder(source, dest, format, items=items, options=options)
    _show(screen, report)


@data.command()
def check(
    folder: Folder,
    format: Format = "folder",
    items: Items = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Tell what reading a dataset drops, mends or notes, with counts and examples; writes nothing."""
    screen = Screen(json, quiet, debug)
    from fuserec.data.readers import read_cleaned

    with screen.working("checked"):
        _, report = read_cleaned(folder, format, items=items)
    _show(screen, report)


@data.command()
def info(
    folder: Folder,
    format: Format = "folder",
    items: Items = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Tell what a dataset holds."""
    screen = Screen(json, quiet, debug)
    from fuserec.cli.show import pairs, plain_table
    from fuserec.data.readers import read

    with screen.working("read"):
        dataset, report = read(folder, format, items=items)
    about = dataset.info
    columns = {"items": dataset.item_table.columns, "users": dataset.user_table.columns}
    facts = {
        "name": about.name,
        "licence": about.licence,
        "note": about.note,
        "simulated": about.simulated,
        "fingerprint": dataset.fingerprint,
        "columns": columns,
    }
    said = [(name, str(facts[name])) for name in ("licence", "note", "fingerprint") if facts[name]]
    said += [(f"columns of {name}", ", ".join(found)) for name, found in columns.items() if found]
    named = plain_table("interactions", "title", title="chosen most")
    counts = dataset.item_counts
    for index in sorted(range(dataset.n_items), key=lambda i: (-int(counts[i]), i))[:5]:
        title = dataset.item_table["title"][index] or dataset.items[index]
        named.add_row(f"{int(counts[index]):,}", shown(title))
    totals = pairs([*report.total_rows(), *said], title=f"{shown(about.name)}")
    screen.result({**facts, "totals": dict(report.totals)}, totals, named)


def _show(screen: Screen, report: object) -> None:
    """Print a check report."""
    from fuserec.cli.show import report_tables
    from fuserec.data.check import CheckReport

    assert isinstance(report, CheckReport)
    screen.result(report.to_json(), *([] if screen.json else report_tables(report)))
