"""What a family of measures returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from fuserec.metrics.ranking import TargetRanks, target_ranks

if TYPE_CHECKING:
    from fuserec.evaluation.ranking_pass import Outcome
    from fuserec.evaluation.statistics import Estimate
    from fuserec.evaluation.yardstick import Columns, Yardstick


@dataclass(frozen=True)
class Measured:
    """Figures of one model's lists.

    Parameters
    ----------
    columns : dict of float64 (n_queries,)
        Metrics that are means over queries, NaN where a query has no value: intervals are made of them.
    whole : dict of Estimate
        Metrics of all lists together, with the interval that the family gives them, if any.
    """

    columns: Columns = field(default_factory=dict)
    whole: dict[str, Estimate] = field(default_factory=dict)

    def joined(self, other: Measured) -> Measured:
        """Return both together."""
        return Measured(self.columns | other.columns, self.whole | other.whole)


def found_ranks(outcome: Outcome, yardstick: Yardstick) -> TargetRanks:
    """Return the ranks of all targets, infinite where a model has no score for one: it is in no list."""
    ranks = np.where(outcome.answered, outcome.ranks, np.inf)
    return target_ranks(yardstick.test.indptr, ranks, outcome.n_candidates, outcome.tied)
