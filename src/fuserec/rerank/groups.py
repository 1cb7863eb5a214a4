"""Groups of items that rerankers share out lists to: by popularity, or by a column of the items."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from fuserec.errors import ConfigError, DataError, nearest
from fuserec.numerics.shares import Ragged

if TYPE_CHECKING:
    import polars as pl

    from fuserec.data.query import QueryBatch


def popularity_groups(counts: np.ndarray, bounds: tuple[float, ...]) -> np.ndarray:
    """Return int32 (n_items,): 0 for the most popular items, up to ``len(bounds)`` for the least.

    Group ``g`` ends where the items up to it, most popular first, have the share ``bounds[g]`` of all interactions.
    Items of equal popularity are in one group, those without any interaction in the last.

    Parameters
    ----------
    counts : int64 (n_items,)
        Interactions of each item.
    bounds : tuple of float
        Rising, each between 0 and 1.

    Examples
    --------
    Two items have four fifths of ten interactions.

    >>> popularity_groups(np.array([1, 4, 0, 4, 1]), (0.8,)).tolist()
    [1, 0, 1, 0, 1]
    """
    total = max(1, int(counts.sum()))
    sizes, place = np.unique(-counts, return_inverse=True)
    amount = np.bincount(place, weights=counts, minlength=sizes.size)
    begins = (np.cumsum(amount) - amount) / total  # a group takes an item that begins before its end
    found = np.searchsorted(np.asarray(bounds) - 1e-12, begins[place], side="right").astype(np.int32)
    return np.where(counts > 0, found, np.int32(len(bounds)))


def column_values(table: pl.DataFrame, column: str, where: str) -> tuple[sparse.csr_array, tuple[str, ...]]:
    """Return CSR float32 (n_items, n_values), 1 where an item has a value of a column, and the values.

    Raises
    ------
    ConfigError
        Where items have no such column.
    DataError
        Where no item has a value in it.
    """
    import polars as pl

    if column not in table.columns:
        raise ConfigError(
            f"{where} column = {column!r}: items have no such column{nearest(column, table.columns)} "
            f"(columns: {', '.join(table.columns)})"
        )
    values = table[column]
    listed = isinstance(values.dtype, pl.List)
    cells = values.cast(pl.List(pl.String)) if listed else values.cast(pl.String)
    rows = pl.DataFrame({"item": np.arange(table.height), "value": cells})
    rows = rows.explode("value") if listed else rows
    rows = rows.with_columns(pl.col("value").str.strip_chars())
    rows = rows.filter(pl.col("value").is_not_null() & (pl.col("value") != "")).unique(maintain_order=True)
    if not rows.height:
        raise DataError(f"{where} column = {column!r}: no item has a value in it; choose another column")
    names, codes = np.unique(rows["value"].to_numpy().astype(str), return_inverse=True)
    ones = np.ones(rows.height, np.float32)
    shape = (table.height, names.size)
    return sparse.csr_array((ones, (rows["item"].to_numpy(), codes)), shape=shape), tuple(map(str, names))


def distributions(members: sparse.csr_array) -> sparse.csr_array:
    """Return p(group | item): rows that sum to 1, empty ones stay empty."""
    totals = np.asarray(members.sum(axis=1)).ravel()
    scale = np.divide(1.0, totals, out=np.zeros(totals.size), where=totals > 0)
    return sparse.csr_array(sparse.diags_array(scale.astype(np.float32)) @ members).astype(np.float32)


def tastes(q: QueryBatch, groups: sparse.csr_array) -> sparse.csr_array:
    """Return p(group | query) CSR (n, n_groups): the groups of what a history likes, by positive weight.

    Rows sum to 1, or are empty where nothing of the history has a group.
    """
    liked = q.csr(np.maximum(q.weights, 0.0), groups.shape[0])
    return distributions(sparse.csr_array(liked) @ groups)


def ragged(matrix: sparse.csr_array) -> Ragged:
    """Return a CSR matrix as kernels read it."""
    return Ragged(
        matrix.indptr.astype(np.int64, copy=False),
        matrix.indices.astype(np.int32, copy=False),
        matrix.data.astype(np.float32, copy=False),
    )


def csr_state(name: str, matrix: sparse.csr_array) -> dict[str, np.ndarray]:
    """Return the arrays of a CSR matrix under names that begin with ``name``."""
    return {
        f"{name}.indptr": matrix.indptr.astype(np.int64),
        f"{name}.indices": matrix.indices.astype(np.int32),
        f"{name}.data": matrix.data.astype(np.float32),
    }


def csr_of(name: str, arrays: dict[str, np.ndarray], width: int) -> sparse.csr_array:
    """Return the CSR matrix that :func:`csr_state` wrote."""
    parts: tuple[Any, ...] = (arrays[f"{name}.data"], arrays[f"{name}.indices"], arrays[f"{name}.indptr"])
    return sparse.csr_array(parts, shape=(parts[2].size - 1, width))
