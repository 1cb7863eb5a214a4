"""Gram matrices, inverses of symmetric positive definite matrices, and the item weights of EASE (Steck 2019).

Only the upper triangle is computed, factorised and inverted; the other half is mirrored once, at the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import lapack

from fuserec.errors import ConfigError
from fuserec.numerics.arrays import Csr, Floats, Ints, Offsets
from fuserec.numerics.jit import kernel
from fuserec.numerics.parallel import over_ranges
from fuserec.numerics.sparse import csr_parts

if TYPE_CHECKING:
    pass


_SPARSE_COST = 50  # a product reached through an index costs as much as this many of a dense block
_DENSE_BLOCK = 2**22  # numbers of a dense block of rows: 16 MiB
_TILE = 64  # tiles of this width are mirrored one by one, so that both sides stay in the cache
_PIECES = 16  # per thread: the triangle's rows differ in length


@kernel
def _transposed(starts: Offsets, columns: Ints, n_columns: int) -> tuple[Offsets, Ints, Offsets]:
    """Return, per column, where it starts, and the rows and the positions of its entries."""
    edges = np.zeros(n_columns + 1, np.int64)
    for p in range(len(columns)):
        edges[columns[p] + 1] += 1
    for c in range(n_columns):
        edges[c + 1] += edges[c]
    rows, places, free = np.empty(len(columns), np.int32), np.empty(len(columns), np.int64), edges[:-1].copy()
    for r in range(len(starts) - 1):
        for p in range(starts[r], starts[r + 1]):
            at = free[columns[p]]
            rows[at], places[at] = r, p
            free[columns[p]] += 1
    return edges, rows, places


@kernel
def _upper_rows(
    starts: Offsets,
    columns: Ints,
    values: Floats,
    edges: Offsets,
    rows: Ints,
    places: Offsets,
    lo: int,
    hi: int,
    gram: Floats,
) -> None:
    """Add the rows lo to hi of the upper triangle; the columns of a row are in order."""
    for i in range(lo, hi):
        line = gram[i]
        for e in range(edges[i], edges[i + 1]):
            weight = values[places[e]]
            for p in range(places[e], starts[rows[e] + 1]):
                line[np.uint32(columns[p])] += weight * values[p]  # unsigned: no test for a negative index


@kernel
def _mirror(matrix: Floats, lo: int, hi: int) -> None:
    """Copy the upper triangle to the lower one for the tile rows lo to hi."""
    n = len(matrix)
    for i in range(lo, hi):
        for j in range(i, -(-n // _TILE)):
            for r in range(i * _TILE, min(n, (i + 1) * _TILE)):
                for c in range(max(r + 1, j * _TILE), min(n, (j + 1) * _TILE)):
                    matrix[c, r] = matrix[r, c]


@kernel
def _scale_columns(matrix: Floats, scales: Floats, lo: int, hi: int) -> None:
    """Multiply each column of the rows lo to hi by a scale and clear the diagonal."""
    for i in range(lo, hi):
        for j in range(len(scales)):
            matrix[i, j] *= scales[j]
        matrix[i, i] = 0


def _complete(matrix: Floats, threads: int) -> Floats:
    """Mirror the upper triangle in place."""
    over_ranges(lambda lo, hi: _mirror(matrix, lo, hi), -(-len(matrix) // _TILE), threads, _PIECES)
    return matrix


def _upper_gram(matrix: Csr, threads: int) -> Floats:
    """Return an array whose upper triangle is that of ``X'X``; the rest is not to be read."""
    if not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
    starts, columns, values = csr_parts(matrix)
    n, m = matrix.shape
    gram = np.zeros((m, m), np.float32)
    products = float(np.sum(np.diff(starts).astype(np.float64) ** 2))
    if products * _SPARSE_COST < float(n) * m * m:
        edges, rows, places = _transposed(starts, columns, m)

        def work(lo: int, hi: int) -> None:
            _upper_rows(starts, columns, values, edges, rows, places, lo, hi, gram)

        over_ranges(work, m, threads, _PIECES)
        return gram
    step = max(1, _DENSE_BLOCK // max(1, m))
    for lo in range(0, n, step):
        block = matrix[lo : lo + step].toarray().astype(np.float32, copy=False)
        gram += block.T @ block
    return gram


def gram(matrix: Csr, *, threads: int = 1) -> Floats:
    """Return ``X'X`` of a CSR matrix, row by row (Gustavson 1978) or, where X is dense, by blocks.

    Parameters
    ----------
    matrix : CSR (n, m)
        Float32 values.
    threads : int
        Threads over the rows of the result.

    Returns
    -------
    float32 (m, m)
    """
    return _complete(_upper_gram(matrix, threads), threads)


def _invert_upper(matrix: Floats) -> None:
    """Replace the upper triangle of a positive definite matrix by that of its inverse."""
    # LAPACK reads by columns: to it, the upper triangle of the rows is the lower one.
    factor, failed = lapack.spotrf(matrix.T, lower=1, clean=0, overwrite_a=1)
    inverse = factor
    if not failed:
        inverse, failed = lapack.spotri(factor, lower=1, overwrite_c=1)
    # A NaN passes through the factorisation, but it does not leave the diagonal of the inverse alone.
    if failed or not np.isfinite(np.diagonal(inverse)).all():
        raise ConfigError(
            f"inverse of a {len(matrix)} x {len(matrix)} matrix: it is not positive definite; "
            "raise the regularization, and see that no value is NaN or infinite"
        )
    if not np.shares_memory(inverse, matrix):  # only where the library refused to work in place
        matrix[:] = inverse.T


def spd_inverse(matrix: Floats, *, threads: int = 1) -> Floats:
    """Invert a symmetric positive definite matrix in place by its Cholesky factor, in single precision.

    Parameters
    ----------
    matrix : float32 (m, m), C-contiguous
        Overwritten. Only the upper triangle is read.
    threads : int
        Threads of the mirroring; the factorisation takes those of the linear algebra library.

    Returns
    -------
    float32 (m, m)
        The same array, complete.

    Raises
    ------
    ConfigError
        Where the matrix is not positive definite.
    """
    if matrix.dtype != np.float32 or not matrix.flags.c_contiguous or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"expected a square contiguous float32 array, got {matrix.dtype} {matrix.shape}")
    if len(matrix):
        _invert_upper(matrix)
    return _complete(matrix, threads)


def ease_weights(matrix: Csr, regularization: float, *, threads: int = 1) -> Floats:
    """Return the item weights B of EASE (Steck 2019): scores are ``X B`` and the diagonal of B is 0.

    Parameters
    ----------
    matrix : CSR (n, m)
        Interactions of users with items.
    regularization : float
        Added to the diagonal of ``X'X``; above 0.
    threads : int
        Threads over rows.

    Returns
    -------
    float32 (m, m)
        ``B[i, j] = -P[i, j] / P[j, j]`` with ``P = (X'X + regularization I)^-1``.
    """
    if not regularization > 0:
        raise ConfigError(f"EASE: regularization must be above 0, got {regularization}")
    weights = _upper_gram(matrix, threads)
    weights[np.diag_indices(len(weights))] += np.float32(regularization)
    spd_inverse(weights, threads=threads)
    scales = (-1.0 / np.diagonal(weights).astype(np.float64)).astype(np.float32)
    over_ranges(lambda lo, hi: _scale_columns(weights, scales, lo, hi), len(weights), threads)
    return weights
