"""Fairness for users (gaps between groups) and for items (exposure against share and merit).

Intervals of gaps between users know that the groups were picked by looking (``statistics/groups.py``). Those of items
are of the contrast which the data show: departures of every resample would be biased upwards. None leaves the range of
its figure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fuserec.evaluation.measures.base import Measured, found_ranks
from fuserec.evaluation.results import Comparison
from fuserec.evaluation.statistics import (
    Difference,
    Estimate,
    Within,
    resampled_sums,
    spread_of_groups,
    worst_difference,
)
from fuserec.metrics.fairness import (
    disparity,
    exposure_by_group,
    gap,
    gap_p,
    means_of_groups,
    paired_gap_p,
    shares,
    worst_due,
)
from fuserec.metrics.grouping import group_sums, ratio
from fuserec.metrics.ranking import ndcg

if TYPE_CHECKING:
    from fuserec.evaluation.groups import Groups
    from fuserec.evaluation.ranking_pass import Outcome
    from fuserec.evaluation.yardstick import Columns, FloatArray, Yardstick
    from fuserec.run import RunOptions

ENDS = (0.025, 0.975)
UNIT = (0.0, 1.0)
"""The range of NDCG, and of a disparity."""


def fairness(outcome: Outcome, yardstick: Yardstick) -> Measured:
    """Return gaps of NDCG between groups of users, and how exposure departs from share and merit, at one k."""
    k, audit = yardstick.main_k, yardstick.audit
    served = ndcg(found_ranks(outcome, yardstick), k)
    whole: dict[str, Estimate] = {}
    for groups in audit.groups:
        whole |= _between_users(served, groups, yardstick, k)
    for groups in audit.item_groups:
        whole |= _between_items(outcome, groups, yardstick, k)
    return Measured(whole=whole)


def _between_users(served: FloatArray, groups: Groups, yardstick: Yardstick, k: int) -> dict[str, Estimate]:
    """Return gap, ratio and worst mean of one column's groups, and the chance of the gap."""
    spread = spread_of_groups(served, groups.codes, len(groups))
    if spread is None:
        return {}
    p = gap_p(
        served,
        groups.codes,
        len(groups),
        rng=yardstick.run.rng("permutations"),
        n_permutations=yardstick.audit.config.permutations,
    )
    suffix = f":{groups.name}@{k}"
    return {
        f"group_gap{suffix}": spread.gap,
        f"group_gap_p{suffix}": Estimate(p),
        f"group_ratio{suffix}": spread.ratio,
        f"group_worst{suffix}": spread.worst,
    }


def _resampled_means(values: FloatArray, groups: Groups, rng: np.random.Generator) -> FloatArray:
    """Return the mean of each group in each resample of users: float64 (n_resamples, n_groups)."""
    inside = (groups.codes[:, None] == np.arange(len(groups))) & ~np.isnan(values)[:, None]
    sums = resampled_sums(np.hstack((inside * np.nan_to_num(values)[:, None], inside)), rng)
    return ratio(sums[:, : len(groups)], sums[:, len(groups) :])


def _between_items(outcome: Outcome, groups: Groups, yardstick: Yardstick, k: int) -> dict[str, Estimate]:
    """Return how exposure of one column's groups departs from their share of the catalogue and of choices."""
    test, n = yardstick.test, len(groups)
    seen = exposure_by_group(outcome.lists, outcome.counts, k, groups.codes, n)
    chosen = _chosen_by_group(groups.codes[test.items], test.rows, len(test), n)
    known = groups.codes >= 0
    share = np.bincount(groups.codes[known], minlength=n).astype(np.float64)
    if not seen.any() or not share.any():
        return {}
    sums = resampled_sums(np.hstack((seen, chosen)), yardstick.rng())
    drawn_seen, drawn_chosen = sums[:, :n], sums[:, n:]
    suffix = f":{groups.name}@{k}"
    exposure, merit = seen.sum(axis=0), chosen.sum(axis=0)
    found = {
        f"exposure_parity{suffix}": _estimate(
            float(disparity(exposure, share)), _signed(drawn_seen, share[None, :], exposure, share), UNIT
        )
    }
    if not merit.any():
        return found
    found[f"exposure_merit{suffix}"] = _estimate(
        float(disparity(exposure, merit)), _signed(drawn_seen, drawn_chosen, exposure, merit), UNIT
    )
    judged = np.flatnonzero(merit >= yardstick.audit.config.smallest_group)
    if judged.size >= 2:
        least = int(np.argmin(ratio(shares(exposure[judged]), shares(merit[judged]))))
        drawn = ratio(shares(drawn_seen[:, judged]), shares(drawn_chosen[:, judged]))[:, least]
        found[f"worst_due{suffix}"] = _estimate(
            float(worst_due(exposure[judged], merit[judged])), drawn, (0.0, np.inf)
        )
    return found


