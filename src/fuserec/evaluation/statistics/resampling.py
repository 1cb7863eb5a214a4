"""The bootstrap: users drawn with replacement, as many as there are, and the paired test that is made of it.

A resample is a row of counts, so that all columns are one matrix product; rows are made in chunks, and the chunk takes
at most ``memory_mb``. Equal generator state and number of users give the same resamples whatever the chunk and
whatever the columns, so that the tests of several models belong together.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fuserec.errors import RequestError
from fuserec.evaluation.statistics.smooth import Ratios
from fuserec.evaluation.statistics.values import FloatArray
from fuserec.metrics.grouping import ratio


def resampled_sums(
    columns: npt.ArrayLike, rng: np.random.Generator, n_resamples: int = 1000, memory_mb: int = 64
) -> FloatArray:
    """Sum every column over the users of every resample.

    Parameters
    ----------
    columns : float (n_users, n_columns)
        One row per user, without NaN.
    rng : numpy.random.Generator
        Source of the resamples, drawn one after another.
    n_resamples : int
        Number of resamples.
    memory_mb : int
        Bound on the counts that are held at once.

    Returns
    -------
    float64 (n_resamples, n_columns)

    Raises
    ------
    RequestError
        If there is to be no resample.
    """
    if n_resamples < 1:
        raise RequestError(f"a bootstrap needs at least 1 resample, got {n_resamples}")
    table = np.asarray(columns, np.float64)
    n_users = len(table)
    at_once = int(np.clip(memory_mb * 2**20 // (8 * max(n_users, 1)), 1, n_resamples))
    sums = np.empty((n_resamples, table.shape[1]))
    counts = np.empty((at_once, n_users))
    for start in range(0, n_resamples, at_once):
        stop = min(start + at_once, n_resamples)
        for row in range(stop - start):
            drawn = rng.integers(0, n_users, n_users, dtype=np.int32)
            counts[row] = np.bincount(drawn, minlength=n_users)
        np.matmul(counts[: stop - start], table, out=sums[start:stop])
    return sums


def bootstrap_p_means(differences: FloatArray, rng: np.random.Generator, n_resamples: int) -> FloatArray:
    """Return the two-sided p-value of "the mean is 0" of each column: float64 (n_columns,).

    The studentised bootstrap: how often a resampled mean lies at least as many of its own standard errors from the mean
    as the mean lies from 0 (Efron, Tibshirani, 1993, An introduction to the bootstrap, section 16.4; Hall, Wilson 1991,
    Two guidelines for bootstrap hypothesis testing).

    Parameters
    ----------
    differences : float64 (n_users, n_columns)
        NaN where a user has no value.
    rng : numpy.random.Generator
    n_resamples : int
    """
    n_columns = differences.shape[1]
    there = ~np.isnan(differences)
    filled = np.where(there, differences, 0.0)
    table = np.hstack([filled, filled**2, there])
    sums = np.vstack([table.sum(axis=0, keepdims=True), resampled_sums(table, rng, n_resamples)])
    counts = sums[:, 2 * n_columns :]
    means = ratio(sums[:, :n_columns], counts)
    variances = ratio(sums[:, n_columns : 2 * n_columns], counts) - means**2
    return _p(means, np.sqrt(np.maximum(ratio(variances, counts), 0)))


def bootstrap_p_ratios(
    parts: FloatArray, function: Ratios, rng: np.random.Generator, n_resamples: int
) -> float:
    """Return the same for a function of the column means of parts (n_users, n_columns).

    Standard errors of resamples are those of the linear part of the function.
    """
    n, width = parts.shape
    products = (parts[:, :, None] * parts[:, None, :]).reshape(n, width * width)
    table = np.hstack([parts, products])
    means = np.vstack([table.sum(axis=0, keepdims=True), resampled_sums(table, rng, n_resamples)]) / n
    first, second = means[:, :width], means[:, width:].reshape(-1, width, width)
    covariance = second - first[:, :, None] * first[:, None, :]
    slope = function.gradient(first)
    variances = np.einsum("bi,bij,bj->b", slope, covariance, slope) / n
    return float(_p(function.value(first)[:, None], np.sqrt(np.maximum(variances, 0))[:, None])[0])


def _p(values: FloatArray, errors: FloatArray) -> FloatArray:
    """Return p-values (n_columns,) from values and errors (1 + n_resamples, n_columns), the data's own first."""
    away = np.abs(
        values - np.vstack([np.zeros_like(values[:1]), np.repeat(values[:1], len(values) - 1, axis=0)])
    )
    rounding = 1e-12 * np.nanmax(np.abs(values), axis=0, initial=0.0)
    # A resample of equal values has no error: far from the mean it counts as extreme, on the mean as nothing.
    far = np.where(away > rounding, np.inf, 0.0)
    t = np.divide(away, errors, out=far, where=errors > rounding)
    drawn = ~np.isnan(values[1:])
    extreme = np.count_nonzero(drawn & (t[1:] >= t[0] * (1 - 1e-9)), axis=0)
    found: FloatArray = (1 + extreme) / (1 + np.count_nonzero(drawn, axis=0))
    return found
