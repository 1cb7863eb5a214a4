"""Errors of predicted ratings, in the ratings' own scale.

The functions return one figure per rating, or sums per user, never only a mean: a bootstrap over users
needs the parts.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fuserec.errors import DataError
from fuserec.metrics.definitions import INFINITE, Definition
from fuserec.metrics.grouping import group_sums

FloatArray = npt.NDArray[np.float64]


def clipped(predicted: npt.ArrayLike, low: float, high: float) -> FloatArray:
    """Return predictions (n,) put within the rating scale from ``low`` to ``high``.

    Raises
    ------
    DataError
        If the scale is empty or not finite.

    Examples
    --------
    >>> clipped([0.2, 3.7, 5.4], 1, 5).tolist()
    [1.0, 3.7, 5.0]
    """
    if not (np.isfinite(low) and np.isfinite(high) and low <= high):
        raise DataError(f"a rating scale needs two finite ends in order, got {low} to {high}")
    return np.clip(np.asarray(predicted, np.float64), low, high)


def _differences(predicted: npt.ArrayLike, actual: npt.ArrayLike) -> FloatArray:
    """Return predicted - actual (n,), float64."""
    left, right = np.asarray(predicted, np.float64), np.asarray(actual, np.float64)
    if left.shape != right.shape:
        raise DataError(f"ratings: {left.shape} predictions do not match {right.shape} actual ones")
    return left - right


def squared_errors(predicted: npt.ArrayLike, actual: npt.ArrayLike) -> FloatArray:
    """Squared error of each rating (n,): from 0 up, lower is better. Source: as of RMSE.

    Examples
    --------
    >>> squared_errors([3, 5], [4, 2]).tolist()
    [1.0, 9.0]
    """
    return _differences(predicted, actual) ** 2


def absolute_errors(predicted: npt.ArrayLike, actual: npt.ArrayLike) -> FloatArray:
    """Absolute error of each rating (n,): from 0 up, lower is better. Source: as of MAE.

    Examples
    --------
    >>> absolute_errors([3, 5], [4, 2]).tolist()
    [1.0, 3.0]
    """
    return np.abs(_differences(predicted, actual))


def rmse(predicted: npt.ArrayLike, actual: npt.ArrayLike) -> float:
    """Root of the mean squared error over all ratings (each rating counts the same, not each user).

    From 0 up, lower is better; NaN without ratings. It is an error, not an accuracy. Source: Herlocker et
    al. (2004), Evaluating collaborative filtering recommender systems, section 4.1.

    Examples
    --------
    >>> round(rmse([3, 5], [4, 2]), 5)
    2.23607
    """
    return float(np.sqrt(_mean(squared_errors(predicted, actual))))


def mae(predicted: npt.ArrayLike, actual: npt.ArrayLike) -> float:
    """Mean absolute error over all ratings; from 0 up, lower is better; NaN without ratings.

    Source: Herlocker et al. (2004), section 4.1.

    Examples
    --------
    >>> mae([3, 5], [4, 2])
    2.0
    """
    return _mean(absolute_errors(predicted, actual))


def _mean(errors: FloatArray) -> float:
    """Return the mean, NaN (without a warning) where there is nothing."""
    return float(errors.mean()) if errors.size else float("nan")


def by_user(errors: npt.ArrayLike, user: npt.ArrayLike, n_users: int) -> tuple[FloatArray, FloatArray]:
    """Sum errors by user, for a bootstrap over users: RMSE is sqrt(sum of sums / sum of counts).

    Parameters
    ----------
    errors : float (n,)
        One error per rating.
    user : int (n,)
        The user of each rating, 0 to n_users - 1.
    n_users : int
        Number of users.

    Returns
    -------
    sums, counts : float64 (n_users,)
        Sum of errors and number of ratings of each user.

    Examples
    --------
    >>> [part.tolist() for part in by_user([1.0, 9.0, 4.0], [0, 2, 0], 3)]
    [[5.0, 0.0, 9.0], [2.0, 0.0, 1.0]]
    """
    rows = np.asarray(user, np.int64)
    return group_sums(errors, rows, n_users), group_sums(np.ones(len(rows)), rows, n_users)


DEFINITIONS: dict[str, Definition] = {
    "rmse": Definition(
        "RMSE",
        "Root of the mean squared error of predicted ratings, on the ratings' own scale.",
        "lower",
        0,
        INFINITE,
        "rating",
    ),
    "mae": Definition(
        "MAE",
        "Mean absolute error of predicted ratings, on the ratings' own scale.",
        "lower",
        0,
        INFINITE,
        "rating",
    ),
}
"""What each of them means."""
