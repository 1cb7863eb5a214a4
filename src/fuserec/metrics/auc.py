"""Area under the ROC curve: within a query, weighted over queries, and across all pairs of user and item."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fuserec.metrics.grouping import ratio
from fuserec.metrics.targets import FloatArray, TargetRanks, target_ranks

__all__ = ["auc", "gauc", "pooled_auc", "target_ranks"]


def auc(targets: TargetRanks) -> FloatArray:
    """Chance that a target of the query is ranked above one of its other candidates, ties counted one half.

    With T targets among n candidates: 1 - (sum of ranks - T(T + 1)/2) / (T (n - T)), the Mann-Whitney
    statistic; a target that was not ranked is put last. Range 0 to 1, 0.5 is chance, higher is better; NaN
    where all candidates are targets. Source: Hanley, McNeil (1982), The meaning and use of the area under a
    ROC curve, equation 1.

    Examples
    --------
    Targets at ranks 1 and 4 of 5: of 2 x 3 pairs, 3 + 1 are in the right order.

    >>> auc(target_ranks([0, 2], [1, 4], 5)).round(5).tolist()
    [0.66667]
    """
    last = targets.n_candidates[targets.query] - targets.relevant[targets.query] + targets.position
    above = np.where(np.isfinite(targets.rank), targets.rank, last) - targets.position
    pairs = targets.relevant * (targets.n_candidates - targets.relevant)
    return 1 - ratio(targets.sums(above), pairs)


def gauc(targets: TargetRanks) -> FloatArray:
    """AUC of users averaged with the number of their targets as weight, as one value a query: (n_queries,).

    The mean of the column is Σ w AUC / Σ w over the queries that have an AUC, w their targets; a query's value is that
    figure plus w (its AUC - the figure) / mean w, so that a bootstrap over users gives the interval of the weighted
    mean (linearised ratio). :func:`auc` counts every user the same, :func:`pooled_auc` compares scores across users.
    Range of the mean 0 to 1, 0.5 is chance, higher is better. Source: Zhou et al. (2018), Deep interest network for
    click-through rate prediction, equation 4 ("GAUC" of the field).

    Examples
    --------
    A user with one target has 0.5, one with two 1.0: (1 · 0.5 + 2 · 1.0) / 3.

    >>> round(float(gauc(target_ranks([0, 1, 3], [2, 1, 2], [3, 5])).mean()), 5)
    0.83333
    """
    each = auc(targets)
    weight = np.where(np.isnan(each), 0.0, targets.relevant)
    if not weight.any():
        return each
    value = np.nansum(weight * each) / weight.sum()
    result: FloatArray = value + weight * (each - value) / weight[weight > 0].mean()
    return result


def pooled_auc(scores: npt.ArrayLike, taken: npt.ArrayLike) -> float:
    """Chance that any taken pair of user and item has a higher score than any other pair, across all users.

    It asks whether scores of different users can be compared, which ranking each user's list does not need; a model
    that merely knows who is active reaches much of it. Ties count one half. Range 0 to 1, 0.5 is chance, higher is
    better; NaN where all pairs or none are taken. Source: Hanley, McNeil (1982), equation 1; Zhou et al. (2018) on why
    it misleads.

    Parameters
    ----------
    scores : float (n_pairs,)
    taken : bool (n_pairs,)

    Examples
    --------
    Of 2 x 2 pairs of pairs, 0.9 is above both others and 0.4 above one.

    >>> pooled_auc([0.9, 0.4, 0.5, 0.1], [True, True, False, False])
    0.75
    """
    from scipy.stats import rankdata

    values, hit = np.asarray(scores, np.float64), np.asarray(taken, bool)
    positives = int(hit.sum())
    pairs = positives * (len(hit) - positives)
    if not pairs:
        return float("nan")
    return float((rankdata(values)[hit].sum() - positives * (positives + 1) / 2) / pairs)
