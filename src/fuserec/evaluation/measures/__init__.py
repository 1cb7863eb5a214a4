"""What lists are measured by beside accuracy, one file a family.

A new family is one file with a function of (outcome, yardstick) that returns :class:`Measured`, and one line in
:data:`MEASURES`; the metrics it names have their :class:`~fuserec.metrics.Definition`. Intervals, tables, JSON and the
report follow from there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fuserec.evaluation.measures.aims import aims
from fuserec.evaluation.measures.base import Measured
from fuserec.evaluation.measures.ethics import ethics
from fuserec.evaluation.measures.fairness import fairness
from fuserec.evaluation.measures.information import information
from fuserec.evaluation.measures.lists import lists
from fuserec.evaluation.measures.outcomes import debiased, outcomes

if TYPE_CHECKING:
    from fuserec.evaluation.ranking_pass import Outcome
    from fuserec.evaluation.yardstick import Yardstick

__all__ = ["MEASURES", "Measured", "measured"]

MEASURES: tuple[Callable[[Outcome, Yardstick], Measured], ...] = (
    lists,
    debiased,
    outcomes,
    fairness,
    information,
    ethics,
    aims,
)
"""All families, in the order of tables."""


def measured(outcome: Outcome, yardstick: Yardstick) -> Measured:
    """Return what all families say about one model's lists."""
    found = Measured()
    for family in MEASURES:
        found = found.joined(family(outcome, yardstick))
    return found
