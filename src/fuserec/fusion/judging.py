"""What a form of fusion makes of validation queries: its NDCG, and the probability that its scores stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fuserec.fusion.calibration import Calibration
from fuserec.fusion.candidates import CHUNK_MB
from fuserec.numerics.ranks import target_ranks
from fuserec.numerics.topk import top_k

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fuserec.data.splits import Holdout
    from fuserec.fusion.base import Fusion
    from fuserec.run import RunOptions


def pieces(held: Holdout, n_parts: int) -> Iterator[Holdout]:
    """Yield held-out queries in chunks of bounded memory."""
    chunk = max(1, CHUNK_MB * 2**20 // (4 * held.train.n_items * (n_parts + 2)))
    for lo in range(0, len(held), chunk):
        yield held.take(np.arange(lo, min(lo + chunk, len(held))))


def judged(fusion: Fusion, held: Holdout, ties: np.ndarray, run: RunOptions) -> tuple[float, Calibration]:
    """Return NDCG of a fusion on held-out queries, cut at the depth it learns for, and the calibration of its scores.

    Parameters
    ----------
    fusion : Fusion
    held : Holdout
    ties : uint64 (n_items,)
    run : RunOptions
    """
    depth, per_query = fusion.config.depth, fusion.config.per_part
    total, values, taken = 0.0, [np.empty(0, np.float32)], [np.empty(0, bool)]
    for piece in pieces(held, len(fusion.parts)):
        run.check()
        scores = fusion.combine({n: p.score(piece.queries) for n, p in fusion.parts.items()}, piece.queries)
        visible = np.where(scores.answered, scores.values, np.float32(-np.inf))
        exclude, targets = piece.queries.seen(), (piece.indptr, piece.items)
        total += float(ndcg(target_ranks(visible, exclude, targets, run.threads)[0], piece, depth).sum())
        chosen, top, _ = top_k(visible, per_query, exclude=exclude, ties=ties, threads=run.threads)
        rows, columns = np.nonzero(chosen >= 0)
        wanted = np.zeros(visible.shape, dtype=bool)
        wanted[piece.rows, piece.items] = True
        hit = wanted[rows, chosen[rows, columns]]
        wanted[rows, chosen[rows, columns]] = False
        missed = visible[wanted & scores.answered]  # targets below the lists
        values += [top[rows, columns], missed]
        taken += [hit, np.ones(missed.size, dtype=bool)]
    return total / max(1, len(held)), Calibration.fit(np.concatenate(values), np.concatenate(taken))


def ndcg(ranks: np.ndarray, held: Holdout, depth: int) -> np.ndarray:
    """Return float64 (n,): NDCG of each query, from the ranks of all targets."""
    gains = np.where(ranks <= depth, 1.0 / np.log2(1.0 + ranks), 0.0)
    reached = np.bincount(held.rows, weights=gains, minlength=len(held))
    best = np.concatenate([[0.0], np.cumsum(1.0 / np.log2(2.0 + np.arange(depth)))])
    ideal = best[np.minimum(np.diff(held.indptr), depth)]
    return np.asarray(np.divide(reached, ideal, out=np.zeros_like(reached), where=ideal > 0))
