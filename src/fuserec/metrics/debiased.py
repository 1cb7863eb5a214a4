"""Accuracy as it would be if every item had been as likely to be seen: inverse-propensity estimates.

What users took is what they were shown, mostly popular items, so that held-out targets over-state popular tastes. A
target that had a small chance (propensity) of being observed stands for many that were not. Weights are 1 / propensity,
clipped, and the sums are self-normalised (SNIPS): Yang, Cui, Xuan, Wang, Belongie, Estrin (2018), Unbiased offline
recommender evaluation for missing-not-at-random implicit feedback, equation 5; Swaminathan, Joachims (2015), The
self-normalized estimator for counterfactual learning. The sums run over the targets of all users together: within a
single user with one target the weight would cancel.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fuserec.errors import DataError, RequestError
from fuserec.metrics.definitions import Definition
from fuserec.metrics.grouping import group_sums
from fuserec.metrics.targets import chance_within, mean_discount

FloatArray = npt.NDArray[np.float64]


def popularity_propensities(
    item_counts: npt.ArrayLike, exponent: float = 0.5, floor: float = 0.05
) -> FloatArray:
    """Return (n_i / max n) ** exponent, at least ``floor``: float64 (n_items,).

    Source: Saito, Yaginuma, Nishino, Sakata, Nakata (2020), Unbiased recommender learning from missing-not-at-random
    implicit feedback, section 5, with exponent 0.5; Yang et al. (2018), equation 8, where it is (γ + 1) / 2 for a
    catalogue whose popularity follows a power law of exponent γ.

    Examples
    --------
    >>> popularity_propensities([100, 25, 0]).tolist()
    [1.0, 0.5, 0.05]
    """
    counts = np.asarray(item_counts, np.float64)
    if not 0 < floor <= 1:
        raise RequestError(f"the floor of propensities lies above 0 and up to 1, got {floor}")
    if exponent < 0:
        raise RequestError(f"the exponent of propensities is at least 0, got {exponent}")
    return np.maximum((counts / max(1.0, float(counts.max(initial=0.0)))) ** exponent, floor)


def weighted_recall(
    rank: npt.ArrayLike,
    propensity: npt.ArrayLike,
    query: npt.ArrayLike,
    n_queries: int,
    k: int,
    tied: npt.ArrayLike | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Return what each user adds to sum(w · found) and to sum(w), w = 1 / propensity: float64 (n_queries,) each.

    Their ratio is the debiased recall: 0 to 1, higher is better; with equal propensities it is recall pooled over
    targets.

    Parameters
    ----------
    rank : float (n_targets,)
        1-based; infinite where a target is in no list.
    propensity : float (n_targets,)
        In (0, 1]; NaN where it is not known: the target takes no part.
    query : int (n_targets,)
        Whose target it is.
    n_queries, k : int
    tied : int (n_targets,), optional
        How many candidates have the target's score, as for :func:`~fuserec.metrics.targets.chance_within`.

    Examples
    --------
    Of one user's targets the popular one is found, the one with a quarter of the chance is not: 1 of 1 + 4.

    >>> above, below = weighted_recall([1, 9], [1.0, 0.25], [0, 0], 1, 5)
    >>> (above / below).tolist()
    [0.2]
    """
    known, weight, who = _checked(propensity, query, k)
    found = chance_within(rank, k, tied)[known]
    return group_sums(weight * found, who, n_queries), group_sums(weight, who, n_queries)


def weighted_ndcg(
    rank: npt.ArrayLike,
    propensity: npt.ArrayLike,
    query: npt.ArrayLike,
    n_queries: int,
    k: int,
    tied: npt.ArrayLike | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Return each user's weighted discounted gain within k, and that of their best list: float64 (n_queries,) each.

    The best list has the targets on top, heaviest first. Their ratio is the debiased NDCG: 0 to 1, higher is better.
    Parameters as for :func:`weighted_recall`.

    Examples
    --------
    The heavy target (weight 4) stands second, the light one (1) first: (1 + 4 · 0.63093) / (4 + 0.63093).

    >>> above, below = weighted_ndcg([1, 2], [1.0, 0.25], [0, 0], 1, 5)
    >>> (above / below).round(5).tolist()
    [0.76091]
    """
    known, weight, who = _checked(propensity, query, k)
    gains = weight * mean_discount(rank, k, tied)[known]
    order = np.lexsort((-weight, who))
    starts = np.concatenate(([0], np.cumsum(np.bincount(who, minlength=n_queries))))
    place = np.empty(who.size, np.int64)
    place[order] = np.arange(who.size) - starts[who[order]] + 1
    ideal = np.where(place <= k, weight / np.log2(1 + place), 0.0)
    return group_sums(gains, who, n_queries), group_sums(ideal, who, n_queries)


def _checked(
    propensity: npt.ArrayLike, query: npt.ArrayLike, k: int
) -> tuple[npt.NDArray[np.bool_], FloatArray, npt.NDArray[np.int64]]:
    """Return which propensities are known, and the weights and queries of those targets."""
    if k < 1:
        raise RequestError(f"a metric at k needs k of at least 1, got {k}")
    chance = np.asarray(propensity, np.float64)
    known = ~np.isnan(chance)
    if ((chance[known] <= 0) | (chance[known] > 1)).any():
        raise DataError("propensities are chances above 0 and up to 1: clip them with a floor")
    return known, 1 / chance[known], np.asarray(query, np.int64)[known]


DEFINITIONS: dict[str, Definition] = {
    "ips_recall": Definition(
        "Recall, debiased",
        "Recall within the first {k} as if every item had been as likely to be seen (inverse propensity, "
        "self-normalised).",
        "higher",
        0,
        1,
        "accuracy",
    ),
    "ips_ndcg": Definition(
        "NDCG, debiased",
        "NDCG within the first {k} as if every item had been as likely to be seen (inverse propensity, "
        "self-normalised).",
        "higher",
        0,
        1,
        "accuracy",
    ),
}
"""What each of them means."""
