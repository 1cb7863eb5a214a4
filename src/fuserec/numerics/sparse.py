"""Products of a few sparse rows with a matrix: the inner loop of every scorer that reads a history.

``score = x @ M`` where x is a row of weights over items. M is sparse (neighbours) or dense (EASE).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fuserec.numerics.arrays import Floats, Ints, Offsets, Rows
from fuserec.numerics.jit import kernel
from fuserec.numerics.parallel import over_ranges

if TYPE_CHECKING:
    from scipy import sparse


_PANEL = 128  # columns of a dense matrix held at a time: thousands of its rows stay in the cache
_WORK_PER_THREAD = 200_000  # multiplications below which a thread costs more than it saves


def csr_parts(matrix: sparse.csr_array | sparse.csr_matrix) -> Rows:
    """Return ``(indptr int64, indices int32, values float32)``, copied only where a type differs."""
    return (
        np.ascontiguousarray(matrix.indptr, np.int64),
        np.ascontiguousarray(matrix.indices, np.int32),
        np.ascontiguousarray(matrix.data, np.float32),
    )


@kernel
def _rows_times_csr(
    x_starts: Offsets,
    x_items: Ints,
    x_values: Floats,
    starts: Offsets,
    columns: Ints,
    values: Floats,
    out: Floats,
    lo: int,
    hi: int,
) -> None:
    """Fill out[lo:hi] with the product of sparse rows and a sparse matrix."""
    for r in range(lo, hi):
        out[r, :] = 0
        for p in range(x_starts[r], x_starts[r + 1]):
            weight, item = x_values[p], x_items[p]
            for q in range(starts[item], starts[item + 1]):
                out[r, columns[q]] += weight * values[q]


@kernel(fuse=True)
def _add_panel(
    starts: Offsets, items: Ints, weights: Floats, panel: Floats, out: Floats, left: int, lo: int, hi: int
) -> None:
    """Fill ``out[lo:hi, left:left + width]`` with the product of sparse rows and a panel of that width."""
    width = panel.shape[1]
    total = np.empty(width, np.float32)
    for r in range(lo, hi):
        total[:] = 0
        p, end = starts[r], starts[r + 1]
        # Four rows at a time: the running totals are loaded and stored a quarter as often.
        while p + 4 <= end:
            row_a, row_b = panel[items[p]], panel[items[p + 1]]
            row_c, row_d = panel[items[p + 2]], panel[items[p + 3]]
            a, b, c, d = weights[p], weights[p + 1], weights[p + 2], weights[p + 3]
            for j in range(width):
                total[j] += (a * row_a[j] + b * row_b[j]) + (c * row_c[j] + d * row_d[j])
            p += 4
        for q in range(p, end):
            row_a, a = panel[items[q]], weights[q]
            for j in range(width):
                total[j] += a * row_a[j]
        for j in range(width):
            out[r, left + j] = total[j]


@kernel
def _rows_times_candidates(
    x_starts: Offsets,
    x_items: Ints,
    x_values: Floats,
    starts: Offsets,
    columns: Ints,
    values: Floats,
    place: Ints,
    out: Floats,
    lo: int,
    hi: int,
) -> None:
    """Fill out[lo:hi] with the product restricted to candidate columns; ``place`` is -1 outside of them."""
    for r in range(lo, hi):
        out[r, :] = 0
        for p in range(x_starts[r], x_starts[r + 1]):
            weight, item = x_values[p], x_items[p]
            for q in range(starts[item], starts[item + 1]):
                at = place[columns[q]]
                if at >= 0:
                    out[r, at] += weight * values[q]


def _result(out: Floats | None, shape: tuple[int, int]) -> Floats:
    """Return the array to write to."""
    if out is None:
        return np.empty(shape, np.float32)
    if out.shape != shape or out.dtype != np.float32 or not out.flags.c_contiguous:
        raise ValueError(
            f"out must be a contiguous float32 array of shape {shape}, got {out.dtype} {out.shape}"
        )
    return out


def _threads_for(work: int, threads: int) -> int:
    """Return how many threads an amount of multiplications deserves."""
    return max(1, min(threads, work // _WORK_PER_THREAD))


def csr_times_csr_dense(
    x_indptr: Offsets,
    x_indices: Ints,
    x_values: Floats,
    matrix: sparse.csr_array | sparse.csr_matrix,
    *,
    columns: Ints | None = None,
    out: Floats | None = None,
    threads: int = 1,
) -> Floats:
    """Return ``X @ M`` as a dense array, for sparse rows X and a sparse M.

    Parameters
    ----------
    x_indptr, x_indices, x_values : int64 (n + 1,), int32, float32
        The query rows as in a CSR matrix; columns are rows of M.
    matrix : CSR (m, m2)
        Float32 values.
    columns : int32 (c,), optional
        Only these columns of M, in this order, each at most once.
    out : float32 (n, m2 or c), optional
        Where to write.
    threads : int
        Threads over the rows.

    Returns
    -------
    float32 (n, m2), or (n, c) with ``columns``
    """
    n = len(x_indptr) - 1
    x_indptr, x_indices, x_values = _rows(x_indptr, x_indices, x_values)
    starts, m_columns, values = csr_parts(matrix)
    width = matrix.shape[1] if columns is None else len(columns)
    result = _result(out, (n, width))
    work = len(x_indices) * (1 + len(values) // max(1, len(starts) - 1)) + result.size
    if columns is None:

        def run(lo: int, hi: int) -> None:
            _rows_times_csr(x_indptr, x_indices, x_values, starts, m_columns, values, result, lo, hi)
    else:
        place = np.full(matrix.shape[1], -1, np.int32)
        place[columns] = np.arange(width, dtype=np.int32)

        def run(lo: int, hi: int) -> None:
            _rows_times_candidates(
                x_indptr, x_indices, x_values, starts, m_columns, values, place, result, lo, hi
            )

    over_ranges(run, n, _threads_for(work, threads))
    return result


def csr_times_dense(
    x_indptr: Offsets,
    x_indices: Ints,
    x_values: Floats,
    matrix: Floats,
    *,
    columns: Ints | None = None,
    out: Floats | None = None,
    threads: int = 1,
) -> Floats:
    """Return ``X @ M`` as a dense array, for sparse rows X and a dense M.

    Many rows are multiplied panel by panel, each read from the cache; few rows read M directly.

    Parameters
    ----------
    x_indptr, x_indices, x_values : int64 (n + 1,), int32, float32
        The query rows as in a CSR matrix; columns are rows of M.
    matrix : float32 (m, m2)
        The dense matrix.
    columns : int32 (c,), optional
        Only these columns of M, in this order.
    out : float32 (n, m2 or c), optional
        Where to write.
    threads : int
        Threads over the rows, or over panels where rows are many.

    Returns
    -------
    float32 (n, m2), or (n, c) with ``columns``
    """
    n = len(x_indptr) - 1
    x_indptr, x_indices, x_values = _rows(x_indptr, x_indices, x_values)
    dense = np.ascontiguousarray(matrix, np.float32)
    if columns is not None:
        used, compact = np.unique(x_indices, return_inverse=True)
        dense = np.ascontiguousarray(dense[np.ix_(used, np.asarray(columns))])
        x_indices = compact.astype(np.int32)
    m, width = dense.shape
    result = _result(out, (n, width))
    parallel = _threads_for(len(x_indices) * width + result.size, threads)
    if len(x_indices) < m:

        def run(lo: int, hi: int) -> None:
            _add_panel(x_indptr, x_indices, x_values, dense, result, 0, lo, hi)

        over_ranges(run, n, parallel)
        return result

    def run_panels(lo: int, hi: int) -> None:
        for panel in range(lo, hi):
            left = panel * _PANEL
            held = np.ascontiguousarray(dense[:, left : left + _PANEL])
            _add_panel(x_indptr, x_indices, x_values, held, result, left, 0, n)

    over_ranges(run_panels, -(-width // _PANEL), parallel)
    return result


def _rows(indptr: Offsets, indices: Ints, values: Floats) -> Rows:
    """Return query rows with the types the kernels are compiled for."""
    return (
        np.ascontiguousarray(indptr, np.int64),
        np.ascontiguousarray(indices, np.int32),
        np.ascontiguousarray(values, np.float32),
    )
