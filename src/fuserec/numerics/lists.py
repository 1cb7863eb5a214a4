"""Kernels over shown lists: each walks the first places of every list once, and holds one scratch row a thread.

Lists are int32 (n, width), best first; ``lengths`` int64 (n,) says how many places of each count. What is excluded or
wanted is ragged: (indptr int64 (n + 1,), items int32).
"""

from __future__ import annotations

import numpy as np

from fuserec.numerics.arrays import Doubles, Flags, Floats, Ints, Offsets
from fuserec.numerics.jit import kernel


@kernel
def within_catalogue(lists: Ints, lengths: Offsets, n_items: int) -> bool:
    """Return whether all items are 0 to n_items - 1."""
    for q in range(len(lists)):
        for c in range(lengths[q]):
            if lists[q, c] < 0 or lists[q, c] >= n_items:
                return False
    return True


@kernel
def lengths_of(lists: Ints, out: Offsets) -> None:
    """Write how many places of each list (n,) come before the first negative one."""
    for q in range(len(lists)):
        out[q] = lists.shape[1]
        for c in range(lists.shape[1]):
            if lists[q, c] < 0:
                out[q] = c
                break


@kernel
def first_repeat(lists: Ints, lengths: Offsets, n_items: int) -> int:
    """Return the first list that names an item twice, -1 where none does; items are 0 to n_items - 1."""
    latest = np.full(n_items, -1, np.int64)
    for q in range(len(lists)):
        for c in range(lengths[q]):
            if latest[lists[q, c]] == q:
                return q
            latest[lists[q, c]] = q
    return -1


@kernel
def exposures(lists: Ints, lengths: Offsets, counts: Offsets) -> None:
    """Add 1 to an item's count (n_items,) for each place it has."""
    for q in range(len(lists)):
        for c in range(lengths[q]):
            counts[lists[q, c]] += 1


@kernel
def list_means(lists: Ints, lengths: Offsets, values: Doubles, out: Doubles) -> None:
    """Write the mean of a value of items (n_items,) over each list (n,), NaN for an empty one."""
    for q in range(len(lists)):
        total = 0.0
        for c in range(lengths[q]):
            total += values[lists[q, c]]
        out[q] = total / lengths[q] if lengths[q] else np.nan


@kernel
def target_places(lists: Ints, lengths: Offsets, starts: Offsets, targets: Ints, out: Doubles) -> None:
    """Write the place of each target (n_targets,) in its query's list, from 1; infinity where it is not in it."""
    for q in range(len(lists)):
        for t in range(starts[q], starts[q + 1]):
            out[t] = np.inf
            for c in range(lengths[q]):
                if lists[q, c] == targets[t]:
                    out[t] = c + 1
                    break


@kernel(reassociate=True)
def dense_similarities(
    lists: Ints, lengths: Offsets, unit: Floats, known: Flags, cuts: Offsets, out: Doubles, lo: int, hi: int
) -> None:
    """Write the mean cosine of all pairs of known items within each cut (n, n_cuts), NaN for fewer than two.

    ``unit`` float32 (n_items, dim) has rows of length 1. The sum over the pairs of an item with those before it is
    one inner product with their sum.
    """
    total = np.empty(unit.shape[1], np.float64)
    for q in range(lo, hi):
        total[:] = 0
        pairs, n, at = 0.0, 0, 0
        for c in range(lengths[q] + 1):
            while at < cuts.size and (cuts[at] == c or c == lengths[q]):
                out[q, at] = 2 * pairs / (n * (n - 1)) if n > 1 else np.nan
                at += 1
            if c == lengths[q] or at == cuts.size:
                break
            item = lists[q, c]
            if known[item]:
                row, dot = unit[item], 0.0
                for d in range(row.size):
                    dot += total[d] * row[d]
                    total[d] += row[d]
                pairs += dot
                n += 1


