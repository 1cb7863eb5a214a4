"""What was shown and not taken: how tired somebody is of an item, and how often it was shown lately."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fuserec.data.dataset import SECONDS_PER_DAY
from fuserec.data.impressions import Impressions
from fuserec.errors import RequestError

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset

MAX_SHOWN = 100_000
"""Showings that one call may bring."""

FAR = 1e11
"""Unix seconds of no moment of ours: who sends more means milliseconds."""


@dataclass(frozen=True)
class Showings:
    """Items that were shown to one person, in any order.

    Parameters
    ----------
    items : int64 (n,)
    times : float64 (n,)
        Unix seconds; NaN where there is none, which counts as just now.
    """

    items: np.ndarray
    times: np.ndarray

    @classmethod
    def none(cls) -> Showings:
        """Return no showings."""
        return cls(np.empty(0, np.int64), np.empty(0))

    def joined(self, other: Showings) -> Showings:
        """Return both together."""
        return Showings(np.concatenate([self.items, other.items]), np.concatenate([self.times, other.times]))

    def ages(self, at: float) -> np.ndarray:
        """Return float64 (n,): days before a moment, 0 where no time is known, infinite for what came later."""
        now = at
        if not np.isfinite(now):
            known = self.times[np.isfinite(self.times)]
            now = float(known.max()) if known.size else 0.0
        ages = (now - self.times) / SECONDS_PER_DAY
        return np.where(np.isfinite(ages), np.where(ages >= 0, ages, np.inf), 0.0)

    def tiredness(self, at: float, half_life: float, n_items: int) -> np.ndarray:
        """Return float32 (n_items,), 0 to 1: 1 - exp(-Σ 2^(-age / half-life)) over the showings of each item."""
        fresh = np.exp2(-self.ages(at) / half_life)
        return np.asarray(1 - np.exp(-np.bincount(self.items, fresh, minlength=n_items)), np.float32)

    def counts(self, at: float, days: float, n_items: int) -> np.ndarray:
        """Return int64 (n_items,): how often each item was shown within so many days before a moment."""
        return np.bincount(self.items[self.ages(at) <= days], minlength=n_items)


@dataclass(frozen=True)
class ShownIndex:
    """The stored impressions by user."""

    starts: np.ndarray
    items: np.ndarray
    times: np.ndarray

    @classmethod
    def of(cls, dataset: Dataset) -> ShownIndex:
        """Return the impressions of stored users, sorted by user."""
        rows = Impressions.of(dataset)
        kept = np.flatnonzero(rows.user >= 0)
        order = kept[np.argsort(rows.user[kept], kind="stable")]
        counts = np.bincount(rows.user[kept], minlength=dataset.n_users)
        return cls(
            np.concatenate([[0], np.cumsum(counts)]), rows.item[order].astype(np.int64), rows.time[order]
        )

    def to(self, user: int) -> Showings:
        """Return what was shown to a stored user; -1 is nobody."""
        if user < 0:
            return Showings.none()
        span = slice(int(self.starts[user]), int(self.starts[user + 1]))
        return Showings(self.items[span], self.times[span])


def showings(given: Sequence[str | tuple[str, float]], dataset: Dataset) -> tuple[Showings, list[str]]:
    """Return what a call says was shown, and the ids among it that are unknown.

    Parameters
    ----------
    given : sequence of item id, or (item id, unix seconds)
    dataset : Dataset

    Raises
    ------
    RequestError
        For anything else, or a moment that is none.
    """
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise RequestError("shown: has to be a list of item ids or of pairs (item id, unix seconds)")
    pairs = [_pair(one) for one in given]
    if len(pairs) > MAX_SHOWN:
        raise RequestError(
            f"shown: {len(pairs):,} showings, at most {MAX_SHOWN:,} are taken; send the newest"
        )
    ids = [item for item, _ in pairs]
    indices = dataset.items.indices(ids).astype(np.int64)
    times = np.array([time for _, time in pairs], dtype=np.float64)
    known = indices >= 0
    unknown = [item for item, index in zip(ids, indices, strict=True) if index < 0]
    return Showings(indices[known], times[known]), unknown


def _pair(one: Any) -> tuple[str, float]:
    """Return item and time of one showing, NaN without a time."""
    item, time = (
        (one, float("nan"))
        if isinstance(one, str)
        else (*one, None, None)[:2]
        if _is_pair(one)
        else (None, None)
    )
    if not isinstance(item, str) or isinstance(time, bool) or not isinstance(time, int | float):
        raise RequestError(
            f"shown: {' '.join(repr(one).split())[:60]}: write an item id, or a pair (item id, unix seconds)"
        )
    if abs(time) > FAR:
        raise RequestError(
            f"shown: {time:g} of {item[:60]!r} is no moment in unix seconds (milliseconds, perhaps)"
        )
    return item.encode("utf-8", "replace").decode("utf-8"), float(time)


def _is_pair(one: Any) -> bool:
    """Return whether something is a pair."""
    return isinstance(one, tuple | list) and len(one) == 2
