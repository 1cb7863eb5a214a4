"""Variables of users as distributions over codes: labels, lists, and what is summed over them.

A user's values of a variable are a row that sums to 1: a group has its whole mass on one code, a list of k items 1/k on
each. :mod:`fuserec.metrics.information` says what is made of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from fuserec.errors import DataError

FloatArray = npt.NDArray[np.float64]


def labels(codes: npt.ArrayLike, n_codes: int | None = None) -> Any:
    """Return labels int (n,) as distributions of one code each: CSR float64 (n, n_codes).

    Raises
    ------
    DataError
        For a code below 0: leave those users out first.

    Examples
    --------
    >>> labels([1, 0]).toarray().tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    found = np.asarray(codes, np.int64)
    if found.ndim != 1 or (found.size and found.min() < 0):
        raise DataError("labels have to be one code of at least 0 each: leave out users without a label")
    size = int(found.max(initial=-1)) + 1 if n_codes is None else n_codes
    return sp.csr_array((np.ones(found.size), found, np.arange(found.size + 1)), shape=(found.size, size))


def distributions(counts: Any) -> Any:
    """Return counts (n, n_codes), sparse or not, as CSR float64 whose rows sum to 1; empty rows stay empty.

    Examples
    --------
    >>> distributions([[2, 0, 2], [0, 0, 0]]).toarray().tolist()
    [[0.5, 0.0, 0.5], [0.0, 0.0, 0.0]]
    """
    table = sp.csr_array(counts, dtype=np.float64)
    table.sum_duplicates()
    total = np.asarray(table.sum(axis=1)).ravel()
    table.data /= np.repeat(np.where(total > 0, total, 1.0), np.diff(table.indptr))
    return table


def pooled(x: Any, least: float) -> Any:
    """Return distributions whose rare codes, those of fewer than ``least`` users, are one code (the last).

    The correction holds where cells have some observations each; of many rare items the plug-in sees information that
    is not there. Pooling by how often a code occurs, whoever it occurs with, can only lose information (Cover, Thomas
    2006, data processing inequality), never make any. A rule of thumb is five expected users in the smallest group
    (Cochran 1954, Some methods for strengthening the common chi-square tests).

    Examples
    --------
    >>> pooled([[0.5, 0.5, 0], [0.5, 0, 0.5]], 2).toarray().tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    """
    table = sp.csr_array(x, dtype=np.float64)
    users = np.bincount(table.indices[table.data > 0], minlength=table.shape[1])
    kept = users >= least
    code = np.where(kept, np.cumsum(kept) - 1, np.count_nonzero(kept))
    shape = (table.shape[0], int(np.count_nonzero(kept)) + 1)
    out = sp.csr_array((table.data, code[table.indices], table.indptr), shape=shape)
    out.sum_duplicates()
    return out


def together(x: Any, y: Any) -> tuple[Any, Any]:
    """Return both as CSR over the users who have both."""
    a, b = sp.csr_array(x, dtype=np.float64), sp.csr_array(y, dtype=np.float64)
    if a.shape[0] != b.shape[0]:
        raise DataError(
            f"information needs the same users in both variables, got {a.shape[0]} and {b.shape[0]}"
        )
    for one in (a, b):
        one.sum_duplicates()
        one.eliminate_zeros()
    both = (np.diff(a.indptr) > 0) & (np.diff(b.indptr) > 0)
    return (a, b) if both.all() else (a[both], b[both])


def filled(table: Any) -> Any:
    """Return the rows that are not empty."""
    table.sum_duplicates()
    table.eliminate_zeros()
    there = np.diff(table.indptr) > 0
    return table if there.all() else table[there]


def marginal(a: Any) -> FloatArray:
    """Return the mean mass of each code: float64 (n_codes,)."""
    total = np.bincount(a.indices, weights=a.data, minlength=a.shape[1])
    return np.asarray(total / a.shape[0], np.float64)


def entropy(p: FloatArray) -> float:
    """Return the entropy of a distribution in bits."""
    seen = p[p > 0]
    return float(-np.sum(seen * np.log2(seen)))


def trace(squares: Any, p: FloatArray) -> float:
    """Return the sum over codes of the variance over users of their mass, over its mean: codes - 1 for labels."""
    seen = p > 0
    return float(np.sum(marginal(squares)[seen] / p[seen]) - 1)
