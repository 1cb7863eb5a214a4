"""What held-out targets within a list are worth: outcomes of one kind, return visits, income or time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fuserec.errors import DataError, RequestError
from fuserec.metrics.definitions import INFINITE, Definition
from fuserec.metrics.grouping import group_sums, ratio
from fuserec.metrics.targets import chance_within

FloatArray = npt.NDArray[np.float64]


def outcome_rate(
    rank: npt.ArrayLike,
    counts: npt.ArrayLike,
    query: npt.ArrayLike,
    n_queries: int,
    k: int,
    tied: npt.ArrayLike | None = None,
) -> FloatArray:
    """Share of a user's targets of one kind (bool ``counts``) within the first k: float64 (n_queries,).

    0 to 1, higher is better; NaN for a user without such a target. With purchases it is the share of purchases that
    the list would have led to. Recall (Manning, Raghavan, Schütze 2008, section 8.4) over those targets. ``tied`` as
    for :func:`~fuserec.metrics.targets.chance_within`.

    Examples
    --------
    Of two purchases one is within the first 5; the click at rank 1 does not count.

    >>> outcome_rate([1, 3, 8], [False, True, True], [0, 0, 0], 1, 5).tolist()
    [0.5]
    """
    ranks, kind, who = _aligned(rank, counts, query, k)
    wanted = kind.astype(bool)
    found = group_sums(wanted * chance_within(ranks, k, tied), who, n_queries)
    return ratio(found, group_sums(wanted, who, n_queries))


def worth(
    rank: npt.ArrayLike,
    value: npt.ArrayLike,
    query: npt.ArrayLike,
    n_queries: int,
    k: int,
    tied: npt.ArrayLike | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Return what a user's targets within the first k are worth, and all of them: float64 (n_queries,) each.

    In units of ``value`` (money, seconds), higher is better; their ratio over all users is the share of worth found.
    A target without a value (NaN) takes no part; a user without any has (NaN, 0). Source: value-aware evaluation,
    Jannach, Adomavicius (2017), Price and profit awareness in recommender systems.

    Examples
    --------
    >>> found, total = worth([1, 8], [20.0, 5.0], [0, 0], 1, 5)
    >>> found.tolist(), total.tolist()
    ([20.0], [25.0])
    """
    ranks, values, who = _aligned(rank, value, query, k)
    known = ~np.isnan(values)
    worthy = np.where(known, values, 0.0)
    found = group_sums(worthy * chance_within(ranks, k, tied), who, n_queries)
    any_known = group_sums(known, who, n_queries) > 0
    return np.where(any_known, found, np.nan), group_sums(worthy, who, n_queries)


def _aligned(
    rank: npt.ArrayLike, other: npt.ArrayLike, query: npt.ArrayLike, k: int
) -> tuple[FloatArray, FloatArray, npt.NDArray[np.int64]]:
    """Return three columns over the targets, or refuse them."""
    if k < 1:
        raise RequestError(f"a metric at k needs k of at least 1, got {k}")
    ranks, values = np.asarray(rank, np.float64), np.asarray(other, np.float64)
    who = np.asarray(query, np.int64)
    if not ranks.shape == values.shape == who.shape:
        raise DataError(
            f"outcomes need one value a target, got {values.shape} values of {ranks.shape} targets"
        )
    return ranks, values, who


DEFINITIONS: dict[str, Definition] = {
    "click": Definition(
        "Clicks found", "Share of a user's held-out clicks within the first {k}.", "higher", 0, 1, "outcomes"
    ),
    "conversion": Definition(
        "Purchases found",
        "Share of a user's held-out purchases within the first {k}.",
        "higher",
        0,
        1,
        "outcomes",
    ),
    "retention": Definition(
        "Return visits found",
        "Share of what a user took on later days than the first held-out one that is within the first {k}.",
        "higher",
        0,
        1,
        "outcomes",
    ),
    "worth": Definition(
        "Worth found",
        "What the held-out items within the first {k} are worth a user, in units of the column named.",
        "higher",
        -INFINITE,
        INFINITE,
        "outcomes",
    ),
    "worth_share": Definition(
        "Share of worth found",
        "Worth of the held-out items within the first {k}, of all that was held out.",
        "higher",
        0,
        1,
        "outcomes",
    ),
}
"""What each of them means."""
