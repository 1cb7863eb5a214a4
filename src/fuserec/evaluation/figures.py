"""From outcomes to figures: values per query, then means with intervals, segments and comparisons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fuserec.evaluation.measures import measured
from fuserec.evaluation.results import Comparison, Segment
from fuserec.evaluation.statistics import (
    Difference,
    Estimate,
    Within,
    holm,
    intervals,
    paired_differences,
    paired_ratio_difference,
    ratio_interval,
)
from fuserec.fusion.cohorts import HISTORY, ITEM_COHORTS, item_cohorts, query_cohorts
from fuserec.metrics import definition
from fuserec.metrics.graded import GRADED
from fuserec.metrics.ranking import AT_K, WHOLE, target_ranks
from fuserec.metrics.rating import absolute_errors, by_user, squared_errors

if TYPE_CHECKING:
    from fuserec.data.splits import Holdout
    from fuserec.evaluation.contenders import LineUp
    from fuserec.evaluation.ranking_pass import Outcome
    from fuserec.evaluation.yardstick import Columns, FloatArray, Yardstick
    from fuserec.fusion.base import Fusion
    from fuserec.run import RunOptions
    from fuserec.scorers.base import Scorer

Narrow = dict[str, npt.NDArray[np.float32]]
"""Values per query (n,) by the name of their metric, kept for tests alone."""

EVERYBODY = ""
"""Stands for "all queries" where the name of a segment is asked for."""

CELLS = 2**18
"""Ratings predicted at a time, padding included."""


def accuracy(outcome: Outcome, yardstick: Yardstick, chosen: np.ndarray | None = None) -> Columns:
    """Return one value per query (n,) of every ranking metric, NaN for a query without a target.

    A target without a score is in no list, so metrics at k count it as not found; metrics of the whole
    ranking put it on the mean of the last ranks, among all that the model abstains on.

    Parameters
    ----------
    outcome : Outcome
    yardstick : Yardstick
    chosen : bool (n_targets,), optional
        Count these targets alone.
    """
    rows, n = yardstick.test.rows, len(yardstick.test)
    kept = np.ones(rows.size, dtype=bool) if chosen is None else chosen
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows[kept], minlength=n))])
    ranks = outcome.ranks[kept]
    found = np.where(outcome.answered[kept], ranks, np.inf)
    tied, grades = outcome.tied[kept], yardstick.grades
    gain = None if grades is None else grades[kept]
    shown = target_ranks(indptr, found, outcome.n_candidates, tied, gain)
    whole = target_ranks(indptr, ranks, outcome.n_candidates, tied)
    at_k = AT_K if gain is None else AT_K | GRADED
    columns = {f"{name}@{k}": metric(shown, k) for name, metric in at_k.items() for k in yardstick.ks}
    return columns | {name: metric(whole) for name, metric in WHOLE.items()}


def by_segment(outcome: Outcome, yardstick: Yardstick, everybody: Columns) -> dict[str, Columns]:
    """Return the ranking metrics of each segment, NaN for queries outside it.

    Queries are told apart by the length of their history, targets by how often training has them: a query
    counts in every segment that it has a target of, with those targets alone. Groups of users are segments too.
    """
    test = yardstick.test
    kinds = query_cohorts(test.queries) % len(HISTORY)
    found = {
        f"query:{name}": {m: np.where(kinds == code, column, np.nan) for m, column in everybody.items()}
        for code, name in enumerate(HISTORY)
        if (kinds == code).any()
    }
    cohorts = item_cohorts(yardstick.train.item_counts)[test.items]
    for code, name in enumerate(ITEM_COHORTS):
        if (cohorts == code).any():
            found[f"target:{name}"] = accuracy(outcome, yardstick, cohorts == code)
    for groups in yardstick.audit.groups:
        for code, value in enumerate(groups.values):
            inside = groups.codes == code
            found[f"group:{groups.name}={value}"] = {
                m: np.where(inside, column, np.nan) for m, column in everybody.items()
            }
    return found


def estimates(
    outcome: Outcome, yardstick: Yardstick
) -> tuple[dict[str, Estimate], dict[str, Segment], Columns, Narrow]:
    """Return every metric with its interval, the segments, and the values per query: of accuracy, of whole lists.

    Those of lists are float32: 4 bytes · queries · metrics, some 60 at three cuts.
    """
    columns = accuracy(outcome, yardstick)
    segments = by_segment(outcome, yardstick, columns)
    lists = measured(outcome, yardstick)
    table = {(EVERYBODY, name): column for name, column in (columns | lists.columns).items()}
    table |= {(segment, name): column for segment, own in segments.items() for name, column in own.items()}
    spans = {key: span for key in table if (span := span_of(key[1])) is not None}
    found = intervals(table, rng=yardstick.rng(), within=spans)
    figures = {name: found[EVERYBODY, name] for name in (*columns, *lists.columns)} | lists.whole
    parts = {
        segment: Segment(
            users=int(np.count_nonzero(~np.isnan(next(iter(own.values()))))),
            metrics={name: found[segment, name] for name in own},
        )
        for segment, own in segments.items()
    }
    return figures, parts, columns, {name: it.astype(np.float32) for name, it in lists.columns.items()}


@dataclass(frozen=True)
class RatingErrors:
    """Errors of predicted ratings summed by query: float64 (n,) each."""

    squared: FloatArray
    absolute: FloatArray
    counts: FloatArray

    def estimates(self, yardstick: Yardstick) -> dict[str, Estimate]:
        """Return RMSE and MAE with their intervals."""
        return {
            "rmse": ratio_interval(self.squared, self.counts, rng=yardstick.rng(), root=True),
            "mae": ratio_interval(self.absolute, self.counts, rng=yardstick.rng()),
        }

    def less(self, other: RatingErrors, yardstick: Yardstick) -> Difference:
        """Return the paired difference of RMSE."""
        return paired_ratio_difference(
            self.squared, other.squared, self.counts, rng=yardstick.rng(), root=True
        )


def rating_errors(model: Scorer | Fusion, test: Holdout, run: RunOptions) -> RatingErrors | None:
    """Predict the held-out ratings of test queries; None where there are none.

    Each query is asked once for all its targets; queries are taken in the order of their number of targets,
    so that little is padded.
    """
    rated = np.isfinite(test.ratings)
    rows = test.rows[rated]
    if not rows.size:
        return None
    items, actual = test.items[rated], test.ratings[rated]
    counts = np.bincount(rows, minlength=len(test))
    starts = np.concatenate([[0], np.cumsum(counts)])
    order = np.argsort(counts, kind="stable")
    order = order[counts[order] > 0]
    predicted = np.empty(rows.size, np.float32)
    at = 0
    while at < order.size:
        run.check()
        run.progress("predicting ratings", at, order.size)
        longest = np.maximum.accumulate(counts[order[at:]])
        size = max(1, int(np.searchsorted(longest * np.arange(1, longest.size + 1), CELLS)))
        queries = order[at : at + size]
        width = int(counts[queries].max())
        place = starts[queries][:, None] + np.minimum(np.arange(width), counts[queries][:, None] - 1)
        predicted[place] = model.predict(test.queries.take(queries), items[place])
        at += size
    run.progress("predicting ratings", order.size, order.size)
    squared, per_query = by_user(squared_errors(predicted, actual), rows, len(test))
    absolute, _ = by_user(absolute_errors(predicted, actual), rows, len(test))
    return RatingErrors(squared, absolute, per_query)


def ratings_of(line_up: LineUp, yardstick: Yardstick) -> dict[str, RatingErrors]:
    """Return the errors of every reported model that predicts ratings, where the data have them."""
    found: dict[str, RatingErrors] = {}
    if not yardstick.train.has_ratings:
        return found
    for name in line_up.reported:
        fused = line_up.fusions.get(name)
        if fused is not None and fused.variant_of:
            continue  # ratings do not hang on the order of a list
        if fused is not None:
            able, ground, model = fused.blend.predicts, fused.ground, fused.blend
            errors = rating_errors(model, ground.test, yardstick.run) if able else None
        else:
            one = line_up.contenders[name]
            able = one.scorer.capabilities.predicts
            errors = rating_errors(one.scorer, one.ground.test, yardstick.run) if able else None
        if errors is not None:
            found[name] = errors
    return found


def comparisons(
    columns: Mapping[str, Columns],
    ratings: Mapping[str, RatingErrors],
    references: tuple[str, ...],
    yardstick: Yardstick,
    metric: str,
) -> list[Comparison]:
    """Compare every model with every reference, on the same queries: the deciding metric, and RMSE.

    p-values are corrected for the number of comparisons, two models in either direction being one.
    """
    found = []
    for reference in references:
        others = {name: own[metric] for name, own in columns.items() if name != reference}
        if others:
            base = columns[reference][metric]
            models = paired_differences(others, base, rng=yardstick.rng(), within=span_of(metric))
            found.append(Comparison(metric=metric, reference=reference, models=models))
        if reference in ratings and len(ratings) > 1:
            errors = ratings[reference]
            gaps = {name: own.less(errors, yardstick) for name, own in ratings.items() if name != reference}
            found.append(Comparison(metric="rmse", reference=reference, models=gaps))
    return corrected(found)


def span_of(metric: str) -> Within | None:
    """Return the least and the greatest value that a metric can have, None where one of them is not finite."""
    about = definition(metric)
    return (about.low, about.high) if np.isfinite(about.high - about.low) else None


def corrected(found: list[Comparison]) -> list[Comparison]:
    """Return comparisons with Holm's correction over all their pairs of models, each counted once."""
    tests = [
        (at, name, (one.metric, *sorted((name, one.reference))), gap.p)
        for at, one in enumerate(found)
        for name, gap in one.models.items()
        if gap.p is not None
    ]
    pairs = {pair: p for _, _, pair, p in tests}
    adjusted = dict(zip(pairs, holm(list(pairs.values())).tolist(), strict=True))
    models = [dict(one.models) for one in found]
    for at, name, pair, _ in tests:
        models[at][name] = replace(models[at][name], p_holm=adjusted[pair])
    return [one.model_copy(update={"models": own}) for one, own in zip(found, models, strict=True)]
