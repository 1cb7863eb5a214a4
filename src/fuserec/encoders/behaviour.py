"""Behaviour as features: how much, how well, how often and how lately; of a moment, from what came before it.

Nothing of a row's own event, and nothing that came after it, is in its features: statistics of an item count events
strictly earlier in time, statistics of a user the rows before in the user's own order. Means are held back towards 0
by :data:`DAMPING` events of average kind (ordered target statistics: Prokhorenkova et al. 2018, "CatBoost: unbiased
boosting with categorical features", section 3).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from fuserec.data.dataset import SECONDS_PER_DAY

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.query import QueryBatch
    from fuserec.types import Arrays

DAMPING = 5.0

USER_STATISTICS = (
    "user: events",
    "user: mean rating",
    "user: spread of ratings",
    "user: mean weight",
    "user: events a day",
    "user: days since the last",
)
ITEM_STATISTICS = (
    "item: events",
    "item: mean rating",
    "item: spread of ratings",
    "item: mean weight",
)
ITEM_TIMES = ("item: days since the last", "item: days since the first", "item: events a day")
"""What each column of statistics says; counts and days as log(1 + x), ratings as differences."""


@dataclass(frozen=True)
class Histories:
    """Events in order, of which spans are looked at.

    Parameters
    ----------
    weights : float32 (n_events,)
    deviations : float32 (n_events,)
        Rating above what the item gets; NaN where there is none.
    days : float64 (n_events,)
        When, in days from anywhere; NaN without time.
    """

    weights: np.ndarray
    deviations: np.ndarray
    days: np.ndarray

    def statistics(self, starts: np.ndarray, ends: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Return float32 (n, 6), :data:`USER_STATISTICS` of events ``starts[i]:ends[i]``, as of ``at[i]`` (days)."""
        n = (ends - starts).astype(np.float64)
        out = np.full((starts.size, len(USER_STATISTICS)), np.nan, np.float32)
        out[:, 0] = np.log1p(n)
        rated = np.isfinite(self.deviations)
        values = np.where(rated, self.deviations, 0.0).astype(np.float64)
        count, total, square = (
            _spans(v, starts, ends) for v in (rated.astype(np.float64), values, values**2)
        )
        out[:, 1], out[:, 2] = _moments(count, total, square)
        out[:, 3] = _spans(self.weights.astype(np.float64), starts, ends) / np.maximum(n, 1.0)
        some = np.flatnonzero(n > 0)
        first, last = self.days[starts[some]], self.days[ends[some] - 1]
        out[some, 4] = np.log1p(n[some] / np.maximum(last - first, 1.0))
        out[some, 5] = np.log1p(np.maximum(at[some] - last, 0.0))
        return out


