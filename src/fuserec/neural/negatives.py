"""What people did not take, drawn for what they took: in proportion to popularity, and never what they took too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np


@dataclass(frozen=True)
class Negatives:
    """Draws items for people.

    Parameters
    ----------
    items : int64 (n,)
        What may be drawn.
    reach : float64 (n,)
        Running sum of their probabilities.
    pairs : int64 (n_pairs,)
        user × n_items + item of everything that anybody had to do with, ascending.
    n_items : int
    """

    items: np.ndarray
    reach: np.ndarray
    pairs: np.ndarray
    n_items: int

    @classmethod
    def of(cls, counts: np.ndarray, power: float, users: np.ndarray, items: np.ndarray) -> Self:
        """Prepare to draw in proportion to count^power.

        Parameters
        ----------
        counts : int64 (n_items,)
            Items of count zero are never drawn.
        power : float
            0 draws all alike.
        users, items : int64 (n_events,)
            Who had to do with what, dislikes included.
        """
        able = np.flatnonzero(counts)
        chance = np.power(counts[able].astype(np.float64), power)
        pairs = np.unique(users.astype(np.int64) * counts.size + items)
        return cls(able, np.cumsum(chance / chance.sum()), pairs, counts.size)

    def draw(self, users: np.ndarray, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return items int64 (m, n) for m users, and bool (m, n): which of them that user really has not taken."""
        place = np.searchsorted(self.reach, rng.random((users.size, n)), side="right")
        drawn = self.items[np.minimum(place, self.items.size - 1)]
        return drawn, ~self.taken(users[:, None], drawn)

    def taken(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Return bool: whether each user had to do with each item."""
        if not self.pairs.size:
            return np.zeros(np.broadcast_shapes(users.shape, items.shape), dtype=bool)
        key = users.astype(np.int64) * self.n_items + items
        place = np.minimum(np.searchsorted(self.pairs, key), self.pairs.size - 1)
        return np.asarray(self.pairs[place] == key)
