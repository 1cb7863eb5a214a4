"""How sure a figure is: bootstrap over users, for means, ratios, and paired differences between models.

Users are drawn with replacement, as many as there are (Efron, Tibshirani, 1993, An introduction to the
bootstrap, chapters 6 and 13: percentile intervals). A resample is a row of counts, so that all metrics of a
model are one matrix product; rows are made in chunks, and the chunk takes at most ``memory_mb``. Equal
generator state and number of users give the same resamples whatever the chunk and whatever the metrics, so
that intervals of several models belong together.

NaN means "no value for this user" and is left out; a segment is the same column with NaN outside the segment.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from fuserec.errors import DataError, RequestError
from fuserec.metrics.grouping import ratio

FloatArray = npt.NDArray[np.float64]
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval; None where there is no value, or no interval (one user, a set metric).

    Attributes
    ----------
    value, low, high : float or None
        The figure on the data as they are, and the ends of its interval.
    """

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Difference:
    """A paired difference between two models on the same users.

    Attributes
    ----------
    difference, low, high : float or None
        First less second, and its interval; None where no user has both values.
    p : float or None
        Two-sided p-value of "no difference", at least 1 / (n_resamples + 1).
    users : int
        Users with both values.
    """

    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    users: int


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


def interval(
    values: npt.ArrayLike, *, rng: np.random.Generator, n_resamples: int = 1000, level: float = 0.95
) -> Estimate:
    """Mean over users, with its bootstrap interval.

    Parameters
    ----------
    values : float (n_users,)
        One value per user; NaN where a user has none.
    rng : numpy.random.Generator
        Source of the resamples.
    n_resamples : int
        Number of resamples.
    level : float
        Confidence of the interval, between 0 and 1.
    """
    return intervals({"value": values}, rng=rng, n_resamples=n_resamples, level=level)["value"]


def intervals(
    values: Mapping[Key, npt.ArrayLike],
    *,
    rng: np.random.Generator,
    n_resamples: int = 1000,
    level: float = 0.95,
    memory_mb: int = 64,
) -> dict[Key, Estimate]:
    """Means over users of many metrics at once, each with its bootstrap interval.

    Parameters
    ----------
    values : mapping of float (n_users,)
        One column per metric (or per metric and segment: NaN outside the segment), all over the same users.
    rng, n_resamples, level
        As for :func:`interval`.
    memory_mb : int
        Bound on the resamples that are held at once.

    Raises
    ------
    DataError
        If the columns differ in length or hold infinite values.
    RequestError
        If the level or the number of resamples is not allowed.
    """
    columns = _stacked(values)
    means, counts, resampled = _means(columns, rng, n_resamples, level, memory_mb)
    low, high = _percentiles(resampled, level)
    return {key: _estimate(means[at], low[at], high[at], int(counts[at])) for at, key in enumerate(values)}


def ratio_interval(
    numerator: npt.ArrayLike,
    denominator: npt.ArrayLike,
    *,
    rng: np.random.Generator,
    root: bool = False,
    n_resamples: int = 1000,
    level: float = 0.95,
) -> Estimate:
    """Sum of numerators over sum of denominators, with its bootstrap interval over users.

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
    parts = _parts(numerator, denominator)
    _checked(n_resamples, level)
    if not len(parts):
        return Estimate(None)
    value = _ratios(parts.sum(axis=0, keepdims=True), root)
    resampled = _ratios(resampled_sums(parts, rng, n_resamples), root)
    low, high = _percentiles(resampled, level)
    return _estimate(value[0, 0], low[0], high[0], len(parts))


def paired_difference(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    *,
    rng: np.random.Generator,
    n_resamples: int = 1000,
    level: float = 0.95,
) -> Difference:
    """Mean of a - b over the users who have both, with its bootstrap interval and p-value.

    The p-value is that of the shifted bootstrap: how often a resampled mean lies at least as far from the
    mean as the mean lies from 0 (Efron, Tibshirani, 1993, section 16.4).

    Parameters
    ----------
    a, b : float (n_users,)
        One value per user and model, in the same order of users; NaN where there is none.
    rng, n_resamples, level
        As for :func:`interval`.
    """
    return paired_differences({"a": a}, b, rng=rng, n_resamples=n_resamples, level=level)["a"]


def paired_differences(
    values: Mapping[Key, npt.ArrayLike],
    reference: npt.ArrayLike,
    *,
    rng: np.random.Generator,
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
    rng, n_resamples, level
        As for :func:`interval`.
    """
    base = np.asarray(reference, np.float64)
    columns = _stacked({**values, None: base})[:, :-1] - base[:, None]
    means, counts, resampled = _means(columns, rng, n_resamples, level, memory_mb=64)
    low, high = _percentiles(resampled, level)
    return {
        key: _difference(means[at], low[at], high[at], resampled[:, at], int(counts[at]))
        for at, key in enumerate(values)
    }


