"""Splits: what is held out to be guessed.

One function holds out once; train, validation and test are two of them nested.

``last-out`` is the protocol of the published tables: each user's last item is test, the one before it validation,
models fit on the rest, and the history of a test query holds the validation item. Where people meet items
again (a view, then a purchase), the last item is the last one that was new to them: what is in the history is never
recommended.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from fuserec.data.contexts import joined, row_contexts
from fuserec.data.impressions import not_held_out
from fuserec.errors import ConfigError, DataError, nearest
from fuserec.settings import Settings

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.query import QueryBatch

Protocol = Literal["last-out", "temporal", "random", "users", "cold-items", "predefined"]


class SplitConfig(Settings):
    """Which protocol, and its shares."""

    protocol: Protocol = Field(default="last-out", description="How targets are held out.")
    share: float = Field(
        default=0.1,
        gt=0,
        lt=1,
        description="What is held out each time, of the interactions (temporal, random), users or items (cold-items).",
    )
    given: float = Field(
        default=0.8, gt=0, lt=1, description="users: the share of a held-out user's history given."
    )


@dataclass(frozen=True)
class Holdout:
    """Queries with the answers that were held out, and the data that may be learnt from.

    Parameters
    ----------
    train : Dataset
        The rest; same vocabularies.
    queries : QueryBatch (n)
        Who is asked about, with the history that the protocol gives.
    indptr : int64 (n + 1,)
        Query ``q``'s targets are ``items[indptr[q]:indptr[q + 1]]``.
    items : int32 (n_targets,)
    ratings : float32 (n_targets,)
        NaN where there is none.
    repeats : int
        Targets left out because the history already held them: they are never recommended.
    weights : float32 (n_targets,) or None
        Signed weights of the targets; None where nobody gave them.
    """

    train: Dataset
    queries: QueryBatch
    indptr: np.ndarray
    items: np.ndarray
    ratings: np.ndarray
    repeats: int = 0
    weights: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.queries)

    @property
    def rows(self) -> np.ndarray:
        """int64 (n_targets,): the query of each target."""
        return np.repeat(np.arange(len(self)), np.diff(self.indptr))

    def take(self, rows: np.ndarray) -> Holdout:
        """Return some of the queries, with their targets."""
        lengths = np.diff(self.indptr)[rows]
        indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        source = np.arange(int(indptr[-1])) + np.repeat(self.indptr[rows] - indptr[:-1], lengths)
        return replace(
            self,
            queries=self.queries.take(rows),
            indptr=indptr,
            items=self.items[source],
            ratings=self.ratings[source],
            weights=None if self.weights is None else self.weights[source],
        )


@dataclass(frozen=True)
class Split:
    """Train, validation and test: ``validation.train`` is what models fit on."""

    config: SplitConfig
    validation: Holdout
    test: Holdout

    @property
    def train(self) -> Dataset:
        """What models fit on."""
        return self.validation.train


def split(dataset: Dataset, config: SplitConfig, seed: int = 0) -> Split:
    """Hold out the test targets, then the validation targets from what is left, both in the same way.

    Raises
    ------
    DataError
        Where nothing can be held out (too few interactions, no time for ``temporal``).
    """
    test = hold_out(dataset, config, seed, "test")
    share = config.share / (1 - config.share)  # the same number of rows again, of what is left
    validation = hold_out(
        test.train, config.model_copy(update={"share": min(share, 0.5)}), seed, "validation"
    )
    return Split(config, validation, test)


def hold_out(
    dataset: Dataset, config: SplitConfig, seed: int, stage: Literal["test", "validation"]
) -> Holdout:
    """Hold out once.

    Parameters
    ----------
    dataset : Dataset
    config : SplitConfig
    seed : int
    stage : {"test", "validation"}
        Only ``predefined`` and the random numbers depend on it.
    """
    if config.protocol not in _RULES:
        raise ConfigError(
            f"split: unknown protocol {config.protocol!r}{nearest(config.protocol, _RULES)} "
            f"(known: {', '.join(_RULES)})"
        )
    rng = np.random.default_rng(np.random.SeedSequence([seed, {"test": 1, "validation": 2}[stage]]))
    rows = _RULES[config.protocol](dataset, config, rng, stage)
    held = _assembled(dataset, rows)
    if len(held) == 0 or held.train.n_interactions == 0:
        raise DataError(
            f"split {config.protocol}: nothing can be held out for {stage} of {dataset.n_interactions:,} interactions "
            f"by {dataset.n_users:,} users: each needs at least 3 interactions (or choose another --split)"
        )
    return held


@dataclass(frozen=True)
class _Rows:
    """Masks over the interactions: what to learn from, what queries are given, what is to be guessed.

    ``until`` is the moment from which on nothing is known, where there is one.
    """

    train: np.ndarray
    given: np.ndarray
    targets: np.ndarray
    until: float = np.inf


def _assembled(dataset: Dataset, rows: _Rows) -> Holdout:
    """Build queries and ragged targets from the masks."""
    table = dataset.interactions
    history = dataset.with_rows(rows.given)
    targets = table.take(rows.targets)
    pair = targets.user.astype(np.int64) * dataset.n_items + targets.item
    seen = history.interactions.user.astype(np.int64) * dataset.n_items + history.interactions.item
    _, first = np.unique(pair, return_index=True)
    once = np.zeros(pair.size, dtype=bool)
    once[first] = True
    fresh = ~np.isin(pair, seen)
    repeats = int(np.sum(~fresh))
    targets = targets.take(fresh & once)
    users, starts, counts = np.unique(targets.user, return_index=True, return_counts=True)
    moments = targets.time[starts] if users.size else np.empty(0)
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    queries = history.queries(users, moments)
    circumstances = row_contexts(
        targets.context, starts
    )  # known when the question is asked, as the moment is
    return Holdout(
        not_held_out(dataset, rows.train, rows.until).with_rows(rows.train),
        replace(queries, contexts=joined(queries.contexts, circumstances)),
        indptr,
        targets.item,
        targets.rating,
        repeats,
        targets.weight,
    )


def _from_end(dataset: Dataset) -> np.ndarray:
    """Return int64 (n,): how many later rows the user of each row has."""
    ends = np.repeat(dataset.indptr[1:], np.diff(dataset.indptr))
    return ends - 1 - np.arange(dataset.n_interactions)


def _last_out(dataset: Dataset, config: SplitConfig, rng: np.random.Generator, stage: str) -> _Rows:
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
    enough = (found >= (3 if stage == "test" else 2))[rows.user]
    later = (place >= last[rows.user]) & enough
    return _Rows(~later, ~later, later & (place == last[rows.user]))


def _temporal(dataset: Dataset, config: SplitConfig, rng: np.random.Generator, stage: str) -> _Rows:
    """Hold out everything from one moment on; people who only come later are asked about with an empty history."""
    dataset.require_time("split temporal")
    moment = np.quantile(dataset.interactions.time, 1 - config.share)
    later = dataset.interactions.time >= moment
    return _Rows(~later, ~later, later, float(moment))


def _random(dataset: Dataset, config: SplitConfig, rng: np.random.Generator, stage: str) -> _Rows:
    """Hold out a share of each user's interactions, at least one and never all."""
    lengths = np.diff(dataset.indptr)
    order = np.lexsort((rng.random(dataset.n_interactions), dataset.interactions.user))
    place = np.empty(dataset.n_interactions, np.int64)
    place[order] = np.arange(dataset.n_interactions) - np.repeat(dataset.indptr[:-1], lengths)
    wanted = np.where(lengths >= 2, np.clip(np.round(config.share * lengths), 1, lengths - 1), 0)
    held = place < np.repeat(wanted, lengths)
    return _Rows(~held, ~held, held)


