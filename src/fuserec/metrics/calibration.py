"""Whether a list has the categories that its user chose before, in their proportions."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from fuserec.errors import RequestError
from fuserec.metrics.definitions import INFINITE, Definition
from fuserec.metrics.shown import FloatArray, cut, shares
from fuserec.numerics.lists import divergences

ALPHA = 0.01
"""Share of the history that is mixed into the list, so that a category which is missing costs much and not infinity."""


def miscalibration(
    lists: npt.ArrayLike,
    counts: npt.ArrayLike,
    k: int,
    seen: tuple[npt.ArrayLike, npt.ArrayLike],
    categories: Any,
    alpha: float = ALPHA,
) -> FloatArray:
    """Kullback-Leibler divergence of a list's categories from those of the history, in nats: float64 (n_lists,).

    Σ p(c) ln(p(c) / q~(c)), p the mean shares of categories over the history, q over the first k, and
    q~ = (1 - alpha) q + alpha p. From 0 (the same proportions) to ln(1 / alpha), lower is better calibrated; NaN where
    history or list has no categories. Source: Steck (2018), Calibrated recommendations, equations 2 to 5, with equal
    weights.

    Parameters
    ----------
    lists, counts, k
        As in :mod:`fuserec.metrics.beyond`.
    seen : (indptr (n_lists + 1,), items)
        The history of each list's user.
    categories : array or scipy sparse (n_items, n_categories)
        Weights of an item's categories; they are scaled to sum to 1.
    alpha : float
        Above 0 and below 1.

    Examples
    --------
    The history is of category 0 and 1 by halves, the list of 0 alone: 1/2 ln(0.5 / 0.995) + 1/2 ln(0.5 / 0.005).

    >>> categories = [[1, 0], [0, 1], [1, 0]]
    >>> miscalibration([[2]], [1], 1, ([0, 2], [0, 1]), categories).round(5).tolist()
    [1.95852]
    """
    import scipy.sparse as sp

    if not 0 < alpha < 1:
        raise RequestError(f"alpha of a calibration lies between 0 and 1, got {alpha}")
    part = shares(categories)
    table, length = cut(lists, counts, k, part.shape[0])
    starts, events = np.asarray(seen[0], np.int64), np.asarray(seen[1], np.int64)
    members = sp.csr_array((np.ones(len(events)), events, starts), shape=(len(table), part.shape[0]))
    wanted = shares(members @ part)
    out = np.empty(len(table))
    rows = (part.indptr.astype(np.int64), part.indices.astype(np.int32), part.data)
    history = (
        wanted.indptr.astype(np.int64),
        wanted.indices.astype(np.int32),
        wanted.data.astype(np.float64),
    )
    divergences(table, length, *rows, part.shape[1], *history, alpha, out)
    return np.maximum(out, 0)


DEFINITIONS: dict[str, Definition] = {
    "miscalibration": Definition(
        "Miscalibration",
        "How far the categories of the first {k} are from those of the user's history (KL divergence, nats).",
        "lower",
        0,
        INFINITE,
        "concentration",
    ),
}
"""What each of them means."""
