"""Splits: what is held out to be guessed.

One function holds out once; train, validation and test are two of them nested, and folds are several such splits.

``last-out`` is the protocol of the published tables: each user's last item is test, the one before it validation,
models fit on the rest, and the history of a test query holds the validation item. Where people meet items
again (a view, then a purchase), the last item is the last one that was new to them: what is in the history is never
recommended.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from fuserec.data.contexts import joined, row_contexts
from fuserec.data.impressions import not_held_out
from fuserec.data.splits.base import Draw, Holdout, Protocol, Rows, Split, SplitConfig, Targets
from fuserec.data.splits.rules import RULES
from fuserec.errors import ConfigError, DataError, nearest

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset

__all__ = [
    "Holdout",
    "Protocol",
    "Rows",
    "Split",
    "SplitConfig",
    "Targets",
    "assembled",
    "hold_out",
    "split",
    "splits",
]


def split(dataset: Dataset, config: SplitConfig, seed: int = 0, fold: int = 0) -> Split:
    """Hold out the test targets, then the validation targets from what is left, both in the same way.

    Parameters
    ----------
    dataset : Dataset
    config : SplitConfig
    seed : int
    fold : int
        Which of ``config.folds`` is test; validation is drawn from the others.

    Raises
    ------
    DataError
        Where nothing can be held out (too few interactions, no time for ``temporal``).
    """
    test = hold_out(dataset, config, seed, "test", fold)
    share = config.held_share / (1 - config.held_share)  # the same number of rows again, of what is left
    rest = config.model_copy(update={"share": min(share, 0.5), "folds": 1})
    return Split(config, hold_out(test.train, rest, seed, "validation"), test)


def splits(dataset: Dataset, config: SplitConfig, seed: int = 0) -> Iterator[Split]:
    """Give one split a fold, one after the other: together their tests hold out everything once.

    What cannot be held out stays in training in all folds: the only interaction of a user (random, users).
    """
    for fold in range(config.folds):
        yield split(dataset, config, seed, fold)


def hold_out(
    dataset: Dataset,
    config: SplitConfig,
    seed: int,
    stage: Literal["test", "validation"],
    fold: int = 0,
) -> Holdout:
    """Hold out once.

    Parameters
    ----------
    dataset : Dataset
    config : SplitConfig
    seed : int
    stage : {"test", "validation"}
        Only ``predefined`` and the random numbers depend on it.
    fold : int
        Which of ``config.folds`` is held out.
    """
    if config.protocol not in RULES:
        raise ConfigError(
            f"split: unknown protocol {config.protocol!r}{nearest(config.protocol, RULES)} "
            f"(known: {', '.join(RULES)})"
        )
    rng = np.random.default_rng(np.random.SeedSequence([seed, {"test": 1, "validation": 2}[stage]]))
    held = assembled(dataset, RULES[config.protocol](dataset, config, Draw(rng, stage, fold)), config.targets)
    if len(held) == 0 or held.train.n_interactions == 0:
        raise DataError(
            f"split {config.protocol}: nothing can be held out for {stage} of {dataset.n_interactions:,} interactions "
            f"by {dataset.n_users:,} users: each needs at least 3 interactions (or choose another --split)"
        )
    return held


def assembled(dataset: Dataset, rows: Rows, wanted: Targets = "all") -> Holdout:
    """Build queries and ragged targets from masks over the interactions.

    A target that the history holds, or that was a target already, is left out; of ``next`` the first that is left
    stays.
    """
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
    if wanted == "next":
        targets = targets.take(np.unique(targets.user, return_index=True)[1])
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
        np.flatnonzero(~rows.train & ~rows.given),
    )
