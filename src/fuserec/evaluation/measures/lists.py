"""Diversity, novelty, serendipity, coverage, concentration, calibration and probabilities of the lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fuserec.evaluation.measures.base import Measured
from fuserec.evaluation.statistics import Estimate
from fuserec.metrics.families import Lists, list_columns

if TYPE_CHECKING:
    from fuserec.evaluation.ranking_pass import Outcome
    from fuserec.evaluation.yardstick import Yardstick


def lists(outcome: Outcome, yardstick: Yardstick) -> Measured:
    """Return one value a list (n,) of every metric over lists; the coverage of all of them has no interval."""
    shown = Lists(outcome.lists, outcome.counts, outcome.probabilities)
    columns, whole = list_columns(shown, yardstick.ks, yardstick.known, yardstick.run.threads)
    return Measured(columns, {name: Estimate(value) for name, value in whole.items()})
