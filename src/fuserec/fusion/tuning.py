"""Trying other values of a fitted part's query-side hyperparameters: no refit, only another look at validation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fuserec.numerics.ranks import target_ranks

if TYPE_CHECKING:
    from fuserec.data.splits import Holdout
    from fuserec.run import RunOptions
    from fuserec.scorers.base import Scorer

CHUNK_MB = 128


def tuned(part: Scorer, held: Holdout, depth: int, run: RunOptions) -> Scorer:
    """Return the part with the values that rank the held-out targets best, one hyperparameter at a time."""
    best = part
    if not part.tunable:
        return best
    figure = ndcg(best, held, depth, run)
    for field, values in part.tunable.items():
        start = getattr(best.config, field)
        for value in values:
            if value == start:
                continue
            run.check()
            trial = best.retuned(**{field: value})
            reached = ndcg(trial, held, depth, run)
            if reached > figure:
                best, figure = trial, reached
    return best


def ndcg(part: Scorer, held: Holdout, depth: int, run: RunOptions) -> float:
    """Return the mean over targets of 1 / log₂(1 + rank), cut at ``depth``: NDCG where a query has one target."""
    chunk = max(1, CHUNK_MB * 2**20 // (8 * max(1, held.train.n_items)))
    total = 0.0
    for lo in range(0, len(held), chunk):
        piece = held.take(np.arange(lo, min(lo + chunk, len(held))))
        scores = part.score(piece.queries)
        visible = np.where(scores.answered, scores.values, np.float32(-np.inf))
        ranks, _ = target_ranks(visible, piece.queries.seen(), (piece.indptr, piece.items), run.threads)
        total += float(np.where(ranks <= depth, 1.0 / np.log2(1.0 + ranks), 0.0).sum())
    return total / max(1, held.items.size)
