"""Exact top-k of score rows: descending, ties settled by a hash, never by position; exclusions respected."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fuserec.errors import RequestError
from fuserec.numerics.arrays import Flags, Floats, Hashes, Ints, Offsets, TopK
from fuserec.numerics.jit import kernel
from fuserec.numerics.parallel import over_ranges
from fuserec.numerics.selection import MASKED, Scratch, best_of_row, make_scratch, order_row, score_bits

_MIN_ROWS_PER_THREAD = 32  # below this a thread costs more than it saves
_TOGETHER = 4  # users whose scores are held at once
_TILE = 64  # items of a tile: its factors stay in the first cache


class Limits(NamedTuple):
    """What may be returned: CSR rows of excluded items and a mask over all; empty where there is none."""

    starts: Offsets
    excluded: Ints
    allowed: Flags


@kernel
def _best(
    bits: Ints, r: int, row: Ints, limits: Limits, ties: Hashes, scratch: Scratch, items: Ints, values: Ints
) -> Any:
    """Write the best of one row of scores, given by its bits, to row r of the results; return how many."""
    order_row(bits, row)
    if limits.allowed.size:
        for j in range(len(row)):
            row[j] = row[j] if limits.allowed[j] else np.int32(MASKED)
    if limits.starts.size:
        for p in range(limits.starts[r], limits.starts[r + 1]):
            row[limits.excluded[p]] = np.int32(MASKED)
    k = items.shape[1]
    n = best_of_row(row, k, ties, scratch)
    for c in range(n):
        items[r, c] = scratch.found[c]
        values[r, c] = score_bits(scratch.keys[c])
    items[r, n:] = -1
    values[r, n:] = np.int32(-8388608)  # the bits of minus infinity
    return n


@kernel
def _top_rows(
    bits: Ints, limits: Limits, ties: Hashes, lo: int, hi: int, items: Ints, values: Ints, counts: Ints
) -> None:
    """Write the top k of the rows lo to hi of scores given by their bits."""
    m = bits.shape[1]
    row, scratch = np.empty(m, np.int32), make_scratch(m, items.shape[1])
    for r in range(lo, hi):
        counts[r] = _best(bits[r], r, row, limits, ties, scratch, items, values)


@kernel(fuse=True)
def _multiply_four(users: Floats, tile: Floats, out: Floats) -> None:
    """Write the inner products of four users (f, 4) with the items of a tile (f, 64), user by user.

    Flat arrays and constant widths leave nothing for the compiler to check at run time. Every sum is taken in
    the same order, so that a user's scores do not depend on the company.
    """
    out[:] = 0
    for f in range(0, len(users) // 4, 4):
        u = users[4 * f : 4 * f + 16]
        a0, a1, a2, a3 = u[0], u[4], u[8], u[12]
        b0, b1, b2, b3 = u[1], u[5], u[9], u[13]
        c0, c1, c2, c3 = u[2], u[6], u[10], u[14]
        d0, d1, d2, d3 = u[3], u[7], u[11], u[15]
        part = tile[f * _TILE : (f + 4) * _TILE]
        for j in range(_TILE):
            w, x, y, z = part[j], part[_TILE + j], part[2 * _TILE + j], part[3 * _TILE + j]
            out[j] = out[j] + a0 * w + a1 * x + a2 * y + a3 * z
            out[_TILE + j] = out[_TILE + j] + b0 * w + b1 * x + b2 * y + b3 * z
            out[2 * _TILE + j] = out[2 * _TILE + j] + c0 * w + c1 * x + c2 * y + c3 * z
            out[3 * _TILE + j] = out[3 * _TILE + j] + d0 * w + d1 * x + d2 * y + d3 * z


@kernel
def _score_group(
    users: Floats, lo: int, hi: int, tiles: Floats, packed: Floats, out: Floats, scores: Floats
) -> None:
    """Write the scores of the users lo to hi with all items to the first rows of ``scores``."""
    m = scores.shape[1]
    for r in range(lo, hi, 4):
        packed[:] = 0
        for q in range(min(4, hi - r)):
            for f in range(users.shape[1]):
                packed[4 * f + q] = users[r + q, f]
        for t in range(len(tiles)):
            _multiply_four(packed, tiles[t], out)
            left, right = t * _TILE, min(m, (t + 1) * _TILE)
            for q in range(min(4, hi - r)):
                scores[r - lo + q, left:right] = out[q * _TILE : q * _TILE + right - left]


@kernel
def _top_products(
    users: Floats,
    tiles: Floats,
    n_items: int,
    limits: Limits,
    ties: Hashes,
    lo: int,
    hi: int,
    items: Ints,
    values: Ints,
    counts: Ints,
) -> None:
    """Write the top k of the inner products of the users lo to hi with all items."""
    scores = np.empty((_TOGETHER, n_items), np.float32)
    packed, out = np.empty(tiles.shape[1] // _TILE * 4, np.float32), np.empty(4 * _TILE, np.float32)
    row, scratch = np.empty(n_items, np.int32), make_scratch(n_items, items.shape[1])
    bits = scores.view(np.int32)
    for first in range(lo, hi, _TOGETHER):
        last = min(hi, first + _TOGETHER)
        _score_group(users, first, last, tiles, packed, out, scores)
        for r in range(first, last):
            counts[r] = _best(bits[r - first], r, row, limits, ties, scratch, items, values)


@kernel
def _fill_tiles(factors: Floats, tiles: Floats) -> None:
    """Lay out item factors tile by tile, a factor after another in each."""
    for item in range(len(factors)):
        tile, j = tiles[item // _TILE], item % _TILE
        for f in range(factors.shape[1]):
            tile[f * _TILE + j] = factors[item, f]


class Tiled(NamedTuple):
    """Item factors laid out for :func:`factor_top_k`; made by :func:`tile_factors`.

    Attributes
    ----------
    tiles : float32 (t, f' 64)
        Per tile of 64 items the values of each factor; f' is f rounded up to a multiple of 4, the rest is 0.
    n_items, n_factors : int
        The shape of the factors.
    """

    tiles: Floats
    n_items: int
    n_factors: int


def tile_factors(factors: Floats) -> Tiled:
    """Lay out item factors once for many calls of :func:`factor_top_k`.

    Parameters
    ----------
    factors : float32 (m, f)
    """
    m, width = factors.shape
    tiles = np.zeros((-(-m // _TILE), -(-width // 4) * 4 * _TILE), np.float32)
    _fill_tiles(np.ascontiguousarray(factors, np.float32), tiles)
    return Tiled(tiles, m, width)


def _limits(exclude: tuple[Offsets, Ints] | None, allowed: Flags | None) -> Limits:
    """Return restrictions with the types the kernels are compiled for."""
    starts, excluded = (np.empty(0, np.int64), np.empty(0, np.int32)) if exclude is None else exclude
    mask = np.empty(0, np.bool_) if allowed is None else allowed
    return Limits(
        np.ascontiguousarray(starts, np.int64),
        np.ascontiguousarray(excluded, np.int32),
        np.ascontiguousarray(mask, np.bool_),
    )


def _results(n: int, m: int, k: int) -> TopK:
    """Return arrays for the results of n rows of m scores."""
    if k < 1:
        raise RequestError(f"k must be at least 1, got {k}")
    k = min(k, m)
    return np.empty((n, k), np.int32), np.empty((n, k), np.float32), np.zeros(n, np.int32)


def top_k(
    scores: Floats,
    k: int,
    *,
    exclude: tuple[Offsets, Ints] | None = None,
    allowed: Flags | None = None,
    ties: Hashes,
    threads: int = 1,
) -> TopK:
    """Return the k best items of each row, best first.

    Parameters
    ----------
    scores : float32 (n, m)
        NaN and minus infinity are never returned. The array is not changed.
    k : int
        How many to return; more than m is the same as m.
    exclude : (indptr int64 (n + 1,), indices int32), optional
        Per row the items that may not be returned, laid out as in a CSR matrix.
    allowed : bool (m,), optional
        The items that may be returned at all.
    ties : uint64 (m,)
        One hash per item; of equal scores the lower hash comes first.
    threads : int
        The result does not depend on it.

    Returns
    -------
    items : int32 (n, k)
        Beyond a row's count: -1.
    values : float32 (n, k)
        Beyond a row's count: minus infinity.
    counts : int32 (n,)
        How many of the k exist in each row.
    """
    n, m = scores.shape
    items, values, counts = _results(n, m, k)
    if m == 0:
        return items, values, counts
    bits = np.ascontiguousarray(scores, np.float32).view(np.int32)
    limits, hashes = _limits(exclude, allowed), np.ascontiguousarray(ties, np.uint64)

    def work(lo: int, hi: int) -> None:
        _top_rows(bits, limits, hashes, lo, hi, items, values.view(np.int32), counts)

    over_ranges(work, n, min(threads, 1 + n // _MIN_ROWS_PER_THREAD))
    return items, values, counts


def factor_top_k(
    users: Floats,
    factors: Floats | Tiled,
    k: int,
    *,
    exclude: tuple[Offsets, Ints] | None = None,
    allowed: Flags | None = None,
    ties: Hashes,
    threads: int = 1,
) -> TopK:
    """Return the k best items of each user by inner product, without a matrix of all scores.

    A user's result does not depend on the other users that are asked for.

    Parameters
    ----------
    users : float32 (n, f)
        Factors of the queries.
    factors : float32 (m, f) or Tiled
        Factors of the items; :func:`tile_factors` saves laying them out at every call.
    k, exclude, allowed, ties, threads
        As in :func:`top_k`.

    Returns
    -------
    items, values, counts
        As in :func:`top_k`.
    """
    laid = factors if isinstance(factors, Tiled) else tile_factors(factors)
    n, m = len(users), laid.n_items
    if users.shape[1] != laid.n_factors:
        raise ValueError(f"users have {users.shape[1]} factors and items {laid.n_factors}")
    items, values, counts = _results(n, m, k)
    if m == 0:
        return items, values, counts
    users = np.ascontiguousarray(users, np.float32)
    limits, hashes = _limits(exclude, allowed), np.ascontiguousarray(ties, np.uint64)

    def work(lo: int, hi: int) -> None:
        _top_products(users, laid.tiles, m, limits, hashes, lo, hi, items, values.view(np.int32), counts)

    over_ranges(work, n, min(threads, 1 + n // _MIN_ROWS_PER_THREAD))
    return items, values, counts