@kernel
def sparse_similarities(
    lists: Ints,
    lengths: Offsets,
    starts: Offsets,
    columns: Ints,
    values: Floats,
    n_columns: int,
    cuts: Offsets,
    out: Doubles,
    lo: int,
    hi: int,
) -> None:
    """Do what :func:`dense_similarities` does for CSR rows of length 1; an empty row is not known."""
    total = np.zeros(n_columns, np.float64)
    for q in range(lo, hi):
        pairs, n, at, last = 0.0, 0, 0, 0
        for c in range(lengths[q] + 1):
            while at < cuts.size and (cuts[at] == c or c == lengths[q]):
                out[q, at] = 2 * pairs / (n * (n - 1)) if n > 1 else np.nan
                at += 1
            if c == lengths[q] or at == cuts.size:
                break
            item, last = lists[q, c], c + 1
            if starts[item] < starts[item + 1]:
                dot = 0.0
                for p in range(starts[item], starts[item + 1]):
                    dot += total[columns[p]] * values[p]
                    total[columns[p]] += values[p]
                pairs += dot
                n += 1
        for c in range(last):
            for p in range(starts[lists[q, c]], starts[lists[q, c] + 1]):
                total[columns[p]] = 0


@kernel
def category_spread(
    lists: Ints,
    lengths: Offsets,
    starts: Offsets,
    columns: Ints,
    values: Floats,
    n_columns: int,
    entropy: Doubles,
    distinct: Doubles,
) -> None:
    """Write the entropy in bits of each list's mean category shares, and its number of categories, both (n,).

    CSR rows (n_items, n_columns) hold the shares of an item's categories, which sum to 1. A list without any has NaN.
    """
    total, seen = np.zeros(n_columns, np.float64), np.empty(n_columns, np.int64)
    for q in range(len(lists)):
        found, n = 0, 0
        for c in range(lengths[q]):
            item = lists[q, c]
            n += starts[item + 1] > starts[item]
            for p in range(starts[item], starts[item + 1]):
                if total[columns[p]] == 0:
                    seen[found] = columns[p]
                    found += 1
                total[columns[p]] += values[p]
        entropy[q], distinct[q] = (0.0, found) if n else (np.nan, np.nan)
        for f in range(found):
            share = total[seen[f]] / n
            entropy[q] -= share * np.log2(share)
            total[seen[f]] = 0


@kernel
def divergences(
    lists: Ints,
    lengths: Offsets,
    starts: Offsets,
    columns: Ints,
    values: Floats,
    n_columns: int,
    wanted_starts: Offsets,
    wanted: Ints,
    shares: Doubles,
    alpha: float,
    out: Doubles,
) -> None:
    """Write KL(p, (1 - alpha) q + alpha p) of each query (n,), p its wanted shares, q the mean shares of its list.

    NaN where a query wants nothing or its list has no categories.
    """
    total = np.zeros(n_columns, np.float64)
    for q in range(len(lists)):
        n = 0
        for c in range(lengths[q]):
            item = lists[q, c]
            n += starts[item + 1] > starts[item]
            for p in range(starts[item], starts[item + 1]):
                total[columns[p]] += values[p]
        known = n > 0 and wanted_starts[q + 1] > wanted_starts[q]
        out[q] = 0.0 if known else np.nan
        if known:
            for w in range(wanted_starts[q], wanted_starts[q + 1]):
                share = shares[w]
                out[q] += share * np.log(share / ((1 - alpha) * total[wanted[w]] / n + alpha * share))
        for c in range(lengths[q]):
            item = lists[q, c]
            for p in range(starts[item], starts[item + 1]):
                total[columns[p]] = 0


@kernel
def expected_hits(
    rows: Offsets, items: Ints, starts: Offsets, seen: Ints, order: Offsets, k: int, out: Flags
) -> None:
    """Write whether an item (n,) is among the k most popular ones that its row has not seen.

    ``order`` int64 (n_items,) is each item's place by popularity, from 0. Pairs of one row stand together.
    """
    marked = np.full(order.size, -1, np.int64)
    for t in range(rows.size):
        q, mine = rows[t], order[items[t]]
        before = mine
        for p in range(starts[q], starts[q + 1]):
            if marked[seen[p]] != t and order[seen[p]] < mine:
                before -= 1
            marked[seen[p]] = t
        out[t] = before < k and marked[items[t]] != t
