"""NDCG with graded gains: an item that is liked more is worth more; ties as in :mod:`fuserec.metrics.ranking`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from fuserec.errors import DataError
from fuserec.metrics.definitions import Definition
from fuserec.metrics.grouping import group_sums, ratio
from fuserec.metrics.ranking import discounts
from fuserec.metrics.targets import FloatArray, TargetRanks, target_ranks

__all__ = ["DEFINITIONS", "graded_ndcg", "grades", "linear_ndcg", "target_ranks"]

HIGHEST = 4.0
"""The best grade, as in the judgements that web search is measured by."""


def grades(ratings: npt.ArrayLike, low: float, high: float) -> FloatArray:
    """Return ratings as grades from 0 (the scale's low end) to 4 (its high end); 0 where there is none.

    Examples
    --------
    Stars from 1 to 5 are the grades 0 to 4.

    >>> grades([1, 3, 5, float("nan")], 1, 5).tolist()
    [0.0, 2.0, 4.0, 0.0]
    """
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise DataError(f"grades need a scale with two finite ends in order, got {low} to {high}")
    values = np.asarray(ratings, np.float64)
    share = np.clip((values - low) / (high - low), 0, 1)
    return np.where(np.isnan(values), 0.0, HIGHEST * share)


def graded_ndcg(targets: TargetRanks, k: int) -> FloatArray:
    """NDCG with exponential gains 2^grade - 1: float64 (n_queries,).

    Each target within the first k brings (2^grade - 1) / log2(1 + rank), over that of the best possible list, which
    has the targets on top by falling grade. Range 0 to 1, higher is better; NaN for a query whose targets all have
    grade 0. Source: Burges et al. (2005), Learning to rank using gradient descent, section 6.

    Parameters
    ----------
    targets : TargetRanks
        With the grade of each target as its ``gain``; all are alike, of grade 1, where there is none.
    k : int

    Examples
    --------
    Grade 2 at rank 2, grade 1 at rank 1: (1/1 + 3/1.58496) / (3/1 + 1/1.58496).

    >>> graded_ndcg(target_ranks([0, 2], [2, 1], 20, gain=[2, 1]), 5).round(5).tolist()
    [0.79671]
    """
    return _normalised(targets, np.exp2(_grades(targets)) - 1, k)


def linear_ndcg(targets: TargetRanks, k: int) -> FloatArray:
    """NDCG with linear gains, the grades themselves: float64 (n_queries,).

    Range 0 to 1, higher is better; NaN for a query whose targets all have grade 0. Source: Järvelin, Kekäläinen
    (2002), Cumulated gain-based evaluation of IR techniques, with the discount 1 / log2(1 + rank); ``ndcg_cut`` of
    trec_eval.

    Examples
    --------
    Grade 2 at rank 2, grade 1 at rank 1: (1/1 + 2/1.58496) / (2/1 + 1/1.58496).

    >>> linear_ndcg(target_ranks([0, 2], [2, 1], 20, gain=[2, 1]), 5).round(5).tolist()
    [0.85972]
    """
    return _normalised(targets, _grades(targets), k)


def _grades(targets: TargetRanks) -> FloatArray:
    """Return the grade of each target (n_targets,)."""
    return np.ones(len(targets.rank)) if targets.gain is None else targets.gain


def _normalised(targets: TargetRanks, gains: FloatArray, k: int) -> FloatArray:
    """Return the discounted gain of each query over that of its best list."""
    found = targets.sums(gains * discounts(targets, k))
    order = np.lexsort((-gains, targets.query)) if targets.relevant.max(initial=0) > 1 else slice(None)
    best = np.where(targets.position <= k, gains[order] / np.log2(1 + targets.position), 0.0)
    return ratio(found, group_sums(best, targets.query, targets.n_queries))


GRADED: dict[str, Callable[[TargetRanks, int], FloatArray]] = {
    "graded_ndcg": graded_ndcg,
    "linear_ndcg": linear_ndcg,
}
"""Ranking metrics that need grades, by the name that results carry before the ``@``."""

DEFINITIONS: dict[str, Definition] = {
    "graded_ndcg": Definition(
        "Graded NDCG",
        "As NDCG, but better liked items are worth more: gains 2^grade - 1, first {k}.",
        "higher",
        0,
        1,
        "accuracy",
    ),
    "linear_ndcg": Definition(
        "Linear NDCG",
        "As NDCG, but an item is worth its grade, from 0 to 4, first {k}.",
        "higher",
        0,
        1,
        "accuracy",
    ),
}
"""What each of them means."""
