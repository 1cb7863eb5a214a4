"""Exact top-k of score rows: descending, ties settled by a hash and never by position, excluded items never returned.

A row is first reduced to a few candidates by a threshold that at least ``k`` of its values reach: the row is folded
onto ``2 k`` lanes, and the k-th largest lane maximum is such a threshold. Candidates are then sorted on one 64-bit
integer that holds the score and the hash.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fuserec.errors import RequestError
from fuserec.numerics.jit import kernel
from fuserec.numerics.parallel import over_ranges

Floats: TypeAlias = NDArray[np.float32]
Ints: TypeAlias = NDArray[np.int32]
Offsets: TypeAlias = NDArray[np.int64]
Hashes: TypeAlias = NDArray[np.uint64]
TopK: TypeAlias = tuple[Ints, Floats, Ints]

_MIN_ROWS_PER_THREAD = 32  # below this a thread costs more than it saves
_INSERTION = 12  # ranges no longer than this are sorted by insertion
_LOWEST = -(2**31)  # sorts below every float


@kernel(inline=True)
def ordered(bits: int) -> int:
    """Map the bits of a float32 (as int32) to an integer that sorts as the float does."""
    return bits ^ ((bits >> np.int32(31)) & np.int32(0x7FFFFFFF))


@kernel(inline=True)
def _before(key_a: int, item_a: int, key_b: int, item_b: int, ties: Hashes) -> bool:
    """Whether candidate a is ranked before b; the whole hash decides where its upper half is equal."""
    if key_a != key_b:
        return key_a > key_b
    if ties[item_a] != ties[item_b]:
        return ties[item_a] < ties[item_b]
    return item_a < item_b


@kernel
def _sort_first(keys: Hashes, items: Ints, n: int, k: int, ties: Hashes) -> None:
    """Sort candidates so that the first k of n are in place; parts that lie wholly behind k are left alone."""
    stack = np.empty((64, 2), np.int64)
    stack[0, 0], stack[0, 1], depth = 0, n, 1
    while depth > 0:
        depth -= 1
        lo, hi = stack[depth, 0], stack[depth, 1]
        while hi - lo > _INSERTION:
            mid = (lo + hi) // 2
            key, item = keys[mid], items[mid]
            i, j = lo, hi - 1
            while i <= j:
                while _before(keys[i], items[i], key, item, ties):
                    i += 1
                while _before(key, item, keys[j], items[j], ties):
                    j -= 1
                if i <= j:
                    keys[i], keys[j] = keys[j], keys[i]
                    items[i], items[j] = items[j], items[i]
                    i += 1
                    j -= 1
            # The longer part waits on the stack, so that the stack stays shallow; parts behind k are dropped.
            if j + 1 - lo < hi - i:
                if i < k:
                    stack[depth, 0], stack[depth, 1] = i, hi
                    depth += 1
                hi = j + 1
            else:
                stack[depth, 0], stack[depth, 1] = lo, j + 1
                depth += 1
                lo = i
                if lo >= k:
                    hi = lo
        for i in range(lo + 1, hi):
            key, item, j = keys[i], items[i], i
            while j > lo and _before(key, item, keys[j - 1], items[j - 1], ties):
                keys[j], items[j] = keys[j - 1], items[j - 1]
                j -= 1
            keys[j], items[j] = key, item


@kernel
def _threshold(row: Ints, m: int, k: int, lanes: Ints) -> int:
    """Return a value that at least k of the first m ordered integers reach, and few more than k do."""
    n_lanes = 2 * k
    if m < 2 * n_lanes:
        return _LOWEST
    lanes[:n_lanes] = row[:n_lanes]
    for start in range(n_lanes, m - n_lanes + 1, n_lanes):
        for lane in range(n_lanes):
            lanes[lane] = max(lanes[lane], row[start + lane])
    for j in range(m - m % n_lanes, m):
        lanes[j % n_lanes] = max(lanes[j % n_lanes], row[j])
    low, high = np.int64(_LOWEST), np.int64(lanes[:n_lanes].max()) + 1
    while high - low > 1:
        middle = (low + high) // 2
        reached, level = np.int32(0), np.int32(middle)
        for lane in range(n_lanes):
            reached += np.int32(lanes[lane] >= level)
        if reached >= k:
            low = middle
            if reached <= k + k // 16:
                break
        else:
            high = middle
    return low


def _masked_level() -> int:
    """Return what minus infinity becomes under :func:`ordered`."""
    bits = int(np.array([-np.inf], np.float32).view(np.int32)[0])
    return bits ^ 0x7FFFFFFF


MASKED = _masked_level()
"""The ordered integer of what may not be returned."""


@kernel
def best_of_list(row: Ints, found: Ints, n: int, k: int, ties: Hashes, keys: Hashes) -> int:
    """Sort n candidates, ``row[c]`` being the ordered score of ``found[c]``, as far as the first k; return min(n, k)."""
    for c in range(n):
        score = np.uint64(np.int64(row[c]) + 2**31)
        keys[c] = (score << np.uint64(32)) | (np.uint64(0xFFFFFFFF) - (ties[found[c]] >> np.uint64(32)))
    _sort_first(keys, found, n, k, ties)
    return min(n, k)


@kernel
def best_of_row(row: Ints, m: int, k: int, ties: Hashes, lanes: Ints, keys: Hashes, found: Ints) -> int:
    """Put the positions of the k best of m ordered integers at the front of ``found``; return how many there are.

    Parameters
    ----------
    row : int32 (>= m,)
        :func:`ordered` scores, :data:`MASKED` where an item may not be returned; its front is overwritten.
    lanes : int32 (2 k,); keys : uint64 (m + 1,); found : int32 (m + 1,)
        Scratch space.
    """
    floor = max(_threshold(row, m, k, lanes), np.int64(MASKED) + 1)
    level, n = np.int32(floor), 0
    for j in range(m):
        found[n] = j
        n += np.int64(row[j] >= level)
    for c in range(n):
        row[c] = row[found[c]]  # found[c] >= c, so nothing is lost that is still to be read
    return best_of_list(row, found, n, k, ties, keys)


@kernel
def _top_rows(
    scores: Floats,
    k: int,
    starts: Offsets,
    excluded: Ints,
    allowed: NDArray[np.bool_],
    ties: Hashes,
    lo: int,
    hi: int,
    items: Ints,
    values: Floats,
    counts: Ints,
) -> None:
    """Write the top k of the rows lo to hi; an empty ``starts`` or ``allowed`` means no restriction."""
    m = scores.shape[1]
    masked = np.empty(m, np.float32)
    row = masked.view(np.int32)
    lanes, keys, found = np.empty(2 * k, np.int32), np.empty(m + 1, np.uint64), np.empty(m + 1, np.int32)
    nothing = np.float32(-np.inf)
    for r in range(lo, hi):
        for j in range(m):
            score = scores[r, j]
            masked[j] = (
                score + np.float32(0.0) if score == score else nothing
            )  # -0.0 becomes 0.0, NaN is masked
        if allowed.size:
            for j in range(m):
                masked[j] = masked[j] if allowed[j] else nothing
        if starts.size:
            for p in range(starts[r], starts[r + 1]):
                masked[excluded[p]] = nothing
        for j in range(m):
            row[j] = ordered(row[j])
        n = best_of_row(row, m, k, ties, lanes, keys, found)
        counts[r] = n
        for c in range(n):
            items[r, c] = found[c]
            values[r, c] = scores[r, found[c]]
        for c in range(n, k):
            items[r, c] = -1
            values[r, c] = nothing


_NO_OFFSETS = np.empty(0, np.int64)
_NO_ITEMS = np.empty(0, np.int32)
_ALL = np.empty(0, np.bool_)


def top_k(
    scores: Floats,
    k: int,
    *,
    exclude: tuple[Offsets, Ints] | None = None,
    allowed: NDArray[np.bool_] | None = None,
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
    if k < 1:
        raise RequestError(f"top_k: k must be at least 1, got {k}")
    n, m = scores.shape
    k = min(k, m)
    items, values, counts = np.empty((n, k), np.int32), np.empty((n, k), np.float32), np.empty(n, np.int32)
    if k == 0:
        return items, values, np.zeros(n, np.int32)
    starts, excluded = exclude if exclude is not None else (_NO_OFFSETS, _NO_ITEMS)
    rows = np.ascontiguousarray(scores, np.float32)
    starts, excluded = np.ascontiguousarray(starts, np.int64), np.ascontiguousarray(excluded, np.int32)
    mask = _ALL if allowed is None else np.ascontiguousarray(allowed, np.bool_)
    ties = np.ascontiguousarray(ties, np.uint64)

    def work(lo: int, hi: int) -> None:
        _top_rows(rows, k, starts, excluded, mask, ties, lo, hi, items, values, counts)

    over_ranges(work, n, min(threads, 1 + n // _MIN_ROWS_PER_THREAD))
    return items, values, counts


def factor_top_k(
    users: Floats,
    factors: Floats,
    k: int,
    *,
    exclude: tuple[Offsets, Ints] | None = None,
    allowed: NDArray[np.bool_] | None = None,
    ties: Hashes,
    threads: int = 1,
    chunk: int = 0,
) -> TopK:
    """Return the k best items of each user by inner product, never holding more than ``chunk`` rows of scores.

    Parameters
    ----------
    users : float32 (n, f); factors : float32 (m, f)
        Factors of the queries and of the items.
    chunk : int
        Rows of scores at a time; 0 takes as many as fit in 16 MiB.

    Returns
    -------
    items, values, counts
        As in :func:`top_k`.
    """
    n, m = len(users), len(factors)
    k = min(k, m)
    chunk = chunk or max(1, 2**22 // max(1, m))
    if n <= chunk:
        return top_k(users @ factors.T, k, exclude=exclude, allowed=allowed, ties=ties, threads=threads)
    items, values, counts = np.empty((n, k), np.int32), np.empty((n, k), np.float32), np.empty(n, np.int32)
    buffer = np.empty((chunk, m), np.float32)
    for lo in range(0, n, chunk):
        hi = min(n, lo + chunk)
        scores = np.matmul(users[lo:hi], factors.T, out=buffer[: hi - lo])
        part = None
        if exclude is not None:
            starts, excluded = exclude
            part = (starts[lo : hi + 1] - starts[lo], excluded[starts[lo] : starts[hi]])
        items[lo:hi], values[lo:hi], counts[lo:hi] = top_k(
            scores, k, exclude=part, allowed=allowed, ties=ties, threads=threads
        )
    return items, values, counts
