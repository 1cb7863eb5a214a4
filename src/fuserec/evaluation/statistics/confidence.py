"""Intervals of means, ratios and paired differences over users.

A mean of a metric with a known range, such as recall, has a **score interval** (Wilson 1927, Probable inference) in
which the number of users is replaced by the effective number n · m(1 - m) / s²: that many tosses of a coin are as
sure as n values of mean m and variance s² (Korn and Graubard 1998, Confidence intervals for proportions with small
expected number of positive counts). It knows that a hit may still come where none has been seen, which no resample
of zeros can tell. Everything else has a **studentised bootstrap** interval (``resampling.py``) up to 100,000 users,
and beyond, or where resamples give none, an ABC interval (``smooth.py``).

A paired difference of metrics with a known range is what users gain less what they lose, each a mean with a score
interval, put together by MOVER (Newcombe 1998, Improved confidence intervals for the difference between binomial
proportions based on paired data; Zou and Donner 2008, Construction of confidence limits about effect measures).

How often these hold the truth is measured by ``python -m bench.coverage``.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from fuserec.errors import DataError, RequestError
from fuserec.evaluation.statistics.resampling import (
    FEWEST_USERS,
    MOST_USERS,
    Studentised,
    studentised_means,
    studentised_ratios,
)
from fuserec.evaluation.statistics.smooth import Ratios, abc_mean, abc_ratios, quantile
from fuserec.evaluation.statistics.values import Estimate, FloatArray

Key = TypeVar("Key", bound=Hashable)
Within = tuple[float, float]
"""The least and the greatest value that a metric can have for a user."""

SLACK = 1e-6
"""How far beyond its range rounding may carry a value, as a share of the range."""


def interval(
    values: npt.ArrayLike,
    *,
    rng: np.random.Generator,
    within: Within | None = None,
    n_resamples: int = 1000,
    level: float = 0.95,
) -> Estimate:
    """Mean over users, with its interval.

    Parameters
    ----------
    values : float (n_users,)
        One value per user; NaN where a user has none.
    rng : numpy.random.Generator
        Source of the resamples, where any are drawn.
    within : (float, float), optional
        The range of the metric, where it has one; values that leave it are treated as if it had none.
    n_resamples : int
        Number of resamples.
    level : float
        Confidence of the interval, between 0 and 1.
    """
    ranges = None if within is None else {"value": within}
    return intervals({"value": values}, rng=rng, within=ranges, n_resamples=n_resamples, level=level)["value"]


def intervals(
    values: Mapping[Key, npt.ArrayLike],
    *,
    rng: np.random.Generator,
    within: Mapping[Key, Within] | None = None,
    n_resamples: int = 1000,
    level: float = 0.95,
) -> dict[Key, Estimate]:
    """Means over users of many metrics, each with its interval.

    Columns with a range are looked at one at a time, in memory of one column more; those without share the resamples.

    Parameters
    ----------
    values : mapping of float (n_users,)
        One column per metric (or per metric and segment: NaN outside the segment), all over the same users.
    within : mapping of (float, float), optional
        The range of each metric that has one.
    rng, n_resamples, level
        As for :func:`interval`.

    Raises
    ------
    DataError
        If the columns differ in length or hold infinite values.
    RequestError
        If the level or the number of resamples is not allowed.
    """
    checked(level, n_resamples)
    columns = aligned(values)
    ranges = within or {}
    found = {key: _estimate(present(column), ranges.get(key), level) for key, column in columns.items()}
    open_ended = [key for key, one in found.items() if one.value is not None and one.low is None]
    if not open_ended:
        return found
    table = np.column_stack([columns[key] for key in open_ended])
    for key, column, ends in zip(
        open_ended, table.T, mean_ends(table, rng, n_resamples, level).T, strict=True
    ):
        if np.count_nonzero(~np.isnan(column)) > 1:
            found[key] = Estimate(found[key].value, float(ends[0]), float(ends[1]))
    return found


def ratio_interval(
    numerator: npt.ArrayLike,
    denominator: npt.ArrayLike,
    *,
    rng: np.random.Generator,
    root: bool = False,
    n_resamples: int = 1000,
    level: float = 0.95,
) -> Estimate:
    """Sum of numerators over sum of denominators, with its interval over users.

    With a user's sum of squared errors, number of ratings and ``root=True`` it is RMSE; with absolute
    errors it is MAE.

    Parameters
    ----------
    numerator, denominator : float (n_users,)
        The parts of each user; a user with denominator 0 takes no part.
    root : bool
        Take the square root of the ratio.
    rng, n_resamples, level
        As for :func:`interval`.
    """
    checked(level, n_resamples)
    parts = taking_part(numerator, denominator)
    function = Ratios((1.0,), root)
    if not len(parts):
        return Estimate(None)
    value = float(function.value(parts.mean(axis=0)))
    if len(parts) == 1:
        return Estimate(value)
    drawn = studentised_ratios(parts, function, rng, n_resamples) if resampled(len(parts)) else None
    return Estimate(value, *ratio_ends(parts, function, drawn, level))


def resampled(n: int) -> bool:
    """Return whether so many users are resampled."""
    return FEWEST_USERS <= n <= MOST_USERS


def ratio_ends(
    parts: FloatArray, function: Ratios, drawn: Studentised | None, level: float
) -> tuple[float, float]:
    """Return the interval of a function of the means of parts (n, n_columns), n at least 2."""
    ends = np.full(2, np.nan)
    if drawn is not None:
        alone = function.signs == (1.0,) and drawn.values[0, 0] > 0 and not (parts < 0).any()
        ends = (drawn.ends_of_log(level) if alone else drawn.ends(level))[:, 0]
    if not np.isfinite(ends).all():
        return abc_ratios(parts, function, level)
    return float(ends[0]), float(ends[1])


def mean_ends(columns: FloatArray, rng: np.random.Generator, n_resamples: int, level: float) -> FloatArray:
    """Return the intervals of the means of columns (n, n_columns) without a range: float64 (2, n_columns)."""
    few = np.count_nonzero(~np.isnan(columns), axis=0) < FEWEST_USERS
    ends = np.full((2, columns.shape[1]), np.nan)
    if len(columns) <= MOST_USERS and not few.all():
        ends[:, ~few] = studentised_means(columns[:, ~few], rng, n_resamples).ends(level)
    for at in np.flatnonzero(~np.isfinite(ends).all(axis=0)):
        x = present(columns[:, at])
        if x.size > 1:
            ends[:, at] = abc_mean(x, level)
    return ends


def difference_ends(
    d: FloatArray, within: Within | None, level: float, counts: FloatArray | None = None
) -> tuple[float, float] | None:
    """Return the interval of the mean of paired differences d (n,), n at least 2; None where the metric has no range.

    With ``counts`` it is that of sum over count (see ``pooled.py``), of people with several answers each.

    Parameters
    ----------
    d : float64 (n,)
        First less second, without NaN.
    within : (float, float) or None
        The range of the metric of an answer, not of the difference.
    level : float
    counts : float64 (n,), optional
        How many answers each difference is the sum of; one each without them.
    """
    wide = None if within is None else within[1] - within[0]
    of = np.ones(d.size) if counts is None else counts
    if wide is None or not inside(d / of, (-wide, wide)):
        return None
    n, total = d.size, of.sum()
    gain, loss = np.maximum(d, 0) / wide, np.maximum(-d, 0) / wide  # no user has both
    up, down = float(gain.sum() / total), float(loss.sum() / total)
    gained, lost = gain - up * of, loss - down * of
    ups, downs = (float(np.sqrt(n * (side @ side)) / total) for side in (gained, lost))
    together = n * float(gained @ lost) / (total**2 * ups * downs) if ups > 0 and downs > 0 else 0.0
    least_up, most_up = score_ends(up, ups, n, level)
    least_down, most_down = score_ends(down, downs, n, level)
    low = up - down - _joined(up - least_up, most_down - down, together)
    high = up - down + _joined(most_up - up, down - least_down, together)
    return float(wide * low), float(wide * high)


def _joined(first: float, second: float, correlation: float) -> float:
    """Return how far the difference may lie off where its two sides may lie off so far."""
    return float(np.sqrt(max(first**2 + second**2 - 2 * correlation * first * second, 0.0)))


def _estimate(x: FloatArray, within: Within | None, level: float) -> Estimate:
    """Return the mean with its interval; without one where it has no range, or fewer than two users carry it."""
    if x.size == 0:
        return Estimate(None)
    value = float(x.mean())
    if x.size == 1:
        return Estimate(value)
    if within is None or not inside(x, within):
        return Estimate(value)
    wide = within[1] - within[0]
    low, high = score_ends((value - within[0]) / wide, float(x.std()) / wide, x.size, level)
    return Estimate(value, within[0] + wide * low, within[0] + wide * high)


def score_ends(mean: float, deviation: float, n: int, level: float) -> tuple[float, float]:
    """Return the score interval of a mean of n values between 0 and 1."""
    at_an_end = mean * (1 - mean) <= 0
    if deviation <= 1e-12 and not at_an_end:
        return mean, mean
    effective = float(n) if at_an_end else (n - 1) * mean * (1 - mean) / deviation**2
    r = quantile(n, level) ** 2 / effective
    middle, half = mean + r / 2, np.sqrt(max(r * mean * (1 - mean) + r * r / 4, 0.0))
    return max(0.0, float((middle - half) / (1 + r))), min(1.0, float((middle + half) / (1 + r)))


def inside(x: FloatArray, within: Within) -> bool:
    """Return whether all values lie in the range, rounding aside."""
    slack = SLACK * (within[1] - within[0])
    return bool(x.min() >= within[0] - slack and x.max() <= within[1] + slack)


def checked(level: float, n_resamples: int) -> None:
    """Refuse settings that give no interval."""
    if n_resamples < 1:
        raise RequestError(f"a bootstrap needs at least 1 resample, got {n_resamples}")
    if not 0 < level < 1:
        raise RequestError(f"the level of an interval lies between 0 and 1, got {level}")


def aligned(values: Mapping[Key, npt.ArrayLike]) -> dict[Key, FloatArray]:
    """Return columns of equal length, float64 (n_users,) each, and refuse infinite values."""
    columns = {key: np.asarray(column, np.float64) for key, column in values.items()}
    lengths = {column.shape for column in columns.values()}
    if len(lengths) > 1 or any(len(shape) != 1 for shape in lengths):
        raise DataError(
            f"values per user have to be vectors over the same users, got shapes {sorted(lengths)}"
        )
    if any(np.isinf(column).any() for column in columns.values()):
        raise DataError("values per user have to be finite (NaN where a user has none), got an infinite one")
    return columns


def present(column: FloatArray) -> FloatArray:
    """Return the values that are there."""
    return column[~np.isnan(column)]


def taking_part(*columns: npt.ArrayLike) -> FloatArray:
    """Return numerators and, last, denominators (n, n_columns) of the users whose denominator is above 0."""
    found = aligned(dict(enumerate(columns)))
    parts = np.column_stack(list(found.values()))
    if np.isnan(parts).any() or (parts[:, -1] < 0).any():
        raise DataError("parts of a ratio have to be numbers, and denominators at least 0")
    return parts[parts[:, -1] > 0]
