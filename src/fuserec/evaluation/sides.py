"""One model of one run, and its difference from another on the same queries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fuserec.evaluation.figures import span_of
from fuserec.evaluation.queries import Queries
from fuserec.evaluation.results import EvaluationResults
from fuserec.evaluation.statistics import (
    Difference,
    Estimate,
    paired_difference,
    paired_ratio_difference,
    worst_difference,
)
from fuserec.metrics import name_and_k

RMSE = "rmse"
WORST = "group_worst:"
"""What the name of a worst group's figure begins with; the column follows."""


@dataclass(frozen=True)
class Side:
    """One model of one run."""

    run: str
    model: str
    results: EvaluationResults

    def figure(self, metric: str) -> Estimate:
        """Return the figure of a metric."""
        return self.results.models[self.model].metrics.get(metric, Estimate(None))


def alike(first: EvaluationResults, run: EvaluationResults) -> bool:
    """Return whether two runs have values for the same queries."""
    a, b = first.queries, run.queries
    return a is not None and b is not None and (a.fingerprint, a.n) == (b.fingerprint, b.n)


def paired_on(model: Side, other: Side, metric: str) -> Difference | None:
    """Compare two models on the same queries; None where values per query are not kept."""
    a, b = queries_of(model), queries_of(other)
    level = model.results.level
    if metric == RMSE:
        ours, theirs = a.errors(model.model), b.errors(other.model)
        if ours is None or theirs is None or not np.array_equal(ours[1], theirs[1]):
            return None
        return paired_ratio_difference(ours[0], theirs[0], ours[1], rng=resamples(), root=True, level=level)
    if metric.startswith(WORST):
        return _less_worst(model, other, metric)
    first, second = a.column(model.model, metric), b.column(other.model, metric)
    if first is None or second is None:
        return None
    return paired_difference(first, second, rng=resamples(), within=span_of(metric), level=level)


def keeps_groups(side: Side, metric: str) -> bool:
    """Return whether a figure is that of a worst group, and the run keeps who is of which."""
    column = name_and_k(metric)[0].removeprefix(WORST)
    kept = side.results.queries
    return metric.startswith(WORST) and kept is not None and column in kept.groups


def _less_worst(model: Side, other: Side, metric: str) -> Difference | None:
    """Compare what the worst groups of two models have; None where the runs do not keep the same groups."""
    name, k = name_and_k(metric)
    column = name.removeprefix(WORST)
    a, b = queries_of(model), queries_of(other)
    ours, theirs = a.column(model.model, f"ndcg@{k}"), b.column(other.model, f"ndcg@{k}")
    codes, others = a.codes(column), b.codes(column)
    if ours is None or theirs is None or codes is None or others is None or not np.array_equal(codes, others):
        return None
    n, level = int(codes.max(initial=-1)) + 1, model.results.level
    return worst_difference(
        ours, theirs, codes, n, rng=resamples(), permuting=resamples(), within=span_of(metric), level=level
    )


def resamples() -> np.random.Generator:
    """Return the generator of resamples, started anew: equal files give equal comparisons."""
    return np.random.default_rng(0)


def queries_of(side: Side) -> Queries:
    """Return the values per query of a run that has them."""
    assert side.results.queries is not None
    return side.results.queries
