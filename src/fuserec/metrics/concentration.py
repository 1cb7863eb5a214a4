"""On how few items the lists concentrate, and how popular these are.

Lists are as in :mod:`fuserec.metrics.beyond`. Gini index and entropy are functions of the exposure of items
(:func:`~fuserec.metrics.beyond.exposure`): counts over the whole catalogue, items that are never shown included.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fuserec.errors import DataError
from fuserec.metrics.contributions import of_ratio
from fuserec.metrics.definitions import INFINITE, Definition
from fuserec.metrics.shown import FloatArray, IntArray, mean_of

HEAD = 0.8
"""Share of all interactions that the head of the catalogue has; the rest of it is the long tail."""


def gini(exposure: npt.ArrayLike) -> float:
    """Gini index of exposure: 0 where all items are shown alike, towards 1 where one takes everything.

    Σ (2 i - n - 1) x(i) / (n Σ x) over exposures in ascending order. Range 0 to 1 - 1/n, lower is fairer to items; NaN
    where nothing is shown. Source: Gini (1912), Variabilità e mutabilità; for lists Fleder, Hosanagar (2009),
    Blockbuster culture's next rise or fall, section 4.

    Examples
    --------
    One of four items is shown, and all four alike.

    >>> gini([5, 0, 0, 0]), gini([2, 2, 2, 2])
    (0.75, 0.0)
    """
    shown = np.sort(_exposure(exposure))
    n, places = len(shown), shown.sum()
    if not places:
        return float("nan")
    return float(((2 * np.arange(1, n + 1) - n - 1) @ shown) / (n * places))


def gini_slopes(exposure: npt.ArrayLike) -> FloatArray:
    """Return the derivative of the Gini index by the share of each item (n_items,); tied items share their places.

    Examples
    --------
    >>> gini_slopes([5, 0, 0, 0]).tolist()
    [0.75, -0.25, -0.25, -0.25]
    """
    from scipy.stats import rankdata

    shown = _exposure(exposure)
    result: FloatArray = (2 * rankdata(shown) - len(shown) - 1) / len(shown)
    return result


def exposure_entropy(exposure: npt.ArrayLike) -> float:
    """Entropy of exposure in bits: -Σ p log2 p over the items' shares of all places.

    From 0 (one item) to log2(n_items), higher is more even; NaN where nothing is shown. Source: Shannon (1948), A
    mathematical theory of communication; for lists Gunawardana, Shani (2015), Evaluating recommender systems,
    section 8.3.3.

    Examples
    --------
    Shares 1/2, 1/4, 1/4, 0.

    >>> exposure_entropy([4, 2, 2, 0])
    1.5
    """
    shown = _exposure(exposure)
    if not shown.sum():
        return float("nan")
    share = shown[shown > 0] / shown.sum()
    return float(-(share * np.log2(share)).sum()) + 0.0


def entropy_slopes(exposure: npt.ArrayLike) -> FloatArray:
    """Return the derivative of the entropy by the share of each item (n_items,), 0 for items that are not shown.

    Examples
    --------
    >>> (entropy_slopes([2, 1, 1]) + 1 / np.log(2)).round(5).tolist()
    [1.0, 2.0, 2.0]
    """
    shown = _exposure(exposure)
    share = shown / max(1.0, shown.sum())
    logs = np.log2(share, out=np.zeros_like(share), where=share > 0)
    return np.where(share > 0, -logs - 1 / np.log(2), 0.0)


def distributional_coverage(exposure: npt.ArrayLike) -> float:
    """Share of the catalogue that is shown as if evenly: 2^entropy / n_items, the effective number of items.

    Range 1/n_items to 1, higher is more even; at most the catalogue coverage. NaN where nothing is shown. Source: Hill
    (1973), Diversity and evenness, the number of order 1; Adomavicius, Kwon (2012), Improving aggregate
    recommendation diversity using ranking-based techniques, on coverage by distribution.

    Examples
    --------
    Two of four items are shown alike.

    >>> distributional_coverage([3, 3, 0, 0])
    0.5
    """
    return float(2 ** exposure_entropy(exposure) / len(_exposure(exposure)))


def _exposure(exposure: npt.ArrayLike) -> FloatArray:
    """Return exposures as float64 (n_items,), or refuse them."""
    shown = np.asarray(exposure, np.float64)
    if shown.ndim != 1 or not len(shown) or not (np.isfinite(shown) & (shown >= 0)).all():
        raise DataError("exposure has to be one count from 0 up for each of at least one item")
    return shown


def average_popularity(
    lists: npt.ArrayLike, counts: npt.ArrayLike, k: int, item_users: npt.ArrayLike
) -> FloatArray:
    """Mean number of training users of a list's first k items: float64 (n_lists,).

    From 0 up, higher means more popular; NaN for an empty list. Source: Yin et al. (2012), Challenging the long tail
    recommendation, as "average recommendation popularity" (ARP) in Abdollahpouri, Burke, Mobasher (2019), Managing
    popularity bias in recommender systems with personalized re-ranking.

    Examples
    --------
    >>> average_popularity([[0, 1], [2, -1]], [2, 1], 2, [8, 2, 0]).tolist()
    [5.0, 0.0]
    """
    return mean_of(lists, counts, k, item_users)


def popularity_lift(
    lists: npt.ArrayLike,
    counts: npt.ArrayLike,
    k: int,
    item_users: npt.ArrayLike,
    profile_popularity: npt.ArrayLike,
) -> FloatArray:
    """How much more popular the lists are than what people chose, as values whose mean is the lift: (n_lists,).

    The lift is (Q - P) / P, Q the mean over users of their lists' average popularity, P that of their histories; the
    values are its linearised ratio (:func:`fuserec.metrics.contributions.of_ratio`). 0 is none, above 0 popular items
    are amplified, from -1 up. Users without history or list take no part. Source: Abdollahpouri, Mansoury, Burke,
    Mobasher (2020), The connection between popularity bias, calibration, and fairness in recommendation, equation 4.

    Parameters
    ----------
    lists, counts, k, item_users
        As above.
    profile_popularity : float (n_lists,)
        Mean number of training users of the items of each user's history; NaN without one.

    Examples
    --------
    Lists of popularity 6 and 3 for histories of 2 and 4: 9 / 6 - 1.

    >>> round(float(popularity_lift([[0], [1]], [1, 1], 1, [6, 3], [2, 4]).mean()), 5)
    0.5
    """
    return of_ratio(average_popularity(lists, counts, k, item_users), profile_popularity) - 1


def long_tail(item_users: npt.ArrayLike, head: float = HEAD) -> npt.NDArray[np.bool_]:
    """Return whether each item is of the long tail: outside the most popular ones that have ``head`` of interactions.

    Source: Celma, Cano (2008), From hits to niches? or how popular artists can bias music recommendation and discovery;
    the cut at 80 % as in Abdollahpouri, Burke, Mobasher (2019).

    Examples
    --------
    The first two items have 8 of 10.

    >>> long_tail([5, 1, 3, 1]).tolist()
    [False, True, False, True]
    """
    popularity = np.asarray(item_users, np.float64)
    order = np.argsort(-popularity, kind="stable")
    before = np.cumsum(popularity[order]) - popularity[order]
    tail = np.ones(len(popularity), np.bool_)
    tail[order] = before >= head * popularity.sum() * (1 - 1e-12)
    return tail


def tail_share(lists: npt.ArrayLike, counts: npt.ArrayLike, k: int, tail: npt.ArrayLike) -> FloatArray:
    """Share of a list's first k items that are of the long tail: float64 (n_lists,).

    Range 0 to 1, higher means less popular; NaN for an empty list. Source: Abdollahpouri, Burke, Mobasher (2019),
    "average percentage of long tail items" (APLT).

    Examples
    --------
    >>> tail_share([[0, 1], [2, -1]], [2, 1], 2, [False, True, False]).tolist()
    [0.5, 0.0]
    """
    return mean_of(lists, counts, k, tail)


def popularity_of(indptr: npt.ArrayLike, items: npt.ArrayLike, item_users: npt.ArrayLike) -> FloatArray:
    """Return the mean number of training users of each ragged row of items (n,), NaN for an empty one.

    Examples
    --------
    >>> popularity_of([0, 2, 2], [0, 1], [8, 2]).tolist()
    [5.0, nan]
    """
    bounds: IntArray = np.asarray(indptr, np.int64)
    sums = np.concatenate(([0.0], np.cumsum(np.asarray(item_users, np.float64)[np.asarray(items, np.int64)])))
    lengths = np.diff(bounds)
    means = np.full(len(lengths), np.nan)
    np.divide(sums[bounds[1:]] - sums[bounds[:-1]], lengths, out=means, where=lengths > 0)
    return means


DEFINITIONS: dict[str, Definition] = {
    "distributional_coverage": Definition(
        "Effective coverage",
        "Share of the catalogue that the first {k} show as if evenly: 2^entropy of exposure over all items.",
        "higher",
        0,
        1,
        "concentration",
    ),
    "gini": Definition(
        "Gini",
        "How unevenly the places of the first {k} are shared among all items: 0 evenly, 1 one takes all.",
        "lower",
        0,
        1,
        "concentration",
    ),
    "exposure_entropy": Definition(
        "Exposure entropy",
        "How evenly the places of the first {k} are shared among items, in bits.",
        "higher",
        0,
        INFINITE,
        "concentration",
    ),
    "average_popularity": Definition(
        "Average popularity",
        "Users in training who know a shown item, on average over the first {k}.",
        "neither",
        0,
        INFINITE,
        "concentration",
    ),
    "popularity_lift": Definition(
        "Popularity lift",
        "How much more popular the first {k} are than what the users chose themselves: 0 is not at all.",
        "neither",
        -1,
        INFINITE,
        "concentration",
    ),
    "tail_share": Definition(
        "Long-tail share",
        "Share of the first {k} that are outside the most popular items with 80 % of all interactions.",
        "neither",
        0,
        1,
        "concentration",
    ),
}
"""What each of them means."""
