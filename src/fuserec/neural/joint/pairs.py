"""The pairs P of joint training: who, at which point of a history, which item, and what came of it.

A history is read up to the pair's own moment (or without the pair's own event), never with the item itself: what
training asks for must not stand in the user it is asked of.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np

from fuserec.data.impressions import Impressions
from fuserec.neural.semantic.examples import Bags, Reading, strengths

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset


@dataclass(frozen=True)
class Histories:
    """Events of all users, one after the other, oldest first.

    Parameters
    ----------
    items : int64 (n_events,)
    weights : float32 (n_events,)
    words : int64 (n_events,)
        The row of the words that were known at each event; -1 for none.
    hidden : bool (n_events,)
        Held out: part of no user that is learnt from.
    """

    items: np.ndarray
    weights: np.ndarray
    words: np.ndarray
    hidden: np.ndarray


@dataclass(frozen=True)
class Pairs:
    """Pairs of a user at a moment and an item.

    Parameters
    ----------
    user : int64 (n,)
        -1 for somebody without any event.
    item : int64 (n,)
    lo, place, hi : int64 (n,)
        Events ``lo:hi`` may be read; those from ``place`` on came later (or are the pair's own).
    label : float32 (n,)
        r in [0, 1]: 1 for what was liked, 0 for what was disliked; of an impression its reward.
    weight : float32 (n,)
        How much the pair counts.
    rating : float32 (n,)
        NaN where there is none.
    propensity : float32 (n,)
        How probable it was that the item was shown; NaN where nobody knows.
    words : int64 (n,)
    """

    user: np.ndarray
    item: np.ndarray
    lo: np.ndarray
    place: np.ndarray
    hi: np.ndarray
    label: np.ndarray
    weight: np.ndarray
    rating: np.ndarray
    propensity: np.ndarray
    words: np.ndarray

    def __len__(self) -> int:
        return self.item.size

    def take(self, rows: np.ndarray) -> Pairs:
        """Return some pairs (indices or a mask)."""
        return Pairs(*(getattr(self, each.name)[rows] for each in fields(self)))

    def bags(self, histories: Histories, reading: Reading, *, shown: bool = False) -> Bags:
        """Return what each pair's user is made of, never an event of the pair's own item.

        Parameters
        ----------
        histories : Histories
        reading : Reading
        shown : bool
            Whether hidden events are read too: for pairs that are judged, not learnt from.
        """
        lo = np.maximum(self.lo, self.place - reading.length)
        hi = np.minimum(self.hi, self.place + reading.length + 1)
        counts = np.maximum(hi - lo, 0)
        rows = np.repeat(np.arange(len(self)), counts)
        events = np.arange(rows.size) + np.repeat(lo - (np.cumsum(counts) - counts), counts)
        kept = histories.items[events] != self.item[rows]
        if not shown:
            kept &= ~histories.hidden[events]
        rows, events = rows[kept], events[kept]
        away = self.place[rows] - events
        steps = np.where(away > 0, away - 1, np.maximum(-away - 1, 0))
        values = strengths(histories.weights[events], steps, rows, reading)
        indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(self)))]).astype(np.int64)
        return Bags(indptr, histories.items[events], values)


def interaction_pairs(data: Dataset, words: np.ndarray, context: str) -> Pairs:
    """Return a pair for every event that says something and is the first one of its item in a history.

    Events of positive weight have r = 1, of negative weight r = 0; how much a pair counts is the size of its weight,
    relative to the mean. People's only events stay: of somebody without a history u is what all people share.
    """
    rows = data.interactions
    key = rows.user.astype(np.int64) * data.n_items + rows.item
    first = np.zeros(key.size, dtype=bool)
    first[np.unique(key, return_index=True)[1]] = True
    at = np.flatnonzero(first & (rows.weight != 0))
    user = rows.user[at].astype(np.int64)
    size = np.abs(rows.weight[at])
    return Pairs(
        user,
        rows.item[at].astype(np.int64),
        data.indptr[user],
        at,
        at if context == "earlier" else data.indptr[user + 1],
        (rows.weight[at] > 0).astype(np.float32),
        (size / max(float(size.mean(dtype=np.float64)), 1e-12) if at.size else size).astype(np.float32),
        rows.rating[at],
        np.full(at.size, np.nan, np.float32),
        words[at],
    )


def impression_pairs(data: Dataset, words: np.ndarray) -> Pairs:
    """Return a pair for every impression whose reward is known.

    The user of one is what the history held before its moment; without a moment the whole history but the item.
    """
    shown = Impressions.of(data)
    known = np.isfinite(shown.reward)
    user, item, time = shown.user[known].astype(np.int64), shown.item[known], shown.time[known]
    named = np.maximum(user, 0)
    lo = np.where(user >= 0, data.indptr[named], 0)
    end = np.where(user >= 0, data.indptr[named + 1], 0) if data.n_users else lo
    place = np.where(np.isfinite(time), _before(data, user, time, lo), end)
    said = np.where(place > lo, place - 1, 0)
    n = user.size
    return Pairs(
        user,
        item.astype(np.int64),
        lo,
        place,
        place,
        np.clip(shown.reward[known], 0.0, 1.0).astype(np.float32),
        np.ones(n, np.float32),
        np.full(n, np.nan, np.float32),
        shown.propensity[known].astype(np.float32),
        np.where(place > lo, words[said], -1) if words.size else np.full(n, -1, np.int64),
    )


def _before(data: Dataset, user: np.ndarray, time: np.ndarray, lo: np.ndarray) -> np.ndarray:
    """Return int64 (n,): where the events of each user begin that are not earlier than a moment."""
    rows = data.interactions
    own = np.concatenate([rows.user.astype(np.int64), user])
    moment = np.concatenate([np.nan_to_num(rows.time, nan=-np.inf), time])
    asked = np.arange(own.size) >= len(rows)
    order = np.lexsort(
        (~asked, moment, own)
    )  # at one moment the impression comes first: the event is not past
    count = np.empty(own.size, np.int64)
    count[order] = np.cumsum(~asked[order])
    return np.where(user >= 0, np.maximum(count[len(rows) :], lo), lo)


def kept_apart(
    pairs: Pairs, shown: Pairs, histories: Histories, data: Dataset, most: int, order: np.ndarray
) -> tuple[Pairs, Pairs, Pairs, Histories]:
    """Return (pairs, impressions, held-out pairs, histories): the last liked events of a few people are held out.

    Those events are part of no user that is learnt from, nor are impressions of these people from then on. Whose they
    are is a matter of ``order`` (n_users,), of the users' hashes; at most a tenth of the people, and nothing that is
    the only pair of its item.
    """
    last = (pairs.place == data.indptr[pairs.user + 1] - 1) & (pairs.place > pairs.lo) & (pairs.label > 0)
    able = np.flatnonzero(last)
    chosen = able[np.argsort(order[pairs.user[able]], kind="stable")[: min(most, able.size // 10)]]
    counts = np.bincount(pairs.item, minlength=data.n_items)
    left = counts - np.bincount(pairs.item[chosen], minlength=data.n_items)
    chosen = chosen[left[pairs.item[chosen]] > 0]
    held = np.zeros(len(pairs), dtype=bool)
    held[chosen] = True
    hidden = histories.hidden.copy()
    hidden[pairs.place[chosen]] = True
    cut = np.full(data.n_users + 1, np.iinfo(np.int64).max)  # the last place answers -1
    cut[pairs.user[chosen]] = pairs.place[chosen]
    apart = replace(pairs.take(held), hi=pairs.place[held])
    return (
        pairs.take(~held),
        shown.take(shown.place < cut[shown.user]),
        apart,
        replace(histories, hidden=hidden),
    )
