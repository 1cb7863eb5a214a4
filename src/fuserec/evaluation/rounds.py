"""Several tests as one: folds or windows, each measured on its own, and all of them together.

The same person is asked in several rounds, and those answers hang together. So intervals of all rounds resample people,
with everything that they were asked (``statistics/pooled.py``; Davison, Hinkley, 1997, "Bootstrap methods and their
application", section 3.8), and a figure is the mean over all queries: sum of values over number of queries.

Memory: 10 bytes · users · models · metrics, about 130 metrics at three cuts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fuserec.evaluation.figures import accuracy, by_segment, corrected, span_of
from fuserec.evaluation.measures import measured
from fuserec.evaluation.results import Comparison, ModelResult, RoundResult, Segment
from fuserec.evaluation.statistics import (
    Estimate,
    Within,
    intervals,
    paired_ratio_difference,
    pooled_intervals,
    ratio_interval,
)
from fuserec.metrics import name_and_k
from fuserec.metrics.grouping import group_sums

if TYPE_CHECKING:
    from fuserec.evaluation.figures import RatingErrors
    from fuserec.evaluation.measure import Cost
    from fuserec.evaluation.ranking_pass import Outcome
    from fuserec.evaluation.yardstick import Columns, FloatArray, Yardstick
    from fuserec.run import RunOptions

RATINGS = "ratings"
"""Stands for the name of a segment: columns of squared and absolute errors, and how many there are."""


def key_of(segment: str, metric: str) -> str:
    """Return the name of a column: of everybody, ``ndcg@10``; of a segment, ``query:short|ndcg@10``."""
    return f"{segment}|{metric}" if segment else metric


@dataclass(frozen=True)
class Round:
    """What one fold or window found.

    Parameters
    ----------
    name : str
    users : int64 (n,)
        Who each query asks about.
    columns : dict of dict of float64 (n,)
        By model and :func:`key_of`; NaN where a query has no value.
    whole : dict of dict of float
        Figures of all lists together, by model.
    costs : dict of dict
        ``fit_s``, ``score_s`` and ``peak_mb`` by model.
    about : dict
        What else the results tell of it; JSON.
    """

    name: str
    users: np.ndarray
    columns: dict[str, dict[str, FloatArray]]
    whole: dict[str, dict[str, float]]
    costs: dict[str, dict[str, float | None]]
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def queries(self) -> int:
        """How many were asked."""
        return self.users.size


def round_of(
    name: str,
    outcomes: Mapping[str, Outcome],
    ratings: Mapping[str, RatingErrors],
    costs: Mapping[str, Cost],
    yardstick: Yardstick,
    primary: str,
) -> Round:
    """Measure one round: all metrics of everybody, those at the deciding cut by segment."""
    kept = name_and_k(primary)[1]
    columns: dict[str, dict[str, FloatArray]] = {}
    whole: dict[str, dict[str, float]] = {}
    spent: dict[str, dict[str, float | None]] = {}
    for model, outcome in outcomes.items():
        yardstick.run.check()
        own: Columns = accuracy(outcome, yardstick)
        lists = measured(outcome, yardstick)
        table = {**own, **lists.columns}
        for segment, values in by_segment(outcome, yardstick, own).items():
            told = {m: column for m, column in values.items() if name_and_k(m)[1] in (None, kept)}
            table |= {key_of(segment, m): column for m, column in told.items()}
        if model in ratings:
            errors = ratings[model]
            named = {"squared": errors.squared, "absolute": errors.absolute, "counts": errors.counts}
            table |= {key_of(RATINGS, n): np.asarray(values, np.float64) for n, values in named.items()}
        columns[model] = table
        whole[model] = {n: it.value for n, it in lists.whole.items() if it.value is not None}
        cost = costs[model]
        spent[model] = {"fit_s": cost.seconds, "score_s": outcome.score_s, "peak_mb": cost.peak_mb}
    about = {"train": yardstick.train.n_interactions, "targets": int(yardstick.test.items.size)}
    users = yardstick.test.queries.users.astype(np.int64)
    return Round(name, users, columns, whole, spent, about)


class Pool:
    """Sums of all rounds so far by user, and the figures of each round."""

    def __init__(self, n_users: int, primary: str, run: RunOptions) -> None:
        self._n_users, self._primary, self._run = n_users, primary, run
        self._sums: dict[str, dict[str, FloatArray]] = {}
        self._counts: dict[str, dict[str, np.ndarray]] = {}
        self._whole: dict[str, dict[str, list[tuple[int, float]]]] = {}
        self._costs: dict[str, list[dict[str, float | None]]] = {}
        self._asked = np.zeros(n_users, dtype=bool)
        self.rounds: list[RoundResult] = []

    def add(self, one: Round) -> None:
        """Take a round in."""
        self._asked[one.users] = True
        for model, table in one.columns.items():
            sums, counts = self._sums.setdefault(model, {}), self._counts.setdefault(model, {})
            for name, column in table.items():
                there = ~np.isnan(column)
                if name not in sums:
                    sums[name], counts[name] = np.zeros(self._n_users), np.zeros(self._n_users, np.uint16)
                sums[name] += group_sums(np.where(there, column, 0.0), one.users, self._n_users)
                counts[name] += group_sums(there, one.users, self._n_users).astype(np.uint16)
            for name, value in one.whole[model].items():
                self._whole.setdefault(model, {}).setdefault(name, []).append((one.queries, value))
            self._costs.setdefault(model, []).append(one.costs[model])
        self.rounds.append(self._figures(one))

    def _figures(self, one: Round) -> RoundResult:
        """Return a round's own figures: the metrics at the deciding cut, with intervals over its users."""
        kept = name_and_k(self._primary)[1]
        wanted = {
            (model, name): column
            for model, table in one.columns.items()
            for name, column in table.items()
            if "|" not in name and name_and_k(name)[1] == kept
        }
        ranges = {key: span for key in wanted if (span := span_of(key[1])) is not None}
        found = intervals(wanted, rng=self._run.rng("bootstrap"), within=ranges)
        figures: dict[str, dict[str, Estimate]] = {model: {} for model in one.columns}
        for (model, name), estimate in found.items():
            figures[model][name] = estimate
        return RoundResult(
            name=one.name,
            users=one.queries,
            targets=one.about["targets"],
            train=one.about["train"],
            models=figures,
            seconds={model: cost["fit_s"] for model, cost in one.costs.items()},
        )

    def results(self) -> dict[str, ModelResult]:
        """Return the figures of all rounds together, by model."""
        return {model: self._model(model) for model in self._sums}

    def _model(self, model: str) -> ModelResult:
        """Return one model's pooled figures."""
        ranked = [name for name in self._sums[model] if not name.startswith(f"{RATINGS}|")]
        found = self._intervals(model, ranked)
        metrics = {name: found[name] for name in ranked if "|" not in name}
        metrics |= {
            name: Estimate(float(np.average([v for _, v in values], weights=[n for n, _ in values])))
            for name, values in self._whole.get(model, {}).items()
        }
        metrics |= self._rating_errors(model)
        segments: dict[str, Segment] = {}
        for segment in dict.fromkeys(name.rpartition("|")[0] for name in ranked if "|" in name):
            own = {name.rpartition("|")[2]: name for name in ranked if name.rpartition("|")[0] == segment}
            users = int(np.count_nonzero(self._counts[model][next(iter(own.values()))]))
            metrics_of = {metric: found[name] for metric, name in own.items()}
            segments[segment] = Segment(users=users, metrics=metrics_of)
        costs = self._costs[model]
        peaks = [cost["peak_mb"] for cost in costs if cost["peak_mb"] is not None]
        return ModelResult(
            metrics=metrics,
            segments=segments,
            fit_s=sum(cost["fit_s"] or 0.0 for cost in costs),
            score_s=sum(cost["score_s"] or 0.0 for cost in costs),
            peak_mb=max(peaks, default=None),
            users=int(self._asked.sum()),
        )

    def _intervals(self, model: str, names: Sequence[str]) -> dict[str, Estimate]:
        """Return sum over count of each column, with its interval over people."""
        sums = {name: self._sums[model][name][self._asked] for name in names}
        counts = {name: self._counts[model][name][self._asked].astype(np.float64) for name in names}
        return pooled_intervals(sums, counts, rng=self._run.rng("bootstrap"), within=_ranges(names))

    def _errors(self, model: str) -> tuple[FloatArray, FloatArray, FloatArray] | None:
        """Return squared and absolute errors and their number by person, where the model predicts ratings."""
        sums = self._sums[model]
        if key_of(RATINGS, "counts") not in sums:
            return None
        squared, absolute, counts = (
            sums[key_of(RATINGS, n)][self._asked] for n in ("squared", "absolute", "counts")
        )
        return squared, absolute, counts

    def _rating_errors(self, model: str) -> dict[str, Estimate]:
        """Return RMSE and MAE over all rated targets."""
        errors = self._errors(model)
        if errors is None:
            return {}
        squared, absolute, counts = errors
        return {
            "rmse": ratio_interval(squared, counts, rng=self._run.rng("bootstrap"), root=True),
            "mae": ratio_interval(absolute, counts, rng=self._run.rng("bootstrap")),
        }

    def comparisons(self, references: Iterable[str]) -> list[Comparison]:
        """Return paired differences of the deciding metric and of RMSE, over people, corrected for their number."""
        found: list[Comparison] = []
        for reference in references:
            others = [model for model in self._sums if model != reference]
            base, counts = (
                held[reference][self._primary][self._asked] for held in (self._sums, self._counts)
            )
            differences = {
                model: paired_ratio_difference(
                    self._sums[model][self._primary][self._asked],
                    base,
                    counts,
                    rng=self._run.rng("bootstrap"),
                    within=span_of(self._primary),
                )
                for model in others
            }
            if differences:
                found.append(Comparison(metric=self._primary, reference=reference, models=differences))
            errors = {model: own for model in self._sums if (own := self._errors(model)) is not None}
            if reference in errors and len(errors) > 1:
                squared, _, rated = errors[reference]
                gaps = {
                    model: paired_ratio_difference(
                        own[0], squared, rated, rng=self._run.rng("bootstrap"), root=True
                    )
                    for model, own in errors.items()
                    if model != reference
                }
                found.append(Comparison(metric="rmse", reference=reference, models=gaps))
        return corrected(found)


def _ranges(names: Iterable[str]) -> dict[str, Within]:
    """Return the ranges of the columns whose metric has one."""
    spans = {name: span_of(name.rpartition("|")[2]) for name in names}
    return {name: span for name, span in spans.items() if span is not None}


def spread(rounds: Sequence[RoundResult], model: str, metric: str) -> tuple[float, float] | None:
    """Return the lowest and the highest figure of a model over rounds."""
    found = [one.models[model][metric].value for one in rounds if metric in one.models.get(model, {})]
    values = [value for value in found if value is not None]
    return (min(values), max(values)) if values else None
