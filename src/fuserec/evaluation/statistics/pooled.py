"""Intervals of figures over several answers of each person: folds, or windows of a replay.

A figure is the sum of all answers over their number, and people are what is sure or unsure of it: answers of one person
hang together. The methods are those of ``confidence.py``, with the variance of a ratio over people (Cochran 1977,
Sampling techniques, section 6.4) in place of that of a mean: a score interval with an effective number where the metric
has a range (Korn and Graubard 1998, who made it for samples in clusters), else a studentised bootstrap of people, else
an ABC interval. With one answer each they are the intervals of a mean.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fuserec.evaluation.statistics.confidence import Key, Within, checked, inside, ratio_ends, score_ends
from fuserec.evaluation.statistics.resampling import FEWEST_USERS, MOST_USERS, Studentised, resampled_sums
from fuserec.evaluation.statistics.smooth import Ratios
from fuserec.evaluation.statistics.values import Estimate, FloatArray
from fuserec.metrics.grouping import ratio


def pooled_intervals(
    sums: Mapping[Key, FloatArray],
    counts: Mapping[Key, FloatArray],
    *,
    rng: np.random.Generator,
    within: Mapping[Key, Within] | None = None,
    n_resamples: int = 1000,
    level: float = 0.95,
) -> dict[Key, Estimate]:
    """Means over all answers of many metrics, each with its interval over people.

    Metrics without a range share their resamples; memory is that of some five columns a metric of these.

    Parameters
    ----------
    sums : mapping of float64 (n_people,)
        What the answers of each person sum up to, one column a metric.
    counts : mapping of float64 (n_people,)
        How many answers these are.
    within : mapping of (float, float), optional
        The range of a single answer, of each metric that has one.
    rng, n_resamples, level
        As for :func:`~fuserec.evaluation.statistics.intervals`.
    """
    checked(level, n_resamples)
    ranges = within or {}
    found = {key: _estimate(sums[key], counts[key], ranges.get(key), level) for key in sums}
    rest = [key for key, one in found.items() if one.value is not None and one.low is None]
    rest = [key for key in rest if np.count_nonzero(counts[key]) > 1]
    if not rest:
        return found
    numerators, denominators = (np.column_stack([table[key] for key in rest]) for table in (sums, counts))
    ends = _ends(numerators, denominators, rng, n_resamples, level)
    return found | {
        key: Estimate(found[key].value, float(ends[0, at]), float(ends[1, at])) for at, key in enumerate(rest)
    }


def _estimate(sums: FloatArray, counts: FloatArray, within: Within | None, level: float) -> Estimate:
    """Return the figure with its score interval; without one where it has no range, or fewer than two people."""
    answered = counts > 0
    people, total = int(np.count_nonzero(answered)), float(counts.sum())
    if not people:
        return Estimate(None)
    value = float(sums.sum()) / total
    if people == 1 or within is None or not inside(sums[answered] / counts[answered], within):
        return Estimate(value)
    wide = within[1] - within[0]
    residual = (sums - value * counts) / wide
    deviation = float(np.sqrt(people * (residual @ residual))) / total
    low, high = score_ends((value - within[0]) / wide, deviation, people, level)
    return Estimate(value, within[0] + wide * low, within[0] + wide * high)


def _ends(
    sums: FloatArray, counts: FloatArray, rng: np.random.Generator, n_resamples: int, level: float
) -> FloatArray:
    """Return the intervals of the ratios of columns (n_people, n_columns): float64 (2, n_columns)."""
    few = np.count_nonzero(counts, axis=0) < FEWEST_USERS
    ends = np.full((2, sums.shape[1]), np.nan)
    if len(sums) <= MOST_USERS and not few.all():
        ends[:, ~few] = _studentised(sums[:, ~few], counts[:, ~few], rng, n_resamples).ends(level)
    for at in np.flatnonzero(~np.isfinite(ends).all(axis=0)):
        parts = np.column_stack([sums[:, at], counts[:, at]])
        ends[:, at] = ratio_ends(parts[parts[:, 1] > 0], Ratios((1.0,), False), None, level)
    return ends


def _studentised(
    sums: FloatArray, counts: FloatArray, rng: np.random.Generator, n_resamples: int
) -> Studentised:
    """Return the ratios of columns on the data and on every resample of people, with their errors."""
    width = sums.shape[1]
    centre = ratio(sums.sum(axis=0), counts.sum(axis=0))  # squares of values far from 0 would lose digits
    away = sums - centre * counts
    distinct, of = np.unique(counts, axis=1, return_inverse=True)
    table = np.hstack([away, away**2, away * counts, distinct, distinct**2])
    drawn = np.vstack([table.sum(axis=0, keepdims=True), resampled_sums(table, rng, n_resamples)])
    first, square, cross = (drawn[:, at * width : (at + 1) * width] for at in range(3))
    answers, squared = (part[:, np.ravel(of)] for part in np.hsplit(drawn[:, 3 * width :], 2))
    values = ratio(first, answers)
    spread = np.maximum(square - 2 * values * cross + values**2 * squared, 0)
    return Studentised(values + centre, ratio(np.sqrt(spread), answers))
