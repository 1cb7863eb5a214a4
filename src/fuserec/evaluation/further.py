"""Every model against the leading one on all that is measured by query: what each table can call more than chance.

The metric that decides has its tests, with resamples and against every reference, in ``figures.py``. These are for the
marks of the tables: without resamples (:func:`~fuserec.evaluation.statistics.permuted_differences`), and corrected for
the number of comparisons (Holm) within each family of metrics, which is a table of the report.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fuserec.evaluation import wording
from fuserec.evaluation.figures import corrected, span_of
from fuserec.evaluation.results import Comparison, EvaluationResults
from fuserec.evaluation.statistics import permuted_differences
from fuserec.metrics import definition

if TYPE_CHECKING:
    import numpy.typing as npt


def further(
    results: EvaluationResults, columns: Mapping[str, Mapping[str, npt.ArrayLike]]
) -> list[Comparison]:
    """Return the paired differences from the leading model of every metric but the one that decides.

    Parameters
    ----------
    results : EvaluationResults
        For which model leads, by which metric.
    columns : mapping of mapping of float (n,)
        Values per query of every model, by metric.
    """
    lead = wording.leading(results)
    if lead is None or lead not in columns:
        return []
    families: dict[str, list[Comparison]] = {}
    for metric, base in columns[lead].items():
        others = {name: own[metric] for name, own in columns.items() if name != lead and metric in own}
        if metric != results.primary and others:
            gaps = permuted_differences(others, base, within=span_of(metric), level=results.level)
            one = Comparison(metric=metric, reference=lead, models=gaps)
            families.setdefault(definition(metric).family, []).append(one)
    return [one for family in families.values() for one in corrected(family)]
