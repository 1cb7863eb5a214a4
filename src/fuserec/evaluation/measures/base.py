"""What a family of measures returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fuserec.evaluation.statistics import Estimate
    from fuserec.evaluation.yardstick import Columns


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
