"""``fuserec update``, ``forget`` and ``info``: a model as it lives on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fuserec.alone import alone
from fuserec.cli.ask import Model
from fuserec.cli.fit import say_cleaning, summary
from fuserec.cli.screen import Debug, Json, Quiet, Screen, Threads
from fuserec.errors import DataError, nearest

if TYPE_CHECKING:
    import polars as pl

    from fuserec.data.check import CheckReport, Findings
    from fuserec.data.dataset import Dataset, DatasetInfo


class MissingFilesError(typer.BadParameter):
    """No file was named: a missing argument, unlike a value that is not allowed."""


def update(
    model: Model,
    interactions: Annotated[
        Path | None, typer.Option("--interactions", help="New events, as in a dataset folder.")
    ] = None,
    items: Annotated[Path | None, typer.Option("--items", help="New or changed items.")] = None,
    users: Annotated[Path | None, typer.Option("--users", help="New or changed users.")] = None,
    threads: Threads = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Add events, items and users to a model, in place: it stays whole until the new one is complete."""
    screen = Screen(json, quiet, debug)
    if interactions is None and items is None and users is None:
        raise MissingFilesError("name at least one of --interactions, --items and --users")
    from fuserec.recommender import Recommender

    with alone(
        model
    ):  # from load to save: of two updates at once the second takes the first one's rows along
        loaded = Recommender.load(model)
        with screen.working(f"updated {model}", seed=loaded.fitted.seed, threads=threads) as run:
            new, report = _read(interactions, items, users, loaded.fitted.dataset.info)
            say_cleaning(screen, report)
            loaded.update(new, run=run)
            loaded.save(model)
    info = loaded.info()
    value = {"read": report.to_json(), "model": info}
    screen.result(value, *([] if screen.json else summary(info)))


def forget(
    model: Model,
    user: Annotated[str, typer.Option("--user", "-u", help="The user's id.", show_default=False)],
    defer: Annotated[
        bool, typer.Option("--defer", help="Remove the history now, refit later (`pending` until then).")
    ] = False,
    threads: Threads = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Remove a user from a model, in place: afterwards it equals a fit on the data without them."""
    screen = Screen(json, quiet, debug)
    from fuserec.recommender import Recommender

    with alone(model):
        loaded = Recommender.load(model)
        with screen.working("forgotten", seed=loaded.fitted.seed, threads=threads) as run:
            loaded.forget(user, run, defer=defer)
            loaded.save(model)
    info = loaded.info()
    screen.result(info, *([] if screen.json else summary(info)))


def info(model: Model, json: Json = False, quiet: Quiet = False, debug: Debug = False) -> None:
    """Tell what a model is: its data, parts, weights, validation figures, and what is stale or pending."""
    screen = Screen(json, quiet, debug)
    from fuserec.recommender import Recommender

    found = Recommender.load(model).info()
    screen.result(found, *([] if screen.json else summary(found)))


def _read(
    interactions: Path | None, items: Path | None, users: Path | None, info: DatasetInfo
) -> tuple[Dataset, CheckReport]:
    """Read the files of an update; their items and users need not be listed anywhere."""
    from fuserec.data.check import Findings
    from fuserec.data.cleaning.options import CleaningOptions
    from fuserec.data.frames import from_frames

    findings = Findings()
    options = CleaningOptions(unknown_items="keep", allow_empty=True)
    tables = (
        _table(interactions, ("user_id",), findings),
        _table(items, ("item_id",), findings),
        _table(users, ("user_id",), findings),
    )
    if tables[0] is not None and "item_id" not in tables[0].columns and "text" not in tables[0].columns:
        raise _missing(interactions, "item_id", tables[0])
    dataset, report = from_frames(*tables, options=options, info=info)
    return dataset, replace(report, findings=(*findings.sorted(), *report.findings))


def _table(path: Path | None, required: tuple[str, ...], findings: Findings) -> pl.DataFrame | None:
    """Read one file, or refuse one without its required columns."""
    if path is None:
        return None
    from fuserec.data.table_files import TEXT_COLUMNS, read_table

    table = read_table(path, findings, keep=(*TEXT_COLUMNS, "rating", "value"))
    for column in required:
        if column not in table.columns:
            raise _missing(path, column, table)
    return table


def _missing(path: Path | None, column: str, table: pl.DataFrame) -> DataError:
    """Return the error for a column that is not there."""
    hint = nearest(column, table.columns)
    return DataError(f"{path}: no column {column!r}{hint} (columns: {', '.join(table.columns[:20])})")
