"""Bootstrap intervals without resampling, for smooth functions of means: ABC.

DiCiccio and Efron (1992, More accurate confidence intervals in exponential families; Efron and Tibshirani 1993,
An introduction to the bootstrap, section 22.6): the limit that BCa intervals reach with endless resamples, from
derivatives and the skewness of the users' influence. Normal quantiles are replaced by Student's, widened by
sqrt(n / (n - 1)) as Hesterberg (2015, What teachers should know about the bootstrap) does for percentiles: plug-in
variances are too small. O(n) time, no random numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

from fuserec.evaluation.statistics.values import FloatArray

STEEPEST = 0.2
"""Bound on how far the skewness may stretch an end: beyond it the expansion says nothing."""


@dataclass(frozen=True)
class Ratios:
    """The function sum_j signs[j] · g(means[j] / means[-1]) of column means, g the identity or the root.

    One sign is a ratio such as MAE or (with the root) RMSE, two of them are the difference of two models.
    """

    signs: tuple[float, ...]
    root: bool

    def value(self, means: FloatArray) -> FloatArray:
        """Return the function at means (..., n_columns): float64 (...), NaN where the last is 0."""
        below = means[..., -1:]
        ratios = np.full(np.broadcast_shapes(means[..., :-1].shape), np.nan)
        np.divide(means[..., :-1], below, out=ratios, where=below > 0)
        parts = np.sqrt(np.maximum(ratios, 0)) if self.root else ratios
        found: FloatArray = parts @ np.array(self.signs)
        return found

    def gradient(self, means: FloatArray) -> FloatArray:
        """Return the first derivatives at means (..., n_columns), of the same shape."""
        signs = np.array(self.signs)
        above, below = means[..., :-1], means[..., -1:]
        with np.errstate(divide="ignore", invalid="ignore"):
            by_above = 0.5 / np.sqrt(above * below) if self.root else np.broadcast_to(1 / below, above.shape)
            by_above = np.where(above > 0, by_above, 0.0) if self.root else by_above
            last = -(signs * by_above * above / below).sum(axis=-1, keepdims=True)
        return np.concatenate([signs * by_above, last], axis=-1)

    def hessian(self, means: FloatArray) -> FloatArray:
        """Return the second derivatives at means (n_columns,)."""
        n = means.size
        found = np.zeros((n, n))
        below = means[-1]
        for at, sign in enumerate(self.signs):
            above = means[at]
            if self.root:
                if above <= 0:
                    continue
                value = np.sqrt(above / below)
                own, mixed, last = (
                    -value / (4 * above**2),
                    -value / (4 * above * below),
                    3 * value / (4 * below**2),
                )
            else:
                own, mixed, last = 0.0, -1 / below**2, 2 * above / below**3
            found[at, at] += sign * own
            found[at, -1] += sign * mixed
            found[-1, at] += sign * mixed
            found[-1, -1] += sign * last
        return found


def quantile(n: int, level: float) -> float:
    """Return Student's quantile for the mean of n values."""
    return float(stdtrit(n - 1, (1 + level) / 2))


def _stretched(acceleration: float, start: float, n: int, level: float) -> FloatArray:
    """Return how many standard errors the ends lie from the figure: float64 (2,)."""
    width = quantile(n, level) * np.sqrt(n / (n - 1))
    w = start + np.array([-width, width])
    found: FloatArray = w / np.maximum(1 - acceleration * w, STEEPEST) ** 2
    return found


def _acceleration(influence: FloatArray) -> float:
    """Return a sixth of the skewness of a mean of these values."""
    scaled = influence / np.abs(influence).max()  # cubes of small numbers would vanish
    squares = scaled * scaled
    return float(squares @ scaled / (6 * squares.sum() ** 1.5))


def abc_mean(x: FloatArray, level: float) -> tuple[float, float]:
    """Return the ABC interval of the mean of x (n,), n at least 2."""
    n, mean = x.size, float(x.mean())
    away = x - mean
    spread = float(away @ away)
    if spread <= (1e-12 * max(abs(mean), 1e-300)) ** 2 * n:
        return mean, mean
    a = _acceleration(away)
    low, high = mean + _stretched(a, a, n, level) * np.sqrt(spread) / n
    return float(low), float(high)


def influence(parts: FloatArray, function: Ratios) -> FloatArray:
    """Return what each user moves the function by, times n: float64 (n,), with mean 0."""
    means = parts.mean(axis=0)
    moved: FloatArray = (parts - means) @ function.gradient(means)
    return moved


def abc_ratios(parts: FloatArray, function: Ratios, level: float) -> tuple[float, float]:
    """Return the ABC interval of a function of the column means of parts (n, n_columns), n at least 2."""
    n, means = len(parts), parts.mean(axis=0)
    away = parts - means
    moved = away @ function.gradient(means)
    value, squares = float(function.value(means)), float(moved @ moved)
    if squares <= 1e-30 * n:
        return value, value
    error = np.sqrt(squares) / n
    towards = (away.T @ moved) / (n * n * error)
    second = function.hessian(means)
    bias = float(np.sum(second * (away.T @ away))) / (2 * n * n)
    curved = float(towards @ second @ towards) / (2 * error)
    a = _acceleration(moved)
    start = float(ndtri(np.clip(2 * ndtr(a) * ndtr(-(bias / error - curved)), 1e-6, 1 - 1e-6)))
    ends = function.value(means + _stretched(a, start, n, level)[:, None] * towards)
    return float(ends[0]), float(ends[1])
