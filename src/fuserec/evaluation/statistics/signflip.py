"""The paired permutation test: how far a sum of differences can lie from 0 when each sign is the toss of a coin.

If two models are alike, swapping them for any user changes nothing, so that the sign of each user's difference is
as good as tossed (Fisher 1935, The design of experiments, section 21). A difference of sums over the same users,
such as that of two squared errors, is tested by the same flips.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import ndtr

from fuserec.evaluation.statistics.values import FloatArray

ENUMERATED = 36
"""Up to this many differences other than 0 all their signs are tried: two halves of at most 2**18 sums each."""

EQUAL = 1e-9
"""Sums closer than this share of the largest one count as equal: they differ by rounding alone."""


def sign_flip_p(differences: npt.ArrayLike) -> float:
    """Return the two-sided p-value of "no difference": how often the sum of ± d_i is as far from 0 as that of d_i.

    Exact for up to 36 differences other than 0; beyond that the saddlepoint approximation of the same probability
    (Robinson 1982, Saddlepoint approximations for permutation tests and confidence intervals; the tail of Lugannani
    and Rice 1980), with the correction for lattices of Daniels 1987 where all differences are multiples of the
    smallest, as hits and misses are. It needs no random numbers, resolves p-values of any smallness, and takes
    O(n) time and memory.

    Parameters
    ----------
    differences : float (n,)
        First less second model, one value a user, without NaN.

    Examples
    --------
    Five wins and no loss, 2 of 32 equally likely outcomes:

    >>> sign_flip_p([1, 1, 0, 1, 1, 0, 1])
    0.0625
    """
    d = np.asarray(differences, np.float64)
    sizes = np.abs(d)
    largest = float(sizes.max(initial=0.0))
    if largest == 0.0:
        return 1.0
    there = sizes > EQUAL * largest
    sizes, total = sizes[there] / largest, abs(float(d[there].sum())) / largest
    if sizes.size <= ENUMERATED:
        return _enumerated(sizes, total)
    whole = float(sizes.sum())
    if total >= whole * (1 - EQUAL):
        return max(2.0 ** (1 - sizes.size), float(np.finfo(np.float64).tiny))
    return float(np.clip(2.0 * _tail(sizes, total, _span(sizes)), np.finfo(np.float64).tiny, 1.0))


def _enumerated(sizes: FloatArray, total: float) -> float:
    """Try all signs: the sums of one half meet those of the other, sorted, so that 2**(n/2) steps do."""
    half = sizes.size // 2
    first, second = _sums(sizes[:half]), np.sort(_sums(sizes[half:]))
    bound = total - EQUAL * float(sizes.sum())
    if bound <= 0:
        return 1.0
    reaching = second.size - np.searchsorted(second, bound - first, side="left")
    return 2.0 * float(reaching.mean()) / second.size  # as many sums reach as far on the other side


def _sums(sizes: FloatArray) -> FloatArray:
    """Return the sums of all choices of signs: float64 (2**n,)."""
    sums = np.zeros(1)
    for size in sizes:
        sums = np.concatenate((sums - size, sums + size))
    return sums


def _span(sizes: FloatArray) -> float:
    """Return the step of the lattice on which the sums lie, 0 where they lie on none.

    Flipping a sign moves the sum by twice a difference.
    """
    least = float(sizes.min())
    multiples = sizes / least
    return 2 * least if np.allclose(multiples, np.round(multiples), rtol=0, atol=1e-6) else 0.0


def _tail(sizes: FloatArray, total: float, span: float) -> float:
    """Return P(sum of signed sizes ≥ total) by the saddlepoint approximation; total is below their sum."""
    at = total - span / 2
    if at <= 0:
        return 0.5

    def slope(t: float) -> float:
        return float(sizes @ np.tanh(t * sizes)) - at

    upper = at / float(sizes @ sizes)
    while slope(upper) < 0:
        upper *= 2
    t = float(brentq(slope, 0.0, upper, xtol=1e-12, rtol=1e-12))
    exponents = t * sizes
    cumulant = float((exponents + np.log1p(np.exp(-2 * exponents))).sum()) - sizes.size * np.log(2)
    narrowed = sizes / np.cosh(np.minimum(exponents, 300.0))
    r = np.sqrt(max(2 * (t * at - cumulant), 0.0))
    step = t if span == 0 else 2 / span * np.sinh(span * t / 2)
    u = step * np.sqrt(float(narrowed @ narrowed))
    if r < 1e-4:  # the two large terms below cancel
        return float(ndtr(-r))
    density = np.exp(-r * r / 2) / np.sqrt(2 * np.pi)
    return float(np.clip(ndtr(-r) + density * (1 / u - 1 / r), 0.0, 0.5))
