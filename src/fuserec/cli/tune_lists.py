"""``fuserec tune`` with an objective of several metrics: the lists are tuned, and a front is there to pick from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from fuserec.cli.fit import say_cleaning
from fuserec.cli.tracks import tracking
from fuserec.errors import ConfigError, RequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fuserec.cli.screen import Screen
    from fuserec.config import RecommenderConfig
    from fuserec.data.splits import SplitConfig
    from fuserec.evaluation.audit import AuditConfig
    from fuserec.tuning.list_result import ListTuneResult, Point


def of_lists(objective: str) -> bool:
    """Return whether an objective is about lists: anything but one ranking metric.

    Raises
    ------
    ConfigError
        Where it cannot be read.
    """
    from fuserec.tuning.formula import Formula
    from fuserec.tuning.objective import Objective

    try:
        Objective.parse(objective)
    except ConfigError as fault:
        try:
            Formula.parse(objective)
        except ConfigError as other:  # of one word alone, the metric that was meant is all there is to say
            raise (fault if objective.strip().replace("@", "").isalnum() else other) from None
        return True
    return False


def tune_on_lists(
    screen: Screen,
    folder: Path,
    out: Path,
    start: RecommenderConfig,
    *,
    pick: str | None,
    track: Sequence[str] | None,
    format: str,
    device: str,
    seed: int,
    threads: int | None,
    objective: str,
    split: SplitConfig,
    trials: int | None,
    seconds: float | None,
    study: Path | None,
    audit: AuditConfig,
) -> None:
    """Search, print, and write the configuration, or one a point of a front."""
    from fuserec.data.readers import read
    from fuserec.tuning.lists import tune_lists

    with screen.working("tuned", seed=seed, threads=threads, device=device) as run:
        dataset, report = read(folder, format)
        say_cleaning(screen, report)
        found = tune_lists(
            dataset,
            tracking(start, track),
            objective=objective,
            split=split,
            trials=trials,
            seconds=seconds,
            study=study,
            audit=audit,
            run=run,
        )
    found = _untracked(found, start)
    written = save(found, out, pick)
    screen.result({**found.as_json(), "written": written}, *([] if screen.json else tables(found)))
    if found.remark:
        screen.remark(f"note: {found.remark}")
    for name in written:
        screen.remark(f"written: {name}")
    if found.interrupted:
        later = f"`--study {study}` goes on" if study else "with --study FILE.db the next one can go on"
        screen.remark(f"interrupted: the best so far; {later}")
        raise typer.Exit(1)


def _untracked(found: ListTuneResult, start: RecommenderConfig) -> ListTuneResult:
    """Return the result without --track, which is of this run and not of the configurations."""

    def plain(point: Point) -> Point:
        return replace(point, config=point.config.model_copy(update={"tracking": start.tracking}))

    return replace(found, start=plain(found.start), points=tuple(map(plain, found.points)))


def save(found: ListTuneResult, out: Path, pick: str | None) -> list[str]:
    """Write the picked point to ``out``, or each point of a front to a file of its own; return their names.

    Raises
    ------
    RequestError
        Where there is no such point.
    """
    if pick is not None or len(found.points) == 1:
        found.save(out, 1 if pick is None else pick)
        return [str(out)]
    names = []
    for number in range(1, len(found.points) + 1):
        path = out.with_name(f"{out.stem}-{number}{out.suffix}")
        found.save(path, number)
        names.append(str(path))
    return names


def check_pick(pick: str | None) -> None:
    """Refuse, before any work, what cannot be the number of a point."""
    if pick is not None and pick != "balanced" and not (pick.isdecimal() and int(pick) >= 1):
        raise RequestError(f"--pick {pick!r}: write the number of a point of the front, or balanced")


def tables(found: ListTuneResult) -> list[Any]:
    """Return what was raised, what has to hold, and the points."""
    from fuserec.cli.show import plain_table
    from fuserec.tuning.list_result import changed

    limits = [f"{limit}" for limit in found.limits]
    metrics = [name for name in found.start.figures if name not in found.aims]
    heads = [*found.aims, *metrics]
    table = plain_table("point", *heads, *(["limits"] if limits else []), "what changed")
    for name, point in (("start", found.start), *((str(n), p) for n, p in enumerate(found.points, 1))):
        cells = [f"{value:.4f}" for value in (*point.check, *(point.check_figures[m] for m in metrics))]
        held = ["hold" if point.check_holds else "broken"] if limits else []
        table.add_row(name, *cells, *held, changed(point.changes))
    said = (
        f"{found.objective}: {found.trials} trials, checked on half of {found.queries:,} validation queries"
    )
    return [said, table]