@dataclass(frozen=True)
class ItemPast:
    """The events of each item in time, for statistics as of any moment.

    Parameters
    ----------
    indptr : int64 (n_items + 1,)
    times : float64 (n_events,)
        Ascending within an item: seconds, or the place within its user's history where the data have no times.
    sums : float64 (n_events + 1, 4)
        Running sums of: rated, rating - mean, its square, weight.
    mean : float
        Of all ratings; 0 without any.
    timed : bool
    """

    indptr: np.ndarray
    times: np.ndarray
    sums: np.ndarray
    mean: float
    timed: bool

    @classmethod
    def of(cls, train: Dataset, timed: bool = True) -> Self:
        """Sort the events of a dataset by item and time; ``timed`` False forgets the times afterwards."""
        rows = train.interactions
        times = moments(train)
        order = np.lexsort((times, rows.item))
        rated = np.isfinite(rows.rating)
        mean = float(rows.rating[rated].mean(dtype=np.float64)) if rated.any() else 0.0
        above = np.where(rated, rows.rating - mean, 0.0).astype(np.float64)
        columns = np.stack(
            [rated.astype(np.float64), above, above**2, rows.weight.astype(np.float64)], axis=1
        )
        sums = np.vstack([np.zeros((1, 4)), np.cumsum(columns[order], axis=0)])
        indptr = np.concatenate([[0], np.cumsum(train.item_counts)]).astype(np.int64)
        return cls(indptr, times[order], sums, mean, timed and train.has_time)

    def statistics(self, items: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Return float32 (n, 4), :data:`ITEM_STATISTICS` of items from their events strictly before ``at``."""
        starts = self.indptr[items]
        ends = self._before(items, at)
        n = (ends - starts).astype(np.float64)
        count, total, square, weight = (self.sums[ends] - self.sums[starts]).T
        out = np.full((items.size, len(ITEM_STATISTICS)), np.nan, np.float32)
        out[:, 0] = np.log1p(n)
        out[:, 1], out[:, 2] = _moments(count, total, square)
        out[:, 3] = weight / np.maximum(n, 1.0)
        return out

    def times_at(self, items: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Return float32 (n, 3), :data:`ITEM_TIMES` of items from their events strictly before ``at``."""
        counts = self._before(items, at) - self.indptr[items]
        return item_times(counts, *self.edges(items, at), at)

    def edges(self, items: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return float64 (n,), (n,): the first and the last moment strictly before ``at``; NaN where there is none."""
        starts, ends = self.indptr[items], self._before(items, at)
        found = (ends > starts) & self.timed
        first, last = np.full(items.size, np.nan), np.full(items.size, np.nan)
        first[found], last[found] = self.times[starts[found]], self.times[ends[found] - 1]
        return first, last

    def deviations(self, items: np.ndarray, ratings: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Return float32 (n,): ratings above the mean and what the item was given before ``at``."""
        usual = self.statistics(items, at)[:, 1]
        return np.asarray(ratings - np.float32(self.mean) - usual, dtype=np.float32)

    def _before(self, items: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Return int64 (n,): the end of the events of each item strictly before its moment, by bisection."""
        lo, hi = self.indptr[items].copy(), self.indptr[items + 1].copy()
        while (open_ := lo < hi).any():
            middle = (lo + hi) // 2
            earlier = open_ & (self.times[np.where(open_, middle, 0)] < at)
            lo, hi = np.where(earlier, middle + 1, lo), np.where(open_ & ~earlier, middle, hi)
        ends: np.ndarray = lo
        return ends


@dataclass(frozen=True)
class ItemSummary:
    """What is known of every item when training ends.

    Parameters
    ----------
    statistics : float32 (n_items, 4)
    first, last : float64 (n_items,)
        Unix seconds; NaN without.
    mean : float
    """

    statistics: np.ndarray
    first: np.ndarray
    last: np.ndarray
    mean: float

    @classmethod
    def of(cls, past: ItemPast) -> Self:
        """Return the statistics after the last event."""
        items = np.arange(past.indptr.size - 1)
        end = np.full(items.size, np.nextafter(past.times.max(initial=0.0), np.inf))
        return cls(past.statistics(items, end), *past.edges(items, end), past.mean)

    def times(self, items: np.ndarray | None, at: np.ndarray) -> np.ndarray:
        """Return float32 (n, m, 3), :data:`ITEM_TIMES` at the moments (n,) for ``items`` None, (m,) or (n, m)."""
        counts = np.expm1(self.statistics[:, 0])
        if items is None:
            return item_times(counts, self.first, self.last, at[:, None])
        return item_times(counts[items], self.first[items], self.last[items], at[:, None])

    def deviations(self, q: QueryBatch) -> np.ndarray:
        """Return float32 (n_events,): ratings of the queries above the mean and what the item is given."""
        return np.asarray(q.ratings - np.float32(self.mean) - self.statistics[q.items, 1], dtype=np.float32)

    def arrays(self) -> Arrays:
        """Return the arrays."""
        return {"statistics": self.statistics, "first": self.first, "last": self.last}

    @classmethod
    def from_state(cls, arrays: Mapping[str, np.ndarray], mean: float) -> Self:
        """Rebuild."""
        return cls(arrays["statistics"], arrays["first"], arrays["last"], mean)


def item_times(counts: np.ndarray, first: np.ndarray, last: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return float32 (..., 3), :data:`ITEM_TIMES`: log(1 + x) of each; NaN without time."""
    since_last, since_first = (np.maximum(at - moment, 0.0) / SECONDS_PER_DAY for moment in (last, first))
    often = counts / np.maximum(since_first, 1.0)
    both = np.stack(np.broadcast_arrays(since_last, since_first, often), axis=-1)
    times: np.ndarray = np.log1p(both).astype(np.float32)
    return times


def moments(train: Dataset) -> np.ndarray:
    """Return float64 (n,): the time of each row; its place within the user's history where the data have no times."""
    if train.has_time:
        return train.interactions.time
    lengths = np.diff(train.indptr)
    places: np.ndarray = np.arange(train.n_interactions) - np.repeat(train.indptr[:-1], lengths)
    return places.astype(np.float64)


def _spans(values: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Return the sums of values over spans."""
    running = np.concatenate([[0.0], np.cumsum(values)])
    sums: np.ndarray = running[ends] - running[starts]
    return sums


def _moments(count: np.ndarray, total: np.ndarray, square: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the damped mean, and the spread of what is rated at least twice (else NaN)."""
    mean = total / np.maximum(count, 1.0)
    spread = np.sqrt(np.maximum(square / np.maximum(count, 1.0) - mean**2, 0.0))
    return total / (count + DAMPING), np.where(count >= 2, spread, np.nan)
