"""Pairs to learn from: what a person took or refused, told by what was known before, and items they never met."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from fuserec.encoders.reading import stored_words
from fuserec.neural.language.few import chosen
from fuserec.neural.language.pairs.walks import Walks
from fuserec.neural.negatives import Negatives

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.neural.language.heads.base import Labels
    from fuserec.neural.language.pairs.text import Descriptions

TRIES = 8
"""How often a negative is drawn anew that its person has taken; after that the pair is left out."""


class PairSource:
    """Events of a dataset as pairs of texts.

    Parameters
    ----------
    data : Dataset
    described : Descriptions
    labels : mapping
        By head.
    popularity : float
        Negatives are drawn in proportion to count^popularity, among items that were taken and have a text.
    near : float
        Share of them that is looked for first among what people with an item in common took.
    """

    def __init__(
        self,
        data: Dataset,
        described: Descriptions,
        labels: Mapping[str, Labels],
        popularity: float,
        near: float = 0.0,
    ) -> None:
        self.data, self.described, self.labels, self.near = data, described, labels, near
        rows, known = data.interactions, described.known
        self.drawn = Negatives.of(data.item_counts * known, popularity, rows.user, rows.item)
        self.walks = Walks(data) if near else None
        counts = np.maximum(data.item_counts, 1).astype(np.float64)
        self.log_q = np.log(counts / counts.sum()).astype(np.float32)
        self.at = np.flatnonzero(self._told() & known[rows.item] & self._spoken_of())

    def _told(self) -> np.ndarray:
        """Return bool (n_events,): events of which some head has a label."""
        told = np.zeros(len(self.data.interactions), dtype=bool)
        for labels in self.labels.values():
            told |= labels.known
        return told

    def _spoken_of(self) -> np.ndarray:
        """Return bool (n_events,): events before which something is known that can be told in words."""
        rows, data = self.data.interactions, self.data
        says = (rows.weight > 0) & self.described.known[rows.item]
        before = np.cumsum(says) - says  # liked events of all earlier rows
        begun = np.concatenate([before, [0]])[data.indptr[:-1]] if len(rows) else np.zeros(data.n_users)
        spoken = before - begun[rows.user] > 0
        if self.described.source != "history":
            spoken |= self._have_words()[rows.user]
        return np.asarray(spoken)

    def _have_words(self) -> np.ndarray:
        """Return bool (n_users,): people with a profile or a search."""
        data = self.data
        found = np.diff(data.search_indptr) > 0
        if data.user_table.width:
            words = stored_words(
                data, np.arange(data.n_users), np.full(data.n_users, -np.inf), past_only=True
            )
            found |= np.array([bool(w.joined()) for w in words], dtype=bool)
        return np.asarray(found)

    def users(self, at: np.ndarray) -> list[str]:
        """Return d_u at each event: words and liked items before it, never the item that is to be guessed."""
        rows, data = self.data.interactions, self.data
        users, said, told = rows.user[at], self.words(at), []
        for event, user, words in zip(at.tolist(), users.tolist(), said, strict=True):
            before = slice(int(data.indptr[user]), event)
            items = rows.item[before][rows.weight[before] > 0]
            told.append(self.described.user(words, items[items != rows.item[event]][::-1]))
        return told

    def words(self, at: np.ndarray) -> list[str]:
        """Return what the person of each event had said before it; empty where words are not read."""
        if self.described.source == "history":
            return [""] * at.size
        rows = self.data.interactions
        told = stored_words(self.data, rows.user[at], rows.time[at], past_only=True)
        return [words.joined() for words in told]

    def negatives(self, at: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
        """Return int64 (n, count): items that the person of each event never met; -1 where none was found."""
        events = np.repeat(at, count)
        users = self.data.interactions.user[events]
        found = np.full(users.size, -1, np.int64)
        if self.walks is not None:
            asked = np.flatnonzero(rng.random(users.size) < self.near)
            for _ in range(TRIES):
                asked = asked[found[asked] < 0]
                items = self.walks.draw(events[asked], rng)
                free = self.described.known[items] & ~self.drawn.taken(users[asked], items)
                found[asked[free & (items >= 0)]] = items[free & (items >= 0)]
        open_ = np.flatnonzero(found < 0) if self.drawn.items.size else np.empty(0, np.int64)
        for _ in range(TRIES):
            items, free = (array[:, 0] for array in self.drawn.draw(users[open_], 1, rng))
            found[open_[free]] = items[free]
            open_ = open_[~free]
        return found.reshape(at.size, count)


def held_apart(source: PairSource, count: int, hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (events to train on, events to judge on): the last ones of some people, chosen by hash.

    Parameters
    ----------
    source : PairSource
    count : int
        People, at most; a tenth of those there are at most.
    hashes : uint64 (n_users,)
    """
    users = source.data.interactions.user[source.at]
    last = np.ones(users.size, dtype=bool)
    last[:-1] = users[1:] != users[:-1]
    final = np.flatnonzero(last)
    count = min(count, final.size // 10)
    chosen = final[np.argsort(hashes[users[final]], kind="stable")[:count]]
    kept = np.ones(users.size, dtype=bool)
    kept[chosen] = False
    return source.at[kept], source.at[np.sort(chosen)]


def labelled(source: PairSource, count: int, hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (events to train on, to judge on, whose label is not used), where only ``count`` labels are given.

    See :func:`fuserec.neural.language.few.chosen`.

    Parameters
    ----------
    source : PairSource
    count : int
    hashes : uint64 (n_users,)
        Decide who is asked.
    """
    users = source.data.interactions.user[source.at]
    train, held, hidden = chosen(users, hashes[users], count)
    return source.at[train], source.at[held], source.at[hidden]
