"""How varied a list is by what its items are about: categories instead of distances.

Lists are as in :mod:`fuserec.metrics.beyond`. ``categories`` is an incidence (n_items, n_categories), array or scipy
sparse; the weights of an item's categories are scaled to sum to 1. Distances between categories, or between the users
of items, are :func:`~fuserec.metrics.beyond.intra_list_diversity` over these rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fuserec.metrics.definitions import INFINITE, Definition
from fuserec.metrics.shown import FloatArray, cut, shares
from fuserec.numerics.lists import category_spread


def category_entropy(lists: npt.ArrayLike, counts: npt.ArrayLike, k: int, categories: Any) -> FloatArray:
    """Entropy of the categories of a list's first k items, in bits: float64 (n_lists,).

    -Σ q(c) log2 q(c), q(c) the mean share of category c over the items that have any. From 0 (one category) to
    log2(n_categories), higher means more varied; NaN for a list without categories. Source: Shannon (1948), A
    mathematical theory of communication, as a measure of lists in Qin, Zhu (2013), Promoting diversity in
    recommendation by entropy regularizer.

    Examples
    --------
    Two items of category 0, one of 1, one of both: shares 5/8 and 3/8.

    >>> categories = [[1, 0], [1, 0], [0, 1], [1, 1]]
    >>> category_entropy([[0, 1, 2, 3]], [4], 4, categories).round(5).tolist()
    [0.95443]
    """
    return _spread(lists, counts, k, categories)[0]


def subtopic_recall(lists: npt.ArrayLike, counts: npt.ArrayLike, k: int, categories: Any) -> FloatArray:
    """S-recall: distinct categories within the first k over all categories of the catalogue: float64 (n_lists,).

    Range 0 to 1, higher means more varied; NaN for a list without categories. Categories that no item has do not count.
    Source: Zhai, Cohen, Lafferty (2003), Beyond independent relevance: methods and evaluation metrics for subtopic
    retrieval, section 3.

    Examples
    --------
    The list shows categories 0 and 1 of three.

    >>> categories = [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    >>> subtopic_recall([[0, 1, -1]], [2], 3, categories).round(5).tolist()
    [0.66667]
    """
    part = shares(categories)
    used = len(np.unique(part.indices))
    result: FloatArray = _spread(lists, counts, k, part)[1] / max(1, used)
    return result


def _spread(
    lists: npt.ArrayLike, counts: npt.ArrayLike, k: int, categories: Any
) -> tuple[FloatArray, FloatArray]:
    """Return entropy and number of the categories of each list, (n_lists,) each."""
    part = shares(categories)
    table, length = cut(lists, counts, k, part.shape[0])
    entropy, distinct = np.empty(len(table)), np.empty(len(table))
    rows = (part.indptr.astype(np.int64), part.indices.astype(np.int32), part.data)
    category_spread(table, length, *rows, part.shape[1], entropy, distinct)
    return entropy, distinct


DEFINITIONS: dict[str, Definition] = {
    "ild_category": Definition(
        "Diversity of categories",
        "Mean distance (1 - cosine of their categories) between the items of one list, first {k}.",
        "neither",
        0,
        1,
        "beyond",
    ),
    "ild_users": Definition(
        "Diversity of users",
        "Mean distance (1 - cosine of their users) between the items of one list, first {k}.",
        "neither",
        0,
        1,
        "beyond",
    ),
    "category_entropy": Definition(
        "Category entropy",
        "How evenly the first {k} are spread over categories, in bits.",
        "neither",
        0,
        INFINITE,
        "beyond",
    ),
    "s_recall": Definition(
        "S-recall",
        "Share of all categories that the first {k} of a list show.",
        "neither",
        0,
        1,
        "beyond",
    ),
}
"""What each of them means."""
