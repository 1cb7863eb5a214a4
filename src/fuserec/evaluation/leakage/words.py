"""Words that hold the answer: a profile, a search or a circumstance that names the held-out item."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fuserec.encoders.reading import stored_words
from fuserec.evaluation.leakage.base import Leak, named, target_keys

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.splits import Split

SHORTEST = 5
"""Titles and ids of fewer characters are found in any text."""

MOST_QUERIES = 20_000
"""Queries that are read, the first ones; more would only make the count larger."""

SURE, TIMES = 5, 3
"""So many targets have to be named, and so many times as many as of other people's targets."""


def answering_words(dataset: Dataset, held: Split) -> Iterator[Leak]:
    """Find test queries whose words or circumstances name a target by title or id, far more than by chance."""
    test = held.test
    q = test.queries
    n = min(len(test), MOST_QUERIES)
    words = stored_words(dataset, q.users[:n], q.at[:n], past_only=True)
    said = [
        " ".join(
            [w.joined(), *(str(value) for value in (q.contexts[row].values() if q.contexts else ()))]
        ).casefold()
        for row, w in enumerate(words)
    ]
    if not any(said):
        return
    rows = test.rows[test.rows < n]
    items, names = test.items[: rows.size], _names(dataset)
    told = _named(said, rows, items, names)
    chance = _named(said, rows, np.roll(items, max(1, rows.size // 2)), names)
    if told.sum() >= SURE and told.sum() > TIMES * chance.sum():
        yield Leak(
            "answer-in-words",
            "suspect",
            int(told.sum()),
            f"{told.sum():,} test targets are named in the profile, the earlier searches or the circumstances of "
            "their query "
            f"({named(dataset, target_keys(test)[: rows.size][told][0])}): {chance.sum():,} would be by chance; were "
            "those "
            "words written before the event?",
        )


def _names(dataset: Dataset) -> list[tuple[str, ...]]:
    """Return what each item may be named by."""
    titles = dataset.item_table["title"].to_list() if "title" in dataset.item_table.columns else []
    titles = titles or [None] * dataset.n_items
    return [
        tuple(name.casefold() for name in (title, identifier) if name and len(name) >= SHORTEST)
        for title, identifier in zip(titles, dataset.items.ids(), strict=True)
    ]


def _named(
    said: Sequence[str], rows: np.ndarray, items: np.ndarray, names: Sequence[tuple[str, ...]]
) -> np.ndarray:
    """Return bool (n,): whether the words of a target's query name it."""
    return np.array(
        [
            any(name in said[row] for name in names[item])
            for row, item in zip(rows.tolist(), items.tolist(), strict=True)
        ],
        dtype=bool,
    )
