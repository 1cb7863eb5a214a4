"""Where the held-out targets stand: mean ranks over the whole catalogue less what is excluded."""

from __future__ import annotations

import numpy as np

from fuserec.numerics.arrays import Doubles, Floats, Offsets, Real
from fuserec.numerics.jit import kernel
from fuserec.numerics.parallel import over_ranges


@kernel
def _place(row: Floats, mine: Real) -> tuple[int, int]:
    """Count the scores above one score and those equal to it."""
    above, equal = 0, 0
    for j in range(row.size):
        above += row[j] > mine
        equal += row[j] == mine
    return above, equal


@kernel
def _ranks(
    values: np.ndarray,
    starts: np.ndarray,
    excluded: np.ndarray,
    target_starts: np.ndarray,
    targets: np.ndarray,
    ranks: np.ndarray,
    tied: np.ndarray,
    candidates: np.ndarray,
    lo: int,
    hi: int,
) -> None:
    """Fill the ranks of the targets of queries [lo, hi)."""
    n_items = values.shape[1]
    row = np.empty(n_items, np.float32)
    for q in range(lo, hi):
        row[:] = values[q]
        n = n_items
        for p in range(starts[q], starts[q + 1]):
            n -= row[excluded[p]] == row[excluded[p]]  # history repeats itself: count an item once
            row[excluded[p]] = np.nan  # neither above nor equal to anything
        candidates[q] = n
        for t in range(target_starts[q], target_starts[q + 1]):
            mine = values[q, targets[t]]
            above, equal = _place(row, mine)
            ranks[t] = above + 0.5 * (equal + 1)
            tied[t] = equal


def tied_ranks(
    values: np.ndarray,
    exclude: tuple[np.ndarray, np.ndarray],
    targets: tuple[np.ndarray, np.ndarray],
    threads: int = 1,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the rank of every target among all items of its query that are not excluded, and how many tie with it.

    Each thread holds one row of scores: 4 · n_items bytes.

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
    tied : int64 (n_targets,)
        Candidates with the target's score, itself among them: 1 where it stands alone.
    n_candidates : int64 (n,)
    """
    ranks = np.empty(targets[1].size, np.float64)
    tied = np.empty(targets[1].size, np.int64)
    candidates = np.empty(len(values), np.int64)

    def work(lo: int, hi: int) -> None:
        _ranks(values, exclude[0], exclude[1], targets[0], targets[1], ranks, tied, candidates, lo, hi)

    over_ranges(work, len(values), threads)
    return ranks, tied, candidates


def target_ranks(
    values: np.ndarray,
    exclude: tuple[np.ndarray, np.ndarray],
    targets: tuple[np.ndarray, np.ndarray],
    threads: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Return ranks and numbers of candidates as :func:`tied_ranks` does, for those who do not ask about ties."""
    ranks, _, candidates = tied_ranks(values, exclude, targets, threads)
    return ranks, candidates


@kernel
def expected_first(above: Offsets, size: Offsets, members: Offsets, reach: Offsets) -> Doubles:
    """Return the expected 1/rank of the first of some targets in a tie, 0 beyond its first ``reach`` places.

    The first of m targets among s candidates in random order is on place j with chance C(s - j, m - 1) / C(s, m);
    one chance follows from the one before it, so the cost is the reach of the tie.

    Parameters
    ----------
    above, size, members, reach : int64 (n,)
        Candidates above the tie, in it, targets in it, and places of it that count.

    Returns
    -------
    float64 (n,)
    """
    result = np.zeros(above.size, np.float64)
    for t in range(above.size):
        s, m = size[t], members[t]
        chance = m / s
        for j in range(1, min(reach[t], s - m + 1) + 1):
            result[t] += chance / (above[t] + j)
            chance *= (s - j - m + 1) / (s - j) if s > j else 0.0
    return result
