"""The table that fusion weights are learnt on: validation queries × candidates × parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fuserec.fusion.cohorts import ITEM_COHORTS, item_cohorts, query_cohorts
from fuserec.numerics.topk import top_k

if TYPE_CHECKING:
    from fuserec.data.splits import Holdout
    from fuserec.run import RunOptions
    from fuserec.scorers.base import Scorer

CHUNK_MB = 256


@dataclass(frozen=True)
class CandidateTable:
    """Scores of every part for the best candidates of each part and for the targets.

    Parameters
    ----------
    indptr : int64 (n + 1,)
        Query ``q`` has candidates ``indptr[q]:indptr[q + 1]``.
    items : int32 (n_candidates,)
    scores : float32 (n_candidates, n_parts)
        0 where a part abstains.
    answered : bool (n_candidates, n_parts)
    target : bool (n_candidates,)
        Whether the candidate is what was held out.
    cohorts : int8 (n,)
        Query cohort.
    n_targets : int64 (n,)
    scale : float32 (n, n_parts)
        The ``DEPTH``-th best score of each part in each query, NaN where it abstains: what the constants are made of.
    names : tuple of str
    """

    indptr: np.ndarray
    items: np.ndarray
    scores: np.ndarray
    answered: np.ndarray
    target: np.ndarray
    cohorts: np.ndarray
    n_targets: np.ndarray
    scale: np.ndarray
    names: tuple[str, ...]

    def __len__(self) -> int:
        return self.indptr.size - 1

    @property
    def rows(self) -> np.ndarray:
        """int64 (n_candidates,): the query of each candidate."""
        return np.repeat(np.arange(len(self)), np.diff(self.indptr))


DEPTH = 10
RARE = 15
"""Best cold and best tail items kept as well: what an offset would lift has to be in the table to be judged."""


def candidate_table(
    parts: dict[str, Scorer], held: Holdout, per_part: int, ties: np.ndarray, run: RunOptions
) -> CandidateTable:
    """Score validation queries with every part and keep each one's best ``per_part`` candidates and the targets."""
    n_items = held.train.n_items
    chunk = max(1, CHUNK_MB * 2**20 // (4 * n_items * (len(parts) + 2)))
    pieces: list[tuple[np.ndarray, ...]] = []
    for lo in range(0, len(held), chunk):
        run.check()
        pieces.append(
            _piece(parts, held.take(np.arange(lo, min(lo + chunk, len(held)))), per_part, ties, run)
        )
        run.progress("learning the fusion", min(lo + chunk, len(held)), len(held))
    counts, items, scores, answered, target, scale = (
        np.concatenate(column) for column in zip(*pieces, strict=True)
    )
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return CandidateTable(
        indptr,
        items,
        scores,
        answered,
        target,
        query_cohorts(held.queries),
        np.diff(held.indptr),
        scale,
        tuple(parts),
    )


def _piece(
    parts: dict[str, Scorer], held: Holdout, per_part: int, ties: np.ndarray, run: RunOptions
) -> tuple[np.ndarray, ...]:
    """Return the table's columns for one chunk of queries."""
    n, n_items = len(held), held.train.n_items
    exclude = held.queries.seen()
    chosen = np.zeros((n, n_items), dtype=bool)
    chosen[held.rows, held.items] = True
    cohorts = item_cohorts(held.train.item_counts)
    rarities = [cohorts == code for code in range(len(ITEM_COHORTS) - 1) if (cohorts == code).any()]
    values, masks, scale = [], [], np.full((n, len(parts)), np.nan, np.float32)
    for column, part in enumerate(parts.values()):
        scores = part.score(held.queries)
        visible = np.where(scores.answered, scores.values, -np.inf).astype(np.float32)
        items, top, found = top_k(
            visible, max(per_part, DEPTH), exclude=exclude, ties=ties, threads=run.threads
        )
        _choose(chosen, items)
        for rare in rarities:
            _choose(
                chosen, top_k(visible, RARE, exclude=exclude, allowed=rare, ties=ties, threads=run.threads)[0]
            )
        depth = min(DEPTH, top.shape[1])  # a catalogue may be smaller
        heard = scores.queries & (found >= depth)
        scale[heard, column] = np.abs(top[heard, depth - 1])
        values.append(scores.values)
        masks.append(scores.answered)
    rows, columns = np.nonzero(chosen)
    picked = np.stack([v[rows, columns] for v in values], axis=1)
    answered = np.stack([m[rows, columns] for m in masks], axis=1)
    is_target = np.zeros((n, n_items), dtype=bool)
    is_target[held.rows, held.items] = True
    counts = np.bincount(rows, minlength=n)
    return (
        counts,
        columns.astype(np.int32),
        np.where(answered, picked, 0.0),
        answered,
        is_target[rows, columns],
        scale,
    )


def _choose(chosen: np.ndarray, items: np.ndarray) -> None:
    """Mark the items of each row's list (n, k), padded by -1, in a mask (n, n_items)."""
    rows, columns = np.nonzero(items >= 0)
    chosen[rows, items[rows, columns]] = True