def _chosen_by_group(
    codes: npt.NDArray[np.int64], rows: npt.NDArray[np.int64], n: int, n_groups: int
) -> FloatArray:
    """Count each query's targets by group of items: float64 (n, n_groups)."""
    inside = codes >= 0
    cell = rows[inside] * n_groups + codes[inside]
    return group_sums(np.ones(cell.size), cell, n * n_groups).reshape(n, n_groups)


def _signed(seen: FloatArray, due: FloatArray, observed: FloatArray, owed: FloatArray) -> FloatArray:
    """Return half the differences of shares in each resample, with the signs that the data show."""
    sign = np.sign(shares(observed) - shares(owed))
    return np.asarray(((shares(seen) - shares(due)) * sign).sum(axis=1) / 2)


def _estimate(value: float, drawn: FloatArray, within: Within) -> Estimate:
    """Return a figure with the central 95 % of its resamples, as far as they lie in its range."""
    if np.isnan(value):
        return Estimate(None)
    kept = drawn[~np.isnan(drawn)]
    if not kept.size:
        return Estimate(value)
    low, high = np.clip(np.quantile(kept, ENDS), *within)
    return Estimate(value, float(low), float(high))


def group_comparisons(
    columns: Mapping[str, Columns],
    references: tuple[str, ...],
    yardstick: Yardstick,
    served: Groups | None = None,
) -> list[Comparison]:
    """Compare the models' gaps, and what their worst groups have, with those of every reference, on the same users.

    The interval of gaps is a paired bootstrap of the two gaps between the groups that are best and worst served by
    each; that of worst groups is :func:`~fuserec.evaluation.statistics.worst_difference`. p swaps the two models'
    values user by user.

    Parameters
    ----------
    columns : mapping of Columns
        Values per query of every model.
    references : tuple of str
    yardstick : Yardstick
    served : Groups, optional
        The groups that the reranker of a curve serves the worst of; their figure is named ``aim@k``.
    """
    k = yardstick.main_k
    asked = [(f"group_gap:{groups.name}@{k}", groups, _less_gap) for groups in yardstick.audit.groups]
    asked += [(f"group_worst:{groups.name}@{k}", groups, less_worst) for groups in yardstick.audit.groups]
    asked += [] if served is None else [(f"aim@{k}", served, less_worst)]
    found = []
    for metric, groups, less in asked:
        for reference in references:
            base = columns[reference][f"ndcg@{k}"]
            models = {
                name: _between(less, own[f"ndcg@{k}"], base, groups, yardstick)
                for name, own in columns.items()
                if name != reference
            }
            if models:
                found.append(Comparison(metric=metric, reference=reference, models=models))
    return found


def _between(
    less: Callable[..., Difference], own: FloatArray, base: FloatArray, groups: Groups, yardstick: Yardstick
) -> Difference:
    """Return what one model has more than another; nothing, surely, where both give every user the same."""
    if np.array_equal(own, base, equal_nan=True):
        return Difference(0.0, 0.0, 0.0, 1.0, int((~np.isnan(own) & (groups.codes >= 0)).sum()))
    return less(own, base, groups, yardstick.run, yardstick.audit.config.permutations)


def less_worst(
    values: FloatArray, base: FloatArray, groups: Groups, run: RunOptions, n_permutations: int
) -> Difference:
    """Return how much more one model's worst group has of a metric of unit range than another's."""
    return worst_difference(
        values,
        base,
        groups.codes,
        len(groups),
        rng=run.rng("bootstrap"),
        permuting=run.rng("permutations"),
        within=UNIT,
        n_permutations=n_permutations,
    )


def _less_gap(
    values: FloatArray, base: FloatArray, groups: Groups, run: RunOptions, n_permutations: int
) -> Difference:
    """Return one model's gap less another's."""
    both = ~np.isnan(values) & ~np.isnan(base)
    mine, other = np.where(both, values, np.nan), np.where(both, base, np.nan)
    means = [means_of_groups(own, groups.codes, len(groups)) for own in (mine, other)]
    if any(np.count_nonzero(~np.isnan(one)) < 2 for one in means):
        return Difference(None, None, None, None, int(both.sum()))
    drawn = np.zeros(0)
    for sign, own, mean in ((1, mine, means[0]), (-1, other, means[1])):
        resampled = _resampled_means(own, groups, run.rng("bootstrap"))
        gaps = sign * (resampled[:, int(np.nanargmax(mean))] - resampled[:, int(np.nanargmin(mean))])
        drawn = drawn + gaps if drawn.size else gaps
    estimate = _estimate(float(gap(means[0]) - gap(means[1])), drawn, (-1.0, 1.0))
    p = paired_gap_p(
        mine, other, groups.codes, len(groups), rng=run.rng("permutations"), n_permutations=n_permutations
    )
    return Difference(estimate.value, estimate.low, estimate.high, p, int((both & (groups.codes >= 0)).sum()))
