"""The nearest of many sparse vectors, without the full matrix of all pairs."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from fuserec.errors import ConfigError
from fuserec.numerics.arrays import Csr, Floats, Hashes, Ints, Offsets, Real, TopK
from fuserec.numerics.jit import kernel
from fuserec.numerics.parallel import over_ranges
from fuserec.numerics.selection import MASKED, best_of_list, best_of_row, make_scratch, order_row, score_bits
from fuserec.numerics.similarity import (
    Queries,
    Reference,
    all_similarities,
    as_queries,
    bits_for,
    fill_sums,
    products_of,
    reached_similarities,
    reference,
    sums_per_vector,
)
from fuserec.numerics.sparse import csr_parts

_SPARSE_SHARE = 8  # a query that reaches fewer than 1 / 8 of the vectors keeps a list of them


@kernel
def _nearest_rows(
    known: Reference,
    queries: Queries,
    width: int,
    shrinkage: Real,
    own: Ints,
    ties: Hashes,
    lo: int,
    hi: int,
    items: Ints,
    similarities: Floats,
    counts: Ints,
) -> None:
    """Write the nearest vectors of the queries lo to hi; only similarities above 0 count."""
    n, k = len(known.sizes), items.shape[1]
    sums, row, scratch = np.zeros(width * n, np.float32), np.zeros(n, np.float32), make_scratch(n, k)
    levels, positive = np.empty(n, np.int32), row.view(np.int32)  # positive floats sort as their bits do
    found, buffer = scratch.found, np.empty(known.bits.shape[1], np.uint64)
    for r in range(lo, hi):
        columns = queries.columns[queries.starts[r] : queries.starts[r + 1]]
        weights = queries.values[queries.starts[r] : queries.starts[r + 1]]
        inverse, reach = queries.inverse[r], products_of(columns, known.starts)
        fill_sums(columns, weights, known, width, bits_for(known, queries, reach, buffer), sums)
        self = own[r] if own.size else np.int32(-1)
        if reach * _SPARSE_SHARE >= n:
            all_similarities(known, width, sums, inverse, np.float32(len(columns)), shrinkage, row)
            if self >= 0:
                row[self] = 0
            for j in range(n):
                levels[j] = positive[j] if row[j] > 0 else np.int32(MASKED)
            count = best_of_row(levels, k, ties, scratch)
        else:
            reached = reached_similarities(known, width, columns, sums, inverse, shrinkage, row, found)
            count = np.int64(0)
            for c in range(reached):
                j = found[c]
                if row[j] > 0 and j != self:
                    found[count], levels[count] = j, positive[j]
                    count += 1
            count = best_of_list(levels, count, k, ties, scratch)
        counts[r] = count
        items[r, :count], items[r, count:], similarities[r, count:] = found[:count], -1, -np.inf
        for c in range(count):
            similarities[r, c] = row[found[c]]


def nearest(
    known: Reference,
    queries: Csr,
    k: int,
    *,
    ties: Hashes,
    own: Ints | None = None,
    shrinkage: float = 0.0,
    threads: int = 1,
) -> TopK:
    """Return the k nearest vectors of each query row, best first; only similarities above 0 count.

    Parameters
    ----------
    known : Reference
        From :func:`reference`.
    queries : CSR (q, m)
        Rows over the same columns.
    k : int
        How many to keep.
    ties : uint64 (n,)
        One hash per vector; of equal similarities the lower hash comes first.
    own : int32 (q,), optional
        Per query a vector that is not its neighbour (itself), or -1.
    shrinkage : float
        See the module.
    threads : int
        Threads over the queries; the result does not depend on it.

    Returns
    -------
    items int32 (q, k), similarities float32 (q, k), counts int32 (q,)
        Beyond a row's count: -1 and minus infinity.
    """
    if k < 1:
        raise ConfigError(f"neighbours: k must be at least 1, got {k}")
    n, k = queries.shape[0], min(k, len(known.sizes))
    rows = as_queries(queries, known.kind)
    width, pull = sums_per_vector(known, rows, shrinkage), np.float32(shrinkage)
    self = np.empty(0, np.int32) if own is None else np.ascontiguousarray(own, np.int32)
    items, similarities, counts = (
        np.empty((n, k), np.int32),
        np.empty((n, k), np.float32),
        np.empty(n, np.int32),
    )
    hashes = np.ascontiguousarray(ties, np.uint64)

    def work(lo: int, hi: int) -> None:
        _nearest_rows(known, rows, width, pull, self, hashes, lo, hi, items, similarities, counts)

    over_ranges(work, n, threads, pieces_per_thread=16)
    return items, similarities, counts


def neighbours(
    vectors: Csr, k: int, *, kind: str, ties: Hashes, shrinkage: float = 0.0, threads: int = 1
) -> sparse.csr_matrix:
    """Return the k nearest other rows of each row of a matrix.

    Parameters
    ----------
    vectors : CSR (n, m)
        What is compared: items over users (``X.T.tocsr()``), or users over items.
    k, kind, ties, shrinkage, threads
        As in :func:`nearest` and :func:`reference`.

    Returns
    -------
    CSR (n, n), float32
        At most k per row, best first, without the diagonal.
    """
    n = vectors.shape[0]
    known = reference(vectors, kind)
    own = np.arange(n, dtype=np.int32)
    top = nearest(known, vectors, k, ties=ties, own=own, shrinkage=shrinkage, threads=threads)
    return _as_csr(top, n)


def _as_csr(top: TopK, width: int) -> sparse.csr_matrix:
    """Return padded rows as a CSR matrix."""
    items, values, counts = top
    kept = np.arange(items.shape[1]) < counts[:, None]
    indptr = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    return sparse.csr_matrix((values[kept], items[kept], indptr), shape=(len(counts), width))


@kernel
def _best_of_csr(
    starts: Offsets,
    columns: Ints,
    values: Floats,
    k: int,
    ties: Hashes,
    lo: int,
    hi: int,
    items: Ints,
    kept: Floats,
    counts: Ints,
) -> None:
    """Write the k largest entries of the CSR rows lo to hi."""
    longest = 1
    for r in range(lo, hi):
        longest = max(longest, starts[r + 1] - starts[r])
    levels, scratch = np.empty(longest, np.int32), make_scratch(longest, 1)
    found, bits = scratch.found, kept.view(np.int32)
    for r in range(lo, hi):
        columns_of_row = columns[starts[r] : starts[r + 1]]
        order_row(values[starts[r] : starts[r + 1]].view(np.int32), levels)
        n = np.int64(0)
        for c in range(len(columns_of_row)):
            if levels[c] > MASKED:
                found[n], levels[n] = columns_of_row[c], levels[c]
                n += 1
        n = best_of_list(levels, n, k, ties, scratch)
        counts[r] = n
        for c in range(n):
            items[r, c], bits[r, c] = found[c], score_bits(scratch.keys[c])


def rows_topk(matrix: Csr, k: int, *, ties: Hashes, threads: int = 1) -> sparse.csr_matrix:
    """Keep the k largest entries of each row of a CSR matrix without duplicate entries.

    Parameters
    ----------
    matrix : CSR (n, m)
        NaN and minus infinity are dropped.
    k : int
        How many to keep.
    ties : uint64 (m,)
        One hash per column; of equal values the lower hash comes first.
    threads : int
        The result does not depend on it.

    Returns
    -------
    CSR (n, m), float32
        At most k per row, largest first.
    """
    if k < 1:
        raise ConfigError(f"rows_topk: k must be at least 1, got {k}")
    starts, columns, values = csr_parts(matrix)
    n, m = matrix.shape
    k = min(k, m, int(np.diff(starts).max(initial=0)))
    items, kept, counts = np.empty((n, k), np.int32), np.empty((n, k), np.float32), np.zeros(n, np.int32)
    hashes = np.ascontiguousarray(ties, np.uint64)

    def work(lo: int, hi: int) -> None:
        _best_of_csr(starts, columns, values, k, hashes, lo, hi, items, kept, counts)

    if k > 0:
        over_ranges(work, n, threads)
    return _as_csr((items, kept, counts), m)
