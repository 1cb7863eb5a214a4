"""Who is served how well, and which items are seen: gaps between groups of users, exposure of groups of items.

Groups are codes int (n,), 0 to n_groups - 1, and -1 for whoever is in none.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from fuserec.errors import DataError, RequestError
from fuserec.metrics.definitions import INFINITE, Definition
from fuserec.metrics.grouping import group_means, ratio

FloatArray = npt.NDArray[np.float64]


def means_of_groups(values: npt.ArrayLike, codes: npt.ArrayLike, n_groups: int) -> FloatArray:
    """Average values (n,) that are not NaN by group: float64 (n_groups,), NaN for a group without any.

    Examples
    --------
    >>> means_of_groups([1.0, 0.0, 0.5, 9.0], [0, 0, 1, -1], 2).tolist()
    [0.5, 0.5]
    """
    table, group = np.asarray(values, np.float64), np.asarray(codes, np.int64)
    if table.shape != group.shape:
        raise DataError(f"fairness needs one group a value, got {group.shape} groups of {table.shape} values")
    inside = group >= 0
    return group_means(table[inside], group[inside], n_groups)


def gap(means: npt.ArrayLike) -> FloatArray:
    """Best less worst mean over the last axis: 0 where all groups are served alike; lower is better.

    A group without a value (NaN) takes no part. By chance alone it is above 0; :func:`gap_p` says how far. Source: the
    difference form of group fairness (Li et al. 2021, User-oriented fairness in recommendation).

    Examples
    --------
    >>> round(float(gap([0.3, 0.1, 0.2])), 6)
    0.2
    """
    table = np.asarray(means, np.float64)
    return np.asarray(worst(-table) * -1 - worst(table))


def worst(means: npt.ArrayLike) -> FloatArray:
    """Return the mean of the worst served group over the last axis; higher is better.

    In the range of the metric. Source: Rawls (1971), A theory of justice; Hashimoto, Srivastava, Namkoong, Liang
    (2018), Fairness without demographics in repeated loss minimization.

    Examples
    --------
    >>> float(worst([0.3, 0.1, 0.2]))
    0.1
    """
    table = np.asarray(means, np.float64)
    lowest = np.min(np.where(np.isnan(table), np.inf, table), axis=-1)
    return np.asarray(np.where(np.isfinite(lowest), lowest, np.nan))


def worst_to_best(means: npt.ArrayLike) -> FloatArray:
    """Worst mean over best, over the last axis: 1 where all groups are served alike; higher is better.

    The ratio form of group fairness (four fifths is the rule of thumb of the US Equal Employment Opportunity
    Commission, 1978, Uniform guidelines on employee selection procedures). NaN where the best is 0.

    Examples
    --------
    >>> round(float(worst_to_best([0.4, 0.1, 0.2])), 6)
    0.25
    """
    table = np.asarray(means, np.float64)
    return ratio(worst(table), -worst(-table))


def gap_p(
    values: npt.ArrayLike,
    codes: npt.ArrayLike,
    n_groups: int,
    *,
    rng: np.random.Generator,
    n_permutations: int = 199,
) -> float:
    """Return the chance of a gap as large where the users' groups are dealt out at random.

    Permutation test, one-sided, (1 + at least as large) / (1 + permutations). Source: Good (2005), Permutation,
    parametric and bootstrap tests of hypotheses, chapter 3.

    Examples
    --------
    All of one group are served, none of the other: of the 20 ways to deal out three and three, two are as unequal.

    >>> p = gap_p([1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1], 2, rng=np.random.default_rng(0), n_permutations=999)
    >>> 0.05 < p < 0.15
    True
    """
    _permutable(n_permutations)
    table, group = np.asarray(values, np.float64), np.asarray(codes, np.int64)
    kept = (group >= 0) & ~np.isnan(table)
    table, group = table[kept], group[kept]
    observed = float(gap(means_of_groups(table, group, n_groups)))
    if np.isnan(observed):
        return float("nan")
    drawn = [
        float(gap(means_of_groups(table, group[rng.permutation(group.size)], n_groups)))
        for _ in range(n_permutations)
    ]
    return (1 + int(np.count_nonzero(np.array(drawn) >= observed - 1e-12))) / (1 + n_permutations)


def paired_gap_p(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    codes: npt.ArrayLike,
    n_groups: int,
    *,
    rng: np.random.Generator,
    n_permutations: int = 199,
) -> float:
    """Return the chance that two models' gaps differ as much where their values are swapped user by user at random.

    Two-sided. Users who have a value from one model only take no part. Source: Good (2005), chapter 3; the exchange of
    paired values is that of Fisher (1935), The design of experiments.

    Examples
    --------
    >>> even, uneven = [1, 0, 1, 0] * 25, [1, 1, 0, 0] * 25
    >>> paired_gap_p(even, uneven, [0, 0, 1, 1] * 25, 2, rng=np.random.default_rng(0)) < 0.05
    True
    """
    return _swapped_p(a, b, codes, n_groups, gap, rng, n_permutations)


def paired_worst_p(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    codes: npt.ArrayLike,
    n_groups: int,
    *,
    rng: np.random.Generator,
    n_permutations: int = 199,
) -> float:
    """Return the chance that two models' worst groups differ as much where values are swapped user by user at random.

    Two-sided; as :func:`paired_gap_p`, of :func:`worst`.

    Examples
    --------
    >>> even, uneven = [1, 0, 1, 0] * 25, [1, 1, 0, 0] * 25
    >>> paired_worst_p(even, uneven, [0, 0, 1, 1] * 25, 2, rng=np.random.default_rng(0)) < 0.05
    True
    """
    return _swapped_p(a, b, codes, n_groups, worst, rng, n_permutations)


def _swapped_p(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    codes: npt.ArrayLike,
    n_groups: int,
    figure: Callable[[FloatArray], FloatArray],
    rng: np.random.Generator,
    n_permutations: int,
) -> float:
    """Return the p-value of a difference between two models in a figure of the means of groups."""
    _permutable(n_permutations)
    left, right = np.asarray(a, np.float64), np.asarray(b, np.float64)
    group = np.asarray(codes, np.int64)
    kept = (group >= 0) & ~np.isnan(left) & ~np.isnan(right)
    left, right, group = left[kept], right[kept], group[kept]

    def difference(one: FloatArray, two: FloatArray) -> float:
        means = (means_of_groups(column, group, n_groups) for column in (one, two))
        first, second = map(figure, means)
        return float(first - second)

    observed = difference(left, right)
    if np.isnan(observed):
        return float("nan")
    extreme = 0
    for _ in range(n_permutations):
        swapped = rng.random(group.size) < 0.5
        one, two = np.where(swapped, right, left), np.where(swapped, left, right)
        extreme += abs(difference(one, two)) >= abs(observed) - 1e-12
    return (1 + extreme) / (1 + n_permutations)


def _permutable(n_permutations: int) -> None:
    """Refuse a number of permutations that gives no p-value."""
    if n_permutations < 1:
        raise RequestError(f"a permutation test needs at least 1 permutation, got {n_permutations}")


def exposure_by_group(
    lists: npt.ArrayLike, counts: npt.ArrayLike, k: int, item_codes: npt.ArrayLike, n_groups: int
) -> FloatArray:
    """Return how the attention of each list falls on groups of items: float64 (n_lists, n_groups), rows sum to 1.

    Place r has attention 1 / log2(1 + r); items in no group take their share with them, so that a row may sum to
    less. An empty list has zeros. Source: Singh, Joachims (2018), Fairness of exposure in rankings, section 3.

    Examples
    --------
    Item 0 of group 0 stands first, item 1 of group 1 second: 1 and 0.63093 of 1.63093.

    >>> exposure_by_group([[0, 1]], [2], 2, [0, 1], 2).round(5).tolist()
    [[0.61315, 0.38685]]
    """
    if k < 1:
        raise RequestError(f"a metric at k needs k of at least 1, got {k}")
    table = np.asarray(lists)[:, :k]
    there = np.arange(table.shape[1]) < np.asarray(counts)[:, None]
    group = np.where(there, np.asarray(item_codes, np.int64)[np.where(there, table, 0)], -1)
    attention = there / np.log2(np.arange(2, table.shape[1] + 2))
    share = ratio(attention, attention.sum(axis=1, keepdims=True))
    inside = group >= 0
    cell = np.nonzero(inside)[0] * n_groups + group[inside]
    summed = np.bincount(cell, weights=share[inside], minlength=len(table) * n_groups)
    return np.asarray(summed.reshape(len(table), n_groups), np.float64)


def disparity(exposure: npt.ArrayLike, due: npt.ArrayLike) -> FloatArray:
    """Half the absolute differences between two distributions over groups, over the last axis: 0 to 1.

    The attention that would have to move for every group to get its due: its share of the catalogue (demographic
    parity) or of what users went on to choose (merit). Both are scaled to sum to 1. Source: total variation distance;
    Singh, Joachims (2018), Fairness of exposure in rankings, for the two dues.

    Examples
    --------
    >>> round(float(disparity([0.8, 0.2], [0.5, 0.5])), 6)
    0.3
    """
    shown, owed = shares(exposure), shares(due)
    return np.asarray(np.abs(shown - owed).sum(axis=-1) / 2)


def worst_due(exposure: npt.ArrayLike, due: npt.ArrayLike) -> FloatArray:
    """Exposure over due of the group that gets least of it, over the last axis; 1 at best.

    A group that is due nothing takes no part. Source: Singh, Joachims (2018), equation of disparate treatment.

    Examples
    --------
    >>> round(float(worst_due([0.8, 0.2], [0.5, 0.5])), 6)
    0.4
    """
    return worst(ratio(shares(exposure), shares(due)))


def shares(values: npt.ArrayLike) -> FloatArray:
    """Scale values so that they sum to 1 over the last axis; NaN where they sum to 0.

    Examples
    --------
    >>> shares([1, 3]).tolist()
    [0.25, 0.75]
    """
    table = np.asarray(values, np.float64)
    return ratio(table, table.sum(axis=-1, keepdims=True))


DEFINITIONS: dict[str, Definition] = {
    "group_gap": Definition(
        "NDCG gap",
        "Mean NDCG of the best served group less that of the worst, first {k}.",
        "lower",
        0,
        1,
        "fairness",
    ),
    "group_gap_p": Definition(
        "NDCG gap, p",
        "Chance of such a gap where groups are dealt out at random, first {k}.",
        "neither",
        0,
        1,
        "fairness",
    ),
    "group_ratio": Definition(
        "Worst to best",
        "Mean NDCG of the worst served group over that of the best, first {k}; 1 is equal.",
        "higher",
        0,
        1,
        "fairness",
    ),
    "group_worst": Definition(
        "Worst group", "Mean NDCG of the worst served group, first {k}.", "higher", 0, 1, "fairness"
    ),
    "exposure_parity": Definition(
        "Exposure off share",
        "Share of attention within the first {k} that would have to move for groups of items to be seen as often as "
        "they are many.",
        "lower",
        0,
        1,
        "fairness",
    ),
    "exposure_merit": Definition(
        "Exposure off merit",
        "Share of attention within the first {k} that would have to move for groups of items to be seen as often as "
        "users choose them.",
        "lower",
        0,
        1,
        "fairness",
    ),
    "worst_due": Definition(
        "Least seen for merit",
        "Attention within the first {k} over the share of choices, of the group of items that gets least for what it "
        "is chosen.",
        "higher",
        0,
        INFINITE,
        "fairness",
    ),
}
"""What each of them means."""
