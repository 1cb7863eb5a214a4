"""The most similar rows of a content matrix, as a sparse matrix: exact, in chunks of bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import sparse

from fuserec.numerics.sparse import csr_parts, csr_times_csr_dense
from fuserec.numerics.topk import top_k

if TYPE_CHECKING:
    from fuserec.run import RunOptions


@dataclass(frozen=True)
class Kept:
    """Which similarities are kept.

    Parameters
    ----------
    n_neighbors : int
        Largest kept for each row.
    min_similarity : float
        Smaller ones are dropped.
    sharpness : float
        The power that the kept ones are raised to.
    """

    n_neighbors: int
    min_similarity: float
    sharpness: float


def dense_neighbours(vectors: np.ndarray, kept: Kept, ties: np.ndarray, run: RunOptions) -> sparse.csr_matrix:
    """Return CSR float32 (n, n) of the largest cosines between unit vectors float32 (n, dim)."""
    return _neighbours(len(vectors), lambda lo, hi: vectors[lo:hi] @ vectors.T, kept, ties, run)


def sparse_neighbours(
    rows: sparse.csr_matrix,
    similarity: Literal["cosine", "jaccard"],
    kept: Kept,
    ties: np.ndarray,
    run: RunOptions,
) -> sparse.csr_matrix:
    """Return CSR float32 (n, n) of the largest similarities between sparse rows (n, m).

    ``cosine`` is u·v / (‖u‖‖v‖), a zero row giving 0; ``jaccard`` is |A∩B| / |A∪B| of the sets of non-zero columns.
    """
    rows = rows.astype(np.float32)
    if similarity == "jaccard":
        rows = rows.copy()
        rows.eliminate_zeros()
        rows.data[:] = 1.0
    else:
        norms = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
        rows = sparse.csr_matrix(
            sparse.diags_array(np.divide(1.0, norms, where=norms > 0, out=norms * 0)) @ rows
        )
        rows = rows.astype(np.float32)
    transposed = rows.T.tocsr()
    sizes = np.diff(rows.indptr).astype(np.float32)

    def similarities(lo: int, hi: int) -> np.ndarray:
        shared = csr_times_csr_dense(*csr_parts(rows[lo:hi]), transposed, threads=run.threads)
        if similarity == "jaccard":
            shared /= np.maximum(sizes[lo:hi, None] + sizes[None, :] - shared, 1.0)
        return shared

    return _neighbours(rows.shape[0], similarities, kept, ties, run)


def _neighbours(
    n: int, similarities: Callable[[int, int], np.ndarray], kept: Kept, ties: np.ndarray, run: RunOptions
) -> sparse.csr_matrix:
    """Take the top of every row, chunk by chunk; a row is never its own neighbour."""
    chunk = max(1, run.memory_mb * 2**20 // (4 * max(n, 1) * 4))
    columns, values, counts = [], [], []
    for lo in range(0, n, chunk):
        hi = min(n, lo + chunk)
        block = similarities(lo, hi)
        own = (np.arange(hi - lo + 1, dtype=np.int64), np.arange(lo, hi, dtype=np.int32))
        items, top, _ = top_k(block, kept.n_neighbors, exclude=own, ties=ties, threads=run.threads)
        strong = (items >= 0) & (top >= max(kept.min_similarity, float(np.finfo(np.float32).tiny)))
        columns.append(items[strong])
        values.append(np.power(top[strong], np.float32(kept.sharpness)))
        counts.append(strong.sum(axis=1))
        run.check()
        run.progress("similar items", hi, n)
    if n == 0:
        return sparse.csr_matrix(np.empty((0, 0), np.float32))
    indptr = np.concatenate([[0], np.cumsum(np.concatenate(counts))]).astype(np.int64)
    matrix = sparse.csr_matrix((np.concatenate(values), np.concatenate(columns), indptr), shape=(n, n))
    matrix.sort_indices()
    return matrix


def row_products(a: Any, b: Any) -> np.ndarray:
    """Return float32 (n, m): inner products of the rows of two matrices, dense or sparse."""
    product = a @ b.T
    return np.asarray(product if isinstance(product, np.ndarray) else product.toarray(), np.float32)


def unit_rows(rows: Any) -> Any:
    """Return rows of unit length, dense or sparse; zero rows stay zero."""
    dense = isinstance(rows, np.ndarray)
    squares = rows * rows if dense else rows.multiply(rows)
    norms = np.sqrt(np.asarray(squares.sum(axis=1), np.float32).ravel())
    factors = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)
    if dense:
        return np.asarray(rows * factors[:, None], np.float32)
    return sparse.csr_matrix(sparse.diags_array(factors) @ rows).astype(np.float32)
