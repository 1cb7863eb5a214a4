"""The rules of the protocols: which rows are learnt from, given and guessed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from fuserec.data.splits.base import Draw, Rows, SplitConfig
from fuserec.errors import DataError

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset


def _from_end(dataset: Dataset) -> np.ndarray:
    """Return int64 (n,): how many later rows the user of each row has."""
    ends = np.repeat(dataset.indptr[1:], np.diff(dataset.indptr))
    return ends - 1 - np.arange(dataset.n_interactions)


def _from_start(dataset: Dataset) -> np.ndarray:
    """Return int64 (n,): how many earlier rows the user of each row has."""
    starts = np.repeat(dataset.indptr[:-1], np.diff(dataset.indptr))
    return np.asarray(np.arange(dataset.n_interactions) - starts)


def _last_out(dataset: Dataset, config: SplitConfig, draw: Draw) -> Rows:
    """Hold out the last item that each user met for the first time, and all that came after it.

    Without repeats that is the user's last row. Users of whom nothing would be left keep everything.
    """
    rows = dataset.interactions
    pair = rows.user.astype(np.int64) * dataset.n_items + rows.item
    _, met = np.unique(pair, return_index=True)  # the first row of each pair: rows are oldest first
    found = np.bincount(rows.user[met], minlength=dataset.n_users)
    last = np.zeros(dataset.n_users, np.int64)
    np.maximum.at(last, rows.user[met], met)
    place = np.arange(dataset.n_interactions)
    enough = (found >= (3 if draw.stage == "test" else 2))[rows.user]
    later = (place >= last[rows.user]) & enough
    return Rows(~later, ~later, later & (place == last[rows.user]))


def _temporal(dataset: Dataset, config: SplitConfig, draw: Draw) -> Rows:
    """Hold out everything from one moment on; people who only come later are asked about with an empty history."""
    dataset.require_time("split temporal")
    moment = np.quantile(dataset.interactions.time, 1 - config.share)
    later = dataset.interactions.time >= moment
    return Rows(~later, ~later, later, float(moment))


def _random(dataset: Dataset, config: SplitConfig, draw: Draw) -> Rows:
    """Hold out a share of each user's interactions, at least one and never all; or one fold of them.

    A user's interactions are dealt to the folds one after the other, beginning anywhere, so that each fold has its
    share of everybody; the only interaction of a user is never held out.
    """
    lengths = np.diff(dataset.indptr)
    order = np.lexsort((draw.rng.random(dataset.n_interactions), dataset.interactions.user))
    place = np.empty(dataset.n_interactions, np.int64)
    place[order] = np.arange(dataset.n_interactions) - np.repeat(dataset.indptr[:-1], lengths)
    if config.folds > 1:
        begin = draw.rng.integers(0, config.folds, dataset.n_users)
        dealt = (place + begin[dataset.interactions.user]) % config.folds
        held = (dealt == draw.fold) & (lengths >= 2)[dataset.interactions.user]
        return Rows(~held, ~held, held)
    wanted = np.where(lengths >= 2, np.clip(np.round(config.share * lengths), 1, lengths - 1), 0)
    held = place < np.repeat(wanted, lengths)
    return Rows(~held, ~held, held)


def _users(dataset: Dataset, config: SplitConfig, draw: Draw) -> Rows:
    """Keep a share of the users wholly out of training; the older part of their history is given."""
    lengths = np.diff(dataset.indptr)
    chosen = draw.some(np.flatnonzero(lengths >= 2), dataset.n_users, config)
    guessed = np.clip(np.round((1 - config.given) * lengths), 1, np.maximum(lengths - 1, 1)).astype(np.int64)
    out = chosen[dataset.interactions.user]
    late = _from_end(dataset) < np.repeat(guessed, lengths)
    return Rows(~out, out & ~late, out & late)


def _cold_users(dataset: Dataset, config: SplitConfig, draw: Draw) -> Rows:
    """Keep a share of the users wholly out of training, as if they came now; only their first events are given."""
    known = np.flatnonzero(np.diff(dataset.indptr) > config.given_events)
    if not known.size:
        raise DataError(
            f"split cold-users: nobody has more than the {config.given_events} events that are given: "
            "give fewer of them"
        )
    out = draw.some(known, dataset.n_users, config)[dataset.interactions.user]
    first = _from_start(dataset) < config.given_events
    return Rows(~out, out & first, out & ~first)


def _cold_items(dataset: Dataset, config: SplitConfig, draw: Draw) -> Rows:
    """Keep a share of the items wholly out of training; histories end before the user's first of them."""
    cold = draw.some(np.flatnonzero(dataset.item_counts > 0), dataset.n_items, config)
    held = cold[dataset.interactions.item]
    position = np.arange(dataset.n_interactions)
    first = np.full(dataset.n_users, dataset.n_interactions)
    np.minimum.at(first, dataset.interactions.user[held], position[held])
    given = ~held & (position < first[dataset.interactions.user])
    reached = np.bincount(dataset.interactions.user[given], minlength=dataset.n_users) > 0
    return Rows(~held, given, held & reached[dataset.interactions.user])


def _predefined(dataset: Dataset, config: SplitConfig, draw: Draw) -> Rows:
    """Hold out the rows that the files name, in column ``split`` of the interactions: train, validation or test."""
    part = dataset.interactions.part
    code = {"validation": 1, "test": 2}[draw.stage]
    held = part == code
    if not held.any():
        if draw.stage == "validation":  # the files name none: the last item of each user stands in
            return _last_out(dataset, config, draw)
        raise DataError(
            "split predefined: no interaction is marked as test; add a column `split` (train, validation, test) "
            "to interactions.*, or choose another --split"
        )
    return Rows(~held, part < code, held)


RULES: dict[str, Callable[[Dataset, SplitConfig, Draw], Rows]] = {
    "last-out": _last_out,
    "temporal": _temporal,
    "random": _random,
    "users": _users,
    "cold-users": _cold_users,
    "cold-items": _cold_items,
    "predefined": _predefined,
}
