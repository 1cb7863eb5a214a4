"""All commands, by name."""

from __future__ import annotations

from typing import Annotated

import typer

from fuserec import __version__
from fuserec.cli.ask import explain, recommend, search, similar
from fuserec.cli.compare import compare
from fuserec.cli.controls import control
from fuserec.cli.data import data
from fuserec.cli.demo import demo
from fuserec.cli.doctor import doctor
from fuserec.cli.encoders import compare as compare_encoders
from fuserec.cli.evaluate import evaluate
from fuserec.cli.fit import fit
from fuserec.cli.judge import judge
from fuserec.cli.keep import forget, info, update
from fuserec.cli.language import compress
from fuserec.cli.language import tune as tune_encoder
from fuserec.cli.leaks import leaks
from fuserec.cli.models import models
from fuserec.cli.questions import ask
from fuserec.cli.report import report
from fuserec.cli.tune import tune

TRY, DATA, LEARN, ASK, KEEP = "Try", "Data", "Learn and measure", "Ask", "Keep up to date"

app = typer.Typer(
    name="fuserec",
    help="Recommendations from behaviour and language: fused, measured and explained.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(rich_help_panel=TRY)(demo)
app.command(rich_help_panel=TRY)(doctor)
data.command()(leaks)
models.command(name="compare")(compare_encoders)
models.command()(compress)
models.command(name="tune")(tune_encoder)
app.add_typer(models, name="models", rich_help_panel=TRY)
app.add_typer(data, name="data", rich_help_panel=DATA)
app.command(rich_help_panel=LEARN)(fit)
app.command(rich_help_panel=LEARN)(evaluate)
app.command(rich_help_panel=LEARN)(compare)
app.command(rich_help_panel=LEARN)(report)
app.command(rich_help_panel=LEARN)(tune)
app.command(rich_help_panel=ASK)(recommend)
app.command(rich_help_panel=ASK)(similar)
app.command(rich_help_panel=ASK)(search)
app.command(rich_help_panel=ASK)(explain)
app.command(rich_help_panel=ASK)(judge)
app.command(rich_help_panel=ASK)(ask)
app.command(rich_help_panel=KEEP)(update)
app.command(rich_help_panel=KEEP)(control)
app.command(rich_help_panel=KEEP)(forget)
app.command(rich_help_panel=KEEP)(info)


def _version(wanted: bool) -> None:
    """Print the version and stop."""
    if wanted:
        typer.echo(f"fuserec {__version__}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Recommendations from behaviour and language: fused, measured and explained."""
