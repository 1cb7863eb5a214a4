"""What metrics over lists share: lists cut to k, and vectors in which items are compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fuserec.errors import DataError, RequestError
from fuserec.metrics.grouping import group_sums
from fuserec.numerics.lists import list_means, within_catalogue

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def cut(
    lists: npt.ArrayLike, counts: npt.ArrayLike, k: int, n_items: int
) -> tuple[npt.NDArray[np.int32], IntArray]:
    """Return lists as int32 (n_lists, width) and how many of the first k places of each are taken (n_lists,).

    Raises
    ------
    RequestError, DataError
        For a k below 1, counts that do not match, or an item outside of the catalogue.
    """
    table, length = np.ascontiguousarray(lists), np.asarray(counts, np.int64)
    if k < 1:
        raise RequestError(f"a metric at k needs k of at least 1, got {k}")
    if table.ndim != 2 or length.shape != table.shape[:1]:
        raise DataError(
            f"lists of shape {table.shape} need one count each, got counts of shape {length.shape}"
        )
    table = table.astype(np.int32, copy=False)
    length = np.clip(length, 0, min(k, table.shape[1]))
    if not within_catalogue(table, length, n_items):
        items = table[np.arange(table.shape[1]) < length[:, None]]
        raise DataError(
            f"lists name items {items.min()} to {items.max()}; the catalogue has 0 to {n_items - 1}"
        )
    return table, length


def mean_of(lists: npt.ArrayLike, counts: npt.ArrayLike, k: int, values: npt.ArrayLike) -> FloatArray:
    """Return the mean of a value of items (n_items,) over the first k of each list (n_lists,), NaN for an empty one."""
    each = np.ascontiguousarray(values, np.float64)
    table, length = cut(lists, counts, k, len(each))
    out = np.empty(len(table))
    list_means(table, length, each, out)
    return out


@dataclass(frozen=True)
class Space:
    """Items as vectors of unit length; make it with :meth:`of`, once for many metrics.

    Attributes
    ----------
    unit : float32 (n_items, dim), array or CSR
        Rows of length 1, or 0 where nothing is known of an item.
    known : bool (n_items,)
    """

    unit: Any
    known: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, vectors: Any) -> Space:
        """Scale vectors (n_items, dim), an array or scipy sparse, to unit length; a space is returned as it is."""
        import scipy.sparse as sp

        if isinstance(vectors, Space):
            return vectors
        lengths = np.sqrt(_squared_norms(vectors))
        scale = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0)
        sparse: bool = sp.issparse(vectors)
        unit: Any
        if sparse:
            unit = sp.csr_array(vectors, dtype=np.float32, copy=True)
            unit.data = (unit.data * np.repeat(scale, np.diff(unit.indptr))).astype(np.float32)
            unit.eliminate_zeros()
        else:
            unit = np.ascontiguousarray(np.asarray(vectors, np.float32) * scale[:, None].astype(np.float32))
        return cls(unit, lengths > 0)

    @property
    def sparse(self) -> bool:
        """Whether rows are sparse."""
        return not isinstance(self.unit, np.ndarray)

    def __len__(self) -> int:
        return len(self.known)


def _squared_norms(vectors: Any) -> FloatArray:
    """Return the squared length of each row, summed in float64."""
    import scipy.sparse as sp

    sparse: bool = sp.issparse(vectors)
    if sparse:
        rows = vectors.tocsr()
        owner = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
        return group_sums(rows.data.astype(np.float64) ** 2, owner, rows.shape[0])
    dense = np.asarray(vectors)
    squares: FloatArray = np.einsum("nd,nd->n", dense, dense, dtype=np.float64)
    return squares


def shares(table: Any) -> Any:
    """Return an incidence of categories (n_items, n_categories) as CSR float32 shares that sum to 1 a row.

    An item of no category has an empty row.
    """
    import scipy.sparse as sp

    found = sp.csr_array(table, dtype=np.float32, copy=True)
    found.sum_duplicates()
    found.eliminate_zeros()
    if (found.data < 0).any():
        raise DataError("categories need weights from 0 up")
    totals = np.asarray(found.sum(axis=1)).ravel()
    found.data /= np.repeat(totals, np.diff(found.indptr)).astype(np.float32)
    return found
