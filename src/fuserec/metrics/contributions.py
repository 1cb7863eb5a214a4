"""Figures of all users together as means over users: what a bootstrap over users needs to give them intervals.

The Gini index of exposure or a ratio of sums is no mean over users. To first order in the users' weights it is
one: each user's value is the figure plus that user's influence on it, and the influences sum to 0 (the infinitesimal
jackknife; Efron, Tibshirani, 1993, An introduction to the bootstrap, chapter 21). A plain bootstrap of such figures is
biased: a resample holds 63 % of the users, and fewer lists look more concentrated.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fuserec.metrics.grouping import ratio
from fuserec.metrics.shown import FloatArray, cut
from fuserec.numerics.lists import list_means


def of_ratio(numerator: npt.ArrayLike, denominator: npt.ArrayLike) -> FloatArray:
    """Return values (n,) whose mean is Σ numerator / Σ denominator; NaN where either is.

    Examples
    --------
    >>> of_ratio([1, 4], [2, 3]).tolist(), float(of_ratio([1, 4], [2, 3]).mean())
    ([0.6, 1.4], 1.0)
    """
    above, below = np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)
    there = ~(np.isnan(above) | np.isnan(below))
    total = below[there].sum()
    value = above[there].sum() / total if total else np.nan
    result: FloatArray = np.where(
        there, value + ratio(above - value * below, total / max(1, there.sum())), np.nan
    )
    return result


def of_exposure(
    lists: npt.ArrayLike,
    counts: npt.ArrayLike,
    k: int,
    value: float,
    slopes: npt.ArrayLike,
    exposure: npt.ArrayLike,
) -> FloatArray:
    """Return values (n_lists,) whose mean is a figure of the shares of exposure.

    Parameters
    ----------
    lists, counts, k
        As everywhere.
    value : float
        The figure.
    slopes : float (n_items,)
        Its derivative by the share of each item.
    exposure : int (n_items,)
        How often each item is shown.
    """
    slope, shown = np.ascontiguousarray(slopes, np.float64), np.asarray(exposure, np.float64)
    table, length = cut(lists, counts, k, len(slope))
    each = np.empty(len(table))
    list_means(table, length, slope, each)
    places = shown.sum()
    if not places:
        return np.full(len(table), np.nan)
    result: FloatArray = (
        value + np.where(length > 0, each - slope @ shown / places, 0) * length * len(table) / places
    )
    return result
