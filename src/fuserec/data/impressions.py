"""Impressions: what was shown to whom, how probable showing it was, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import polars as pl

    from fuserec.data.dataset import Dataset
    from fuserec.data.vocabulary import Vocabulary

NUMBERS = ("position", "propensity", "reward", "timestamp")
"""Columns of the table that are numbers, null where a row has none; a moment is in unix seconds."""


def no_impressions() -> pl.DataFrame:
    """Return an empty table of impressions: ``request_id``, ``user_id``, ``item_id`` and :data:`NUMBERS`."""
    import polars as pl

    names = ("request_id", "user_id", "item_id")
    return pl.DataFrame(schema=dict.fromkeys(names, pl.String) | dict.fromkeys(NUMBERS, pl.Float64))


@dataclass(frozen=True)
class Impressions:
    """Impressions of items that a dataset knows, as columns.

    Parameters
    ----------
    user : int32 (n,)
        -1 for somebody of whom the dataset knows nothing: a request without a history.
    item : int32 (n,)
    propensity : float64 (n,)
        How probable it was that the item was shown there, in (0, 1]; NaN where nobody knows.
    reward : float64 (n,)
        NaN where nobody knows what came of it.
    time : float64 (n,)
        Unix seconds; NaN where there is none.
    """

    user: np.ndarray
    item: np.ndarray
    propensity: np.ndarray
    reward: np.ndarray
    time: np.ndarray

    def __len__(self) -> int:
        return self.item.size

    @classmethod
    def of(cls, dataset: Dataset) -> Impressions:
        """Return the impressions of a dataset; those of items that it does not know are left out."""
        table = dataset.impressions
        item, user = _codes(dataset.items, table["item_id"]), _codes(dataset.users, table["user_id"])
        propensity, reward, time = (
            table[name].fill_null(np.nan).to_numpy().astype(np.float64) for name in NUMBERS[1:]
        )
        kept = item >= 0
        return cls(user[kept], item[kept], propensity[kept], reward[kept], time[kept])


def not_held_out(dataset: Dataset, train: np.ndarray, until: float = np.inf) -> Dataset:
    """Return the dataset without the impressions that would tell what is held out.

    Out go those of a pair that is held out, those at or after the first held-out event of a user, all from a moment on,
    and all of users and items of which training keeps nothing though they have interactions. Impressions without a
    time cannot be told to be earlier: where a user has held-out events, they go too.

    Parameters
    ----------
    dataset : Dataset
    train : bool (n_interactions,)
        Rows that may be learnt from.
    until : float
        Unix seconds from which on nothing is known.
    """
    if not dataset.impressions.height:
        return dataset
    rows, table = dataset.interactions, dataset.impressions
    user = _codes(dataset.users, table["user_id"]).astype(np.int64)
    item = _codes(dataset.items, table["item_id"]).astype(np.int64)
    time = table["timestamp"].fill_null(np.nan).to_numpy()
    first = np.full(dataset.n_users + 1, np.inf)  # the last place answers -1, somebody unknown
    np.minimum.at(first, rows.user[~train], np.nan_to_num(rows.time[~train], nan=-np.inf))
    held = rows.user[~train].astype(np.int64) * dataset.n_items + rows.item[~train]
    pair = np.where((user >= 0) & (item >= 0), user * dataset.n_items + item, -1)
    kept = (time < first[user]) | np.isposinf(first[user])
    kept &= ~np.isin(pair, held) & ~(time >= until)
    if np.isfinite(until):
        kept &= np.isfinite(time)
    kept &= ~_emptied(rows.user, train, dataset.n_users)[user]
    kept &= ~_emptied(rows.item, train, dataset.n_items)[item]
    return replace(dataset, impressions=table.filter(kept))


def _codes(vocabulary: Vocabulary, ids: pl.Series) -> np.ndarray:
    """Return int32 (n,): the index of each id, -1 where it is unknown; each distinct one is looked up once."""
    import polars as pl

    distinct = ids.unique(maintain_order=True).alias("id")
    found = pl.DataFrame({"id": distinct, "code": vocabulary.indices(distinct.to_list())})
    joined = pl.DataFrame({"id": ids}).join(found, on="id", how="left", maintain_order="left")
    return joined["code"].to_numpy().astype(np.int32)


def _emptied(codes: np.ndarray, train: np.ndarray, size: int) -> np.ndarray:
    """Return bool (size + 1,): who has interactions, none of them in training; the last place is False."""
    every = np.bincount(codes, minlength=size + 1)
    return np.asarray((every > 0) & (np.bincount(codes[train], minlength=size + 1) == 0))
