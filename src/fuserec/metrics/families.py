"""All metrics over lists at once, from what is known of items and users: what is not known is left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from fuserec.metrics import beyond, calibration, concentration, diversity, probability, serendipity
from fuserec.metrics.contributions import of_exposure
from fuserec.metrics.grouping import group_means
from fuserec.metrics.shown import FloatArray, IntArray, Space, cut, mean_of, shares
from fuserec.numerics.lists import target_places

Columns = dict[str, FloatArray]
Ragged = tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]

WORK = 2_000_000_000
"""Steps that the diversity of users may take: the users of all shown items; above it some lists are left out."""


@dataclass(frozen=True)
class Known:
    """What metrics over lists may ask; nothing of it depends on a model.

    Parameters
    ----------
    n_items : int
    targets, seen : ragged (indptr int64 (n + 1,), items int32), or None
        Right items and histories of the n users.
    item_users : int (n_items,) or None
        Distinct training users of each item.
    n_users : int
        Training users.
    space, users_space : Space or None
        Items as vectors of their text, and of their users.
    categories : CSR (n_items, n_categories) or None
    """

    n_items: int
    targets: Ragged | None = None
    seen: Ragged | None = None
    item_users: IntArray | None = None
    n_users: int = 1
    space: Space | None = None
    users_space: Space | None = None
    categories: Any = None

    @cached_property
    def shares(self) -> Any:
        """CSR float32 (n_items, n_categories): shares of categories that sum to 1 an item."""
        return shares(self.categories)

    @cached_property
    def category_space(self) -> Space:
        """Items as vectors of their categories."""
        return Space.of(self.shares)

    @cached_property
    def tail(self) -> npt.NDArray[np.bool_]:
        """Bool (n_items,): which items are of the long tail."""
        assert self.item_users is not None
        return concentration.long_tail(self.item_users)

    @cached_property
    def profile_popularity(self) -> FloatArray | None:
        """float64 (n,): mean popularity of each history."""
        if self.seen is None or self.item_users is None:
            return None
        return concentration.popularity_of(*self.seen, self.item_users)


@dataclass(frozen=True)
class Lists:
    """Lists of one model.

    Parameters
    ----------
    items : int32 (n, width)
        Best first.
    counts : int (n,)
    probabilities : float (n, width) or None
        Of each shown item, that it is taken.
    """

    items: npt.NDArray[np.int32]
    counts: npt.NDArray[np.integer]
    probabilities: npt.NDArray[np.floating] | None = None

    @property
    def args(self) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.integer]]:
        """Items and counts, as metrics take them."""
        return self.items, self.counts


def list_columns(
    lists: Lists, ks: Sequence[int], known: Known, threads: int = 1
) -> tuple[Columns, dict[str, float]]:
    """Return every metric over lists that can be had.

    Memory beside the result (8 · n · metrics · ks bytes): the category shares of the histories, one row of scratch a
    thread, and 8 · n_items bytes of exposure.

    Returns
    -------
    columns : dict of float64 (n,)
        By ``name@k``: one value a user, NaN where there is none. The mean is the figure.
    whole : dict of float
        Figures that are no mean over users.
    """
    columns: Columns = {}
    whole: dict[str, float] = {}
    for k in ks:
        whole[f"coverage@{k}"] = beyond.coverage(*lists.args, k, known.n_items)
        columns[f"user_coverage@{k}"] = beyond.user_coverage(lists.counts, k)
    columns |= distances(lists, ks, known, threads)
    for k in ks:
        found = categorical(lists, k, known) | unpopular(lists, k, known) | surprising(lists, k, known)
        found |= exposed(lists, k, known.n_items) | believed(lists, k, known)
        columns |= {f"{name}@{k}": column for name, column in found.items()}
    return columns, whole


def distances(lists: Lists, ks: Sequence[int], known: Known, threads: int = 1) -> Columns:
    """Return the diversity of each list in the spaces of text, categories and users."""
    spaces = {"ild": known.space, "ild_users": known.users_space}
    if known.categories is not None:
        spaces["ild_category"] = known.category_space
    columns: Columns = {}
    for name, space in spaces.items():
        if space is not None:
            rows = _affordable(lists, max(ks), space)
            found = np.full((len(lists.items), len(ks)), np.nan)
            part = (lists.items[rows], lists.counts[rows])
            found[rows] = beyond.intra_list_diversities(*part, ks, space, threads)
            columns |= {f"{name}@{k}": found[:, at] for at, k in enumerate(ks)}
    return columns


def _affordable(lists: Lists, k: int, space: Space) -> Any:
    """Return the lists that are looked at: all, or as many drawn at random as :data:`WORK` allows."""
    if not space.sparse:
        return slice(None)
    table, length = cut(*lists.args, k, len(space))
    steps = float(np.nansum(mean_of(table, length, k, np.diff(space.unit.indptr)) * length))
    if steps <= WORK:
        return slice(None)
    n = max(1, int(len(table) * (WORK / steps)))
    return np.sort(np.random.default_rng(0).permutation(len(table))[:n])


def categorical(lists: Lists, k: int, known: Known) -> Columns:
    """Return what categories say of lists, and of lists beside histories."""
    if known.categories is None:
        return {}
    found = {
        "category_entropy": diversity.category_entropy(*lists.args, k, known.shares),
        "s_recall": diversity.subtopic_recall(*lists.args, k, known.shares),
    }
    if known.seen is not None:
        found["miscalibration"] = calibration.miscalibration(*lists.args, k, known.seen, known.shares)
    return found


def unpopular(lists: Lists, k: int, known: Known) -> Columns:
    """Return novelty and popularity of lists."""
    if known.item_users is None:
        return {}
    users = known.item_users
    found = {
        "novelty": beyond.novelty(*lists.args, k, users, known.n_users),
        "popularity_complement": beyond.popularity_complement(*lists.args, k, users, known.n_users),
        "average_popularity": concentration.average_popularity(*lists.args, k, users),
        "tail_share": concentration.tail_share(*lists.args, k, known.tail),
    }
    if known.profile_popularity is not None:
        found["popularity_lift"] = concentration.popularity_lift(
            *lists.args, k, users, known.profile_popularity
        )
    return found


def surprising(lists: Lists, k: int, known: Known) -> Columns:
    """Return serendipity by both definitions."""
    if known.targets is None or known.seen is None:
        return {}
    found: Columns = {}
    facts = (known.targets, known.seen)
    if known.item_users is not None:
        found["serendipity"] = serendipity.serendipity(*lists.args, k, *facts, known.item_users)
    if known.space is not None:
        found["profile_serendipity"] = serendipity.profile_serendipity(*lists.args, k, *facts, known.space)
    return found


def exposed(lists: Lists, k: int, n_items: int) -> Columns:
    """Return how unevenly lists share their places, as contributions of each list."""
    shown = beyond.exposure(*lists.args, k, n_items)
    entropy, slopes = concentration.exposure_entropy(shown), concentration.entropy_slopes(shown)
    effective = concentration.distributional_coverage(shown)
    curves = {
        "gini": (concentration.gini(shown), concentration.gini_slopes(shown)),
        "exposure_entropy": (entropy, slopes),
        "distributional_coverage": (effective, slopes * effective * np.log(2)),
    }
    return {name: of_exposure(*lists.args, k, value, slope, shown) for name, (value, slope) in curves.items()}


def believed(lists: Lists, k: int, known: Known) -> Columns:
    """Return log loss, Brier score and calibration error of the probabilities of the first k."""
    if lists.probabilities is None or known.targets is None:
        return {}
    table, length = cut(*lists.args, k, known.n_items)
    rows, at = np.nonzero(np.arange(min(k, table.shape[1])) < length[:, None])
    taken = hits(table, length, known.targets)[rows, at]
    p, n = lists.probabilities[rows, at], len(table)
    there = np.diff(known.targets[0]) > 0
    gaps = np.bincount(rows, weights=probability.calibration_gaps(p, taken), minlength=n)
    return {
        "log_loss": np.where(there, group_means(probability.log_losses(p, taken), rows, n), np.nan),
        "brier": np.where(there, group_means(probability.brier_scores(p, taken), rows, n), np.nan),
        "ece": gaps * (n / max(1, len(rows))),
    }


def hits(items: npt.NDArray[np.int32], counts: IntArray, targets: Ragged) -> npt.NDArray[np.bool_]:
    """Return whether the item on each place (n, width) is a target of its list."""
    starts, wanted = targets
    places = np.empty(len(wanted))
    target_places(items, counts, starts, wanted, places)
    found = np.isfinite(places)
    result = np.zeros(items.shape, np.bool_)
    result[np.repeat(np.arange(len(items)), np.diff(starts))[found], places[found].astype(np.int64) - 1] = (
        True
    )
    return result
