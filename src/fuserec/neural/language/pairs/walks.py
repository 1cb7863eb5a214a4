"""Items that stand near a person by behaviour: what people who took one of the same items took too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset


class Walks:
    """Walks of three steps: an earlier item of a person, somebody who took it, an item of theirs.

    What a fusion offers a last stage is mostly what such walks reach. A model that learns from items drawn from the
    whole catalogue never sees two of those beside each other, and tells them apart badly. Nobody walks along what
    somebody refused: events of a weight that is not positive are left out.

    Parameters
    ----------
    data : Dataset
    """

    def __init__(self, data: Dataset) -> None:
        rows, taken = data.interactions, data.interactions.weight > 0
        self._users, self._user, self._item = rows.user, rows.user[taken], rows.item[taken]
        self._before = np.concatenate([[0], np.cumsum(taken)])
        self._indptr = self._before[data.indptr]
        self._by_item = np.argsort(self._item, kind="stable")
        counts = np.bincount(self._item, minlength=data.n_items)
        self._item_indptr = np.concatenate([[0], np.cumsum(counts)])

    def draw(self, at: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return int64 (n,): where a walk from before each event ends; -1 where nothing was taken before it.

        Parameters
        ----------
        at : int64 (n,)
            Positions of events.
        rng : numpy.random.Generator
        """
        first, last = self._indptr[self._users[at]], self._before[at]
        ends = np.full(at.size, -1, np.int64)
        able = np.flatnonzero(last > first)
        item = self._item[_between(first[able], last[able], rng)]
        other = self._by_item[_between(self._item_indptr[item], self._item_indptr[item + 1], rng)]
        user = self._user[other]
        ends[able] = self._item[_between(self._indptr[user], self._indptr[user + 1], rng)]
        return ends


def _between(low: np.ndarray, high: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return int64 (n,): a number of low..high - 1 each."""
    return np.asarray(low + (rng.random(low.size) * (high - low)).astype(np.int64))
