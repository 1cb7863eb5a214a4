"""``fuserec evaluate``: hold out, fit, measure; a table, a JSON file, a report."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fuserec.cli.audits import AuditFile, GroupColumns, Reasons, Seeds, audit_of
from fuserec.cli.checkpoints import Checkpoints, checkpoints
from fuserec.cli.compare import show as show_comparison
from fuserec.cli.curves import Curves, LearningCurveFlag, Percent, ShiftAlong
from fuserec.cli.dials import evaluate_dials, refuse_beside_dial
from fuserec.cli.measuring import Between, Measuring, ReplayWindows, together
from fuserec.cli.protocol import Folds, Given, GivenEvents, Options, Share, Split, Targets
from fuserec.cli.report import InLanguage
from fuserec.cli.screen import Debug, Device, Format, Quiet, Screen, Seed, Threads, one_line, out_file
from fuserec.cli.tracks import Track, tracking
from fuserec.errors import RequestError

if TYPE_CHECKING:
    from fuserec.config import RecommenderConfig
    from fuserec.evaluation.results import EvaluationResults


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
    split: Split = "last-out",
    share: Share = None,
    given: Given = None,
    given_events: GivenEvents = None,
    targets: Targets = "all",
    folds: Folds = 1,
    candidates: Annotated[
        str,
        typer.Option(
            "--candidates",
            help="What targets are ranked among: full, or a sample (uniform:N, popularity:N) whose figures are not "
            "comparable with full ones.",
        ),
    ] = "full",
    replay: ReplayWindows = None,
    between: Between = None,
    learning_curve: LearningCurveFlag = False,
    percent: Percent = None,
    shift: ShiftAlong = None,
    check_leaks: Annotated[
        bool,
        typer.Option(
            "--check-leaks",
            help="Also fit every model on data with other held-out rows: its scores must not change.",
        ),
    ] = False,
    k: Annotated[str, typer.Option("-k", "--k", help="Where lists are cut, divided by commas.")] = "5,10,20",
    groups: GroupColumns = None,
    audit: AuditFile = None,
    seeds: Seeds = None,
    reasons: Reasons = None,
    json: Annotated[
        Path | None, typer.Option("--json", help="Write the results as JSON; - is standard output.")
    ] = None,
    report: Annotated[Path | None, typer.Option("--report", help="Write a report (HTML).")] = None,
    baseline: Annotated[
        Path | None,
        typer.Option("--baseline", help="Compare with an earlier run, query by query: its JSON file."),
    ] = None,
    user_ids: Annotated[
        bool, typer.Option("--user-ids", help="Keep user ids in the JSON, so that `compare` can name users.")
    ] = False,
    language: InLanguage = "en",
    resumable: Checkpoints = None,
    track: Track = None,
    format: Format = "folder",
    device: Device = "cpu",
    seed: Seed = 0,
    threads: Threads = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Measure the fusion and its parts on held-out data, with intervals."""
    printed = json is not None and str(json) == "-"
    screen = Screen(printed, quiet, debug)
    ks = cuts(k)
    files = _files(None if printed else json, report)
    asked = {"--ablate": ablate, "--model": model, "--replay": replay, "--between": between, "--curve": curve}
    curves = Curves.asked(learning_curve, percent, shift)
    asked |= {"--learning-curve": learning_curve, "--shift": shift}
    together(asked | {"--check-leaks": check_leaks, "--folds": folds > 1}, len(config or ()))
    refuse_beside_dial(dial, asked, config or (), report)
    audited = audit_of(audit, groups, seeds, reasons)
    from fuserec.cli.baseline import Baseline
    from fuserec.evaluation.candidates import Candidates
    from fuserec.evaluation.report import write_html
    from fuserec.evaluation.results import write_json
    from fuserec.evaluation.texts import texts_in

    texts_in(language)  # refused before hours of work
    options = Options(split, share, given, given_events, targets, folds)
    drawn = Candidates.parse(candidates)
    configs = _configurations(config or (), track)
    earlier = Baseline.read(baseline)
    measuring = Measuring(folder, format, configs, tuple(model or ()), ks, drawn, audited, earlier, user_ids)
    if dial:
        evaluate_dials(
            screen,
            folder,
            dial,
            configs,
            format=format,
            split=options.config(),
            ks=ks,
            json=json,
            device=device,
            seed=seed,
            threads=threads,
        )
        return
    with (
        checkpoints(resumable) as kept,
        screen.working("evaluated", seed=seed, threads=threads, device=device, checkpoints=kept) as run,
    ):
        if curves is not None:
            found = curves.measured(measuring, options, run)
        elif replay is not None:
            results = measuring.replayed(options, replay, between or "update", run)
        else:
            results = measuring.measured(options, ablate, curve, check_leaks, run)
    if curves is not None:
        curves.told(found, screen, json, report, language)
        return
    results = earlier.beside(results)
    if json is not None and not printed:
        write_json(results, json)
    if report is not None:
        write_html(results, report, language)
    if printed:
        sys.stdout.write(results.to_json())
        return
    _show_all(screen, results, ablate is not None)
    for path in files:
        screen.remark(f"written: {path}")


def _show_all(screen: Screen, results: EvaluationResults, ablation: bool) -> None:
    """Print the table, of models or of variants, and what it was compared with."""
    if ablation:
        from fuserec.evaluation.ablation import ablation_table

        screen.show(ablation_table(results, screen.width))
    elif "curve" in results.configuration:
        from rich.text import Text

        from fuserec.evaluation.cost_curve import curve_table

        screen.show(curve_table(results), Text("\n".join(one_line(line) for line in results.notes)))
    else:
        show(screen, results)
    if results.baseline is not None:
        show_comparison(screen, results.baseline)


def _files(json: Path | None, report: Path | None) -> list[Path]:
    """Return the files that are to be written, or refuse them before any work is done for them."""
    for path, option in ((json, "--json"), (report, "--report")):
        if path is not None:
            out_file(path, option)
    files = [path for path in (json, report) if path is not None]
    if len({path.resolve() for path in files}) < len(files):
        raise RequestError(f"--json and --report name one file ({report}): name two")
    return files


def show(screen: Screen, results: EvaluationResults) -> None:
    """Print the table of an evaluation and what it says in words."""
    from rich.text import Text

    from fuserec.cli.measuring import rounds_table
    from fuserec.evaluation.report import terminal_table
    from fuserec.evaluation.summary import summary

    said = "\n".join(one_line(line) for line in (*summary(results), *results.notes))
    rounds = [rounds_table(results)] if results.rounds else []
    screen.show(terminal_table(results, width=screen.width), *rounds, Text(said))


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
