"""By how much two models differ in what their worst served group has.

The mean of the worst group is a minimum: where groups are served alike, another one is the worst on other people. Users
are resampled within their groups, and each resample has a worst group of its own. Resamples alone are too sure where
few users have a hit, and where groups tie with one model only, so that the interval also reaches as far as that of the
contrast of the two groups that are worst here, at the level that holds for all groups at once (Šidák 1967, Rectangular
confidence regions for the means of multivariate normal distributions): they were picked by looking. That contrast is
paired where both are the same group, else put together by MOVER (Zou and Donner 2008, Construction of confidence limits
about effect measures).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fuserec.evaluation.statistics.confidence import Within, checked, difference_ends, interval
from fuserec.evaluation.statistics.resampling import resampled_sums
from fuserec.evaluation.statistics.values import Difference, Estimate, FloatArray
from fuserec.metrics.fairness import means_of_groups, paired_worst_p, worst
from fuserec.metrics.grouping import ratio

Codes = npt.NDArray[np.int64]


def worst_difference(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    codes: npt.ArrayLike,
    n_groups: int,
    *,
    rng: np.random.Generator,
    permuting: np.random.Generator,
    within: Within | None = None,
    n_resamples: int = 1000,
    n_permutations: int = 199,
    level: float = 0.95,
) -> Difference:
    """Mean of a in its worst group less that of b in its own, with the interval that the module describes.

    Parameters
    ----------
    a, b : float (n_users,)
        One value per user and model; who has only one of them (NaN) takes no part, nor does a group of one user.
    codes : int (n_users,)
        Group of each user, 0 to n_groups - 1; -1 for none.
    n_groups : int
    rng, permuting : numpy.random.Generator
        Sources of the resamples, group by group, and of the permutations that give p.
    within : (float, float), optional
        The range of the metric, where it has one.
    n_resamples : int
        Memory: two figures a resample and group, and what resampling the largest group takes.
    n_permutations : int
        See :func:`~fuserec.metrics.fairness.paired_worst_p`.
    level : float
    """
    checked(level, n_resamples)
    values, group = np.column_stack([a, b]).astype(np.float64), np.asarray(codes, np.int64)
    kept = (group >= 0) & ~np.isnan(values).any(axis=1)
    sizes = np.bincount(group[kept], minlength=n_groups)
    kept[kept] = sizes[group[kept]] > 1
    values, group = values[kept], group[kept]
    if not group.size:
        return Difference(None, None, None, None, 0)
    means = np.stack([means_of_groups(column, group, n_groups) for column in values.T])
    value = float(worst(means[0]) - worst(means[1]))
    if (values[:, 0] == values[:, 1]).all():  # without any difference there is nothing to be unsure of
        return Difference(0.0, 0.0, 0.0, 1.0, group.size)
    told = np.unique(group)
    drawn = np.stack([_resampled(values[group == code], rng, n_resamples) for code in told], axis=2)
    changes = worst(drawn[:, 0]) - worst(drawn[:, 1])
    tail = (1 - level) / 2
    low, high = np.quantile(changes, [tail, 1 - tail]).tolist()
    seen = _of_worst(
        values, group, np.nanargmin(means, axis=1), rng, within, n_resamples, level ** (1 / told.size)
    )
    low, high = (low, high) if seen is None else (min(low, seen[0]), max(high, seen[1]))
    p = paired_worst_p(
        values[:, 0], values[:, 1], group, n_groups, rng=permuting, n_permutations=n_permutations
    )
    return Difference(value, low, high, p, group.size)


def _resampled(values: FloatArray, rng: np.random.Generator, n_resamples: int) -> FloatArray:
    """Return the means of the users of one group in each resample: float64 (n_resamples, n_columns)."""
    return ratio(resampled_sums(values, rng, n_resamples), len(values))


def _of_worst(
    values: FloatArray,
    group: Codes,
    at: npt.NDArray[np.intp],
    rng: np.random.Generator,
    within: Within | None,
    n_resamples: int,
    level: float,
) -> tuple[float, float] | None:
    """Return the interval of the contrast of the groups that are worst here: paired where both are one group."""
    ours, theirs = values[group == at[0], 0], values[group == at[1], 1]
    if at[0] == at[1]:
        found = difference_ends(ours - theirs, within, level)
        if found is not None:
            return found
        one = interval(ours - theirs, rng=rng, n_resamples=n_resamples, level=level)
        return None if one.low is None or one.high is None else (one.low, one.high)
    first, second = (
        interval(x, rng=rng, within=within, n_resamples=n_resamples, level=level) for x in (ours, theirs)
    )
    return _contrast(first, second)


def _contrast(a: Estimate, b: Estimate) -> tuple[float, float] | None:
    """Return the interval of a less b, two figures of different people (MOVER); None where one has none."""
    if a.value is None or b.value is None:
        return None
    if a.low is None or a.high is None or b.low is None or b.high is None:
        return None
    gap = a.value - b.value
    return (
        gap - float(np.hypot(a.value - a.low, b.high - b.value)),
        gap + float(np.hypot(a.high - a.value, b.value - b.low)),
    )
