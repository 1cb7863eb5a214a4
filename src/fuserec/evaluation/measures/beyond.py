"""Coverage, diversity and novelty of the lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fuserec.evaluation.measures.base import Measured
from fuserec.evaluation.statistics import Estimate
from fuserec.metrics.beyond import coverage, intra_list_diversity, novelty

if TYPE_CHECKING:
    from fuserec.evaluation.ranking_pass import Outcome
    from fuserec.evaluation.yardstick import Columns, Yardstick


def beyond(outcome: Outcome, yardstick: Yardstick) -> Measured:
    """Return diversity and novelty of every list (n,), and the coverage of all of them."""
    columns: Columns = {}
    covered: dict[str, Estimate] = {}
    lists, counts = outcome.lists, outcome.counts
    for k in yardstick.ks:
        covered[f"coverage@{k}"] = Estimate(coverage(lists, counts, k, yardstick.train.n_items))
        columns[f"ild@{k}"] = intra_list_diversity(lists, counts, k, yardstick.vectors)
        columns[f"novelty@{k}"] = novelty(lists, counts, k, yardstick.item_users, yardstick.n_users)
    return Measured(columns, covered)