def paired_ratio_difference(
    numerator_a: npt.ArrayLike,
    numerator_b: npt.ArrayLike,
    denominator: npt.ArrayLike,
    *,
    rng: np.random.Generator,
    root: bool = False,
    n_resamples: int = 1000,
    level: float = 0.95,
) -> Difference:
    """Difference of two ratios over the same users, such as the RMSE of two models on the same ratings.

    Parameters
    ----------
    numerator_a, numerator_b, denominator : float (n_users,)
        The parts of each user; a user with denominator 0 takes no part.
    root : bool
        Take the square root of each ratio before subtracting.
    rng, n_resamples, level
        As for :func:`interval`.
    """
    _checked(n_resamples, level)
    left, right = _parts(numerator_a, denominator), _parts(numerator_b, denominator)
    if not len(left):
        return Difference(None, None, None, None, 0)
    parts = np.column_stack((left[:, 0], right))
    value = _ratios(parts.sum(axis=0, keepdims=True), root)[0]
    resampled = _ratios(resampled_sums(parts, rng, n_resamples), root)
    differences = resampled[:, 0] - resampled[:, 1]
    low, high = _percentiles(differences[:, None], level)
    return _difference(value[0] - value[1], low[0], high[0], differences, len(parts))


def _checked(n_resamples: int, level: float) -> None:
    """Refuse settings that give no interval."""
    if n_resamples < 1:
        raise RequestError(f"a bootstrap needs at least 1 resample, got {n_resamples}")
    if not 0 < level < 1:
        raise RequestError(f"the level of an interval lies between 0 and 1, got {level}")


def _stacked(values: Mapping[Key, npt.ArrayLike]) -> FloatArray:
    """Return columns of equal length side by side: float64 (n_users, n_columns)."""
    columns = [np.asarray(column, np.float64) for column in values.values()]
    lengths = {column.shape for column in columns}
    if len(lengths) > 1 or any(len(shape) != 1 for shape in lengths):
        raise DataError(
            f"values per user have to be vectors over the same users, got shapes {sorted(lengths)}"
        )
    table = np.column_stack(columns) if columns else np.empty((0, 0))
    if np.isinf(table).any():
        raise DataError("values per user have to be finite (NaN where a user has none), got an infinite one")
    return table


def _parts(numerator: npt.ArrayLike, denominator: npt.ArrayLike) -> FloatArray:
    """Return the numerators and denominators (n, 2) of the users who take part."""
    parts = _stacked({"numerator": numerator, "denominator": denominator})
    if np.isnan(parts).any() or (parts[:, 1] < 0).any():
        raise DataError("parts of a ratio have to be numbers, and denominators at least 0")
    return parts[parts[:, 1] > 0]


def _ratios(sums: FloatArray, root: bool) -> FloatArray:
    """Divide all columns but the last by the last."""
    values = ratio(sums[:, :-1], sums[:, -1:])
    return np.sqrt(values) if root else values


def _means(
    columns: FloatArray, rng: np.random.Generator, n_resamples: int, level: float, memory_mb: int
) -> tuple[FloatArray, npt.NDArray[np.int64], FloatArray]:
    """Return means and counts (n_columns,), and resampled means (n_resamples, n_columns), NaN left out."""
    _checked(n_resamples, level)
    if not columns.size:
        width = columns.shape[1]
        return np.full(width, np.nan), np.zeros(width, np.int64), np.full((n_resamples, width), np.nan)
    there = ~np.isnan(columns)
    filled = np.where(there, columns, 0.0)
    seen: dict[bytes, int] = {}
    packed = np.packbits(there, axis=0)
    mask_of = np.array([seen.setdefault(packed[:, at].tobytes(), len(seen)) for at in range(packed.shape[1])])
    first = np.unique(mask_of, return_index=True)[1]
    sums = resampled_sums(np.hstack((filled, there[:, first])), rng, n_resamples, memory_mb)
    width = columns.shape[1]
    counts = there.sum(axis=0)
    return ratio(filled.sum(axis=0), counts), counts, ratio(sums[:, :width], sums[:, width + mask_of])


def _percentiles(resampled: FloatArray, level: float) -> tuple[FloatArray, FloatArray]:
    """Return the ends of the interval of each column; resamples without a value are left out."""
    ends = np.full((2, resampled.shape[1]), np.nan)
    usable = ~np.isnan(resampled).all(axis=0)
    if usable.any():
        ends[:, usable] = np.nanquantile(resampled[:, usable], [(1 - level) / 2, (1 + level) / 2], axis=0)
    return ends[0], ends[1]


def _estimate(value: float, low: float, high: float, users: int) -> Estimate:
    """Return a figure with its interval, or without one where fewer than two users carry it."""
    if users == 0:
        return Estimate(None)
    return Estimate(float(value), float(low), float(high)) if users > 1 else Estimate(float(value))


def _difference(value: float, low: float, high: float, resampled: FloatArray, users: int) -> Difference:
    """Return a difference with interval and p-value, or with neither where fewer than two users carry it."""
    estimate = _estimate(value, low, high, users)
    if users < 2:
        return Difference(estimate.value, None, None, None, users)
    drawn = resampled[~np.isnan(resampled)]
    extreme = np.count_nonzero(np.abs(drawn - value) >= abs(value))
    return Difference(
        estimate.value, estimate.low, estimate.high, float((1 + extreme) / (1 + len(drawn))), users
    )
