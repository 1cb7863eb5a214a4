"""Results that are too good to be true: what no honest model reaches is named before anybody believes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from fuserec.evaluation.leakage.base import Leak

if TYPE_CHECKING:
    from fuserec.evaluation.contenders import LineUp
    from fuserec.evaluation.ranking_pass import Outcome
    from fuserec.evaluation.results import ModelResult
    from fuserec.evaluation.yardstick import Yardstick

CERTAIN = 0.9
"""An MRR above which nearly every first choice is foreseen."""

ENOUGH_QUERIES, ENOUGH_ITEMS = 50, 100
"""Of fewer, chance or a small catalogue may do it."""

TIMES_VALIDATION = 2.0
"""How many times as good as on validation a test may be."""


def too_good(
    outcomes: Mapping[str, Outcome],
    models: Mapping[str, ModelResult],
    line_up: LineUp,
    yardstick: Yardstick,
) -> list[Leak]:
    """Return which models are better than an honest one can be, or is likely to be, and by what it shows."""
    return [
        *certain(models, len(yardstick.test), yardstick.train.n_items),
        *_beyond_validation(models, line_up),
        *_beyond_the_best_list(outcomes, yardstick),
    ]


def certain(models: Mapping[str, ModelResult], n_queries: int, n_items: int) -> Iterator[Leak]:
    """Give the models that put a right item first nearly always."""
    if n_queries < ENOUGH_QUERIES or n_items < ENOUGH_ITEMS:
        return
    for name, model in models.items():
        found = model.metrics.get("mrr")
        if found is not None and found.value is not None and found.value >= CERTAIN:
            yield Leak(
                "too-good",
                "suspect",
                model.users,
                f"{name} finds nearly every target at the first place (MRR {found.value:.2f}): people are not that "
                "predictable; look for the target in what it is given (`fuserec evaluate --check-leaks`)",
            )


def _beyond_validation(models: Mapping[str, ModelResult], line_up: LineUp) -> Iterator[Leak]:
    """Give the fusions that are far better on test than on the validation that they were taught on."""
    for name, fused in line_up.fusions.items():
        figures = fused.blend.learnt.figures
        metric = f"ndcg@{fused.blend.config.depth}"
        seen, found = figures.get("fused"), models[name].metrics.get(metric) if name in models else None
        if not seen or found is None or found.value is None or found.low is None:
            continue
        if found.low > TIMES_VALIDATION * seen:
            yield Leak(
                "too-good",
                "suspect",
                models[name].users,
                f"{name} has {metric} {found.value:.4f} on test and {seen:.4f} on validation: test targets that are "
                "so much "
                "easier may be known",
            )


def _beyond_the_best_list(outcomes: Mapping[str, Outcome], yardstick: Yardstick) -> Iterator[Leak]:
    """Give the models that tell apart queries that say nothing.

    All such queries get one list, and no list has more hits than the best one.
    The best k items for such queries are those that most of them hold out; their number is what an oracle reaches.
    """
    test, q = yardstick.test, yardstick.test.queries
    silent = (q.lengths == 0) & ~q.has_text
    if q.contexts:
        silent &= np.array([not context for context in q.contexts])
    if np.count_nonzero(silent) < ENOUGH_QUERIES:
        return
    asked = silent[test.rows]
    counts = np.sort(np.bincount(test.items[asked]))[::-1]
    k = max(yardstick.ks)
    most = int(counts[:k].sum())
    for name, outcome in outcomes.items():
        hits = int(np.count_nonzero(outcome.answered[asked] & (outcome.ranks[asked] <= k)))
        if hits > most:
            yield Leak(
                "too-good",
                "suspect",
                int(np.count_nonzero(silent)),
                f"{name} finds {hits:,} targets of queries without history, words or circumstances within {k} "
                "places; the best "
                f"list of all would find {most:,}: it tells such queries apart by who asks, or by the moment",
            )
