"""Serendipity: right items that are not obvious, by the two usual definitions of obvious.

Lists are as in :mod:`fuserec.metrics.beyond`. ``targets`` and ``seen`` are ragged: (indptr (n_lists + 1,), items), the
right items and the history of each list's user. A list without targets has NaN.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fuserec.metrics.definitions import Definition
from fuserec.metrics.grouping import group_sums
from fuserec.metrics.shown import FloatArray, IntArray, Space, cut
from fuserec.numerics.lists import expected_hits, target_places

Ragged = tuple[npt.ArrayLike, npt.ArrayLike]

_HITS_AT_ONCE = 8192
"""Hits whose profiles are held at once: with 384 dimensions 13 MB."""


def serendipity(
    lists: npt.ArrayLike,
    counts: npt.ArrayLike,
    k: int,
    targets: Ragged,
    seen: Ragged,
    item_users: npt.ArrayLike,
) -> FloatArray:
    """Share of the first k places taken by right items that a primitive model would not show: float64 (n_lists,).

    The primitive model shows the k most popular items that the user has not seen; of equally popular ones the first of
    the catalogue. Range 0 to 1 (at most precision), higher is better. Source: Ge, Delgado-Battenfeld, Jannach (2010),
    Beyond accuracy: evaluating recommender systems by coverage and serendipity, section 3.2; the primitive model is
    that of Murakami, Mori, Orihara (2007), Metrics for evaluating the serendipity of recommendation lists.

    Examples
    --------
    Items by popularity are 0, 1, 2, 3, and 0 is seen: the primitive list is 1, 2. Of the hits 2 and 3, 3 is unexpected.

    >>> serendipity([[3, 2]], [2], 2, ([0, 2], [2, 3]), ([0, 1], [0]), [9, 5, 3, 1]).tolist()
    [0.5]
    """
    popularity = np.asarray(item_users, np.float64)
    rows, items = _hits(lists, counts, k, targets, len(popularity))
    order = np.empty(len(popularity), np.int64)
    order[np.argsort(-popularity, kind="stable")] = np.arange(len(popularity))
    expected = np.empty(len(rows), np.bool_)
    expected_hits(rows, items, *_ragged(seen), order, k, expected)
    return _per_place(rows, ~expected, k, targets)


def profile_serendipity(
    lists: npt.ArrayLike, counts: npt.ArrayLike, k: int, targets: Ragged, seen: Ragged, vectors: Any
) -> FloatArray:
    """Distance of the right items within the first k from what the user has seen, per place: float64 (n_lists,).

    (1/k) Σ rel(i) · mean over j in the history of (1 - cos(i, j)). An item or a history of which nothing is known
    brings nothing. Range 0 to 2 (0 to 1 for vectors without negative entries), higher is better. Source: Vargas,
    Castells (2011), Rank and relevance in novelty and diversity metrics for recommender systems, section 4.2
    (distance-based unexpectedness with relevance, without a discount by rank); Kotkov, Veijalainen, Wang (2018),
    How does serendipity affect diversity in recommender systems?, on combining the two.

    Examples
    --------
    Item 1 is at a right angle to item 0, which was seen; item 2 is like it. Both are hits: (1 + 0) / 2.

    >>> vectors = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]])
    >>> profile_serendipity([[1, 2]], [2], 2, ([0, 2], [1, 2]), ([0, 1], [0]), vectors).tolist()
    [0.5]
    """
    space = Space.of(vectors)
    rows, items = _hits(lists, counts, k, targets, len(space))
    starts, events = _ragged(seen)
    distance = np.zeros(len(rows))
    for lo in range(0, len(rows), _HITS_AT_ONCE):
        part = slice(lo, lo + _HITS_AT_ONCE)
        distance[part] = _distances(space, rows[part], items[part], starts, events)
    return _per_place(rows, distance, k, targets)


def _distances(
    space: Space,
    rows: IntArray,
    items: npt.NDArray[np.int32],
    starts: IntArray,
    events: npt.NDArray[np.int32],
) -> FloatArray:
    """Return the mean distance of each item from the known history of its row, 0 where nothing is known."""
    import scipy.sparse as sp

    distinct, place = np.unique(rows, return_inverse=True)
    lengths = (starts[1:] - starts[:-1])[distinct]
    source = np.arange(lengths.sum()) + np.repeat(starts[distinct] - np.cumsum(lengths) + lengths, lengths)
    history, owner = events[source], np.repeat(np.arange(len(distinct)), lengths)
    history, owner = history[space.known[history]], owner[space.known[history]]
    known = np.bincount(owner, minlength=len(distinct))
    weights = 1 / np.maximum(known, 1)[owner]
    members = sp.csr_array((weights, (owner, history)), shape=(len(distinct), len(space)))
    profiles = members @ space.unit
    mine, theirs = space.unit[items], profiles[place]
    product = mine.multiply(theirs).sum(axis=1) if space.sparse else np.einsum("nd,nd->n", mine, theirs)
    usable = space.known[items] & (known[place] > 0)
    return np.where(usable, np.clip(1 - np.asarray(product, np.float64).ravel(), 0, 2), 0.0)


def _hits(
    lists: npt.ArrayLike, counts: npt.ArrayLike, k: int, targets: Ragged, n_items: int
) -> tuple[IntArray, npt.NDArray[np.int32]]:
    """Return list and item of each target within the first k."""
    table, length = cut(lists, counts, k, n_items)
    starts, items = _ragged(targets)
    places = np.empty(len(items))
    target_places(table, length, starts, items, places)
    found = np.isfinite(places)
    return np.repeat(np.arange(len(table)), np.diff(starts))[found], items[found]


def _ragged(pairs: Ragged) -> tuple[IntArray, npt.NDArray[np.int32]]:
    """Return ragged items with the types of kernels."""
    return np.ascontiguousarray(pairs[0], np.int64), np.ascontiguousarray(pairs[1], np.int32)


def _per_place(rows: IntArray, values: npt.ArrayLike, k: int, targets: Ragged) -> FloatArray:
    """Return the sum of values by list over k, NaN for a list without targets."""
    there = np.diff(np.asarray(targets[0], np.int64)) > 0
    return np.where(there, group_sums(values, rows, len(there)) / k, np.nan)


DEFINITIONS: dict[str, Definition] = {
    "serendipity": Definition(
        "Serendipity",
        "Share of the first {k} places taken by right items that are not among the most popular ones.",
        "higher",
        0,
        1,
        "beyond",
    ),
    "profile_serendipity": Definition(
        "Serendipity by profile",
        "Distance of the right items within the first {k} from the user's history, per place.",
        "higher",
        0,
        2,
        "beyond",
    ),
}
"""What each of them means."""
