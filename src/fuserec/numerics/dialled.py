"""Greedy lists by a worth that is given, the distance from what stands above, and a share of places for some items."""

from __future__ import annotations

from typing import Any

import numpy as np

from fuserec.numerics.arrays import Doubles, Flags, Ints
from fuserec.numerics.diverse import Space, _likeness, best_left, fill_rest
from fuserec.numerics.jit import kernel
from fuserec.numerics.parallel import over_ranges


@kernel
def _next(gains: Doubles, taken: Flags, due: Flags, only_due: bool, m: int) -> Any:
    """Return the place in the pool that comes next: among what is due alone where that has to be, if any is left."""
    if only_due:
        best = -1
        for j in range(m):
            if due[j] and not taken[j] and (best < 0 or gains[j] > gains[best]):
                best = j
        if best >= 0:
            return best
    return best_left(gains, taken, m)


@kernel
def _dialled_rows(
    items: Ints,
    counts: Ints,
    worth: Doubles,
    space: Space,
    spread: float,
    due: Flags,
    quota: Ints,
    places: int,
    lo: int,
    hi: int,
    order: Ints,
) -> None:
    """Write the orders of the rows lo to hi."""
    width = items.shape[1]
    scratch = np.zeros(space.n_terms, np.float32)
    like, gains, apart = np.empty(width), np.empty(width), np.empty(width)
    for r in range(lo, hi):
        taken = np.zeros(width, np.bool_)
        m, chosen, given = counts[r], min(places, counts[r]), 0
        apart[:] = 0.0
        for place in range(chosen):
            for j in range(m):
                gains[j] = worth[r, j]
                if place and spread > 0:
                    gains[j] += spread * apart[j] / place
            j = _next(gains, taken, due[r], given < quota[r, place], m)
            taken[j] = True
            given += due[r, j]
            order[r, place] = j
            if spread > 0:
                _likeness(space, items[r], m, j, scratch, like)
                for i in range(m):
                    apart[i] += 1.0 - like[i]
        fill_rest(order[r], taken, chosen)


def dialled_order(
    items: Ints,
    counts: Ints,
    worth: Doubles,
    space: Space,
    spread: float,
    due: Flags,
    quota: Ints,
    places: int,
    threads: int = 1,
) -> Ints:
    """Return int32 (n, m): places of the pool in the order in which they are shown.

    Each place takes the item with the largest worth + spread · (its mean distance, 1 - cosine, from what stands above):
    the greedy algorithm for the dispersion of a set (Borodin, Lee, Ye 2012, "Max-sum diversification, monotone
    submodular functions and dynamic updates"). Where fewer items that are due stand above than the quota of a place,
    the best of those comes next, as in Geyik, Ambler, Kenthapadi 2019, "Fairness-aware ranking in search and
    recommendation systems", algorithm DetGreedy. Of equals the one that stands first in the pool comes first.

    Parameters
    ----------
    items : int32 (n, m)
    counts : int32 (n,)
    worth : float64 (n, m)
    space : Space
    spread : float
        0 or more.
    due : bool (n, m)
    quota : int32 (n, places)
        How many items that are due have to stand within the places up to each.
    places : int
        How many places are chosen; the rest follows in its order.
    threads : int
    """
    order = np.empty(items.shape, np.int32)
    ready = np.ascontiguousarray(items), np.ascontiguousarray(counts, np.int32), np.ascontiguousarray(worth)
    flags, needed = np.ascontiguousarray(due), np.ascontiguousarray(quota, np.int32)

    def work(lo: int, hi: int) -> None:
        _dialled_rows(*ready, space, spread, flags, needed, places, lo, hi, order)

    over_ranges(work, len(items), threads)
    return order