def _users(dataset: Dataset, config: SplitConfig, rng: np.random.Generator, stage: str) -> _Rows:
    """Keep a share of the users wholly out of training; the older part of their history is given."""
    active = np.flatnonzero(np.diff(dataset.indptr) >= 2)
    chosen = np.zeros(dataset.n_users, dtype=bool)
    chosen[rng.permutation(active)[: max(1, round(config.share * active.size))]] = True
    lengths = np.diff(dataset.indptr)
    guessed = np.clip(np.round((1 - config.given) * lengths), 1, np.maximum(lengths - 1, 1)).astype(np.int64)
    out = chosen[dataset.interactions.user]
    late = _from_end(dataset) < np.repeat(guessed, lengths)
    return _Rows(~out, out & ~late, out & late)


def _cold_items(dataset: Dataset, config: SplitConfig, rng: np.random.Generator, stage: str) -> _Rows:
    """Keep a share of the items wholly out of training; histories end before the user's first of them."""
    taken = np.flatnonzero(dataset.item_counts > 0)
    cold = np.zeros(dataset.n_items, dtype=bool)
    cold[rng.permutation(taken)[: max(1, round(config.share * taken.size))]] = True
    held = cold[dataset.interactions.item]
    position = np.arange(dataset.n_interactions)
    first = np.full(dataset.n_users, dataset.n_interactions)
    np.minimum.at(first, dataset.interactions.user[held], position[held])
    given = ~held & (position < first[dataset.interactions.user])
    reached = np.bincount(dataset.interactions.user[given], minlength=dataset.n_users) > 0
    return _Rows(~held, given, held & reached[dataset.interactions.user])


def _predefined(dataset: Dataset, config: SplitConfig, rng: np.random.Generator, stage: str) -> _Rows:
    """Hold out the rows that the files name, in column ``split`` of the interactions: train, validation or test."""
    part = dataset.interactions.part
    code = {"validation": 1, "test": 2}[stage]
    held = part == code
    if not held.any():
        if stage == "validation":  # the files name none: the last item of each user stands in
            return _last_out(dataset, config, rng, stage)
        raise DataError(
            "split predefined: no interaction is marked as test; add a column `split` (train, validation, test) "
            "to interactions.*, or choose another --split"
        )
    return _Rows(~held, part < code, held)


_RULES: dict[str, Callable[[Dataset, SplitConfig, np.random.Generator, str], _Rows]] = {
    "last-out": _last_out,
    "temporal": _temporal,
    "random": _random,
    "users": _users,
    "cold-items": _cold_items,
    "predefined": _predefined,
}
