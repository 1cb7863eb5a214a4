"""Ranks of the targets of every query, ragged, with what is known of ties: what ranking metrics are computed from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from fuserec.errors import DataError
from fuserec.metrics.grouping import group_sums

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


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
    tied : int64 (n_targets,)
        Number of candidates with the target's score, itself among them; 1 where it stands alone or nobody knows.
    above : float64 (n_targets,)
        Number of candidates with a better score than the target.
    gain : float64 (n_targets,) or None
        How relevant each target is, for graded metrics; None where all are alike.
    """

    query: IntArray
    rank: FloatArray
    position: IntArray
    relevant: IntArray
    n_candidates: IntArray
    tied: IntArray
    above: FloatArray
    gain: FloatArray | None = None

    @property
    def n_queries(self) -> int:
        """Return the number of queries, those without a target among them."""
        return len(self.relevant)

    @cached_property
    def ties(self) -> Ties:
        """The targets that share their score with other candidates."""
        at = np.flatnonzero(self.tied > 1)
        query, above = self.query[at], self.above[at]
        starts = np.ones(len(at), bool)
        starts[1:] = (query[1:] != query[:-1]) | (above[1:] != above[:-1])
        first = np.flatnonzero(starts)
        members = np.diff(np.append(first, len(at)))
        place = np.arange(len(at)) - np.repeat(first, members)
        return Ties(at, above.astype(np.int64), self.tied[at], np.repeat(members, members), place)

    def sums(self, values: npt.ArrayLike) -> FloatArray:
        """Sum one value per target (n_targets,) into one per query (n_queries,); an empty query gets 0."""
        return group_sums(values, self.query, self.n_queries)


@dataclass(frozen=True)
class Ties:
    """Targets whose score other candidates have too; one entry each, (n,).

    Attributes
    ----------
    at : int64
        Index of the target.
    above : int64
        Candidates that stand above all that tie.
    size : int64
        Candidates that tie, at least 2.
    members : int64
        Targets of the query among them.
    place : int64
        0 for the first of these targets, 1 for the next, and so on.
    """

    at: IntArray
    above: IntArray
    size: IntArray
    members: IntArray
    place: IntArray

    def __len__(self) -> int:
        return len(self.at)

    def reach(self, k: npt.ArrayLike) -> IntArray:
        """Return how many of the places that tied candidates share are within the first k: 0 to size."""
        reached: IntArray = np.clip(np.asarray(k, np.int64) - self.above, 0, self.size)
        return reached

    def mean(self, prefix: FloatArray, k: npt.ArrayLike) -> FloatArray:
        """Average a value of places over those that each target may take, 0 beyond the first k.

        ``prefix[r]`` is the sum of the value over the places 1 to r.
        """
        last = len(prefix) - 1
        ends = np.minimum(self.above + self.reach(k), last)
        mean: FloatArray = (prefix[ends] - prefix[np.minimum(self.above, ends)]) / self.size
        return mean


