"""Shares of the training data, each within the next larger one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fuserec.numerics.hashing import reseed

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.vocabulary import Vocabulary

_USER, _ITEM, _TIME = 1, 2, 3


def nested_share(dataset: Dataset, share: float, seed: int) -> Dataset:
    """Return the dataset with a share of its interactions, and of its impressions; ids, tables and searches stay.

    Each row has a place in one order, by a hash of user, item, time and seed; a share takes the first rows of it. So
    what a small share holds every larger one holds too, on every machine, and the order of the rows says nothing.

    Parameters
    ----------
    dataset : Dataset
    share : float
        Above 0, at most 1; at least one row is kept.
    seed : int
    """
    if share >= 1:
        return dataset
    rows, shown = dataset.interactions, dataset.impressions
    kept = _first(_hashes(dataset, rows.user, rows.item, rows.time, seed), share)
    reduced = dataset.with_rows(kept)
    if not shown.height:
        return reduced
    of_users = dataset.users.indices(shown["user_id"].to_list())
    of_items = dataset.items.indices(shown["item_id"].to_list())
    times = shown["timestamp"].cast(float).fill_null(np.nan).to_numpy()
    return replace(
        reduced,
        impressions=shown.filter(_first(_hashes(dataset, of_users, of_items, times, seed), share)),
    )


def _first(hashes: np.ndarray, share: float) -> np.ndarray:
    """Return bool (n,): the first rows by their hash; equal ones in the order of the rows."""
    kept = np.zeros(hashes.size, dtype=bool)
    kept[np.argsort(hashes, kind="stable")[: max(1, round(share * hashes.size))]] = True
    return kept


def _hashes(
    dataset: Dataset, users: np.ndarray, items: np.ndarray, times: np.ndarray, seed: int
) -> np.ndarray:
    """Return uint64 (n,): a hash of each row by the ids, not the indices, of who and what."""
    moments = np.where(np.isfinite(times), times, 0.0).astype(np.float64).view(np.uint64)
    mixed = reseed(_of(dataset.users, users), _USER) ^ reseed(_of(dataset.items, items), _ITEM)
    return reseed(mixed ^ reseed(moments, _TIME), seed)


def _of(known: Vocabulary, indices: np.ndarray) -> np.ndarray:
    """Return the hashes of ids; 0 for one that is unknown."""
    hashes: np.ndarray = np.append(known.hashes, np.uint64(0))
    found: np.ndarray = hashes[indices]
    return found
