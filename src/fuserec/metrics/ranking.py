"""Accuracy of rankings, computed from the ranks of the targets alone: no function here knows a model.

Conventions, which hold for every metric of this file:

- The rank of a target is 1-based among all candidates of its query (the catalogue less the exclusions).
  Candidates with equal scores share the *mean* of the ranks they take, so a rank may end in one half.
- A target of rank r is within the first k if ``r <= k``; its discount is ``1 / log2(1 + r)``, also for a
  half rank.
- Targets of one query that tie with each other are laid on consecutive ranks around their common mean rank.
  The sum of ranks is kept, and at most k targets are within the first k, so that every metric stays within
  its range.
- A target that was not ranked at all has rank infinity: relevant, and not found.
- A query without a target has no value: NaN, which the statistics leave out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fuserec.errors import DataError, RequestError
from fuserec.metrics.definitions import Definition
from fuserec.metrics.grouping import group_sums, ratio

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TargetRanks:
    """Ranks of the targets of every query, ragged; make it with :func:`target_ranks`.

    Attributes
    ----------
    query : int64 (n_targets,)
        The query each target belongs to, ascending.
    rank : float64 (n_targets,)
        The rank of each target, ascending within a query and distinct within it unless infinite.
    position : int64 (n_targets,)
        1 for a query's best-ranked target, 2 for the next, and so on.
    relevant : int64 (n_queries,)
        Number of targets of each query.
    n_candidates : int64 (n_queries,)
        Number of candidates that were ranked for each query, its targets among them.
    """

    query: npt.NDArray[np.int64]
    rank: FloatArray
    position: npt.NDArray[np.int64]
    relevant: npt.NDArray[np.int64]
    n_candidates: npt.NDArray[np.int64]

    @property
    def n_queries(self) -> int:
        """Return the number of queries, those without a target among them."""
        return len(self.relevant)

    def sums(self, values: npt.ArrayLike) -> FloatArray:
        """Sum one value per target (n_targets,) into one per query (n_queries,); an empty query gets 0."""
        return group_sums(values, self.query, self.n_queries)


def target_ranks(indptr: npt.ArrayLike, ranks: npt.ArrayLike, n_candidates: npt.ArrayLike) -> TargetRanks:
    """Check ragged ranks, sort them within each query, and lay tied targets on consecutive ranks.

    Parameters
    ----------
    indptr : int (n_queries + 1,)
        The targets of query i are ``ranks[indptr[i]:indptr[i + 1]]``.
    ranks : float (n_targets,)
        1-based mean ranks; infinity where a target was not ranked.
    n_candidates : int (n_queries,) or int
        How many candidates were ranked.

    Raises
    ------
    DataError
        If the shapes disagree, or a rank is NaN, below 1, or above the number of candidates.

    Examples
    --------
    Two targets of one query tie at the mean rank 1.5: they take the ranks 1 and 2.

    >>> target_ranks([0, 2], [1.5, 1.5], 10).rank.tolist()
    [1.0, 2.0]
    """
    bounds = np.asarray(indptr, np.int64)
    rank = np.array(ranks, np.float64)
    if (
        bounds.ndim != 1
        or len(bounds) < 1
        or bounds[0] != 0
        or bounds[-1] != len(rank)
        or (np.diff(bounds) < 0).any()
    ):
        raise DataError(f"target ranks: indptr has to rise from 0 to the number of ranks ({len(rank)})")
    relevant = np.diff(bounds)
    candidates = np.broadcast_to(np.asarray(n_candidates, np.int64), relevant.shape)
    query = np.repeat(np.arange(len(relevant)), relevant)
    out_of_range = ~(rank >= 1) | (np.isfinite(rank) & (rank > candidates[query]))
    if out_of_range.any():
        at = int(np.flatnonzero(out_of_range)[0])
        raise DataError(
            f"target ranks: rank {rank[at]} of query {query[at]} is outside 1 to {candidates[query[at]]}"
        )
    order = np.lexsort((rank, query))
    rank = rank[order]
    position = np.arange(len(rank)) - bounds[query] + 1
    return TargetRanks(query, _spread_ties(query, rank), position, relevant, candidates)


def _spread_ties(query: npt.NDArray[np.int64], rank: FloatArray) -> FloatArray:
    """Lay each run of equal finite ranks within one query on consecutive ranks of the same mean."""
    starts = np.ones(len(rank), bool)
    starts[1:] = (query[1:] != query[:-1]) | (rank[1:] != rank[:-1])
    first = np.flatnonzero(starts)
    length = np.diff(np.append(first, len(rank)))
    within = np.arange(len(rank)) - np.repeat(first, length)
    return rank + within - (np.repeat(length, length) - 1) / 2


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
    return targets.sums(targets.rank <= _checked(k))


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


def hit_rate(targets: TargetRanks, k: int) -> FloatArray:
    """Whether at least one target is within the first k (1) or none (0); the mean over users is the hit rate.

    Range 0 to 1, higher is better. With one target a query it equals recall. Source: Karypis (2001),
    Evaluation of item-based top-N recommendation algorithms, section 5.1.

    Examples
    --------
    >>> hit_rate(target_ranks([0, 2, 3], [2, 5, 9], 20), 4).tolist()
    [1.0, 0.0]
    """
    return _where_relevant(targets, hits(targets, k) > 0)


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
    gains = np.where(targets.rank <= _checked(k), 1 / np.log2(1 + targets.rank), 0.0)
    longest = int(targets.relevant.max(initial=0))
    ideal = np.concatenate(([0.0], np.cumsum(1 / np.log2(np.arange(2, min(k, longest) + 2)))))
    best = ideal[np.minimum(targets.relevant, len(ideal) - 1)]
    return ratio(targets.sums(gains), best)


def reciprocal_rank(targets: TargetRanks, k: int | None = None) -> FloatArray:
    """One over the rank of the best-ranked target; 0 if that is beyond k. The mean over users is MRR.

    Range 0 to 1, higher is better. Source: Voorhees (1999), The TREC-8 question answering track report.

    Examples
    --------
    >>> reciprocal_rank(target_ranks([0, 2, 3], [4, 8, 2], 20), 3).tolist()
    [0.0, 0.5]
    """
    limit = np.inf if k is None else _checked(k)
    counts = (targets.position == 1) & (targets.rank <= limit)
    return _where_relevant(targets, targets.sums(counts / targets.rank))


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
    return ratio(targets.sums(terms), targets.relevant)


def auc(targets: TargetRanks) -> FloatArray:
    """Chance that a target of the query is ranked above one of its other candidates, ties counted one half.

    With T targets among n candidates: 1 - (sum of ranks - T(T + 1)/2) / (T (n - T)), the Mann-Whitney
    statistic; a target that was not ranked is put last. Range 0 to 1, 0.5 is chance, higher is better; NaN
    where all candidates are targets. Source: Hanley, McNeil (1982), The meaning and use of the area under a
    ROC curve, equation 1.

    Examples
    --------
    Targets at ranks 1 and 4 of 5: of 2 x 3 pairs, 3 + 1 are in the right order.

    >>> auc(target_ranks([0, 2], [1, 4], 5)).round(5).tolist()
    [0.66667]
    """
    last = targets.n_candidates[targets.query] - targets.relevant[targets.query] + targets.position
    above = np.where(np.isfinite(targets.rank), targets.rank, last) - targets.position
    pairs = targets.relevant * (targets.n_candidates - targets.relevant)
    return 1 - ratio(targets.sums(above), pairs)


AT_K: dict[str, Callable[[TargetRanks, int], FloatArray]] = {
    "recall": recall,
    "precision": precision,
    "hit_rate": hit_rate,
    "ndcg": ndcg,
    "mrr": reciprocal_rank,
    "map": average_precision,
}
"""Ranking metrics that take a k, by the name that results carry before the ``@``."""

WHOLE: dict[str, Callable[[TargetRanks], FloatArray]] = {"mrr": reciprocal_rank, "auc": auc}
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
    "auc": Definition(
        "AUC",
        "Chance that a right item is ranked above any other item of the catalogue; 0.5 is chance.",
        "higher",
        0,
        1,
        "accuracy",
    ),
}
"""What each of them means."""
