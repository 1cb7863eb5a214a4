"""What a check says, and what checks share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fuserec.data.dataset import Dataset
    from fuserec.data.splits import Holdout, Split

Level = Literal["leak", "suspect", "known"]


@dataclass(frozen=True)
class Leak:
    """Something through which a held-out answer can be known.

    Parameters
    ----------
    check : str
        Name of the check, such as ``target-in-training``.
    level : {"leak", "suspect", "known"}
        ``leak``: figures are too good. ``suspect``: they may be, somebody has to look. ``known``: a property of the
        protocol that a reader has to know.
    count : int
        Targets, rows, users or columns that it concerns.
    message : str
        What leaked, where, with an example, and what to do.
    """

    check: str
    level: Level
    count: int
    message: str

    @property
    def note(self) -> str:
        """The message as results say it."""
        if self.level == "leak":
            return f"Leak ({self.check}): {self.message}."
        return f"Look at this ({self.check}): {self.message}."


def stages(held: Split) -> Iterator[tuple[str, Holdout]]:
    """Give both holdouts with their names."""
    yield "test", held.test
    yield "validation", held.validation


def pair_keys(users: np.ndarray, items: np.ndarray, n_items: int) -> np.ndarray:
    """Return int64 (n,): one number a pair of user and item."""
    return np.asarray(users.astype(np.int64) * n_items + items)


def target_keys(held: Holdout) -> np.ndarray:
    """Return int64 (n_targets,): the pairs that are to be guessed."""
    return pair_keys(held.queries.users[held.rows], held.items, held.train.n_items)


def named(dataset: Dataset, key: int) -> str:
    """Return a pair in the caller's ids, for an example."""
    user, item = divmod(int(key), dataset.n_items)
    return f"user {_shown(dataset.users[user])}, item {_shown(dataset.items[item])}"


def _shown(identifier: str) -> str:
    """Return an id as a message repeats it."""
    return repr(identifier if len(identifier) <= 40 else identifier[:39] + "…")
