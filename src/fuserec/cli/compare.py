"""``fuserec compare``: results of several runs, or the models of one, side by side."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fuserec.cli.screen import Debug, Quiet, Screen, one_line, out_file
from fuserec.errors import RequestError

if TYPE_CHECKING:
    from fuserec.evaluation.compared import RunComparison
    from fuserec.evaluation.results import EvaluationResults


def compare(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="A.json B.json ...",
            help="What `evaluate --json` wrote; of one file, its models are compared.",
            show_default=False,
        ),
    ],
    model: Annotated[
        list[str] | None, typer.Option("--model", "-m", help="Only this model; may be given again.")
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric", help="This metric, such as recall@10; may be given again, the first decides."
        ),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option("--reference", help="The model of the first file that is compared with."),
    ] = None,
    json: Annotated[
        Path | None, typer.Option("--json", help="Write the comparison as JSON; - is standard output.")
    ] = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Compare results query by query: who is better, by how much, for whom, and how sure that is."""
    printed = json is not None and str(json) == "-"
    screen = Screen(printed, quiet, debug)
    if json is not None and not printed:
        out_file(json, "--json")
    from fuserec.evaluation.comparison import compare as measure
    from fuserec.evaluation.results import write_text

    found = measure(read_runs(files), models=model or (), metrics=metric or (), reference=reference)
    if printed:
        sys.stdout.write(found.to_json())
        return
    show(screen, found)
    if json is not None:
        write_text(json, found.to_json())
        screen.remark(f"written: {json}")


def read_runs(files: Sequence[Path]) -> Mapping[str, EvaluationResults]:
    """Return results by the names of their files: without the folder where that tells them apart.

    Raises
    ------
    RequestError
        Where one file is named twice.
    DataError
        Where a file cannot be read.
    """
    from fuserec.evaluation.results import read_json

    short = len({path.stem for path in files}) == len(files)
    found: dict[str, EvaluationResults] = {}
    for path in files:
        name = path.stem if short else str(path.with_suffix(""))
        if name in found:
            raise RequestError(f"compare: {path} is named twice")
        found[name] = read_json(path)
    return found


def show(screen: Screen, found: RunComparison) -> None:
    """Print a comparison."""
    from rich.text import Text

    from fuserec.evaluation.comparison_tables import shown

    parts = [
        Text("\n".join(one_line(line) for line in part.plain.split("\n"))) if isinstance(part, Text) else part
        for part in shown(found)
    ]
    screen.show(*parts)
