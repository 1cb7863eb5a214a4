"""Accuracy of rankings, computed from the ranks of the targets alone: no function here knows a model.

Conventions, which hold for every metric of this file:

- The rank of a target is 1-based among all candidates of its query (the catalogue less the exclusions).
- Candidates with equal scores may stand in any order. Where the sizes of ties are known, a metric is its expected
  value over all these orders, in closed form (McSherry, Najork, 2008, Computing information retrieval performance
  measures efficiently in the presence of tied scores; average precision and the first of several targets likewise).
  Where only mean ranks are known, a target of mean rank r is within the first k if ``r <= k``, its discount is
  ``1 / log2(1 + r)``, also for a half rank, and targets that tie with each other are laid on consecutive ranks.
- A target that was not ranked at all has rank infinity: relevant, and not found.
- A query without a target has no value: NaN, which the statistics leave out.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from fuserec.errors import RequestError
from fuserec.metrics.auc import auc, gauc, pooled_auc
from fuserec.metrics.definitions import Definition
from fuserec.metrics.grouping import ratio
from fuserec.metrics.targets import FloatArray, IntArray, TargetRanks, target_ranks
from fuserec.numerics.ranks import expected_first

__all__ = [
    "AT_K",
    "DEFINITIONS",
    "WHOLE",
    "TargetRanks",
    "auc",
    "average_precision",
    "discounts",
    "f1",
    "gauc",
    "hit_rate",
    "hits",
    "ndcg",
    "pooled_auc",
    "precision",
    "r_precision",
    "recall",
    "reciprocal_rank",
    "target_ranks",
]


def _checked(k: int) -> int:
    """Return k, or refuse it."""
    if k < 1:
        raise RequestError(f"a metric at k needs k of at least 1, got {k}")
    return int(k)


def _where_relevant(targets: TargetRanks, values: npt.ArrayLike) -> FloatArray:
    """Keep the values (n_queries,) of queries with a target; the others have none (NaN)."""
    return np.where(targets.relevant > 0, np.asarray(values, np.float64), np.nan)


def hits(targets: TargetRanks, k: int) -> FloatArray:
    """Count the targets of each query within the first k: float64 (n_queries,), 0 to min(k, relevant)."""
    return targets.sums(_within(targets, _checked(k)))


def _within(targets: TargetRanks, k: int | IntArray) -> FloatArray:
    """Return the chance that each target is within the first k, k one for all or one a target: (n_targets,)."""
    found = (targets.rank <= k).astype(np.float64)
    ties = targets.ties
    if len(ties):
        found[ties.at] = ties.reach(k if isinstance(k, int) else k[ties.at]) / ties.size
    return found


def _places(targets: TargetRanks, k: int | None) -> FloatArray:
    """Return the places 1 to the last that a tied target within the first k may take."""
    last = int((targets.ties.above + targets.ties.size).max(initial=0))
    return np.arange(1, (last if k is None else min(k, last)) + 1, dtype=np.float64)


def _prefix(values: FloatArray) -> FloatArray:
    """Return the sums of the first 0, 1, 2, ... values."""
    return np.concatenate(([0.0], np.cumsum(values)))


def recall(targets: TargetRanks, k: int) -> FloatArray:
    """Share of a query's targets within the first k: hits / all relevant (not min(k, relevant)).

    Range 0 to 1, higher is better. Source: Manning, Raghavan, Schütze (2008), Introduction to Information
    Retrieval, section 8.4; the ``recall`` of trec_eval.

    Examples
    --------
    Targets at ranks 2, 5 and 9: one of three is within the first 4.

    >>> recall(target_ranks([0, 3], [2, 5, 9], 20), 4).round(4).tolist()
    [0.3333]
    """
    return ratio(hits(targets, k), targets.relevant)


def precision(targets: TargetRanks, k: int) -> FloatArray:
    """Share of the first k places taken by targets: hits / k, also where fewer than k candidates exist.

    Range 0 to 1, higher is better. Source: Manning, Raghavan, Schütze (2008), section 8.4; ``P`` of
    trec_eval.

    Examples
    --------
    Targets at ranks 2, 5 and 9: two of the first 5 places.

    >>> precision(target_ranks([0, 3], [2, 5, 9], 20), 5).tolist()
    [0.4]
    """
    return _where_relevant(targets, hits(targets, k) / k)


def f1(targets: TargetRanks, k: int) -> FloatArray:
    """Harmonic mean of precision and recall at k, which is 2 hits / (k + relevant).

    Range 0 to 1, higher is better. Source: van Rijsbergen (1979), Information Retrieval, chapter 7; Manning,
    Raghavan, Schütze (2008), section 8.3, with equal weights.

    Examples
    --------
    Targets at ranks 2, 5 and 9, k = 5: precision 2/5, recall 2/3, so 4 / 8.

    >>> f1(target_ranks([0, 3], [2, 5, 9], 20), 5).tolist()
    [0.5]
    """
    return _where_relevant(targets, ratio(2 * hits(targets, k), k + targets.relevant))


def r_precision(targets: TargetRanks) -> FloatArray:
    """Share of the first R places taken by targets, R the number of the query's targets.

    Precision and recall are equal there. Range 0 to 1, higher is better. Source: Manning, Raghavan, Schütze (2008),
    section 8.4; ``Rprec`` of trec_eval.

    Examples
    --------
    Targets at ranks 2, 5 and 9: of the first 3 places one.

    >>> r_precision(target_ranks([0, 3], [2, 5, 9], 20)).round(4).tolist()
    [0.3333]
    """
    return ratio(targets.sums(_within(targets, targets.relevant[targets.query])), targets.relevant)


def hit_rate(targets: TargetRanks, k: int) -> FloatArray:
    """Whether at least one target is within the first k (1) or none (0); the mean over users is the hit rate.

    Range 0 to 1, higher is better. With one target a query it equals recall. Source: Karypis (2001),
    Evaluation of item-based top-N recommendation algorithms, section 5.1.

    Examples
    --------
    >>> hit_rate(target_ranks([0, 2, 3], [2, 5, 9], 20), 4).tolist()
    [1.0, 0.0]

    A target that ties with two others at the top is first in one order of three.

    >>> hit_rate(target_ranks([0, 1], [2], 20, tied=[3]), 1).round(5).tolist()
    [0.33333]
    """
    found = _within(targets, _checked(k))
    ties = targets.ties
    if not len(ties):
        return _where_relevant(targets, targets.sums(found) > 0)
    missed = 1 - found
    missed[ties.at] = np.maximum(ties.size - ties.reach(k) - ties.place, 0) / (ties.size - ties.place)
    none = np.ones(targets.n_queries)
    filled = np.flatnonzero(targets.relevant)
    starts = np.concatenate(([0], np.cumsum(targets.relevant)))[filled]
    if len(starts):
        none[filled] = np.multiply.reduceat(missed, starts)
    return _where_relevant(targets, 1 - none)


def ndcg(targets: TargetRanks, k: int) -> FloatArray:
    """Discounted gain of the targets within the first k, over that of the best possible list (binary gains).

    DCG is the sum of 1 / log2(1 + rank) over hits; the ideal list has min(k, relevant) targets on top.
    Range 0 to 1, higher is better. Source: Järvelin, Kekäläinen (2002), Cumulated gain-based evaluation of
    IR techniques, with the log2(1 + rank) discount of Burges et al. (2005), which trec_eval and
    scikit-learn use.

    Examples
    --------
    Targets at ranks 1 and 3, k = 3: (1 + 1/2) / (1 + 1/log2 3) = 1.5 / 1.63093.

    >>> ndcg(target_ranks([0, 2], [1, 3], 20), 3).round(5).tolist()
    [0.91972]
    """
    return ratio(targets.sums(discounts(targets, k)), _ideal(targets.relevant, k))


def discounts(targets: TargetRanks, k: int) -> FloatArray:
    """Return 1 / log2(1 + rank) of each target within the first k, 0 for the others: float64 (n_targets,)."""
    found = np.where(targets.rank <= _checked(k), 1 / np.log2(1 + targets.rank), 0.0)
    ties = targets.ties
    if len(ties):
        found[ties.at] = ties.mean(_prefix(1 / np.log2(1 + _places(targets, k))), k)
    return found


def _ideal(relevant: IntArray, k: int) -> FloatArray:
    """Return the discounted gain of a list with min(k, relevant) targets on top: float64 (n_queries,)."""
    longest = min(k, int(relevant.max(initial=0)))
    best = _prefix(1 / np.log2(np.arange(2, longest + 2)))
    return best[np.minimum(relevant, len(best) - 1)]


def reciprocal_rank(targets: TargetRanks, k: int | None = None) -> FloatArray:
    """One over the rank of the best-ranked target; 0 if that is beyond k. The mean over users is MRR.

    Range 0 to 1, higher is better. Source: Voorhees (1999), The TREC-8 question answering track report.

    Examples
    --------
    >>> reciprocal_rank(target_ranks([0, 2, 3], [4, 8, 2], 20), 3).tolist()
    [0.0, 0.5]
    """
    limit = np.inf if k is None else _checked(k)
    first = targets.position == 1
    terms = np.where(first & (targets.rank <= limit), 1 / targets.rank, 0.0)
    ties = targets.ties
    if len(ties):
        leading = ties.at[first[ties.at]]
        where = np.searchsorted(ties.at, leading)
        reach = ties.reach(int(targets.n_candidates.max()) if k is None else k)[where]
        terms[ties.at] = 0.0
        terms[leading] = expected_first(
            ties.above[where], ties.size[where], ties.members[where], np.ascontiguousarray(reach)
        )
    return _where_relevant(targets, targets.sums(terms))


def average_precision(targets: TargetRanks, k: int | None = None) -> FloatArray:
    """Mean of the precision at the place of each target, 0 for those beyond k; MAP is its mean over users.

    The divisor is the number of relevant items, as for recall and in trec_eval's ``map_cut`` (some
    libraries divide by min(k, relevant)). Range 0 to 1, higher is better. Source: Buckley, Voorhees (2000),
    Evaluating evaluation measure stability, section 2.

    Examples
    --------
    Targets at ranks 1, 4 and 9, k = 5: (1/1 + 2/4 + 0) / 3.

    >>> average_precision(target_ranks([0, 3], [1, 4, 9], 20), 5).tolist()
    [0.5]
    """
    limit = np.inf if k is None else _checked(k)
    terms = np.where(targets.rank <= limit, targets.position / targets.rank, 0.0)
    if len(targets.ties):
        terms[targets.ties.at] = _tied_precision(targets, k)
    return ratio(targets.sums(terms), targets.relevant)


def _tied_precision(targets: TargetRanks, k: int | None) -> FloatArray:
    """Return the expected precision at the place of each target that ties, 0 beyond the first k.

    Of s candidates behind ``above`` others, m are targets, and b targets stand before them all. On place j of the
    tie a target has b + 1 + (j - 1)(m - 1)/(s - 1) targets up to itself, out of above + j items; the sum over j of
    the fraction follows from sums of 1/r.
    """
    ties = targets.ties
    limit = int(targets.n_candidates.max()) if k is None else k
    before = targets.position[ties.at] - ties.place - 1
    inverse = ties.mean(_prefix(1 / _places(targets, k)), limit)
    rest = ties.reach(limit) / ties.size - (ties.above + 1) * inverse
    result: FloatArray = (before + 1) * inverse + (ties.members - 1) / (ties.size - 1) * rest
    return result


AT_K: dict[str, Callable[[TargetRanks, int], FloatArray]] = {
    "recall": recall,
    "precision": precision,
    "f1": f1,
    "hit_rate": hit_rate,
    "ndcg": ndcg,
    "mrr": reciprocal_rank,
    "map": average_precision,
}
"""Ranking metrics that take a k, by the name that results carry before the ``@``."""

WHOLE: dict[str, Callable[[TargetRanks], FloatArray]] = {
    "mrr": reciprocal_rank,
    "r_precision": r_precision,
    "auc": auc,
    "gauc": gauc,
}
"""Ranking metrics over the whole ranking, by the name that results carry."""

DEFINITIONS: dict[str, Definition] = {
    "ndcg": Definition(
        "NDCG",
        "How near to the top the right items stand within the first {k}; lower places count less.",
        "higher",
        0,
        1,
        "accuracy",
    ),
    "recall": Definition(
        "Recall", "Share of a user's right items that are within the first {k}.", "higher", 0, 1, "accuracy"
    ),
    "hit_rate": Definition(
        "Hit rate",
        "Share of users with at least one right item within the first {k}.",
        "higher",
        0,
        1,
        "accuracy",
    ),
    "precision": Definition(
        "Precision", "Share of the first {k} places taken by right items.", "higher", 0, 1, "accuracy"
    ),
    "f1": Definition(
        "F1", "Harmonic mean of precision and recall within the first {k}.", "higher", 0, 1, "accuracy"
    ),
    "mrr": Definition(
        "MRR",
        "One over the place of the first right item (0 beyond the first {k}), averaged over users.",
        "higher",
        0,
        1,
        "accuracy",
    ),
    "map": Definition(
        "MAP",
        "Precision at the place of each right item within the first {k}, averaged over all right items.",
        "higher",
        0,
        1,
        "accuracy",
    ),
    "r_precision": Definition(
        "R-precision",
        "Share of right items within as many places as the user has right items.",
        "higher",
        0,
        1,
        "accuracy",
    ),
    "auc": Definition(
        "AUC",
        "Chance that a right item is ranked above any other item of the catalogue; 0.5 is chance.",
        "higher",
        0,
        1,
        "accuracy",
    ),
    "gauc": Definition(
        "GAUC",
        "AUC within each user, averaged with the number of right items as weight; 0.5 is chance.",
        "higher",
        0,
        1,
        "accuracy",
    ),
}
"""What each of them means."""
