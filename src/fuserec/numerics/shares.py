"""Greedy lists that give groups of items their share: calibrated, covered, or at least so much of each prefix."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fuserec.numerics.arrays import Doubles, Floats, Ints, Offsets
from fuserec.numerics.diverse import best_left, fill_rest
from fuserec.numerics.jit import kernel
from fuserec.numerics.parallel import over_ranges

_EXACT = 1e-9
"""A share times a place that falls short of a whole number by less is that number."""


class Ragged(NamedTuple):
    """Rows of (column, value) pairs, as in a CSR matrix: int64 (n + 1,), int32, float32."""

    starts: Offsets
    columns: Ints
    values: Floats


class Rows(NamedTuple):
    """What kernels read of a pool; made by :func:`rows_of`."""

    items: Ints
    counts: Ints
    relevance: Doubles


def rows_of(items: Ints, counts: Ints, relevance: Doubles) -> Rows:
    """Return a pool, int32 (n, m), (n,) and float64 (n, m), as kernels are compiled for it."""
    return Rows(
        np.ascontiguousarray(items, np.int32),
        np.ascontiguousarray(counts, np.int32),
        np.ascontiguousarray(relevance, np.float64),
    )


@kernel
def _calibrating(groups: Ragged, item: int, target: Doubles, shown: Doubles, mix: float, n: float) -> Any:
    """Return by how much an item at place n lowers the divergence of what is shown from the target."""
    gain = 0.0
    for p in range(groups.starts[item], groups.starts[item + 1]):
        g = groups.columns[p]
        if target[g] > 0:
            before = (1.0 - mix) * shown[g] / n + mix * target[g]
            gain += target[g] * np.log(1.0 + (1.0 - mix) * groups.values[p] / n / before)
    return gain


@kernel
def _count(groups: Ragged, item: int, shown: Doubles) -> None:
    """Add an item's groups to what is shown."""
    for p in range(groups.starts[item], groups.starts[item + 1]):
        shown[groups.columns[p]] += groups.values[p]


@kernel
def _calibrated_rows(
    pool: Rows,
    groups: Ragged,
    wanted: Ragged,
    n_groups: int,
    strength: float,
    mix: float,
    places: int,
    lo: int,
    hi: int,
    order: Ints,
) -> None:
    """Write the calibrated orders of the rows lo to hi."""
    width = pool.items.shape[1]
    target, shown, gains = np.zeros(n_groups), np.zeros(n_groups), np.empty(width)
    for r in range(lo, hi):
        taken = np.zeros(width, np.bool_)
        m, chosen = pool.counts[r], min(places, pool.counts[r])
        first, last = wanted.starts[r], wanted.starts[r + 1]
        for p in range(first, last):
            target[wanted.columns[p]] = wanted.values[p]
        for place in range(chosen):
            n = place + 1.0
            for j in range(m):
                like = _calibrating(groups, pool.items[r, j], target, shown, mix, n)
                gains[j] = (1.0 - strength) * pool.relevance[r, j] + strength * like
            j = best_left(gains, taken, m)
            taken[j] = True
            order[r, place] = j
            _count(groups, pool.items[r, j], shown)
        shown[:] = 0.0
        for p in range(first, last):
            target[wanted.columns[p]] = 0.0
        fill_rest(order[r], taken, chosen)


def calibrated_order(
    pool: Rows,
    groups: Ragged,
    wanted: Ragged,
    n_groups: int,
    strength: float,
    mix: float,
    places: int,
    threads: int = 1,
) -> Ints:
    """Return int32 (n, m): places of the pool in an order whose groups are spread as is wanted.

    Each place takes the item that makes (1 - strength) · Σ relevance - strength · KL(p ‖ q̃) largest, with p what is
    wanted, q the groups of the list so far, and q̃ = (1 - mix) q + mix p. What is the same for all candidates of a
    place is left out, so that a candidate costs its own groups only.
    Source: Steck (2018), "Calibrated recommendations", equations 4 to 6 and the greedy algorithm of section 4.

    Parameters
    ----------
    pool : Rows
    groups : Ragged of n_items rows
        p(group | item); a row sums to 1 or is empty.
    wanted : Ragged of n rows
        p(group | query); a row sums to 1, or is empty, which leaves the order as it is.
    n_groups : int
    strength : float
        0 to 1.
    mix : float
        Above 0: keeps the divergence finite.
    places : int
        How many places are chosen; the rest follows in its order.
    threads : int
    """
    order = np.empty(pool.items.shape, np.int32)

    def work(lo: int, hi: int) -> None:
        _calibrated_rows(pool, groups, wanted, n_groups, strength, mix, places, lo, hi, order)

    over_ranges(work, len(pool.items), threads)
    return order


