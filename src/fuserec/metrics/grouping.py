"""Sums and means by group: of targets by query, of ratings by user, of queries by user."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def group_sums(values: npt.ArrayLike, group: npt.ArrayLike, n_groups: int) -> FloatArray:
    """Sum values (n,) by group (n,) of 0 to n_groups - 1: float64 (n_groups,), 0 for an empty group.

    Examples
    --------
    >>> group_sums([1, 2, 4], [0, 2, 0], 3).tolist()
    [5.0, 0.0, 2.0]
    """
    weights = np.asarray(values, np.float64)
    sums = np.bincount(np.asarray(group, np.int64), weights=weights, minlength=n_groups)
    return sums.astype(np.float64, copy=False)


def group_means(values: npt.ArrayLike, group: npt.ArrayLike, n_groups: int) -> FloatArray:
    """Average the values (n,) that are not NaN by group (n,): float64 (n_groups,), NaN for a group of none.

    Examples
    --------
    >>> group_means([1, 2, 4, float("nan")], [0, 2, 0, 0], 3).tolist()
    [2.5, nan, 2.0]
    """
    table = np.asarray(values, np.float64)
    there = ~np.isnan(table)
    return ratio(group_sums(np.where(there, table, 0), group, n_groups), group_sums(there, group, n_groups))


def ratio(numerator: npt.ArrayLike, denominator: npt.ArrayLike) -> FloatArray:
    """Divide element by element, NaN where the denominator is 0: float64.

    Examples
    --------
    >>> ratio([1, 0], [2, 0]).tolist()
    [0.5, nan]
    """
    above, below = np.broadcast_arrays(np.asarray(numerator, np.float64), np.asarray(denominator, np.float64))
    result = np.full(above.shape, np.nan)
    np.divide(above, below, out=result, where=below != 0)
    return result
