"""Do two models differ? Paired tests on the same users, how large the difference is, and what could have been seen."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri, stdtrit

from fuserec.evaluation.statistics.confidence import (
    Key,
    Within,
    aligned,
    checked,
    difference_ends,
    present,
    ratio_ends,
    resampled,
    taking_part,
)
from fuserec.evaluation.statistics.resampling import (
    FEWEST_USERS,
    MOST_USERS,
    studentised_means,
    studentised_ratios,
)
from fuserec.evaluation.statistics.signflip import EQUAL, sign_flip_p
from fuserec.evaluation.statistics.smooth import Ratios, abc_mean, influence
from fuserec.evaluation.statistics.values import Difference, Estimate, FloatArray

ALPHA = 0.05
"""A difference is called one where the p-value is at most this."""

POWER = 0.8
"""How surely the detectable difference would have been seen."""


def paired_difference(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    *,
    rng: np.random.Generator,
    within: Within | None = None,
    n_resamples: int = 1000,
    level: float = 0.95,
) -> Difference:
    """Mean of a - b over the users who have both, with its interval, tests and effect size.

    Parameters
    ----------
    a, b : float (n_users,)
        One value per user and model, in the same order of users; NaN where there is none.
    rng, within, n_resamples, level
        As for :func:`paired_differences`.
    """
    return paired_differences({"a": a}, b, rng=rng, within=within, n_resamples=n_resamples, level=level)["a"]


def paired_differences(
    values: Mapping[Key, npt.ArrayLike],
    reference: npt.ArrayLike,
    *,
    rng: np.random.Generator,
    within: Within | None = None,
    n_resamples: int = 1000,
    level: float = 0.95,
) -> dict[Key, Difference]:
    """Compare many models with one reference on the same users: each model less the reference.

    Parameters
    ----------
    values : mapping of float (n_users,)
        One column per model.
    reference : float (n_users,)
        The values of the model they are compared with.
    rng : numpy.random.Generator
        Source of the resamples of the paired bootstrap, which is left out beyond 100,000 users.
    within : (float, float), optional
        The range of the metric, where it has one.
    n_resamples : int
        Number of resamples.
    level : float
        Confidence of the interval, between 0 and 1.

    Returns
    -------
    dict of Difference
        Where every user has the same value of both, the interval is [0, 0].

    Raises
    ------
    DataError
        If the columns differ in length or hold infinite values.
    RequestError
        If the level or the number of resamples is not allowed.
    """
    checked(level, n_resamples)
    columns = aligned({**values, None: reference})
    base = columns.pop(None)
    if not columns:
        return {}
    table = np.column_stack([column - base for column in columns.values()])
    there = np.count_nonzero(~np.isnan(table), axis=0)
    drawn = studentised_means(table, rng, n_resamples) if resampled(len(table)) else None
    p = None if drawn is None else drawn.p()
    open_ends = None if drawn is None else np.where(there < FEWEST_USERS, np.nan, drawn.ends(level))
    found = {}
    for at, key in enumerate(values):
        d = present(table[:, at])
        ends = None
        if d.size > 1:
            own = None if open_ends is None else open_ends[:, at]
            # without any difference there is nothing to be unsure of: no model found what the other missed
            ends = (difference_ends(d, within, level) or _mean_ends(d, own, level)) if d.any() else (0.0, 0.0)
        found[key] = _difference(d, ends, None if p is None else float(p[at]))
    return found


def permuted_differences(
    values: Mapping[Key, npt.ArrayLike],
    reference: npt.ArrayLike,
    *,
    within: Within | None = None,
    level: float = 0.95,
) -> dict[Key, Difference]:
    """Compare many models with one reference as :func:`paired_differences` does, without a single resample.

    A metric without a range has an ABC interval, and beyond 100,000 users the permutation distribution is taken for
    normal, which it then is as good as. O(n) time and memory a model.

    Parameters
    ----------
    values, reference, within, level
        As for :func:`paired_differences`.
    """
    columns = aligned({**values, None: reference})
    base = columns.pop(None)
    found = {}
    for key in values:
        d = present(columns[key] - base)
        ends = None
        if d.size > 1:
            ends = (difference_ends(d, within, level) or abc_mean(d, level)) if d.any() else (0.0, 0.0)
        found[key] = _difference(d, ends, None, normal=d.size > MOST_USERS)
    return found


def _mean_ends(d: FloatArray, drawn: FloatArray | None, level: float) -> tuple[float, float]:
    """Return the interval that the resamples gave, else the ABC interval."""
    if drawn is None or not np.isfinite(drawn).all():
        return abc_mean(d, level)
    return float(drawn[0]), float(drawn[1])


def paired_ratio_difference(
    numerator_a: npt.ArrayLike,
    numerator_b: npt.ArrayLike,
    denominator: npt.ArrayLike,
    *,
    rng: np.random.Generator,
    root: bool = False,
    within: Within | None = None,
    n_resamples: int = 1000,
    level: float = 0.95,
) -> Difference:
    """Difference of two ratios over the same users, such as the RMSE of two models on the same ratings.

    Swapping two models for a user swaps their numerators, so that the permutation test flips the signs of the
    differences of numerators. The effect size is that of the users' influence on the difference.

    Parameters
    ----------
    numerator_a, numerator_b, denominator : float (n_users,)
        The parts of each user; a user with denominator 0 takes no part.
    root : bool
        Take the square root of each ratio before subtracting.
    within : (float, float), optional
        The range of what is summed up, where the denominator counts how many: no end leaves that of a difference.
    rng, n_resamples, level
        As for :func:`paired_differences`.
    """
    checked(level, n_resamples)
    parts = taking_part(numerator_a, numerator_b, denominator)
    function = Ratios((1.0, -1.0), root)
    n = len(parts)
    if n == 0:
        return Difference(None, None, None, None, 0)
    value = float(function.value(parts.mean(axis=0)))
    if n == 1:
        return Difference(value, None, None, None, 1)
    gaps = parts[:, 0] - parts[:, 1]
    drawn = studentised_ratios(parts, function, rng, n_resamples) if resampled(n) else None
    bounded = None if root else difference_ends(gaps, within, level, parts[:, 2])
    low, high = (bounded or ratio_ends(parts, function, drawn, level)) if gaps.any() else (0.0, 0.0)
    deviation = float(influence(parts, function).std(ddof=1))
    above, below = _shares(gaps)
    return Difference(
        value,
        low,
        high,
        sign_flip_p(gaps),
        n,
        None if drawn is None else float(drawn.p()[0]),
        effect=value / deviation if deviation > 0 else None,
        above=above,
        below=below,
        detectable=_detectable(deviation, n),
    )


def unpaired_difference(a: Estimate, b: Estimate, users: int, level: float = 0.95) -> Difference:
    """Difference of two figures of which only the intervals are known, as if of different users.

    The interval is made of the two (MOVER: Zou and Donner 2008, Construction of confidence limits about effect
    measures); the p-value is a normal one from the same widths. On the same users a paired comparison is sharper.

    Parameters
    ----------
    a, b : Estimate
    users : int
        Of the smaller of both.
    level : float
        Confidence of both intervals.
    """
    if a.value is None or b.value is None:
        return Difference(None, None, None, None, 0)
    gap = a.value - b.value
    if a.low is None or a.high is None or b.low is None or b.high is None:
        return Difference(gap, None, None, None, users)
    below = float(np.hypot(a.value - a.low, b.high - b.value))
    above = float(np.hypot(a.high - a.value, b.value - b.low))
    error = (below if gap > 0 else above) / float(ndtri((1 + level) / 2))
    p = 2 * float(ndtr(-abs(gap) / error)) if error > 0 else float(gap == 0)
    detectable = error * float(ndtri(1 - ALPHA / 2) + ndtri(POWER)) if error > 0 else None
    return Difference(gap, gap - below, gap + above, p, users, detectable=detectable)


def _difference(
    d: FloatArray, ends: tuple[float, float] | None, p_bootstrap: float | None, normal: bool = False
) -> Difference:
    """Return all that differences d (n,) of one pair of models say."""
    n = d.size
    if n == 0:
        return Difference(None, None, None, None, 0)
    mean = float(d.mean())
    if ends is None:
        return Difference(mean, None, None, None, n)
    deviation = float(d.std(ddof=1))
    above, below = _shares(d)
    return Difference(
        mean,
        *ends,
        _normal_p(d) if normal else sign_flip_p(d),
        n,
        p_bootstrap,
        effect=mean / deviation if deviation > 0 else None,
        above=above,
        below=below,
        detectable=_detectable(deviation, n),
    )


def _normal_p(d: FloatArray) -> float:
    """Return the p-value of the permutation test by the limit of its distribution: signs are tossed on each d_i."""
    size = float(np.sqrt(d @ d))
    return float(2 * ndtr(-abs(float(d.sum())) / size)) if size > 0 else 1.0


def _shares(d: FloatArray) -> tuple[float, float]:
    """Return the shares of users above and below 0, rounding aside."""
    rounding = EQUAL * float(np.abs(d).max(initial=0.0))
    return float(np.mean(d > rounding)), float(np.mean(d < -rounding))


def _detectable(deviation: float, n: int) -> float | None:
    """Return the smallest detectable difference; None where no user tells the models apart.

    (t of 1 - ALPHA / 2 + t of POWER) standard errors (Cohen 1988, Statistical power analysis for the behavioral
    sciences, chapter 2, paired).
    """
    if deviation <= 0:
        return None
    quantiles = stdtrit(n - 1, 1 - ALPHA / 2) + stdtrit(n - 1, POWER)
    return float(quantiles * deviation / np.sqrt(n))
