"""What lists are worth beyond accuracy: how much of the catalogue they show, how varied, how surprising.

All functions take the lists as one array int (n_lists, width), a list's items from the left and anything
(such as -1) after its ``counts`` items, and look at the first k places. A list too short to have a value
has NaN, which the statistics leave out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fuserec.errors import DataError, RequestError
from fuserec.metrics.definitions import INFINITE, Definition
from fuserec.metrics.shown import FloatArray, Space, cut, mean_of
from fuserec.numerics.lists import dense_similarities, exposures, sparse_similarities
from fuserec.numerics.parallel import over_ranges


def exposure(lists: npt.ArrayLike, counts: npt.ArrayLike, k: int, n_items: int) -> npt.NDArray[np.int64]:
    """Count how often each item is shown within the first k places of all lists: int64 (n_items,).

    Examples
    --------
    >>> exposure([[0, 2], [2, -1]], [2, 1], 2, 4).tolist()
    [1, 0, 2, 0]
    """
    table, length = cut(lists, counts, k, n_items)
    shown = np.zeros(n_items, np.int64)
    exposures(table, length, shown)
    return shown


def coverage(lists: npt.ArrayLike, counts: npt.ArrayLike, k: int, n_items: int) -> float:
    """Catalogue coverage: distinct items shown within the first k places of any list, over all items.

    Range 0 to 1, higher means that more of the catalogue is shown. It depends on the number of lists, and a
    bootstrap over users is biased low for it (a resample holds 63 % of the users), so it carries no
    interval. Source: Ge, Delgado-Battenfeld, Jannach (2010), Beyond accuracy: evaluating recommender
    systems by coverage and serendipity.

    Examples
    --------
    Items 0 and 2 of four are shown.

    >>> coverage([[0, 2], [2, -1]], [2, 1], 2, 4)
    0.5
    """
    if n_items < 1:
        raise DataError("coverage needs a catalogue of at least one item")
    return float(np.count_nonzero(exposure(lists, counts, k, n_items)) / n_items)


def user_coverage(counts: npt.ArrayLike, k: int) -> FloatArray:
    """Return 1 for a list that fills its first k places, 0 for a shorter one: float64 (n_lists,).

    The mean is the share of users who can be served. Range 0 to 1, higher is better. Source: Gunawardana, Shani (2015),
    Evaluating recommender systems, section 8.3.2.2 (user space coverage).

    Examples
    --------
    >>> user_coverage([5, 3, 0], 4).tolist()
    [1.0, 0.0, 0.0]
    """
    if k < 1:
        raise RequestError(f"a metric at k needs k of at least 1, got {k}")
    return (np.asarray(counts, np.int64) >= k).astype(np.float64)


def novelty(
    lists: npt.ArrayLike, counts: npt.ArrayLike, k: int, item_users: npt.ArrayLike, n_users: int
) -> FloatArray:
    """Mean self-information -log2 p(i) of a list's items, p the share of users who know i: (n_lists,).

    An item nobody has interacted with counts as half a user, so that it is finite and rarer than any seen
    item. In bits, 0 to log2(2 n_users), higher means less popular. Source: Castells, Vargas, Wang (2011),
    Novelty and diversity metrics for recommender systems; Zhou et al. (2010), Solving the apparent
    diversity-accuracy dilemma.

    Parameters
    ----------
    lists, counts, k
        As above.
    item_users : int (n_items,)
        Number of distinct training users of each item.
    n_users : int
        Number of training users.

    Examples
    --------
    Of 8 users, 8 know item 0, 2 know item 1, nobody knows item 2: 0, 2 and 4 bits.

    >>> novelty([[0, 1], [2, -1]], [2, 1], 2, [8, 2, 0], 8).tolist()
    [1.0, 4.0]
    """
    known = np.asarray(item_users, np.float64)
    if n_users < 1:
        raise DataError("novelty needs at least one training user")
    return mean_of(lists, counts, k, -np.log2(np.maximum(known, 0.5) / n_users))


def popularity_complement(
    lists: npt.ArrayLike, counts: npt.ArrayLike, k: int, item_users: npt.ArrayLike, n_users: int
) -> FloatArray:
    """Mean of 1 - p(i) of a list's items, p the share of users who know i: float64 (n_lists,).

    Range 0 to 1, higher means less popular. One rare item counts less than in the self-information. Source: Vargas,
    Castells (2011), Rank and relevance in novelty and diversity metrics for recommender systems, section 4.1.

    Examples
    --------
    Of 8 users, 8 know item 0, 2 know item 1, nobody knows item 2.

    >>> popularity_complement([[0, 1], [2, -1]], [2, 1], 2, [8, 2, 0], 8).tolist()
    [0.375, 1.0]
    """
    if n_users < 1:
        raise DataError("novelty needs at least one training user")
    return mean_of(lists, counts, k, 1 - np.asarray(item_users, np.float64) / n_users)


def intra_list_diversity(lists: npt.ArrayLike, counts: npt.ArrayLike, k: int, vectors: Any) -> FloatArray:
    """Mean of 1 - cosine over all pairs of a list's items: float64 (n_lists,).

    Range 0 to 2 (0 to 1 for vectors without negative entries), higher means more varied. Items with a zero
    vector have no known likeness and are left out; a list with fewer than two others has NaN. The pairs are
    never formed: the cosines of an item with those before it are one product with the sum of their unit vectors,
    so the cost is linear in k. Source: Ziegler et al. (2005), Improving recommendation lists through topic
    diversification; Smyth, McClave (2001), Similarity vs. diversity.

    Parameters
    ----------
    lists, counts, k
        As above.
    vectors : float (n_items, dim), array or scipy sparse
        Any vectors of the items; they are scaled to unit length here.

    Examples
    --------
    Items 0 and 1 are alike, 2 is at a right angle to both: distances 0, 1 and 1.

    >>> vectors = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]])
    >>> intra_list_diversity([[0, 1, 2]], [3], 3, vectors).round(5).tolist()
    [0.66667]
    """
    return intra_list_diversities(lists, counts, (k,), vectors)[:, 0]


def intra_list_diversities(
    lists: npt.ArrayLike, counts: npt.ArrayLike, ks: Sequence[int], vectors: Any, threads: int = 1
) -> FloatArray:
    """Return :func:`intra_list_diversity` at several k, in one walk over the lists: float64 (n_lists, n_ks).

    Each thread holds the sum of one list's vectors, 8 · dim bytes. ``vectors`` may be a :class:`Space` made before.

    Examples
    --------
    >>> vectors = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]])
    >>> intra_list_diversities([[0, 1, 2]], [3], (2, 3), vectors).round(5).tolist()
    [[0.0, 0.66667]]
    """
    space = Space.of(vectors)
    order = np.argsort(ks, kind="stable")
    cuts = np.asarray(ks, np.int64)[order]
    table, length = cut(lists, counts, int(cuts[-1]), len(space))
    if cuts[0] < 1:
        raise RequestError(f"a metric at k needs k of at least 1, got {cuts[0]}")
    found = np.empty((len(table), len(cuts)))
    unit = space.unit

    def work(lo: int, hi: int) -> None:
        if space.sparse:
            rows = (unit.indptr.astype(np.int64), unit.indices.astype(np.int32, copy=False), unit.data)
            sparse_similarities(table, length, *rows, unit.shape[1], cuts, found, lo, hi)
        else:
            dense_similarities(table, length, unit, space.known, cuts, found, lo, hi)

    over_ranges(work, len(table), threads)
    result = np.empty_like(found)
    result[:, order] = np.clip(1 - found, 0, 2)
    return result


DEFINITIONS: dict[str, Definition] = {
    "coverage": Definition(
        "Coverage",
        "Share of the catalogue that appears within the first {k} of at least one list.",
        "higher",
        0,
        1,
        "beyond",
    ),
    "user_coverage": Definition(
        "User coverage", "Share of users whose list fills its first {k} places.", "higher", 0, 1, "beyond"
    ),
    "ild": Definition(
        "Diversity",
        "Mean distance (1 - cosine of their vectors) between the items of one list, first {k}.",
        "neither",
        0,
        2,
        "beyond",
    ),
    "novelty": Definition(
        "Novelty",
        "How rare the shown items are, first {k}: -log2 of the share of users who know the item, in bits.",
        "neither",
        0,
        INFINITE,
        "beyond",
    ),
    "popularity_complement": Definition(
        "Unpopularity",
        "Share of users who do not know a shown item, on average over the first {k}.",
        "neither",
        0,
        1,
        "beyond",
    ),
}
"""What each of them means."""
