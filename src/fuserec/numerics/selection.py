"""The k best of a row of scores, in kernels: what top-k and the neighbours are built of.

Scores are compared as integers that sort as the floats do. A row is first reduced to few candidates by a
threshold that at least k of its values reach: the row is folded onto ``4 k`` lanes, and the k-th largest lane
maximum is such a threshold. Candidates are then sorted on one 64-bit integer that holds the score and the
upper half of the hash that settles ties.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fuserec.numerics.arrays import Hashes, Ints, Whole
from fuserec.numerics.jit import kernel

MASKED = int(np.array([-np.inf], np.float32).view(np.int32)[0]) ^ 0x7FFFFFFF
"""What minus infinity becomes under :func:`ordered`: the mark of what may not be returned."""

_LOWEST = -(2**31)
_LANES = 4  # lanes per value wanted: more make a tighter threshold, fewer make a cheaper one
_INSERTION = 12  # ranges no longer than this are sorted by insertion
_RANKED = 256  # lists no longer than this are sorted by counting, which does not mispredict


class Scratch(NamedTuple):
    """Memory that the selection from one row needs, reused for many rows."""

    lanes: Ints
    keys: Hashes
    found: Ints
    order: Ints
    held_keys: Hashes
    held: Ints


@kernel
def make_scratch(m: int, k: int) -> Scratch:
    """Return memory for rows of up to m scores."""
    return Scratch(
        np.empty(_LANES * k, np.int32),
        np.empty(m + 1, np.uint64),
        np.empty(m + 1, np.int32),
        np.empty(_RANKED, np.int32),
        np.empty(_RANKED, np.uint64),
        np.empty(_RANKED, np.int32),
    )


@kernel(inline=True)
def ordered(bits: Whole) -> Whole:
    """Map the bits of a float32 (as int32) to an integer that sorts as the float does; its own inverse."""
    return bits ^ ((bits >> np.int32(31)) & np.int32(0x7FFFFFFF))


@kernel
def order_row(bits: Ints, row: Ints) -> None:
    """Write the ordered integers of a row given by its bits; NaN is masked, negative zero becomes zero."""
    for j in range(len(bits)):
        b = bits[j]
        b = np.int32(0) if b == np.int32(_LOWEST) else b
        nan = (b & np.int32(0x7FFFFFFF)) > np.int32(0x7F800000)
        row[j] = np.int32(MASKED) if nan else ordered(b)


@kernel(inline=True)
def score_bits(key: Whole) -> Whole:
    """Return the bits of the score that a sort key holds."""
    return ordered(np.int32(np.int64(key >> np.uint64(32)) + _LOWEST))


@kernel(inline=True)
def _before(key_a: int, item_a: int, key_b: int, item_b: int, ties: Hashes) -> bool:
    """Whether candidate a is ranked before b; the whole hash decides where its upper half is equal."""
    if key_a != key_b:
        return key_a > key_b
    if ties[item_a] != ties[item_b]:
        return bool(ties[item_a] < ties[item_b])
    return item_a < item_b


@kernel
def _split(keys: Hashes, items: Ints, lo: int, hi: int, ties: Hashes) -> tuple[int, int]:
    """Part a range about its middle element (Hoare); return the ends of the two parts."""
    middle = (lo + hi) // 2
    key, item = keys[middle], items[middle]
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
    return j + 1, i


@kernel
def _insert(keys: Hashes, items: Ints, lo: int, hi: int, ties: Hashes) -> None:
    """Sort a short range by insertion."""
    for i in range(lo + 1, hi):
        key, item, j = keys[i], items[i], i
        while j > lo and _before(key, item, keys[j - 1], items[j - 1], ties):
            keys[j], items[j] = keys[j - 1], items[j - 1]
            j -= 1
        keys[j], items[j] = key, item


@kernel
def _sort_first(keys: Hashes, items: Ints, n: Whole, k: int, ties: Hashes) -> None:
    """Sort candidates so that the first k of n are in place; parts wholly behind k are left alone."""
    stack = np.empty((64, 2), np.int64)
    stack[0, 0], stack[0, 1], depth = 0, n, 1
    while depth > 0:
        depth -= 1
        lo, hi = stack[depth, 0], stack[depth, 1]
        while hi - lo > _INSERTION and lo < k:
            end, start = _split(keys, items, lo, hi, ties)
            # The longer part waits on the stack, so that the stack stays shallow.
            if end - lo < hi - start:
                stack[depth, 0], stack[depth, 1] = start, hi
                hi = end
            else:
                stack[depth, 0], stack[depth, 1] = lo, end
                lo = start
            depth += 1
        if lo < k:
            _insert(keys, items, lo, hi, ties)


@kernel
def _rank(scratch: Scratch, n: Whole) -> bool:
    """Sort up to ``_RANKED`` candidates by counting larger keys; False, nothing done, where two are equal."""
    keys, found, order = scratch.keys[:n], scratch.found, scratch.order
    order[:n] = -1
    for i in range(n):
        key, larger = keys[i], np.int64(0)
        for j in range(n):
            larger += np.int64(keys[j] > key)
        order[larger] = np.int32(i)
    for i in range(n):
        if order[i] < 0:
            return False
        scratch.held_keys[i], scratch.held[i] = keys[order[i]], found[order[i]]
    keys[:] = scratch.held_keys[:n]
    found[:n] = scratch.held[:n]
    return True


@kernel
def best_of_list(row: Ints, n: Whole, k: int, ties: Hashes, scratch: Scratch) -> Any:
    """Sort n candidates as far as the first k and return min(n, k).

    ``row[c]`` is the ordered score of item ``scratch.found[c]``; ``scratch.keys`` holds sort keys afterwards.
    """
    keys, found = scratch.keys, scratch.found
    for c in range(n):
        score = np.uint64(np.int64(row[c]) - _LOWEST)
        keys[c] = (score << np.uint64(32)) | (np.uint64(0xFFFFFFFF) - (ties[found[c]] >> np.uint64(32)))
    if n > _RANKED or not _rank(scratch, n):
        _sort_first(keys, found, n, k, ties)
    return min(n, k)


@kernel
def _threshold(row: Ints, k: int, lanes: Ints) -> Whole:
    """Return a value that at least k of the ordered integers reach, and few more than k do."""
    n, m = len(lanes), len(row)
    if m < 2 * n:
        return _LOWEST
    lanes[:] = row[:n]
    for start in range(n, m, n):
        part = row[start : min(m, start + n)]
        for lane in range(len(part)):
            lanes[lane] = max(lanes[lane], part[lane])
    low, high = int(lanes.min()), int(lanes.max()) + 1
    while high - low > 1:
        middle = (low + high) // 2
        reached, level = np.int32(0), np.int32(middle)
        for lane in range(n):
            reached += np.int32(lanes[lane] >= level)
        if reached >= k:
            low = middle
            if reached <= k + k // 16:
                break
        else:
            high = middle
    return low


@kernel
def best_of_row(row: Ints, k: int, ties: Hashes, scratch: Scratch) -> Any:
    """Put the positions of the k best at the front of ``scratch.found``; return how many there are.

    What is :data:`MASKED` is never among them. ``row`` holds ordered integers; its front is overwritten.
    """
    level = np.int32(max(_threshold(row, k, scratch.lanes), MASKED + 1))
    found, n = scratch.found, np.int64(0)
    for j in range(len(row)):
        found[n] = j
        n += np.int64(row[j] >= level)
    for c in range(n):
        row[c] = row[found[c]]  # found[c] >= c, so nothing is lost that is still to be read
    return best_of_list(row, n, k, ties, scratch)
