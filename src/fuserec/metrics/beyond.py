"""What lists are worth beyond accuracy: how much of the catalogue they show, how varied, how surprising.

All functions take the lists as one array int (n_lists, width), a list's items from the left and anything
(such as -1) after its ``counts`` items, and look at the first k places. A list too short to have a value
has NaN, which the statistics leave out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fuserec.errors import DataError, RequestError
from fuserec.metrics.definitions import INFINITE, Definition
from fuserec.metrics.grouping import group_sums, ratio

FloatArray = npt.NDArray[np.float64]

_ROWS_AT_ONCE = 4096
"""Lists per chunk: with 384 dimensions a chunk of summed vectors takes 6 MB."""


def _entries(
    lists: npt.ArrayLike, counts: npt.ArrayLike, k: int, n_items: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the items of all lists cut to k, flat, and each list's bounds (n_lists + 1,)."""
    table, length = np.asarray(lists), np.asarray(counts, np.int64)
    if k < 1:
        raise RequestError(f"a metric at k needs k of at least 1, got {k}")
    if table.ndim != 2 or length.shape != table.shape[:1]:
        raise DataError(
            f"lists of shape {table.shape} need one count each, got counts of shape {length.shape}"
        )
    table = table[:, :k]
    length = np.clip(length, 0, table.shape[1])
    items = table[np.arange(table.shape[1]) < length[:, None]].astype(np.int64)
    if items.size and (items.min() < 0 or items.max() >= n_items):
        raise DataError(
            f"lists name items {items.min()} to {items.max()}; the catalogue has 0 to {n_items - 1}"
        )
    return items, np.concatenate(([0], np.cumsum(length)))


def exposure(lists: npt.ArrayLike, counts: npt.ArrayLike, k: int, n_items: int) -> npt.NDArray[np.int64]:
    """Count how often each item is shown within the first k places of all lists: int64 (n_items,).

    Examples
    --------
    >>> exposure([[0, 2], [2, -1]], [2, 1], 2, 4).tolist()
    [1, 0, 2, 0]
    """
    items, _ = _entries(lists, counts, k, n_items)
    return np.bincount(items, minlength=n_items)


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
    items, bounds = _entries(lists, counts, k, len(known))
    bits = -np.log2(np.maximum(known, 0.5) / n_users)
    rows = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
    return ratio(group_sums(bits[items], rows, len(bounds) - 1), np.diff(bounds))


def intra_list_diversity(lists: npt.ArrayLike, counts: npt.ArrayLike, k: int, vectors: Any) -> FloatArray:
    """Mean of 1 - cosine over all pairs of a list's items: float64 (n_lists,).

    Range 0 to 2 (0 to 1 for vectors without negative entries), higher means more varied. Items with a zero
    vector have no known likeness and are left out; a list with fewer than two others has NaN. The pairs are
    never formed: with unit vectors the sum of cosines is (|sum of vectors|² - number) / 2, so the cost is
    linear in k. Source: Ziegler et al. (2005), Improving recommendation lists through topic
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
    import scipy.sparse as sp

    items, bounds = _entries(lists, counts, k, vectors.shape[0])
    unit, squared = _unit(vectors)
    n = len(bounds) - 1
    totals = np.empty(n)
    for start in range(0, n, _ROWS_AT_ONCE):
        stop = min(start + _ROWS_AT_ONCE, n)
        part = items[bounds[start] : bounds[stop]]
        local = bounds[start : stop + 1] - bounds[start]
        members = sp.csr_array(
            (np.ones(len(part), np.float32), part, local), shape=(stop - start, len(squared))
        )
        totals[start:stop] = _squared_norms(members @ unit)
    rows = np.repeat(np.arange(n), np.diff(bounds))
    own = group_sums(squared[items], rows, n)
    usable = group_sums(squared[items] > 0, rows, n)
    similarity = ratio(totals - own, usable * (usable - 1))
    return np.clip(1 - similarity, 0, 2)


def _unit(vectors: Any) -> tuple[Any, FloatArray]:
    """Return float32 vectors of unit length (zero ones stay zero), and their squared lengths as stored."""
    import scipy.sparse as sp

    lengths = np.sqrt(_squared_norms(vectors))
    scale = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0).astype(np.float32)
    sparse: bool = sp.issparse(vectors)
    if sparse:
        unit = sp.diags_array(scale) @ vectors.astype(np.float32).tocsr()
    else:
        unit = np.asarray(vectors, np.float32) * scale[:, None]
    return unit, _squared_norms(unit)


def _squared_norms(vectors: Any) -> FloatArray:
    """Return the squared length of each row, summed in float64."""
    import scipy.sparse as sp

    sparse: bool = sp.issparse(vectors)
    if sparse:
        rows = vectors.tocsr()
        owner = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
        return group_sums(rows.data.astype(np.float64) ** 2, owner, rows.shape[0])
    dense = np.asarray(vectors)
    squares: FloatArray = np.einsum("nd,nd->n", dense, dense, dtype=np.float64)
    return squares


DEFINITIONS: dict[str, Definition] = {
    "coverage": Definition(
        "Coverage",
        "Share of the catalogue that appears within the first {k} of at least one list.",
        "higher",
        0,
        1,
        "beyond",
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
}
"""What each of them means."""
