"""What can be counted of a list's ethics: flagged content, who sees it, and whether topics narrow."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from fuserec.errors import RequestError
from fuserec.metrics.definitions import Definition
from fuserec.metrics.masses import distributions

FloatArray = npt.NDArray[np.float64]


def flagged_lists(lists: npt.ArrayLike, counts: npt.ArrayLike, k: int, flagged: npt.ArrayLike) -> FloatArray:
    """Whether any of the first k items is flagged (bool (n_items,)): 1 or 0, float64 (n_lists,); NaN where it is empty.

    The mean is the share of lists with flagged content: 0 to 1, lower is better. Over the lists of a protected audience
    it is that audience's exposure.

    Examples
    --------
    >>> flagged_lists([[0, 1], [1, -1]], [2, 1], 2, [True, False]).tolist()
    [1.0, 0.0]
    """
    if k < 1:
        raise RequestError(f"a metric at k needs k of at least 1, got {k}")
    table = np.asarray(lists)[:, :k]
    there = np.arange(table.shape[1]) < np.asarray(counts)[:, None]
    found = np.asarray(flagged, bool)[np.where(there, table, 0)] & there
    return np.where(there.any(axis=1), found.any(axis=1), np.nan)


def topic_entropy(topics: Any) -> FloatArray:
    """Entropy in bits of each row's distribution over topics: float64 (n,), NaN for an empty row.

    Parameters
    ----------
    topics : (n, n_topics), sparse or not
        Counts or shares, at least 0.

    Examples
    --------
    >>> topic_entropy([[2, 2], [4, 0], [0, 0]]).tolist()
    [1.0, 0.0, nan]
    """
    shares = distributions(topics)
    shares.eliminate_zeros()
    rows = np.repeat(np.arange(shares.shape[0]), np.diff(shares.indptr))
    terms = shares.data * np.log2(shares.data)
    bits = np.abs(np.bincount(rows, weights=terms, minlength=shares.shape[0]))
    return np.where(np.diff(shares.indptr) > 0, bits, np.nan)


def topic_change(history: Any, shown: Any) -> FloatArray:
    """Entropy of the topics shown less that of the history, in bits: float64 (n,); below 0 the user's topics narrow.

    Few items have less entropy than many, so both have to be of about the same number of items. NaN where either is
    empty. Source: the comparison of content diversity consumed and recommended of Nguyen et al. (2014), Exploring the
    filter bubble, in the form of Shannon's entropy.

    Parameters
    ----------
    history, shown : (n, n_topics), sparse or not
        Counts or shares of topics.

    Examples
    --------
    Two topics in the history, one in the list: one bit less.

    >>> topic_change([[1, 1]], [[2, 0]]).tolist()
    [-1.0]
    """
    return topic_entropy(shown) - topic_entropy(history)


def list_topics(lists: npt.ArrayLike, counts: npt.ArrayLike, k: int, topics: Any) -> Any:
    """Sum the topics (n_items, n_topics) of each list's first k items: CSR float64 (n_lists, n_topics).

    Examples
    --------
    >>> list_topics([[0, 1], [1, -1]], [2, 1], 2, [[1.0, 0.0], [0.5, 0.5]]).toarray().tolist()
    [[1.5, 0.5], [0.5, 0.5]]
    """
    table = np.asarray(lists)[:, :k]
    there = np.arange(table.shape[1]) < np.asarray(counts)[:, None]
    items = table[there].astype(np.int64)
    indptr = np.concatenate(([0], np.cumsum(there.sum(axis=1))))
    content = sp.csr_array(topics, dtype=np.float64)
    return sp.csr_array((np.ones(items.size), items, indptr), shape=(len(table), content.shape[0])) @ content


DEFINITIONS: dict[str, Definition] = {
    "flagged": Definition(
        "Flagged lists",
        "Share of lists with flagged content within the first {k}.",
        "lower",
        0,
        1,
        "ethics",
    ),
    "flagged_protected": Definition(
        "Flagged, protected",
        "Share of the lists of protected users with flagged content within the first {k}.",
        "lower",
        0,
        1,
        "ethics",
    ),
    "topic_change": Definition(
        "Topics gained",
        "Entropy of the categories shown within the first {k} less that of as many items of the history, in bits; "
        "below 0 topics narrow.",
        "higher",
        -64,
        64,
        "ethics",
    ),
}
"""What each of them means."""
