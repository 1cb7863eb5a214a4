"""Debiased accuracy, and what the targets that lists hold are worth, where the data have it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fuserec.evaluation.measures.base import Measured
from fuserec.evaluation.statistics import Estimate, ratio_interval
from fuserec.metrics.debiased import weighted_ndcg, weighted_recall
from fuserec.metrics.outcomes import outcome_rate, worth

if TYPE_CHECKING:
    from fuserec.evaluation.ranking_pass import Outcome
    from fuserec.evaluation.yardstick import Columns, FloatArray, Yardstick

KINDS = {"click": ("click",), "conversion": ("purchase",)}
"""Metric to the kinds of interaction that it counts."""


def debiased(outcome: Outcome, yardstick: Yardstick) -> Measured:
    """Return inverse-propensity recall and NDCG, at one k."""
    k, test = yardstick.main_k, yardstick.test
    ranks, chance = _ranks(outcome), yardstick.audit.propensity
    whole = {}
    for name, metric in (("ips_recall", weighted_recall), ("ips_ndcg", weighted_ndcg)):
        above, below = metric(ranks, chance, test.rows, len(test), k, outcome.tied)
        whole[f"{name}@{k}"] = ratio_interval(above, below, rng=yardstick.rng())
    return Measured(whole=whole)


def outcomes(outcome: Outcome, yardstick: Yardstick) -> Measured:
    """Return what came of the targets within lists: clicks, purchases, return visits, worth."""
    test, facts = yardstick.test, yardstick.audit.targets
    ranks = _ranks(outcome)
    columns: Columns = {}
    whole: dict[str, Estimate] = {}
    for k in yardstick.ks:
        for name, kinds in KINDS.items():
            wanted = [facts.kinds[kind] for kind in kinds if kind in facts.kinds]
            if wanted:
                columns[f"{name}@{k}"] = outcome_rate(
                    ranks, np.logical_or.reduce(wanted), test.rows, len(test), k, outcome.tied
                )
        if facts.later is not None and facts.later.any():
            columns[f"retention@{k}"] = outcome_rate(
                ranks, facts.later, test.rows, len(test), k, outcome.tied
            )
        if facts.worth is not None:
            found, total = worth(ranks, facts.worth, test.rows, len(test), k, outcome.tied)
            columns[f"worth@{k}"] = found
            if (total >= 0).all():
                share = ratio_interval(np.nan_to_num(found), total, rng=yardstick.rng())
                whole[f"worth_share@{k}"] = share
    return Measured(columns, whole)


def _ranks(outcome: Outcome) -> FloatArray:
    """Return the rank of each target, infinite where it is in no list."""
    return np.where(outcome.answered, outcome.ranks, np.inf)
