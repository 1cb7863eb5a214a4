"""Examples of the semantic softmax: what a person took, what was known of them before, and what they had said.

The item of an example is never part of its own x: earlier events only, or all other ones (leave-one-out), and an event
of the same item is left out of both. Words are those stored before the moment of the event.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from fuserec.data.query import QueryBatch
from fuserec.encoders.reading import stored_words, with_words

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.query import TextVectors
    from fuserec.encoders.features import ItemFeatures
    from fuserec.run import RunOptions


@dataclass(frozen=True)
class Reading:
    """How x is made of events.

    Parameters
    ----------
    context : {"earlier", "others"}
        What of a history is around an example: the events before it, or all but its own.
    decay : float
        An event ``s`` steps away enters times decay^s.
    power : float
        x is divided by (Σ decay^s)^power: 0 leaves the weighted multi-hot, 1 makes it a weighted mean.
    length : int
        Events further away are not read.
    """

    context: Literal["earlier", "others"]
    decay: float
    power: float
    length: int


def strengths(weights: np.ndarray, steps: np.ndarray, rows: np.ndarray, reading: Reading) -> np.ndarray:
    """Return float32 (n_events,): how strongly each event enters the x of its row; linear in the weights.

    Parameters
    ----------
    weights : float32 (n_events,)
    steps : int (n_events,)
        How far away each event is, 0 for the next.
    rows : int64 (n_events,)
        The row of x of each event, ascending.
    reading : Reading
    """
    near = np.where(steps < reading.length, np.power(reading.decay, np.minimum(steps, reading.length)), 0.0)
    if rows.size == 0:
        return np.empty(0, np.float32)
    total = np.bincount(rows, weights=near)[rows]
    divisor = np.power(np.maximum(total, 1e-30), reading.power)
    return np.asarray(weights * near / divisor, dtype=np.float32)


@dataclass(frozen=True)
class Bags:
    """Rows of x as CSR: row ``r`` holds ``indptr[r]:indptr[r + 1]`` of ``items`` int64 and ``values`` float32."""

    indptr: np.ndarray
    items: np.ndarray
    values: np.ndarray

    @property
    def rows(self) -> np.ndarray:
        """int64 (n_events,): the row of each event."""
        return np.repeat(np.arange(self.indptr.size - 1), np.diff(self.indptr))


@dataclass(frozen=True)
class Examples:
    """Events that are to be predicted.

    Parameters
    ----------
    indptr : int64 (n_users + 1,)
        Histories: user ``u`` has the events ``indptr[u]:indptr[u + 1]``, oldest first.
    items : int64 (n_events,)
    weights : float32 (n_events,)
    at : int64 (n,)
        The events that are predicted.
    words : int64 (n_events,)
        The row of the words that were known at each event; -1 for none.
    """

    indptr: np.ndarray
    items: np.ndarray
    weights: np.ndarray
    at: np.ndarray
    words: np.ndarray

    def __len__(self) -> int:
        return self.at.size

    @property
    def targets(self) -> np.ndarray:
        """int64 (n,): the item of each example."""
        return np.asarray(self.items[self.at])

    def bags(self, which: np.ndarray, reading: Reading) -> Bags:
        """Return the x of some examples (positions in ``at``)."""
        at = self.at[which]
        user = np.searchsorted(self.indptr, at, side="right") - 1
        lo = np.maximum(self.indptr[user], at - reading.length)
        hi = (
            at if reading.context == "earlier" else np.minimum(self.indptr[user + 1], at + reading.length + 1)
        )
        counts = hi - lo
        rows = np.repeat(np.arange(at.size), counts)
        events = np.arange(rows.size) + np.repeat(lo - (np.cumsum(counts) - counts), counts)
        kept = (
            self.items[events] != self.items[at][rows]
        )  # the example itself, and the same item at other times
        rows, events = rows[kept], events[kept]
        steps = np.abs(at[rows] - events) - 1
        values = strengths(self.weights[events], steps, rows, reading)
        indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=at.size))]).astype(np.int64)
        return Bags(indptr, self.items[events], values)

    def reached(self, reading: Reading) -> np.ndarray:
        """Return bool (n,): examples of which something is known: another event, or words."""
        user = np.searchsorted(self.indptr, self.at, side="right") - 1
        more = self.at > self.indptr[user]
        if reading.context == "others":
            more |= self.at < self.indptr[user + 1] - 1
        return np.asarray(more | (self.words[self.at] >= 0))

    def only(self, kept: np.ndarray) -> Examples:
        """Return some of the examples (a mask); the histories stay whole."""
        return replace(self, at=self.at[kept])


def examples_of(data: Dataset, words: np.ndarray, allowed: np.ndarray, reading: Reading) -> Examples:
    """Return an example for every liked event that is the first one of its item in a history.

    What somebody comes back to is never recommended, and would only teach that x predicts itself.

    Parameters
    ----------
    data : Dataset
    words : int64 (n_events,)
    allowed : bool (n_items,)
        Items that may be predicted.
    reading : Reading
    """
    rows = data.interactions
    pairs = rows.user.astype(np.int64) * data.n_items + rows.item
    first = np.zeros(pairs.size, dtype=bool)
    first[np.unique(pairs, return_index=True)[1]] = True
    at = np.flatnonzero(first & (rows.weight > 0) & allowed[rows.item])
    found = Examples(data.indptr, rows.item.astype(np.int64), rows.weight, at, words)
    return found.only(found.reached(reading))


def held_apart(examples: Examples, most: int, order: np.ndarray) -> tuple[Examples, Examples]:
    """Return the examples without the last events of a few people, and those events as examples of their own.

    The events held out are no part of any x that is learnt from. Whose they are is a matter of ``order`` (n_users,),
    of the users' hashes; at most a tenth of the people, and nothing that is the only example of its item.
    """
    n_events = examples.items.size
    users = np.searchsorted(examples.indptr, examples.at, side="right") - 1
    last = examples.at == examples.indptr[users + 1] - 1
    able = np.flatnonzero(last & (examples.at - examples.indptr[users] > 1))
    chosen = able[np.argsort(order[users[able]], kind="stable")[: min(most, able.size // 10)]]
    size = int(examples.items.max(initial=0)) + 1
    left = np.bincount(examples.targets, minlength=size) - np.bincount(
        examples.targets[chosen], minlength=size
    )
    chosen = chosen[left[examples.targets[chosen]] > 0]
    held = np.zeros(len(examples), dtype=bool)
    held[chosen] = True
    kept = np.ones(n_events, dtype=bool)
    kept[examples.at[chosen]] = False
    place = np.concatenate([[0], np.cumsum(kept)]).astype(np.int64)
    rest = Examples(
        place[examples.indptr],
        examples.items[kept],
        examples.weights[kept],
        place[examples.at[~held]],
        examples.words[kept],
    )
    return rest, examples.only(held)


def words_before(
    data: Dataset, features: ItemFeatures, run: RunOptions
) -> tuple[TextVectors | None, np.ndarray]:
    """Return what people had said before each of their events: distinct texts, and the row of each event's, or -1.

    A profile is taken to be older than all events; of searches only those of an earlier moment count.
    """
    rows, searches = data.interactions, data.searches
    nothing = np.full(len(rows), -1, np.int64)
    if not searches.user.size and not {"text", "tags"} & set(data.user_table.columns):
        return None, nothing
    n_past = _searches_before(data)
    key = rows.user.astype(np.int64) * (searches.user.size + 1) + n_past
    _, first, which = np.unique(key, return_index=True, return_inverse=True)
    said = stored_words(data, rows.user[first].astype(np.int64), rows.time[first], past_only=True)
    spoke = np.array([bool(words.weighted()) for words in said], dtype=bool)
    if not spoke.any():
        return None, nothing
    told = [words for words, there in zip(said, spoke, strict=True) if there]
    text = with_words(QueryBatch.of_histories([[]] * len(told)), told, features, run).text
    place = np.where(spoke, np.cumsum(spoke) - 1, -1)
    return text, place[which]


def _searches_before(data: Dataset) -> np.ndarray:
    """Return int64 (n_events,): how many searches of the same user came at an earlier moment."""
    rows, searches = data.interactions, data.searches
    user = np.concatenate([rows.user, searches.user])
    time = np.concatenate([np.nan_to_num(rows.time, nan=-np.inf), np.nan_to_num(searches.time, nan=np.inf)])
    searched = np.arange(user.size) >= len(rows)
    order = np.lexsort((searched, time, user))  # at one moment events come first: a search then is not past
    count = np.empty(user.size, np.int64)
    count[order] = np.cumsum(searched[order])
    before = np.concatenate([[0], np.cumsum(np.bincount(searches.user, minlength=data.n_users))])
    return np.asarray(count[: len(rows)] - before[rows.user])
