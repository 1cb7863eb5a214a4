"""The measure that the reranker of a curve of cost serves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from fuserec.evaluation.groups import Groups
from fuserec.evaluation.measures.base import Measured
from fuserec.evaluation.statistics import Estimate, spread_of_groups
from fuserec.metrics.grouping import group_means
from fuserec.metrics.ranking import AT_K, target_ranks

if TYPE_CHECKING:
    from fuserec.evaluation.ranking_pass import Outcome
    from fuserec.evaluation.yardstick import Columns, Yardstick

ACCURACY = "ndcg"
"""What the groups of people are compared by, where the aim is the worst of them."""


def aims(outcome: Outcome, yardstick: Yardstick) -> Measured:
    """Return the aim of every list (n,), or of the worst group of people; nothing where no curve is drawn."""
    served, queries = outcome.served, yardstick.test.queries
    if served is None:
        return Measured()
    groups = served.audience(queries)
    if groups is not None:
        return Measured(whole=_worst(outcome, yardstick, *groups))
    columns: Columns = {}
    for k in yardstick.ks:
        counts = np.minimum(outcome.counts, k)
        columns[f"aim@{k}"] = served.reached(outcome.lists[:, :k], counts, queries)
    return Measured(columns)


def _worst(
    outcome: Outcome, yardstick: Yardstick, group: np.ndarray, names: tuple[str, ...]
) -> dict[str, Estimate]:
    """Return the accuracy of the group that has the least of it; groups without a query do not count."""
    found = np.where(outcome.answered, outcome.ranks, np.inf)
    shown = target_ranks(yardstick.test.indptr, found, outcome.n_candidates)
    out = {}
    for k in yardstick.ks:
        values = AT_K[ACCURACY](shown, k)
        spread = spread_of_groups(values, group, len(names))
        least = float(np.nanmin(group_means(values, group, len(names))))
        out[f"aim@{k}"] = Estimate(least) if spread is None else spread.worst
    return out


def served_groups(outcomes: Mapping[str, Outcome], yardstick: Yardstick) -> Groups | None:
    """Return the groups of people that the reranker of a curve serves the worst of; None where its aim is another."""
    for outcome in outcomes.values():
        found = None if outcome.served is None else outcome.served.audience(yardstick.test.queries)
        if found is not None:
            return Groups("aim", found[1], found[0])
    return None
