"""Rows that tell what is held out: in histories, in training, in impressions, or too late."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from fuserec.data.impressions import Impressions
from fuserec.evaluation.leakage.base import Leak, named, pair_keys, stages, target_keys

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.splits import Split


def targets_in_history(dataset: Dataset, held: Split) -> Iterator[Leak]:
    """Find queries whose history holds their own target."""
    for stage, part in stages(held):
        q = part.queries
        told = np.isin(target_keys(part), pair_keys(q.users[q.rows], q.items, dataset.n_items))
        if told.any():
            yield Leak(
                "target-in-history",
                "leak",
                int(told.sum()),
                f"{told.sum():,} {stage} targets stand in the history of their own query "
                f"({named(dataset, target_keys(part)[told][0])}): give what came before the target only",
            )


def answers_in_training(dataset: Dataset, held: Split) -> Iterator[Leak]:
    """Find targets whose very pair of user and item is learnt from."""
    for stage, part in stages(held):
        rows = part.train.interactions
        told = np.isin(target_keys(part), pair_keys(rows.user, rows.item, dataset.n_items))
        if told.any():
            yield Leak(
                "target-in-training",
                "leak",
                int(told.sum()),
                f"{told.sum():,} {stage} targets are in the training data too "
                f"({named(dataset, target_keys(part)[told][0])}): the same event was written twice, or the split is "
                "wrong",
            )


def validated_on_test(dataset: Dataset, held: Split) -> Iterator[Leak]:
    """Find targets of the test that validation has too: weights and stops would be chosen on it."""
    told = np.isin(target_keys(held.test), target_keys(held.validation))
    if told.any():
        yield Leak(
            "test-in-validation",
            "leak",
            int(told.sum()),
            f"{told.sum():,} test targets are validation targets too "
            f"({named(dataset, target_keys(held.test)[told][0])}): "
            "what is chosen on validation has seen them",
        )


def answers_shown(dataset: Dataset, held: Split) -> Iterator[Leak]:
    """Find targets that an impression of the training data shows to their user."""
    for stage, part in stages(held):
        if not part.train.impressions.height:
            continue
        seen = Impressions.of(part.train)
        known = seen.user >= 0
        shown = pair_keys(seen.user[known], seen.item[known], dataset.n_items)
        told = np.isin(target_keys(part), shown)
        if told.any():
            yield Leak(
                "target-in-impressions",
                "leak",
                int(told.sum()),
                f"{told.sum():,} {stage} targets are among the impressions of the training data "
                f"({named(dataset, target_keys(part)[told][0])}): a click that was logged tells the answer",
            )


def after_the_cut(dataset: Dataset, held: Split) -> Iterator[Leak]:
    """Find training rows of a later moment than the first question, where the split is by time."""
    if held.config.protocol != "temporal":
        return
    for stage, part in stages(held):
        asked = part.queries.at[np.isfinite(part.queries.at)]
        rows = part.train.interactions
        late = np.flatnonzero(rows.time >= asked.min(initial=np.inf))
        if late.size:
            key = pair_keys(rows.user[late[:1]], rows.item[late[:1]], dataset.n_items)[0]
            yield Leak(
                "after-the-cut",
                "leak",
                int(late.size),
                f"{late.size:,} training rows are not older than the first {stage} question ({named(dataset, key)}): "
                "cut all data at one moment",
            )


def futures_of_others(dataset: Dataset, held: Split) -> Iterator[Leak]:
    """Tell how much of training happened after the questions were asked, where the split is not by time.

    Ji, Sun, Zhang and Li (2023), "A critical study on data leakage in recommender system offline evaluation".
    """
    at, times = held.test.queries.at, held.train.interactions.time
    if held.config.protocol == "temporal" or not (np.isfinite(at).any() and np.isfinite(times).any()):
        return
    late = float(np.mean(times > np.nanmedian(at)))
    if late > 0.01:
        yield Leak(
            "future-of-others",
            "known",
            int(np.sum(times > np.nanmedian(at))),
            f"{late:.0%} of the training rows are later than the median test question: {held.config.protocol} lets "
            "models "
            "know what others did afterwards; --split temporal does not",
        )
