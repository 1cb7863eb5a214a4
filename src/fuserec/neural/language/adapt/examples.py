"""What a text encoder learns from: which item came after which, out of training interactions alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fuserec.errors import DataError
from fuserec.neural.language.few import chosen
from fuserec.numerics.hashing import reseed

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.run import RunOptions

RUN = 8
"""Examples of one person that share a batch: each text is encoded once, and is read and guessed several times."""


@dataclass(frozen=True)
class Examples:
    """Items that came next, and what the same person had taken before.

    Parameters
    ----------
    targets : int32 (n,)
    history : int32 (n, max_history)
        Distinct items, the newest first, -1 after the end; the target is never among them.
    users : int32 (n,)
        Ascending; the examples of a user are in the order of time.
    """

    targets: np.ndarray
    history: np.ndarray
    users: np.ndarray

    def __len__(self) -> int:
        return self.targets.size

    def take(self, which: np.ndarray) -> Examples:
        """Return some of the examples (positions or a mask)."""
        return Examples(self.targets[which], self.history[which], self.users[which])


def examples_of(data: Dataset, readable: np.ndarray, max_history: int) -> Examples:
    """Return an example for each item that a person met for the first time, after at least one other.

    Parameters
    ----------
    data : Dataset
        Training interactions only. Events of a weight that is not positive are left out.
    readable : bool (n_items,)
        Items with text; others are neither read nor guessed.
    max_history : int

    Raises
    ------
    DataError
        Where there is none.
    """
    rows = data.interactions
    kept = np.flatnonzero((rows.weight > 0) & readable[rows.item])
    pair = rows.user[kept].astype(np.int64) * data.n_items + rows.item[kept]
    _, first = np.unique(
        pair, return_index=True
    )  # the first meeting: what was met before is never recommended
    kept = kept[np.sort(first)]
    user, item = rows.user[kept], rows.item[kept]
    place = np.arange(user.size) - np.searchsorted(user, user)
    back = np.arange(1, max_history + 1)
    source = np.arange(user.size)[:, None] - back
    history = np.where(place[:, None] >= back, item[np.maximum(source, 0)], -1).astype(np.int32)
    told = place > 0
    if not told.any():
        raise DataError(
            f"{data.info.name}: nobody has two liked items with text, so there is no pair to learn from; choose "
            "objective = masked or causal, which learn from the catalogue's text alone"
        )
    return Examples(item[told].astype(np.int32), history[told], user[told].astype(np.int32))


def held_apart(examples: Examples, most: int, data: Dataset, run: RunOptions) -> tuple[Examples, Examples]:
    """Return examples to train on, and the last one of some people to judge by: at most ``most``, at most a fifth.

    Who is chosen depends on ids and seed, never on the order of rows.
    """
    users, starts = np.unique(examples.users, return_index=True)
    lasts = np.append(starts[1:], len(examples)) - 1
    several = lasts > starts
    users, lasts = users[several], lasts[several]
    order = np.argsort(reseed(data.users.hashes, run.seed)[users], kind="stable")
    chosen = np.sort(lasts[order[: min(most, users.size // 5)]])
    kept = np.ones(len(examples), dtype=bool)
    kept[chosen] = False
    return examples.take(kept), examples.take(chosen)


def labelled(examples: Examples, count: int, data: Dataset, run: RunOptions) -> tuple[Examples, Examples]:
    """Return examples to train on and to judge by, ``count`` of them together; see :func:`few.chosen`."""
    hashes = reseed(data.users.hashes, run.seed)[examples.users]
    train, held, _ = chosen(examples.users, hashes, count)
    return examples.take(train), examples.take(held)


def batches_of(examples: Examples, size: int, most: int | None, rng: np.random.Generator) -> list[np.ndarray]:
    """Return positions of the examples of each batch: short runs of one person each, in random order.

    Parameters
    ----------
    examples : Examples
    size : int
        Examples of a batch; a rest smaller than half of it is left out.
    most : int, optional
        Examples of all batches together.
    rng : numpy.random.Generator
    """
    n = len(examples)
    place = np.arange(n) - np.searchsorted(examples.users, examples.users)
    shift = rng.integers(RUN, size=int(examples.users[-1]) + 1)[examples.users]
    _, run = np.unique(examples.users.astype(np.int64) * n + (place + shift) // RUN, return_inverse=True)
    order = np.argsort(rng.permutation(int(run[-1]) + 1)[run], kind="stable")[: most or n]
    cut = [order[lo : lo + size] for lo in range(0, order.size, size)]
    return cut if len(cut) == 1 or 2 * cut[-1].size >= size else cut[:-1]


@dataclass(frozen=True)
class Lesson:
    """The examples of one batch, each distinct text once.

    Parameters
    ----------
    items : int64 (n_texts,)
        Distinct items whose vectors are needed.
    weights : float32 (n, n_texts)
        What of which item's vector the query of an example is made of; zero rows where it is a text of its own.
    targets : int64 (n,)
        Position of each target in ``items``.
    barred : bool (n, n_texts)
        What is no candidate: what the person is known to like, but for the target itself.
    """

    items: np.ndarray
    weights: np.ndarray
    targets: np.ndarray
    barred: np.ndarray


def lesson_of(batch: Examples, query: str, recency: float) -> Lesson:
    """Return a batch as positions in a table of distinct items.

    Candidates are the distinct items, so that no copy of a target stands against it in the denominator, and the
    other items that the person of an example took are no candidates either.
    """
    read = batch.history[:, :1] if query == "item" else batch.history
    if query == "titles":
        read = read[:, :0]
    items, code = np.unique(np.concatenate([read.ravel(), batch.targets, [-1]]), return_inverse=True)
    code = code[:-1] - 1  # -1 is always the first of them
    own = code[: read.size].reshape(read.shape)
    targets = code[read.size :]
    rows = np.arange(len(batch))
    weights = np.zeros((len(batch), items.size - 1), np.float32)
    for step in range(read.shape[1]):  # a handful of columns
        there = own[:, step] >= 0
        weights[rows[there], own[there, step]] = recency**step
    _, who = np.unique(batch.users, return_inverse=True)
    known = np.zeros((int(who.max()) + 1, items.size - 1), dtype=bool)
    known[who, targets] = True
    held = np.searchsorted(items[1:], batch.history)
    there = (batch.history >= 0) & (held < items.size - 1)
    there &= items[1:][np.minimum(held, items.size - 2)] == batch.history
    r, c = np.nonzero(there)
    known[who[r], held[r, c]] = True
    barred = known[who]
    barred[rows, targets] = False
    return Lesson(items[1:].astype(np.int64), weights, targets.astype(np.int64), barred)


@dataclass(frozen=True)
class Trial:
    """Held-out examples, ranked among a sample of the catalogue.

    Parameters
    ----------
    examples : Examples
    pool : int64 (n_pool,)
        Candidates and read items, ascending.
    history : int64 (n, max_history)
        Positions in the pool, -1 after the end.
    targets : int64 (n,)
        Positions in the pool.
    """

    examples: Examples
    pool: np.ndarray
    history: np.ndarray
    targets: np.ndarray

    @classmethod
    def of(cls, held: Examples, readable: np.ndarray, size: int, rng: np.random.Generator) -> Trial:
        """Draw the pool: what the examples name, filled up to ``size`` with other items that have text."""
        named = np.unique(np.concatenate([held.history.ravel(), held.targets]))
        named = named[named >= 0]
        others = np.setdiff1d(np.flatnonzero(readable), named)
        drawn = rng.permutation(others)[: max(0, size - named.size)]
        pool = np.sort(np.concatenate([named, drawn])).astype(np.int64)
        place = np.searchsorted(pool, np.maximum(held.history, 0))
        return cls(held, pool, np.where(held.history >= 0, place, -1), np.searchsorted(pool, held.targets))

    def figures(self, vectors: np.ndarray, recency: float) -> np.ndarray:
        """Return float64 (n,): the NDCG@10 of each target by the decayed sum of squared cosines to the history.

        Parameters
        ----------
        vectors : float32 (n_pool, dim)
            Of unit length.
        recency : float
        """
        rows = np.arange(len(self.examples))
        read = np.zeros((rows.size, self.pool.size), np.float32)
        for step in range(self.history.shape[1]):
            there = self.history[:, step] >= 0
            read[rows[there], self.history[there, step]] = recency**step
        centred = vectors - vectors.mean(axis=0)
        centred /= np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
        alike = np.maximum(centred @ centred.T, 0.0) ** 2
        scores = read @ alike
        scores[read > 0] = -np.inf
        own = scores[rows, self.targets][:, None]
        rank = (scores > own).sum(axis=1) + 0.5 * ((scores == own).sum(axis=1) - 1)
        return np.asarray(np.where(rank < 10, 1.0 / np.log2(rank + 2.0), 0.0), dtype=np.float64)


def history_texts(examples: Examples, texts: Sequence[str], which: np.ndarray | None = None) -> list[str]:
    """Return the recent items' texts of each example as one text, newest first, divided by line breaks."""
    chosen = examples.history if which is None else examples.history[which]
    return ["\n".join(texts[item] for item in row[row >= 0]) for row in chosen]
