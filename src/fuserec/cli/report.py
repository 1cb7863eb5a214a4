"""``fuserec report``: the report of an evaluation again, from its JSON file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fuserec.cli.screen import Debug, Json, Quiet, Screen, out_file
from fuserec.errors import RequestError

InLanguage = Annotated[str, typer.Option("--language", help="Of the report: en or zh.")]


def report(
    results: Annotated[
        Path,
        typer.Argument(metavar="RESULTS", help="What evaluate --json wrote.", show_default=False),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The report (HTML).", show_default=False)],
    language: InLanguage = "en",
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Make a report again from the JSON file of an evaluation, in English or Chinese."""
    screen = Screen(json, quiet, debug)
    out_file(out, "--out")
    if out.resolve() == results.resolve():
        raise RequestError(f"--out {out}: is the file of the results; name another")
    from fuserec.evaluation.report import write_html
    from fuserec.evaluation.results import read_json
    from fuserec.evaluation.series import holds_series, read_series
    from fuserec.evaluation.series_report import write_series_html
    from fuserec.evaluation.series_wording import series_summary
    from fuserec.evaluation.summary import summary
    from fuserec.evaluation.texts import texts_in

    texts = texts_in(language)
    if holds_series(results):
        curve = read_series(results)
        write_series_html(curve, out, language)
        lines = series_summary(curve, texts)
    else:
        found = read_json(results)
        write_html(found, out, language)
        lines = summary(found, texts)
    said: dict[str, Any] = {"report": str(out), "language": language, "summary": lines}
    screen.result(said, *said["summary"])
    screen.remark(f"written: {out}")
