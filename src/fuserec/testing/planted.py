"""Datasets with one planted effect, which a scorer either has learnt or has not."""

from __future__ import annotations

import numpy as np
import polars as pl

from fuserec.data.dataset import SECONDS_PER_DAY, Dataset, DatasetInfo, Interactions
from fuserec.data.vocabulary import Vocabulary


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
    user = np.repeat(np.arange(n_users), steps).astype(np.int32)
    item = ((user + np.tile(np.arange(steps), n_users)) % n_items).astype(np.int32)
    ones = np.ones(user.size, np.float32)
    time = np.tile(np.arange(steps), n_users) * SECONDS_PER_DAY
    rows = Interactions(user, item, ones, ones * 4, time, np.zeros(user.size, np.uint8))
    return Dataset(
        Vocabulary.from_ids(f"walker {u}" for u in range(n_users)),
        Vocabulary.from_ids(f"stop {i}" for i in range(n_items)),
        rows,
        pl.DataFrame({"title": [f"stop number {i}" for i in range(n_items)]}),
        pl.DataFrame({"text": [None] * n_users}, schema={"text": pl.String}),
        pl.DataFrame(schema={"head": pl.String, "relation": pl.String, "tail": pl.String}),
        info=DatasetInfo(name="ring", simulated=True, rating_scale=(1.0, 5.0)),
    )