def target_ranks(
    indptr: npt.ArrayLike,
    ranks: npt.ArrayLike,
    n_candidates: npt.ArrayLike,
    tied: npt.ArrayLike | None = None,
    gain: npt.ArrayLike | None = None,
) -> TargetRanks:
    """Check ragged ranks and sort them within each query.

    Parameters
    ----------
    indptr : int (n_queries + 1,)
        The targets of query i are ``ranks[indptr[i]:indptr[i + 1]]``.
    ranks : float (n_targets,)
        1-based mean ranks; infinity where a target was not ranked.
    n_candidates : int (n_queries,) or int
        How many candidates were ranked.
    tied : int (n_targets,), optional
        How many candidates have the target's score, itself among them. With it every metric is the expected value
        over all orders of what ties. Without it a mean rank is taken as it is, and targets that tie with each other
        are laid on consecutive ranks around it.
    gain : float (n_targets,), optional
        How relevant each target is, from 0 up.

    Raises
    ------
    DataError
        If the shapes disagree, or a rank is NaN, below 1, above the number of candidates, or in no place that such a
        tie can have; or if a gain is negative or no number.

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
    order = np.lexsort((rank, query)) if relevant.max(initial=0) > 1 else np.arange(len(rank))
    rank = rank[order]
    size = np.ones(len(rank), np.int64) if tied is None else _sizes(rank, np.asarray(tied)[order])
    above = rank - (size + 1) / 2
    position = np.arange(len(rank)) - bounds[query] + 1
    gains = None if gain is None else _gains(gain, len(rank))[order]
    return TargetRanks(query, _spread_ties(query, rank), position, relevant, candidates, size, above, gains)


def chance_within(rank: npt.ArrayLike, k: int, tied: npt.ArrayLike | None = None) -> FloatArray:
    """Return the chance that each target is within the first k: float64 (n_targets,).

    Parameters
    ----------
    rank : float (n_targets,)
        1-based mean ranks, infinite where a target is in no list.
    k : int
    tied : int (n_targets,), optional
        How many candidates have the target's score, itself among them: all their orders are as likely. Without it a
        mean rank is taken as it is.

    Examples
    --------
    Three candidates share the places 1 to 3: a target among them is within the first 2 in two orders of three.

    >>> chance_within([2, 5], 2, [3, 1]).round(5).tolist()
    [0.66667, 0.0]
    """
    ranks = np.asarray(rank, np.float64)
    if tied is None:
        return (ranks <= k).astype(np.float64)
    size = np.asarray(tied, np.float64)
    found: FloatArray = np.clip(k - (ranks - (size + 1) / 2), 0, size) / size
    return found


def mean_discount(rank: npt.ArrayLike, k: int, tied: npt.ArrayLike | None = None) -> FloatArray:
    """Return 1 / log2(1 + rank) of each target, 0 beyond the first k, averaged over the orders of its tie.

    Parameters as for :func:`chance_within`.

    Examples
    --------
    >>> mean_discount([1.5, 3], 3, [2, 1]).round(5).tolist()  # (1 + 0.63093) / 2, and 1 / 2
    [0.81546, 0.5]
    """
    ranks = np.asarray(rank, np.float64)
    if tied is None:
        return np.where(ranks <= k, 1 / np.log2(1 + ranks), 0.0)
    size = np.asarray(tied, np.float64)
    sums = np.concatenate(([0.0], np.cumsum(1 / np.log2(np.arange(2, k + 2)))))
    above = np.minimum(ranks - (size + 1) / 2, k).astype(np.int64)
    found: FloatArray = (sums[np.minimum(above + size, k).astype(np.int64)] - sums[above]) / size
    return found


def _sizes(rank: FloatArray, tied: npt.NDArray[np.integer]) -> IntArray:
    """Return the sizes of ties, 1 for what was not ranked, or refuse those that no ranking has."""
    if tied.shape != rank.shape:
        raise DataError(f"target ranks: {tied.shape} sizes of ties do not match {rank.shape} ranks")
    size = np.where(np.isfinite(rank), tied, 1).astype(np.int64)
    above = np.where(np.isfinite(rank), rank, 1) - (size + 1) / 2
    wrong = (size < 1) | (above < 0) | (above != np.floor(above))
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        raise DataError(f"target ranks: no tie of {tied[at]} candidates has the mean rank {rank[at]}")
    return size


def _gains(gain: npt.ArrayLike, n: int) -> FloatArray:
    """Return gains (n,), or refuse them."""
    values = np.asarray(gain, np.float64)
    if values.shape != (n,) or not (np.isfinite(values) & (values >= 0)).all():
        raise DataError(f"target ranks: gains have to be {n} numbers from 0 up, one a target")
    return values


def _spread_ties(query: IntArray, rank: FloatArray) -> FloatArray:
    """Lay each run of equal finite ranks within one query on consecutive ranks of the same mean."""
    starts = np.ones(len(rank), bool)
    starts[1:] = (query[1:] != query[:-1]) | (rank[1:] != rank[:-1])
    if starts.all():
        return rank
    first = np.flatnonzero(starts)
    length = np.diff(np.append(first, len(rank)))
    within = np.arange(len(rank)) - np.repeat(first, length)
    return rank + within - (np.repeat(length, length) - 1) / 2
