"""Where the held-out targets stand: mean ranks over the whole catalogue less what is excluded."""

from __future__ import annotations

import numpy as np

from fuserec.numerics.jit import kernel
from fuserec.numerics.parallel import over_ranges


@kernel
def _ranks(
    values: np.ndarray,
    starts: np.ndarray,
    excluded: np.ndarray,
    target_starts: np.ndarray,
    targets: np.ndarray,
    ranks: np.ndarray,
    candidates: np.ndarray,
    lo: int,
    hi: int,
) -> None:
    """Fill the ranks of the targets of queries [lo, hi)."""
    n_items = values.shape[1]
    out = np.zeros(n_items, np.bool_)
    for q in range(lo, hi):
        n = n_items
        for p in range(starts[q], starts[q + 1]):
            if not out[excluded[p]]:
                out[excluded[p]] = True
                n -= 1
        candidates[q] = n
        for t in range(target_starts[q], target_starts[q + 1]):
            mine = values[q, targets[t]]
            above, equal = 0, 0
            for j in range(n_items):
                above += values[q, j] > mine
                equal += values[q, j] == mine
            for p in range(starts[q], starts[q + 1]):
                if out[excluded[p]]:
                    above -= values[q, excluded[p]] > mine
                    equal -= values[q, excluded[p]] == mine
                    out[excluded[p]] = False
            for p in range(starts[q], starts[q + 1]):
                out[excluded[p]] = True
            ranks[t] = above + 0.5 * (equal + 1)
        for p in range(starts[q], starts[q + 1]):
            out[excluded[p]] = False


def target_ranks(
    values: np.ndarray,
    exclude: tuple[np.ndarray, np.ndarray],
    targets: tuple[np.ndarray, np.ndarray],
    threads: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rank of every target among all items of its query that are not excluded.

    Parameters
    ----------
    values : float32 (n, m)
        Scores; minus infinity where a scorer has no answer (such items share the last ranks).
    exclude : (indptr int64 (n + 1,), items int32)
        Items that are not candidates; never the targets.
    targets : (indptr int64 (n + 1,), items int32)
    threads : int

    Returns
    -------
    ranks : float64 (n_targets,)
        From 1; equal scores share their mean rank.
    n_candidates : int64 (n,)
    """
    ranks = np.empty(targets[1].size, np.float64)
    candidates = np.empty(len(values), np.int64)

    def work(lo: int, hi: int) -> None:
        _ranks(values, exclude[0], exclude[1], targets[0], targets[1], ranks, candidates, lo, hi)

    over_ranges(work, len(values), threads)
    return ranks, candidates
