"""The studentised bootstrap: users drawn with replacement, as many as there are; intervals and tests made of it.

A resample is a row of counts, so that all columns are one matrix product; rows are made in chunks, and the chunk takes
at most ``memory_mb``. Equal generator state and number of users give the same resamples whatever the chunk and
whatever the columns, so that the figures of several models belong together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fuserec.evaluation.statistics.smooth import Ratios
from fuserec.evaluation.statistics.values import FloatArray
from fuserec.metrics.grouping import ratio

MOST_USERS = 100_000
"""Beyond so many users nothing is resampled: what a bootstrap adds to its limit is then below its own noise."""

FEWEST_USERS = 10
"""With fewer users resamples are too much alike."""


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
    """
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


@dataclass(frozen=True)
class Studentised:
    """Figures on the data as they are and on every resample, each with its own standard error.

    Hall (1988, Theoretical comparison of bootstrap confidence intervals); Efron and Tibshirani (1993, An introduction
    to the bootstrap, sections 12.5 and 16.4); Hall and Wilson (1991, Two guidelines for bootstrap hypothesis testing).

    Parameters
    ----------
    values, errors : float64 (1 + n_resamples, n_columns)
        The data's own first; NaN for a resample without a value.
    """

    values: FloatArray
    errors: FloatArray

    def _t(self) -> FloatArray:
        """Return how many of its own errors each resample lies from the data: float64 (n_resamples, n_columns).

        A resample of equal values has no error: off the data's figure it lies endlessly far, as does one without any.
        """
        away = self.values[1:] - self.values[0]
        rounding = 1e-12 * np.abs(self.values[0])
        t = np.where(np.abs(away) <= rounding, 0.0, np.copysign(np.inf, away))
        usable = np.nan_to_num(self.errors[1:]) > rounding
        found: FloatArray = np.divide(away, self.errors[1:], out=t, where=usable)
        return found

    def p(self) -> FloatArray:
        """Return the two-sided p-value of "the figure is 0", float64 (n_columns,): at least 1 / (n_resamples + 1)."""
        value, error = self.values[0], self.errors[0]
        own = np.where(value == 0, 0.0, np.inf)
        own = np.divide(np.abs(value), error, out=own, where=error > 1e-12 * np.abs(value))
        extreme = np.count_nonzero(np.abs(self._t()) >= own * (1 - 1e-9), axis=0)
        found: FloatArray = (1 + extreme) / len(self.values)
        return found

    def ends(self, level: float) -> FloatArray:
        """Return the ends of the interval, float64 (2, n_columns): not finite where the resamples give none."""
        drawn = np.sort(self._t(), axis=0)
        tail = round(len(drawn) * (1 - level) / 2)
        with np.errstate(invalid="ignore"):
            return np.stack(
                [
                    self.values[0] - drawn[len(drawn) - 1 - tail] * self.errors[0],
                    self.values[0] - drawn[tail] * self.errors[0],
                ]
            )

    def ends_of_log(self, level: float) -> FloatArray:
        """Return the ends of an interval of a positive figure, as :meth:`ends` does, symmetric on the scale of its log.

        Symmetric studentised intervals are off by an order of n less than those with equal tails (Hall 1988), and the
        log takes away most of the skewness that sums of squared errors have.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = Studentised(np.log(self.values), self.errors / self.values)
            away = np.sort(np.abs(logs._t()), axis=0)
            reach = away[round(len(away) * level)] * logs.errors[0]
            return np.stack([np.exp(logs.values[0] - reach), np.exp(logs.values[0] + reach)])


def studentised_means(columns: FloatArray, rng: np.random.Generator, n_resamples: int) -> Studentised:
    """Return the means of columns (n_users, n_columns), NaN left out."""
    width = columns.shape[1]
    there = ~np.isnan(columns)
    filled = np.where(there, columns, 0.0)
    centre = ratio(filled.sum(axis=0), there.sum(axis=0))  # squares of values far from 0 would lose digits
    filled = np.where(there, filled - centre, 0.0)
    table = np.hstack([filled, filled**2, there])
    sums = np.vstack([table.sum(axis=0, keepdims=True), resampled_sums(table, rng, n_resamples)])
    counts = sums[:, 2 * width :]
    means = ratio(sums[:, :width], counts)
    variances = np.maximum(ratio(sums[:, width : 2 * width], counts) - means**2, 0)
    return Studentised(means + centre, np.sqrt(ratio(variances, counts)))


def studentised_ratios(
    parts: FloatArray, function: Ratios, rng: np.random.Generator, n_resamples: int
) -> Studentised:
    """Return a function of the column means of parts (n_users, n_columns), its errors those of its linear part."""
    n, width = parts.shape
    products = (parts[:, :, None] * parts[:, None, :]).reshape(n, width * width)
    table = np.hstack([parts, products])
    sums = np.vstack([table.sum(axis=0, keepdims=True), resampled_sums(table, rng, n_resamples)])
    first, second = sums[:, :width] / n, sums[:, width:].reshape(-1, width, width) / n
    covariance = second - first[:, :, None] * first[:, None, :]
    slope = function.gradient(first)
    variances = np.maximum(np.einsum("bi,bij,bj->b", slope, covariance, slope) / n, 0)
    return Studentised(function.value(first)[:, None], np.sqrt(variances)[:, None])
