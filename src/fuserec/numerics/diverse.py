"""Greedy lists that weigh relevance against likeness: maximal marginal relevance, and determinantal point processes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from fuserec.numerics.arrays import Csr, Doubles, Flags, Floats, Ints, Offsets
from fuserec.numerics.jit import kernel
from fuserec.numerics.parallel import over_ranges

_FLOOR = 1e-12
"""Least squared distance whose logarithm is taken."""


class Space(NamedTuple):
    """Vectors of items whose cosine is their likeness; made by :func:`space_of`.

    Items with a zero vector are alike to each other and to nothing else, so that one of them may stand for all.

    Attributes
    ----------
    dense : float32 (n_items, dim)
        Or (0, 0), where the rows are sparse:
    starts, terms, weights : int64 (n_items + 1,), int32, float32
    scale : float32 (n_items,)
        One over the length of each vector, 0 for a zero one.
    n_terms : int
    """

    dense: Floats
    starts: Offsets
    terms: Ints
    weights: Floats
    scale: Floats
    n_terms: int


def space_of(vectors: Floats | Csr) -> Space:
    """Return vectors (n_items, dim), dense or sparse, as kernels read them; dense ones are not copied."""
    if sparse.issparse(vectors):
        rows = sparse.csr_array(vectors)
        squared = np.asarray(rows.multiply(rows).sum(axis=1), np.float64).ravel()
        return Space(
            np.zeros((0, 0), np.float32),
            rows.indptr.astype(np.int64, copy=False),
            rows.indices.astype(np.int32, copy=False),
            rows.data.astype(np.float32, copy=False),
            _scale(squared),
            rows.shape[1],
        )
    dense = np.ascontiguousarray(vectors, np.float32)
    squared = np.einsum("nd,nd->n", dense, dense, dtype=np.float64)
    nothing = np.zeros(0, np.int32)
    return Space(dense, np.zeros(1, np.int64), nothing, nothing.astype(np.float32), _scale(squared), 0)


def _scale(squared: Doubles) -> Floats:
    """Return one over each length, 0 for a zero vector."""
    out = np.zeros(squared.size, np.float32)
    np.divide(1.0, np.sqrt(squared), out=out, where=squared > 0, casting="same_kind")
    return out


@kernel(reassociate=True)
def _dot(one: Floats, other: Floats) -> Any:
    """Return the inner product of two vectors."""
    total = np.float32(0.0)
    for f in range(len(one)):
        total += one[f] * other[f]
    return total


@kernel
def _likeness(space: Space, items: Ints, m: int, j: int, scratch: Floats, out: Doubles) -> None:
    """Write the cosine of the j-th of m items with each of them."""
    one = items[j]
    if space.dense.shape[0] == 0:
        for p in range(space.starts[one], space.starts[one + 1]):
            scratch[space.terms[p]] = space.weights[p]
    for i in range(m):
        other = items[i]
        total = 0.0
        if space.scale[one] == 0 or space.scale[other] == 0:
            out[i] = 1.0 if space.scale[one] == space.scale[other] else 0.0
            continue
        if space.dense.shape[0] == 0:
            for p in range(space.starts[other], space.starts[other + 1]):
                total += space.weights[p] * scratch[space.terms[p]]
        else:
            total = float(_dot(space.dense[one], space.dense[other]))
        out[i] = min(1.0, max(-1.0, total * space.scale[one] * space.scale[other]))
    if space.dense.shape[0] == 0:
        for p in range(space.starts[one], space.starts[one + 1]):
            scratch[space.terms[p]] = 0


@kernel
def fill_rest(order: Ints, taken: Flags, place: int) -> None:
    """Write what was not taken to the places from ``place`` on, in the order of the pool."""
    for j in range(len(order)):
        if not taken[j]:
            order[place] = j
            place += 1


@kernel
def best_left(gains: Doubles, taken: Flags, m: int) -> Any:
    """Return which of m candidates that are not taken has the highest gain, the first of equals."""
    best = -1
    for j in range(m):
        if not taken[j] and (best < 0 or gains[j] > gains[best]):
            best = j
    return best


@kernel
def _mmr_rows(
    items: Ints,
    counts: Ints,
    relevance: Doubles,
    space: Space,
    strength: float,
    places: int,
    lo: int,
    hi: int,
    order: Ints,
) -> None:
    """Write the orders of the rows lo to hi by maximal marginal relevance."""
    width = items.shape[1]
    scratch = np.zeros(space.n_terms, np.float32)
    like, gains, nearest = np.empty(width), np.empty(width), np.empty(width)
    for r in range(lo, hi):
        taken = np.zeros(width, np.bool_)
        m, chosen = counts[r], min(places, counts[r])
        nearest[:] = -2.0
        for place in range(chosen):
            for j in range(m):
                against = nearest[j] if place else 0.0
                gains[j] = (1.0 - strength) * relevance[r, j] - strength * against
            j = best_left(gains, taken, m)
            taken[j] = True
            order[r, place] = j
            _likeness(space, items[r], m, j, scratch, like)
            for i in range(m):
                nearest[i] = max(nearest[i], like[i])
        fill_rest(order[r], taken, chosen)


@kernel
def _dpp_rows(
    items: Ints,
    counts: Ints,
    relevance: Doubles,
    space: Space,
    strength: float,
    ridge: float,
    places: int,
    lo: int,
    hi: int,
    order: Ints,
) -> None:
    """Write the orders of the rows lo to hi by the greedy mode of a determinantal point process."""
    width = items.shape[1]
    scratch = np.zeros(space.n_terms, np.float32)
    like, gains, left = np.empty(width), np.empty(width), np.empty(width)
    factor = np.empty((width, max(1, min(places, width))))
    for r in range(lo, hi):
        taken = np.zeros(width, np.bool_)
        m, chosen = counts[r], min(places, counts[r])
        left[:] = 1.0
        for place in range(chosen):
            for j in range(m):
                gains[j] = (1.0 - strength) * relevance[r, j] + strength * np.log(max(left[j], _FLOOR))
            j = best_left(gains, taken, m)
            taken[j] = True
            order[r, place] = j
            root = np.sqrt(max(left[j], _FLOOR))
            _likeness(space, items[r], m, j, scratch, like)
            for i in range(m):
                if not taken[i]:
                    total = (1.0 - ridge) * like[i]
                    for p in range(place):
                        total -= factor[j, p] * factor[i, p]
                    factor[i, place] = total / root
                    left[i] -= factor[i, place] ** 2
        fill_rest(order[r], taken, chosen)


def mmr_order(
    items: Ints,
    counts: Ints,
    relevance: Doubles,
    space: Space,
    strength: float,
    places: int,
    threads: int = 1,
) -> Ints:
    """Return int32 (n, m): places of the pool in the order of maximal marginal relevance.

    Each place takes the item with the largest (1 - strength) · relevance - strength · (its highest cosine with what
    stands above); the first place has nothing above it.
    Source: Carbonell, Goldstein (1998), "The use of MMR, diversity-based reranking".

    Parameters
    ----------
    items : int32 (n, m)
    counts : int32 (n,)
    relevance : float64 (n, m)
    space : Space
    strength : float
        0 to 1.
    places : int
        How many places are chosen; the rest follows in its order.
    threads : int
    """
    order = np.empty(items.shape, np.int32)
    ready = (
        np.ascontiguousarray(items),
        np.ascontiguousarray(counts, np.int32),
        np.ascontiguousarray(relevance),
    )

    def work(lo: int, hi: int) -> None:
        _mmr_rows(*ready, space, strength, places, lo, hi, order)

    over_ranges(work, len(items), threads)
    return order


def dpp_order(
    items: Ints,
    counts: Ints,
    relevance: Doubles,
    space: Space,
    strength: float,
    ridge: float,
    places: int,
    threads: int = 1,
) -> Ints:
    """Return int32 (n, m): places of the pool in the order in which a determinantal point process takes them.

    Each place takes the item that adds most to (1 - strength) · Σ relevance + strength · log det S of what stands
    above and itself, with S = (1 - ridge) · cosines + ridge · identity. Up to a constant factor that is log det L of
    the kernel L = diag(q) S diag(q), q = exp(relevance (1 - strength) / (2 strength)). Determinants come from one
    row of a Cholesky factor an item.
    Source: Chen, Zhang, Zhou (2018), "Fast greedy MAP inference for determinantal point process to improve
    recommendation diversity", algorithm 1 and equation 11.

    Parameters
    ----------
    items, counts, relevance, space, strength, places, threads
        As in :func:`mmr_order`.
    ridge : float
        Above 0: two items with one vector are not quite alike, so that the list never ends early.
    """
    order = np.empty(items.shape, np.int32)
    ready = (
        np.ascontiguousarray(items),
        np.ascontiguousarray(counts, np.int32),
        np.ascontiguousarray(relevance),
    )

    def work(lo: int, hi: int) -> None:
        _dpp_rows(*ready, space, strength, ridge, places, lo, hi, order)

    over_ranges(work, len(items), threads)
    return order
