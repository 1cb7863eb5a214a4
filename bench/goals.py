"""What the default has to reach, and what was seen: a table made from the figures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bench.choices import MOST_LOSS
from bench.datasets import DATASETS
from bench.readings import FUSED, Board, Row
from bench.records import Record

SEQUENCE = "sequence"
NAMES = {"recall@10": "recall@10", "ndcg@10": "NDCG@10"}

LEAST: tuple[tuple[str, str, dict[str, tuple[float, float | None]]], ...] = (
    ("beauty", FUSED, {"recall@10": (0.118, None), "ndcg@10": (0.071, None)}),
    ("beauty", SEQUENCE, {"recall@10": (0.092, None), "ndcg@10": (0.054, None)}),
    ("sports", FUSED, {"recall@10": (0.060, None), "ndcg@10": (0.034, None)}),
    ("ml-1m", SEQUENCE, {"recall@10": (0.300, 0.315), "ndcg@10": (0.172, 0.185)}),
    ("ml-1m", FUSED, {"recall@10": (0.315, 0.330), "ndcg@10": (0.182, 0.190)}),
)
"""Dataset, model (the fusion, or the best row of a scorer alone), least and aim of each metric; on last-out."""

MINUTES = {"beauty": 15, "ml-1m": 90}
"""Longest fit of the default on two cores."""

TRAINING_RATIO = 2.0
"""The peer's seconds a training batch over ours, at least."""

MOST_MS = {"p50_ms": 3.0, "p99_ms": 10.0}
"""Longest time of a request, one core."""


@dataclass(frozen=True)
class Check:
    """One goal: what is wanted, what was seen, and whether it holds (None: not measured)."""

    what: str
    wanted: str
    seen: str = "not measured"
    holds: bool | None = None

    def line(self) -> str:
        """Return a row of the table."""
        verdict = {True: "yes", False: "**no**", None: "–"}[self.holds]
        return f"| {self.what} | {self.wanted} | {self.seen} | {verdict} |"


def checks(
    found: list[Record], training: dict[str, Any] | None = None, latency: dict[str, Any] | None = None
) -> list[Check]:
    """Return every goal, measured or not."""
    every = [Board(key, split, found) for key, source in DATASETS.items() for split in source.splits]
    last = {board.dataset: board for board in every if board.split == "last-out"}
    return [
        *_accuracy(last),
        *_times(last),
        _cold(next(board for board in every if board.split == "cold-items")),
        _training(training),
        *_requests(latency),
        *(_parts(board) for board in every),
        *(_budget(board) for board in every if board.split == DATASETS[board.dataset].splits[0]),
    ]


def _accuracy(last: dict[str, Board]) -> Iterator[Check]:
    """Yield the goals on recall and NDCG."""
    for key, model, metrics in LEAST:
        row = last[key].row(FUSED) if model == FUSED else last[key].best_of(model)
        for metric, (least, aim) in metrics.items():
            who = f"`{row.model}`" if row is not None else f"`{model}`"
            alone = "" if model == FUSED else " alone"
            what = f"{DATASETS[key].title}, {who}{alone}, {NAMES[metric]}"
            wanted = f"≥ {least:.3f}" + (f", aim {aim:.3f}" if aim is not None else "")
            yield _least(what, wanted, row, metric, least)


def _least(what: str, wanted: str, row: Row | None, metric: str, least: float) -> Check:
    """Return the goal that a figure is large enough."""
    value = None if row is None else row.value(metric)
    return Check(what, wanted) if value is None else Check(what, wanted, f"{value:.4f}", value >= least)


def _times(last: dict[str, Board]) -> Iterator[Check]:
    """Yield the goals on the time of a fit."""
    for key, minutes in MINUTES.items():
        row = last[key].row(FUSED)
        what, wanted = f"{DATASETS[key].title}, fit of `fused`", f"≤ {minutes} min on 2 cores"
        if row is None or row.figures["fit_s"] is None:
            yield Check(what, wanted)
            continue
        made, spent = row.record.made, row.figures["fit_s"] / 60
        seen = f"{spent:.1f} min on {made['cores']} cores ({made['seconds'] / 60:.1f} with reading, encoding and test)"
        yield Check(what, wanted, seen, spent <= minutes)


def _cold(board: Board) -> Check:
    """Return the goal on items without training rows."""
    fused, content = board.row(FUSED), board.best_of("content")
    what, wanted = f"{DATASETS[board.dataset].title}, cold-items, NDCG@10", "`fused` not below `content`"
    if fused is None or content is None:
        return Check(what, wanted)
    pair = [row.value("ndcg@10") or 0.0 for row in (fused, content)]
    return Check(what, wanted, f"{pair[0]:.4f} against {pair[1]:.4f}", pair[0] >= pair[1])


def _training(found: dict[str, Any] | None) -> Check:
    """Return the goal on the speed of training."""
    what, wanted = (
        "Training of the sequence scorer, the same batches",
        f"≥ {TRAINING_RATIO:g} × RecTools' SASRec",
    )
    if not found or found.get("ratio") is None:
        return Check(what, wanted)
    seen = f"{found['ratio']:.2f} × ({found['lowest']:.2f} to {found['highest']:.2f})"
    return Check(what, wanted, seen, found["ratio"] >= TRAINING_RATIO)


def _requests(found: dict[str, Any] | None) -> Iterator[Check]:
    """Yield the goals on the time of a request."""
    for key, most in MOST_MS.items():
        what = f"Amazon Beauty, `recommend` in process, {key.removesuffix('_ms')}"
        wanted = f"≤ {most:g} ms on one core"
        yield (
            Check(what, wanted)
            if not found
            else Check(what, wanted, f"{found[key]:.2f} ms", found[key] <= most)
        )


def _parts(board: Board) -> Check:
    """Return the goal that no part is significantly above the fusion."""
    what = f"{DATASETS[board.dataset].title}, {board.split}, NDCG@10"
    wanted, lead, above = "no part significantly above `fused`", board.lead(), board.above()
    if lead is None:
        return Check(what, wanted)
    if above:
        return Check(what, wanted, "; ".join(f"`{g.first}` {g.words()}" for g in above), False)
    return Check(what, wanted, f"less `{lead.second}`: {lead.words()}", True)


def _budget(board: Board) -> Check:
    """Return the goal on the loss by a budget."""
    what = f"{DATASETS[board.dataset].title}, {board.split}, `--budget 5m`"
    wanted, loss = f"loses ≤ {MOST_LOSS:.0%} of NDCG@10", board.loss()
    if loss is None:
        return Check(what, wanted)
    return Check(what, wanted, f"{loss:.1%}", loss <= MOST_LOSS)


def section(found: list[Check]) -> str:
    """Return the section on the goals."""
    held = [check.holds for check in found]
    lines = [
        "## What it has to reach\n",
        f"{held.count(True)} of {len(held)} hold, {held.count(False)} do not, {held.count(None)} are not measured.\n",
        "| what | wanted | seen | holds |",
        "| --- | --- | --- | --- |",
        *(check.line() for check in found),
    ]
    return "\n".join(lines) + "\n"
