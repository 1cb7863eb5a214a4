"""Models fitted again with other seeds on the same split: whether lists and figures stay."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from fuserec.evaluation.measures.base import found_ranks
from fuserec.evaluation.statistics import Estimate, intervals
from fuserec.metrics.ranking import ndcg
from fuserec.metrics.stability import jaccard, rank_biased_overlap

if TYPE_CHECKING:
    from fuserec.evaluation.ranking_pass import Outcome
    from fuserec.evaluation.yardstick import FloatArray, Yardstick
    from fuserec.run import RunOptions


def stability(
    first: Mapping[str, Outcome],
    again: Callable[[RunOptions], Mapping[str, Outcome]],
    yardstick: Yardstick,
) -> dict[str, dict[str, Estimate]]:
    """Return overlap, agreement and spread of every model over its seeds; nothing where there is only one.

    Parameters
    ----------
    first : mapping of Outcome
        Of the seed that the evaluation ran with.
    again : callable
        Fits and scores everything with other options; the split stays as it is.
    yardstick : Yardstick

    Returns
    -------
    dict
        Model to its figures. Overlaps have intervals over users; the spread has none, of a handful of seeds it would
        say nothing.
    """
    seeds = yardstick.audit.config.seeds
    if seeds < 2:
        return {}
    run = yardstick.run
    runs = [first, *(again(run.with_seed(run.seed + step)) for step in range(1, seeds))]
    return {name: _figures([one[name] for one in runs], yardstick) for name in first}


def _figures(outcomes: list[Outcome], yardstick: Yardstick) -> dict[str, Estimate]:
    """Return one model's figures over the outcomes of its seeds."""
    k = yardstick.main_k
    pairs = list(combinations([_padded(outcome, k) for outcome in outcomes], 2))
    columns = {
        f"seed_overlap@{k}": _mean([jaccard(a, b, k) for a, b in pairs]),
        f"seed_rbo@{k}": _mean([rank_biased_overlap(a, b, k) for a, b in pairs]),
    }
    served = [float(np.nanmean(ndcg(found_ranks(outcome, yardstick), k))) for outcome in outcomes]
    return {
        **intervals(columns, rng=yardstick.rng()),
        f"seed_spread@{k}": Estimate(float(np.std(served, ddof=1))),
    }


def _mean(values: list[FloatArray]) -> FloatArray:
    """Return the mean over pairs of seeds of one value per user; NaN where a user has none."""
    return np.asarray(np.mean(np.stack(values), axis=0), np.float64)


def _padded(outcome: Outcome, k: int) -> np.ndarray:
    """Return the lists cut to k, -1 after their ends."""
    table = outcome.lists[:, :k]
    return np.where(np.arange(table.shape[1]) < outcome.counts[:, None], table, -1)
