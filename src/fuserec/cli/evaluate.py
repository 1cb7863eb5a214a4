"""``fuserec evaluate``: hold out, fit, measure; a table, a JSON file, a report."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fuserec.cli.checkpoints import Checkpoints, checkpoints
from fuserec.cli.dials import evaluate_dials, refuse_beside_dial
from fuserec.cli.screen import Debug, Format, Quiet, Screen, Seed, Threads, one_line, out_file
from fuserec.cli.tracks import Track, tracking
from fuserec.errors import RequestError

if TYPE_CHECKING:
    from fuserec.config import RecommenderConfig
    from fuserec.data.dataset import Dataset
    from fuserec.data.splits import SplitConfig
    from fuserec.evaluation.results import EvaluationResults
    from fuserec.run import RunOptions


def evaluate(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A dataset folder.", show_default=False)],
    config: Annotated[
        list[Path] | None,
        typer.Option(
            "--config", "-c", help="A configuration (TOML); several are compared, each by its name."
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", help="Only this fusion, part or scorer; may be given again."),
    ] = None,
    ablate: Annotated[
        str | None,
        typer.Option(
            "--ablate",
            help="Compare one part with variants of it: PART (what its scorer declares, such as joint without one of "
            "its losses), PART.KEY (each value of a key) or PART.KEY=V,V.",
        ),
    ] = None,
    dial: Annotated[
        list[str] | None,
        typer.Option(
            "--dial",
            help="Measure what a dial does and what it costs: DIAL or DIAL=0,0.5,1, as diversity, novelty, freshness, "
            'fatigue, new_share, "more:TOPIC" and "less:TOPIC"; may be given again.',
        ),
    ] = None,
    curve: Annotated[
        str | None,
        typer.Option(
            "--curve",
            help="What a reranker costs, with one fit: rerank.NAME.KEY=V,V,..., e.g. "
            "rerank.mmr.strength=0,0.25,0.5,0.75,1.",
        ),
    ] = None,
    split: Annotated[
        str, typer.Option("--split", help="last-out, temporal, random, users, cold-items or predefined.")
    ] = "last-out",
    share: Annotated[
        float, typer.Option("--share", help="What is held out (temporal, random, users, cold-items).")
    ] = 0.1,
    k: Annotated[str, typer.Option("-k", "--k", help="Where lists are cut, divided by commas.")] = "5,10,20",
    json: Annotated[
        Path | None, typer.Option("--json", help="Write the results as JSON; - is standard output.")
    ] = None,
    report: Annotated[Path | None, typer.Option("--report", help="Write a report (HTML).")] = None,
    resumable: Checkpoints = None,
    track: Track = None,
    format: Format = "folder",
    seed: Seed = 0,
    threads: Threads = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Measure the fusion and its parts on held-out data, with intervals."""
    printed = json is not None and str(json) == "-"
    screen = Screen(printed, quiet, debug)
    ks = cuts(k)
    files = [path for path in (None if printed else json, report) if path is not None]
    for path, option in zip(files, ("--json", "--report"), strict=False):
        out_file(path, option)
    if len({path.resolve() for path in files}) < len(files):
        raise RequestError(f"--json and --report name one file ({report}): name two")
    refuse_mixed(ablate, curve, model or (), config or ())
    refuse_beside_dial(dial, ablate or curve, model or (), config or (), report)
    from fuserec.data.readers import read
    from fuserec.data.splits import SplitConfig
    from fuserec.evaluation.report import write_html
    from fuserec.evaluation.results import write_json

    protocol = SplitConfig.parse({"protocol": split, "share": share}, "--split and --share")
    configs = _configurations(config or (), track)
    if dial:
        evaluate_dials(
            screen,
            folder,
            dial,
            configs,
            format=format,
            split=protocol,
            ks=ks,
            json=json,
            seed=seed,
            threads=threads,
        )
        return
    with (
        checkpoints(resumable) as kept,
        screen.working("evaluated", seed=seed, threads=threads, checkpoints=kept) as run,
    ):
        dataset, _ = read(folder, format)
        results = measured(dataset, configs, ablate, curve, model or (), split=protocol, ks=ks, run=run)
    if json is not None and not printed:
        write_json(results, json)
    if report is not None:
        write_html(results, report)
    if printed:
        sys.stdout.write(results.to_json())
        return
    show(screen, results, ablated=ablate is not None)
    for path in files:
        screen.remark(f"written: {path}")


