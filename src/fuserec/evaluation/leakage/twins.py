"""One person under two user ids, one thing under two item ids: what is held out of one stays with the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from fuserec.evaluation.leakage.base import Leak, pair_keys, target_keys

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.splits import Split

CROWD = 20
"""Events of one item at one moment; of more than so many nothing is concluded."""

ALIKE, AT_LEAST = 0.8, 5
"""Two users are one person where they share this part of the shorter history, and so many events at least."""


FEW = 0.01
"""Twins of a smaller share of the targets change no figure that anybody reads."""


def same_people(dataset: Dataset, held: Split) -> Iterator[Leak]:
    """Find test users whose events another user of the training data has too, item by item and second by second.

    Without times histories are compared as a whole, as they are ordered.
    """
    pairs = _by_moment(dataset) if dataset.has_time else _by_history(dataset)
    if not len(pairs):
        return
    who, twin = np.concatenate([pairs, pairs[:, ::-1]]).T
    query = np.full(dataset.n_users, -1)
    query[held.test.queries.users] = np.arange(len(held.test))
    who, twin = who[query[who] >= 0], twin[query[who] >= 0]
    asked = held.test.take(query[who])  # once for each twin
    rows = held.test.train.interactions
    learnt = pair_keys(rows.user, rows.item, dataset.n_items)
    told = asked.rows[np.isin(pair_keys(twin[asked.rows], asked.items, dataset.n_items), learnt)]
    if told.size:
        one, other = dataset.users[int(who[told[0]])], dataset.users[int(twin[told[0]])]
        found = np.unique(who[told]).size
        yield Leak(
            "same-person",
            "leak" if _fine(dataset) else "suspect",
            int(found),
            f"{found:,} test users are in the data under another id whose events are learnt from ({one!r} is "
            f"{other!r}): "
            "the answer is in training; join such users",
        )


def _fine(dataset: Dataset) -> bool:
    """Return whether moments tell events apart: days alone, or no times, may be the same by chance."""
    return dataset.has_time and np.unique(dataset.interactions.time).size > dataset.n_interactions / CROWD


def _by_moment(dataset: Dataset) -> np.ndarray:
    """Return int (n, 2): users who share :data:`ALIKE` of their events, each with item and time."""
    rows = dataset.interactions
    order = np.lexsort((rows.user, rows.time, rows.item))
    item, time, user = rows.item[order], rows.time[order], rows.user[order]
    new = np.concatenate([[True], (np.diff(item) != 0) | (np.diff(time) != 0)])
    group = np.cumsum(new) - 1
    small = (np.bincount(group) <= CROWD)[group]
    first, second = [], []
    for step in range(1, CROWD):
        near = (group[step:] == group[:-step]) & small[step:] & (user[step:] != user[:-step])
        if not near.any():
            break
        first.append(user[:-step][near])
        second.append(user[step:][near])
    if not first:
        return np.empty((0, 2), np.int64)
    key = pair_keys(np.concatenate(first), np.concatenate(second), dataset.n_users)
    found, shared = np.unique(key, return_counts=True)
    pairs = np.stack([found // dataset.n_users, found % dataset.n_users], axis=1)
    shorter = np.diff(dataset.indptr)[pairs].min(axis=1)
    return np.asarray(pairs[(shared >= AT_LEAST) & (shared >= ALIKE * shorter)])


def _by_history(dataset: Dataset) -> np.ndarray:
    """Return int (n, 2): users with the very same history, one after the other."""
    users = np.flatnonzero(np.diff(dataset.indptr) >= AT_LEAST)
    items = np.ascontiguousarray(dataset.interactions.item)
    seen: dict[bytes, int] = {}
    pairs = []
    for user in users.tolist():
        content = items[dataset.indptr[user] : dataset.indptr[user + 1]].tobytes()
        other = seen.setdefault(content, user)
        if other != user:
            pairs.append((other, user))
    return np.array(pairs, np.int64).reshape(-1, 2)


def same_items(dataset: Dataset, held: Split) -> Iterator[Leak]:
    """Find targets whose twin, an item with the very same description, the history of their query holds."""
    import polars as pl

    table = dataset.item_table
    named = [name for name in ("title", "description", "brand") if name in table.columns]
    if "title" not in named:
        return
    text = table.select(pl.concat_str(pl.col(named).fill_null(""), separator="\n")).to_series()
    long = (text.str.len_chars() >= 10).to_numpy()
    code = text.cast(pl.Categorical).to_physical().to_numpy().astype(np.int64)
    test, q = held.test, held.test.queries
    size = int(code.max(initial=0)) + 1
    given = pair_keys(q.users[q.rows], code[q.items], size)[long[q.items]]
    told = np.isin(pair_keys(q.users[test.rows], code[test.items], size), given) & long[test.items]
    told &= ~np.isin(target_keys(test), pair_keys(q.users[q.rows], q.items, dataset.n_items))
    if told.any():
        item = int(test.items[told][0])
        yield Leak(
            "same-item",
            "suspect" if told.mean() >= FEW else "known",
            int(told.sum()),
            f"{told.sum():,} test targets have a twin of the same text in their history (item "
            f"{dataset.items[item]!r}): "
            "one thing under two ids is easily guessed; join such items",
        )