@kernel
def _covering_rows(
    pool: Rows, group: Ints, wanted: Doubles, strength: float, places: int, lo: int, hi: int, order: Ints
) -> None:
    """Write the covering orders of the rows lo to hi."""
    width, n_groups = pool.items.shape[1], wanted.shape[1]
    gains = np.empty(width)
    for r in range(lo, hi):
        taken, count = np.zeros(width, np.bool_), np.zeros(n_groups)
        m, chosen = pool.counts[r], min(places, pool.counts[r])
        for place in range(chosen):
            for j in range(m):
                g = group[pool.items[r, j]]
                missing = wanted[r, g] * (1.0 - count[g] / max(1, place))
                gains[j] = (1.0 - strength) * pool.relevance[r, j] + strength * missing
            j = best_left(gains, taken, m)
            taken[j] = True
            order[r, place] = j
            count[group[pool.items[r, j]]] += 1
        fill_rest(order[r], taken, chosen)


def covering_order(
    pool: Rows, group: Ints, wanted: Doubles, strength: float, places: int, threads: int = 1
) -> Ints:
    """Return int32 (n, m): places of the pool in an order that covers each query's groups, as smooth xQuAD does.

    Each place takes the item with the largest (1 - strength) · relevance + strength · p(g | query) · (1 - share of g
    in the list so far), g the item's group.
    Source: Abdollahpouri, Burke, Mobasher (2019), "Managing popularity bias in recommender systems with
    personalized re-ranking", equations 2 to 4 (smooth xQuAD).

    Parameters
    ----------
    pool : Rows
    group : int32 (n_items,)
        0 to n_groups - 1.
    wanted : float64 (n, n_groups)
        p(g | query), few groups.
    strength, places, threads
        As in :func:`calibrated_order`.
    """
    order = np.empty(pool.items.shape, np.int32)

    def work(lo: int, hi: int) -> None:
        _covering_rows(pool, group, wanted, strength, places, lo, hi, order)

    over_ranges(work, len(pool.items), threads)
    return order


@kernel
def _shared_rows(
    pool: Rows,
    group: Ints,
    shares: Doubles,
    strength: float,
    hard: bool,
    places: int,
    lo: int,
    hi: int,
    order: Ints,
) -> None:
    """Write the orders of the rows lo to hi that give groups their shares."""
    width = pool.items.shape[1]
    gains, count = np.empty(width), np.zeros(len(shares))
    for r in range(lo, hi):
        taken = np.zeros(width, np.bool_)
        m, chosen = pool.counts[r], min(places, pool.counts[r])
        for place in range(chosen):
            for j in range(m):
                g = group[pool.items[r, j]]
                if hard:
                    due = g >= 0 and count[g] < np.floor(strength * shares[g] * (place + 1.0) + _EXACT)
                    gains[j] = pool.relevance[r, j] + 2.0 * due
                else:
                    lack = shares[g] - count[g] / max(1, place) if g >= 0 else 0.0
                    gains[j] = (1.0 - strength) * pool.relevance[r, j] + strength * lack
            j = best_left(gains, taken, m)
            taken[j] = True
            order[r, place] = j
            if group[pool.items[r, j]] >= 0:
                count[group[pool.items[r, j]]] += 1
        for place in range(chosen):
            g = group[pool.items[r, order[r, place]]]
            if g >= 0:
                count[g] = 0
        fill_rest(order[r], taken, chosen)


def shared_order(
    pool: Rows, group: Ints, shares: Doubles, strength: float, hard: bool, places: int, threads: int = 1
) -> Ints:
    """Return int32 (n, m): places of the pool in an order that gives groups of items a share of the list.

    Hard: of the first k places at least ⌊strength · share · k⌋ go to each group, as far as the pool has items of it;
    where a group lacks a place, the most relevant item of those that do comes next.
    Soft: each place takes the item with the largest (1 - strength) · relevance + strength · (share of its group - what
    the group has of the list so far).
    Source: Geyik, Ambler, Kenthapadi (2019), "Fairness-aware ranking in search and recommendation systems with
    application to LinkedIn talent search" (DetGreedy, with minima alone); Zehlike et al. (2017), "FA*IR: a fair top-k
    ranking algorithm", asks for such minima of one protected group.

    Parameters
    ----------
    pool : Rows
    group : int32 (n_items,)
        -1 where an item is of none.
    shares : float64 (n_groups,)
    strength, places, threads
        As in :func:`calibrated_order`.
    hard : bool
    """
    order = np.empty(pool.items.shape, np.int32)

    def work(lo: int, hi: int) -> None:
        _shared_rows(pool, group, shares, strength, hard, places, lo, hi, order)

    over_ranges(work, len(pool.items), threads)
    return order


def weighed_order(values: Doubles, counts: Ints, places: int) -> Ints:
    """Return int32 (n, m): places of the pool with the highest values first, the first of equals first.

    Parameters
    ----------
    values : float64 (n, m)
    counts : int32 (n,)
    places : int
        How many places are chosen; the rest follows in its order.
    """
    width = values.shape[1]
    there = np.arange(width) < counts[:, None]
    order = np.argsort(np.where(there, -values, np.inf), axis=1, kind="stable")
    first = min(places, width)
    if first < width:
        order[:, first:] = np.sort(order[:, first:], axis=1)
    return order.astype(np.int32)