def refuse_mixed(
    ablate: str | None, curve: str | None, models: Sequence[str], configs: Sequence[Path]
) -> None:
    """Refuse options that ask for two things at once.

    Raises
    ------
    RequestError
        For a comparison of variants, or a curve, with several configurations or a choice of models.
    """
    several = bool(models) or len(configs) > 1
    if ablate is not None and (several or curve is not None):
        raise RequestError(
            "--ablate compares variants of one part: give at most one --config, no --model and no --curve"
        )
    if curve is not None and several:
        raise RequestError("--curve is of one fusion: give at most one --config, and no --model")


def measured(
    dataset: Dataset,
    configs: dict[str, RecommenderConfig] | RecommenderConfig,
    ablate: str | None,
    curve: str | None,
    models: Sequence[str],
    *,
    split: SplitConfig,
    ks: Sequence[int],
    run: RunOptions,
) -> EvaluationResults:
    """Return what was asked for: models side by side, variants of a part, or the curve of a reranker."""
    only = configs if not isinstance(configs, dict) else next(iter(configs.values()))
    if curve is not None:
        from fuserec.evaluation.cost_curve import cost_curve

        return cost_curve(dataset, curve, only, split=split, ks=ks, run=run)
    if ablate is not None:
        from fuserec.evaluation.ablation import ablate as compare

        return compare(dataset, ablate, only, split=split, ks=ks, run=run)
    from fuserec.evaluation.runner import evaluate as measure

    return measure(dataset, configs, split=split, models=models, ks=ks, run=run)


def show(screen: Screen, results: EvaluationResults, ablated: bool = False) -> None:
    """Print the table of an evaluation and what it says in words."""
    from rich.text import Text

    from fuserec.evaluation.ablation import ablation_table
    from fuserec.evaluation.cost_curve import curve_table
    from fuserec.evaluation.report import terminal_table
    from fuserec.evaluation.wording import summary

    if ablated:
        screen.show(ablation_table(results))
        return
    if "curve" in results.configuration:
        screen.show(curve_table(results), Text("\n".join(one_line(line) for line in results.notes)))
        return
    said = "\n".join(one_line(line) for line in (*summary(results), *results.notes))
    screen.show(terminal_table(results, width=screen.width), Text(said))


def cuts(text: str) -> tuple[int, ...]:
    """Return the cuts that ``5,10,20`` names.

    Raises
    ------
    RequestError
        For anything but whole numbers of at least 1.
    """
    found = [part.strip() for part in text.split(",") if part.strip()]
    if not found or not all(part.isdecimal() and len(part) <= 9 and int(part) >= 1 for part in found):
        raise RequestError(f"-k {text!r}: name whole numbers of at least 1, divided by commas, e.g. 5,10,20")
    return tuple(int(part) for part in found)


def _configurations(
    paths: Sequence[Path], track: Sequence[str] | None
) -> dict[str, RecommenderConfig] | RecommenderConfig:
    """Return the configurations by the names of their files; without any, the default one."""
    from fuserec.config import RecommenderConfig, load_config

    found: dict[str, RecommenderConfig] = {}
    for path in paths:
        if path.stem in found:
            raise RequestError(f"--config {path}: another configuration is called {path.stem!r}: rename one")
        found[path.stem] = tracking(load_config(path), track)
    return found or tracking(RecommenderConfig(), track)
