"""Whether predicted probabilities can be believed: one value a pair of user and item."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fuserec.errors import DataError, RequestError
from fuserec.metrics.definitions import INFINITE, Definition
from fuserec.metrics.grouping import group_sums
from fuserec.metrics.shown import FloatArray, IntArray

LEAST = 1e-6
"""Probabilities are kept this far from 0 and 1 where a logarithm is taken."""

BINS = 15


def log_losses(probability: npt.ArrayLike, taken: npt.ArrayLike) -> FloatArray:
    """Negative log-likelihood of each pair (n,), in nats: -ln p where it was taken, -ln(1 - p) where not.

    From 0 up, lower is better; the mean is the log loss. p is kept within 1e-6 and 1 - 1e-6, so that one wrong
    certainty costs 13.8 and not infinity. Source: Good (1952), Rational decisions.

    Examples
    --------
    >>> log_losses([0.5, 0.9], [True, False]).round(5).tolist()
    [0.69315, 2.30259]
    """
    p, y = _checked(probability, taken)
    p = np.clip(p, LEAST, 1 - LEAST)
    return -np.where(y, np.log(p), np.log1p(-p))


def brier_scores(probability: npt.ArrayLike, taken: npt.ArrayLike) -> FloatArray:
    """Squared error of each probability (n,); the mean is the Brier score.

    Range 0 to 1, lower is better. Source: Brier (1950), Verification of forecasts expressed in terms of probability.

    Examples
    --------
    >>> brier_scores([0.5, 0.9], [True, False]).round(5).tolist()
    [0.25, 0.81]
    """
    p, y = _checked(probability, taken)
    result: FloatArray = (p - y) ** 2
    return result


def expected_calibration_error(probability: npt.ArrayLike, taken: npt.ArrayLike, bins: int = BINS) -> float:
    """Mean gap between predicted probability and observed share, over bins of equal size: Σ |Σ (p - y)| / n.

    Bins hold equal numbers of pairs, because most probabilities of recommendations are small and bins of equal width
    would put nearly all of them together; pairs of equal probability are never parted. Range 0 to 1, lower is better;
    NaN without pairs. Source: Naeini, Cooper, Hauskrecht (2015), Obtaining well calibrated probabilities using
    Bayesian binning; bins of equal size as in Nixon et al. (2019), Measuring calibration in deep learning.

    Examples
    --------
    Of two pairs with 0.1 none was taken, of two with 0.6 one: (0.2 + 0.2) / 4.

    >>> round(expected_calibration_error([0.1, 0.1, 0.6, 0.6], [0, 0, 1, 0], bins=2), 5)
    0.1
    """
    p, y = _checked(probability, taken)
    if not len(p):
        return float("nan")
    bin_of = probability_bins(p, bins)
    return float(np.abs(group_sums(p - y, bin_of, bins)).sum() / len(p))


def calibration_gaps(probability: npt.ArrayLike, taken: npt.ArrayLike, bins: int = BINS) -> FloatArray:
    """Return values of pairs (n,) whose mean is the expected calibration error: ± (p - y), signed as its bin's gap.

    Summed by user they are what a bootstrap over users needs; a bootstrap of the error itself would count the noise of
    each resample as miscalibration.

    Examples
    --------
    >>> calibration_gaps([0.1, 0.1, 0.6, 0.6], [0, 0, 1, 0], bins=2).round(5).tolist()
    [0.1, 0.1, -0.4, 0.6]
    """
    p, y = _checked(probability, taken)
    if not len(p):
        return np.empty(0)
    bin_of = probability_bins(p, bins)
    signs = np.where(group_sums(p - y, bin_of, bins) < 0, -1.0, 1.0)
    result: FloatArray = signs[bin_of] * (p - y)
    return result


def probability_bins(probability: FloatArray, bins: int) -> IntArray:
    """Return the bin of each probability (n,), 0 to bins - 1: equal numbers in each as far as equal values allow."""
    if bins < 1:
        raise RequestError(f"a calibration error needs at least 1 bin, got {bins}")
    n = len(probability)
    edges = np.sort(probability)[np.arange(1, bins) * n // bins]
    found: IntArray = np.searchsorted(edges, probability, side="right").astype(np.int64)
    return found


def _checked(probability: npt.ArrayLike, taken: npt.ArrayLike) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Return both as arrays (n,), or refuse them."""
    p, y = np.asarray(probability, np.float64), np.asarray(taken, np.bool_)
    if p.shape != y.shape or p.ndim != 1:
        raise DataError(f"probabilities of shape {p.shape} do not match {y.shape} outcomes")
    if not ((p >= 0) & (p <= 1)).all():
        raise DataError("probabilities have to be numbers from 0 to 1")
    return p, y


DEFINITIONS: dict[str, Definition] = {
    "log_loss": Definition(
        "Log loss",
        "Surprise at what was taken among the first {k}, given the predicted probabilities, in nats.",
        "lower",
        0,
        INFINITE,
        "probability",
    ),
    "brier": Definition(
        "Brier score",
        "Squared error of the predicted probabilities of the first {k}.",
        "lower",
        0,
        1,
        "probability",
    ),
    "ece": Definition(
        "Calibration error",
        "Mean gap between predicted probability and observed share among the first {k}.",
        "lower",
        0,
        1,
        "probability",
    ),
}
"""What each of them means."""
