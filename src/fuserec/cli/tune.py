"""``fuserec tune``: search hyperparameters on validation, and write a configuration for ``fit``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fuserec.cli.audits import AuditFile, audit_of
from fuserec.cli.fit import say_cleaning, seconds
from fuserec.cli.screen import Debug, Device, Format, Json, Quiet, Screen, Seed, Threads, out_file
from fuserec.cli.tracks import Track, tracking
from fuserec.cli.tune_lists import check_pick, of_lists, tune_on_lists
from fuserec.errors import RequestError

if TYPE_CHECKING:
    from fuserec.tuning.result import PartResult, TuneResult

SHOWN = 3
"""Hyperparameters of a part whose importance is shown."""


def tune(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A dataset folder.", show_default=False)],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The configuration (TOML) to write.", show_default=False)
    ],
    parts: Annotated[
        str | None,
        typer.Option("--parts", help="Only these parts, divided by commas; by default all that rank."),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(
            "--trials", help="Trials of each part, earlier ones of the study included: 25, or as time allows."
        ),
    ] = None,
    time: Annotated[
        str | None, typer.Option("--time", help="Time for the search: 90s, 10m, 1h; verifying comes on top.")
    ] = None,
    study: Annotated[
        Path | None,
        typer.Option("--study", help="A file (.db) that keeps the trials; named again, it goes on."),
    ] = None,
    split: Annotated[
        str,
        typer.Option(
            "--split", help="last-out, temporal, random, users, cold-items, cold-users or predefined."
        ),
    ] = "last-out",
    share: Annotated[
        float, typer.Option("--share", help="What is held out (temporal, random, users, cold-items).")
    ] = 0.1,
    objective: Annotated[
        str,
        typer.Option(
            "--objective",
            help="The ranking metric to raise on validation, by the parts; or, by rerankers and dials, a sum such as "
            '"ndcg@10 + 0.1*ild@10 subject to coverage@10 >= 0.3", or several aims: "ndcg@10, ild@10".',
        ),
    ] = "ndcg@10",
    audit: AuditFile = None,
    pick: Annotated[
        str | None,
        typer.Option(
            "--pick",
            help="Which point of a front of several aims to write: a number, or balanced; else each gets a file.",
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="A configuration (TOML) to start from.")
    ] = None,
    verify: Annotated[
        bool,
        typer.Option("--verify/--no-verify", help="Refit what was found, and look at the fusion of all."),
    ] = True,
    track: Track = None,
    format: Format = "folder",
    device: Device = "cpu",
    seed: Seed = 0,
    threads: Threads = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Search better hyperparameters on validation (never on test), and write a configuration for `fit`.

    Interrupted, it writes the best so far; with --study it goes on where it was.
    """
    screen = Screen(json, quiet, debug)
    limit = None if time is None else seconds(time, "--time")
    if trials is not None and trials < 1:
        raise RequestError(f"--trials {trials}: has to be at least 1")
    out_file(out, "--out")
    if config is not None and config.resolve() == out.resolve():
        raise RequestError(f"--out {out}: is the configuration to start from; name another file")
    from fuserec.config import RecommenderConfig, load_config
    from fuserec.data.readers import read
    from fuserec.data.splits import SplitConfig
    from fuserec.tuning.tune import tune as search

    protocol = SplitConfig.parse({"protocol": split, "share": share}, "--split and --share")
    start = RecommenderConfig() if config is None else load_config(config)
    check_pick(pick)
    _together(of_lists(objective), parts, audit, pick)
    if of_lists(objective):
        tune_on_lists(
            screen,
            folder,
            out,
            start,
            pick=pick,
            track=track,
            format=format,
            device=device,
            seed=seed,
            threads=threads,
            objective=objective,
            split=protocol,
            trials=trials,
            seconds=limit,
            study=study,
            audit=audit_of(audit, None, None, None),
        )
        return
    with screen.working("tuned", seed=seed, threads=threads, device=device) as run:
        dataset, report = read(folder, format)
        say_cleaning(screen, report)
        result = search(
            dataset,
            tracking(start, track),
            parts=names(parts),
            objective=objective,
            split=protocol,
            trials=trials,
            seconds=limit,
            study=study,
            verified=verify,
            run=run,
        )
    # --track is of this run, not of the configuration
    result = replace(result, config=result.config.model_copy(update={"tracking": start.tracking}))
    result.save(out)
    screen.result(result.as_json(), *([] if json else tables(result)))
    screen.remark(f"written: {out}")
    if result.interrupted:
        later = f"`--study {study}` goes on" if study else "with --study FILE.db the next one can go on"
        screen.remark(f"interrupted: the best so far, not verified; {later}")
        raise typer.Exit(1)


def names(parts: str | None) -> tuple[str, ...]:
    """Return the parts that ``a,b`` names; none for None.

    Raises
    ------
    RequestError
        Where it names none.
    """
    found = tuple(part.strip() for part in (parts or "").split(",") if part.strip())
    if parts is not None and not found:
        raise RequestError(f"--parts {parts!r}: name parts, divided by commas, e.g. als,ease")
    return found


def tables(result: TuneResult) -> list[Any]:
    """Return the table of before and after, and the one of what mattered."""
    from fuserec.cli.show import plain_table

    figures = plain_table("part", "trials", "pruned", "before", "after", "gain", "what changed")
    for name, part in result.parts.items():
        figures.add_row(name, str(part.trials), str(part.pruned), *_figures(part), _changes(part))
    if result.fused is not None:
        before, after = result.fused
        gain = _gain(before, after)
        figures.add_row("fused", "", "", f"{before:.4f}", f"{after:.4f}", gain, "the fusion of all")
    found: list[Any] = [f"{result.objective} on {result.queries:,} validation queries", figures]
    if any(part.importance for part in result.parts.values()):
        matters = plain_table("part", "what set good trials apart")
        for name, part in result.parts.items():
            shares = [f"{key} {share:.0%}" for key, share in part.importance.items() if share >= 0.005]
            if shares:
                matters.add_row(name, ", ".join(shares[:SHOWN]))
        found.append(matters)
    return found


def _figures(part: PartResult) -> tuple[str, str, str]:
    """Return before, after and gain of a part."""
    if part.before is None or part.after is None:
        return "", "", ""
    return f"{part.before:.4f}", f"{part.after:.4f}", _gain(part.before, part.after)


def _gain(before: float, after: float) -> str:
    """Return the gain in percent."""
    return f"{(after - before) / before:+.1%}" if before > 0 else ""


def _changes(part: PartResult) -> str:
    """Return what of a part changed, or why nothing did."""
    changed = ", ".join(f"{key} = {value}" for key, value in part.changes.items())
    return part.remark or changed or "nothing"


def _together(lists: bool, parts: str | None, audit: Path | None, pick: str | None) -> None:
    """Refuse options that say nothing of the objective's kind."""
    if lists and parts is not None:
        raise RequestError("--parts: an objective of lists tunes no parts; leave --parts out")
    if not lists and audit is not None:
        raise RequestError("--audit: is for an objective of lists, such as 'ndcg@10 - 0.2*flagged@10'")
    if not lists and pick is not None:
        raise RequestError(
            "--pick: an objective of one metric has one answer; name several aims, e.g. ndcg@10, ild@10"
        )
