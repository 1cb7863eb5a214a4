"""Whether lists stay the same where nothing but the seed has changed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fuserec.errors import DataError, RequestError
from fuserec.metrics.definitions import Definition
from fuserec.metrics.grouping import ratio

FloatArray = npt.NDArray[np.float64]


def jaccard(a: npt.ArrayLike, b: npt.ArrayLike, k: int) -> FloatArray:
    """Items that both lists show over items that either shows, first k: float64 (n_lists,), 0 to 1; NaN for two empty.

    Lists are int (n_lists, width), -1 after the end, without repeats. Source: Jaccard (1901), Distribution de la flore
    alpine.

    Examples
    --------
    >>> jaccard([[1, 2, 3]], [[3, 1, 4]], 3).tolist()
    [0.5]
    """
    left, right = _cut(a, b, k)
    shared = _shared(left, right).sum(axis=1)
    return ratio(shared, (left >= 0).sum(axis=1) + (right >= 0).sum(axis=1) - shared)


def rank_biased_overlap(a: npt.ArrayLike, b: npt.ArrayLike, k: int, p: float = 0.9) -> FloatArray:
    """Overlap of two rankings that counts the top most, extrapolated from depth k: float64 (n_lists,), 0 to 1.

    RBO_ext = A_k p^k + (1 - p) / p · sum over d of A_d p^d, A_d the share of the first d places in common. Lists that
    end before k are taken to have nothing in common beyond. Source: Webber, Moffat, Zobel (2010), A similarity measure
    for indefinite rankings, equation 30 (lists of equal length).

    Examples
    --------
    Equal lists have 1. Two that swap their two items agree on nothing at depth 1 and on all at depth 2:
    0.9² + (0.1 / 0.9) · 0.9² = 0.9.

    >>> rank_biased_overlap([[1, 2], [1, 2]], [[1, 2], [2, 1]], 2).round(6).tolist()
    [1.0, 0.9]
    """
    if not 0 < p < 1:
        raise RequestError(f"rank-biased overlap needs a persistence between 0 and 1, got {p}")
    left, right = _cut(a, b, k)
    equal = (left[:, :, None] == right[:, None, :]) & (left >= 0)[:, :, None]
    depth = np.arange(1, left.shape[1] + 1)
    later = np.maximum(
        depth[:, None], depth[None, :]
    )  # the depth from which on both places are within the lists
    agreed = np.stack([(equal & (later <= d)).sum(axis=(1, 2)) / d for d in depth], axis=1)
    found = agreed[:, -1] * p ** depth[-1] + (1 - p) / p * (agreed * p**depth).sum(axis=1)
    return np.where(((left >= 0) | (right >= 0)).any(axis=1), np.minimum(found, 1.0), np.nan)


def _cut(a: npt.ArrayLike, b: npt.ArrayLike, k: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return both lists cut to k, or refuse them."""
    if k < 1:
        raise RequestError(f"a metric at k needs k of at least 1, got {k}")
    left, right = np.asarray(a, np.int64), np.asarray(b, np.int64)
    if left.shape != right.shape or left.ndim != 2:
        raise DataError(
            f"overlap needs two lists for the same queries, got shapes {left.shape} and {right.shape}"
        )
    return left[:, :k], right[:, :k]


def _shared(left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Return bool (n, k): which items of the left list the right one holds."""
    found: npt.NDArray[np.bool_] = (left[:, :, None] == right[:, None, :]).any(axis=2) & (left >= 0)
    return found


DEFINITIONS: dict[str, Definition] = {
    "seed_overlap": Definition(
        "Overlap between seeds",
        "Share of items that the first {k} of two seeds have in common (Jaccard), over all pairs of seeds.",
        "higher",
        0,
        1,
        "stability",
    ),
    "seed_rbo": Definition(
        "Agreement between seeds",
        "Rank-biased overlap of the first {k} of two seeds, where the top counts most, over all pairs of seeds.",
        "higher",
        0,
        1,
        "stability",
    ),
    "seed_spread": Definition(
        "NDCG between seeds",
        "Standard deviation of NDCG at {k} over the seeds.",
        "lower",
        0,
        1,
        "stability",
    ),
}
"""What each of them means."""
