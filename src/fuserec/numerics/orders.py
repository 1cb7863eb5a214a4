"""Whole rows of scores as orders: ranks that ties share, and lists of several scorers made one.

Two scores closer than :data:`NOISE` times the largest of their row are a tie: float32 sums taken in another order
differ by about as much, and a rank must not hang on that.
"""

from __future__ import annotations

import numpy as np

from fuserec.numerics.jit import kernel
from fuserec.numerics.parallel import over_ranges

NOISE = 1e-6
"""Share of a row's largest score by which neighbours in its order may differ and still be a tie."""

_MANY = 200_000  # below this many cells a thread costs more than it saves


@kernel
def _sorted(values: np.ndarray, known: np.ndarray, order: np.ndarray, groups: np.ndarray) -> int:
    """Write the known columns of one row, best first, and the number of each one's tie; return how many there are."""
    n = 0
    for j in range(values.size):
        if known[j]:
            order[n] = j
            n += 1
    if n == 0:
        return 0
    rest = values[order[:n]]
    order[:n] = order[:n][np.argsort(-rest)]
    limit = NOISE * max(abs(values[order[0]]), abs(values[order[n - 1]]))
    groups[0] = 0
    for place in range(1, n):
        gap = values[order[place - 1]] - values[order[place]]
        groups[place] = groups[place - 1] + (1 if gap > limit else 0)
    return n


@kernel
def _ranks(
    values: np.ndarray, known: np.ndarray, counted: np.ndarray, out: np.ndarray, lo: int, hi: int
) -> None:
    """Fill the ranks of rows [lo, hi)."""
    m = values.shape[1]
    order, groups = np.empty(m, np.int64), np.empty(m, np.int64)
    for r in range(lo, hi):
        n = _sorted(values[r], known[r], order, groups)
        out[r, :] = np.inf
        above, start = 0, 0
        while start < n:
            end, equal = start, 0
            while end < n and groups[end] == groups[start]:
                equal += counted[r, order[end]]
                end += 1
            for place in range(start, end):
                own = 1 if counted[r, order[place]] else 2
                out[r, order[place]] = above + 0.5 * (equal + own)
            above += equal
            start = end


def competing_ranks(
    values: np.ndarray, known: np.ndarray, counted: np.ndarray, threads: int = 1
) -> np.ndarray:
    """Return the rank of every column among those that compete.

    Parameters
    ----------
    values : float32 (n, m)
    known : bool (n, m)
        Where there is a score.
    counted : bool (n, m)
        Who competes; the others get the rank that they would have beside those.
    threads : int

    Returns
    -------
    ranks : float32 (n, m)
        From 1; ties share their mean rank; infinite where there is no score.
    """
    out = np.empty(values.shape, np.float32)
    values, known, counted = (np.ascontiguousarray(a) for a in (values, known, counted))

    def work(lo: int, hi: int) -> None:
        _ranks(values, known, counted, out, lo, hi)

    over_ranges(work, len(values), threads if values.size > _MANY else 1)
    return out


@kernel
def _list(
    values: np.ndarray, known: np.ndarray, ties: np.ndarray, order: np.ndarray, groups: np.ndarray
) -> tuple[int, int]:
    """Write one scorer's list, ties in the order of their hashes; return its length and how much of it is meant.

    The items that it puts last, all alike, are no choice of its own: they are behind the end of what is meant.
    """
    n = _sorted(values, known, order, groups)
    start = 0
    while start < n:
        end = start
        while end < n and groups[end] == groups[start]:
            end += 1
        if end - start > 1:
            tied = order[start:end].copy()
            order[start:end] = tied[np.argsort(ties[tied])]
        if end == n:
            return n, (start if end - start > 1 else n)
        start = end
    return n, n


@kernel
def _take_turns(
    orders: np.ndarray,
    ends: np.ndarray,
    first: np.ndarray,
    turns: np.ndarray,
    barred: np.ndarray,
    place: np.ndarray,
    source: np.ndarray,
    taken: int,
) -> int:
    """Give places to what is not barred and has none, one a turn; return how many are taken."""
    heads, credit = np.zeros(turns.size, np.int64), np.zeros(turns.size, np.float64)
    while True:
        best = -1
        total = 0.0
        for p in first:
            while heads[p] < ends[p] and (place[orders[p, heads[p]]] > 0 or barred[orders[p, heads[p]]]):
                heads[p] += 1
            if heads[p] < ends[p] and turns[p] > 0:
                credit[p] += turns[p]
                total += turns[p]
                if best < 0 or credit[p] > credit[best] + 1e-9:
                    best = p
        if best < 0:
            return taken
        credit[best] -= total
        taken += 1
        place[orders[best, heads[best]]] = taken
        source[orders[best, heads[best]]] = best


@kernel
def _mixed(
    values: np.ndarray,
    known: np.ndarray,
    first: np.ndarray,
    turns: np.ndarray,
    last: np.ndarray,
    ties: np.ndarray,
    place: np.ndarray,
    source: np.ndarray,
    lo: int,
    hi: int,
) -> None:
    """Fill the places of rows [lo, hi): lists first, then what no list means, then what comes last."""
    n_parts, m = values.shape[0], values.shape[2]
    orders, groups = np.empty((n_parts, m), np.int64), np.empty(m, np.int64)
    whole, meant = np.empty(n_parts, np.int64), np.empty(n_parts, np.int64)
    nobody = np.zeros(m, np.bool_)
    for r in range(lo, hi):
        for p in range(n_parts):
            whole[p], meant[p] = _list(values[p, r], known[p, r], ties, orders[p], groups)
        place[r, :] = 0
        source[r, :] = -1
        taken = _take_turns(orders, meant, first[r], turns[r], last[r], place[r], source[r], 0)
        taken = _take_turns(orders, whole, first[r], turns[r], last[r], place[r], source[r], taken)
        _take_turns(orders, whole, first[r], turns[r], nobody, place[r], source[r], taken)


def interleaved(
    values: np.ndarray,
    known: np.ndarray,
    first: np.ndarray,
    turns: np.ndarray,
    last: np.ndarray,
    ties: np.ndarray,
    threads: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the place of every column in one list made of several, without repeats.

    The scorers take turns, each with the best of its own list that has no place yet. With shares of turns the one
    that is owed most comes next; with equal ones they go round in order.

    Parameters
    ----------
    values : float32 (n_parts, n, m)
    known : bool (n_parts, n, m)
        Where a scorer has a score.
    first : int64 (n, n_parts)
        The order in which they go round.
    turns : float64 (n, n_parts)
        Share of turns; 0 takes none.
    last : bool (n, m)
        What comes after all others.
    ties : uint64 (m,)
        Of what a scorer cannot tell apart the lower hash comes first.
    threads : int

    Returns
    -------
    place : int32 (n, m)
        From 1; 0 where no scorer with a turn has a score.
    source : int32 (n, m)
        Whose turn it was; -1 where there is no place.
    """
    place, source = np.empty(values.shape[1:], np.int32), np.empty(values.shape[1:], np.int32)
    values, known, first = (np.ascontiguousarray(a) for a in (values, known, first))
    turns, last = np.ascontiguousarray(turns, np.float64), np.ascontiguousarray(last)
    hashes = np.ascontiguousarray(ties, np.uint64)

    def work(lo: int, hi: int) -> None:
        _mixed(values, known, first, turns, last, hashes, place, source, lo, hi)

    over_ranges(work, len(place), threads if place.size > _MANY else 1)
    return place, source
