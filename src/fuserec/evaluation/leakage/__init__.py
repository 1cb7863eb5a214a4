"""Leaks: what lets a model know the answers that an evaluation holds out, each named with where it lies.

:func:`leaks` reads data and split and needs no model. :func:`~fuserec.evaluation.leakage.audit.audit` tries a model:
its
scores must not change when the held-out rows do. :func:`~fuserec.evaluation.leakage.alarms.too_good` reads results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from fuserec.evaluation.leakage.audit import Audit, audit
from fuserec.evaluation.leakage.base import Leak
from fuserec.evaluation.leakage.columns import answering_circumstances, columns_of_the_future
from fuserec.evaluation.leakage.rows import (
    after_the_cut,
    answers_in_training,
    answers_shown,
    futures_of_others,
    targets_in_history,
    validated_on_test,
)
from fuserec.evaluation.leakage.twins import same_items, same_people
from fuserec.evaluation.leakage.words import answering_words

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.splits import Split

__all__ = ["CHECKS", "Audit", "Leak", "audit", "leaks"]

CHECKS: dict[str, Callable[[Dataset, Split], Iterable[Leak]]] = {
    "target-in-history": targets_in_history,
    "target-in-training": answers_in_training,
    "test-in-validation": validated_on_test,
    "target-in-impressions": answers_shown,
    "after-the-cut": after_the_cut,
    "same-person": same_people,
    "same-item": same_items,
    "column-of-the-future": columns_of_the_future,
    "answer-in-context": answering_circumstances,
    "answer-in-words": answering_words,
    "future-of-others": futures_of_others,
}
"""All checks by name, in the order of what they find; each is O(n log n) in the rows."""


def leaks(dataset: Dataset, held: Split) -> list[Leak]:
    """Return what of the held-out answers a model could learn or be told, the worst first.

    Parameters
    ----------
    dataset : Dataset
        All of the data.
    held : Split
        Of that dataset; one that was made by hand is checked alike.
    """
    found = [leak for check in CHECKS.values() for leak in check(dataset, held)]
    return sorted(found, key=lambda leak: ("leak", "suspect", "known").index(leak.level))
