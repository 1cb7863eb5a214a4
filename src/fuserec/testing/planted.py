"""Datasets made on paper: any histories, and one with a planted effect that a scorer either has learnt or has not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from fuserec.data.dataset import SECONDS_PER_DAY, Dataset, DatasetInfo, Interactions
from fuserec.data.vocabulary import Vocabulary


def dataset_of(
    histories: Sequence[Sequence[int]],
    n_items: int | None = None,
    *,
    weights: Sequence[Sequence[float]] | None = None,
    ratings: Sequence[Sequence[float]] | None = None,
    days: Sequence[Sequence[float]] | None = None,
    titles: Sequence[str | None] | None = None,
) -> Dataset:
    """Return a dataset of histories of item indices, oldest first.

    Parameters
    ----------
    histories : sequence of sequences of int
        One a user; user ``u`` is called ``u0``, ``u1``, ..., items ``i0``, ``i1``, ...
    n_items : int, optional
        Size of the catalogue; as large as the histories need where it is not given.
    weights, ratings, days : like ``histories``, optional
        Signed weights (1), ratings (none), and times in days (one event a day).
    titles : sequence of str or None, optional
        One an item.
    """
    lengths = [len(history) for history in histories]
    item = _flat(histories, 0).astype(np.int32)
    n_items = n_items if n_items is not None else int(item.max(initial=-1)) + 1
    n = item.size
    rows = Interactions(
        np.repeat(np.arange(len(histories)), lengths).astype(np.int32),
        item,
        _flat(weights, n, 1.0).astype(np.float32),
        _flat(ratings, n, np.nan).astype(np.float32),
        _flat(days if days is not None else [range(length) for length in lengths], n) * SECONDS_PER_DAY,
        np.zeros(n, np.uint8),
    )
    return Dataset(
        Vocabulary.from_ids(f"u{u}" for u in range(len(histories))),
        Vocabulary.from_ids(f"i{i}" for i in range(n_items)),
        rows,
        pl.DataFrame(
            {"title": list(titles or [f"item {i}" for i in range(n_items)])}, schema={"title": pl.String}
        ),
        pl.DataFrame({"text": [None] * len(histories)}, schema={"text": pl.String}),
        pl.DataFrame(schema={"head": pl.String, "relation": pl.String, "tail": pl.String}),
        info=DatasetInfo(name="paper", rating_scale=None if ratings is None else (1.0, 5.0)),
    )


def _flat(values: Sequence[Sequence[float]] | None, n: int, default: float = 0.0) -> np.ndarray:
    """Return float64 of all values one after the other, or n times the default."""
    if values is None:
        return np.full(n, default)
    return np.array([value for row in values for value in row], dtype=np.float64)


def ring_dataset(n_items: int = 12, n_users: int = 36, steps: int = 6) -> Dataset:
    """Return people who walk a ring of items: after item i always comes item i + 1, never the other way round.

    Every item is equally popular and taken by the same number of people together with its two neighbours, so that
    only the order tells what comes next.

    Parameters
    ----------
    n_items : int
    n_users : int
        User ``u`` starts at item ``u % n_items``.
    steps : int
        Events a user.
    """
    walks = [[(user + step) % n_items for step in range(steps)] for user in range(n_users)]
    return dataset_of(walks, n_items, ratings=[[4.0] * steps] * n_users)
