"""Windows of time: what is known until a moment, and what comes until the next one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from fuserec.data.splits.base import Holdout, Rows, Targets
from fuserec.errors import DataError

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset


@dataclass(frozen=True)
class Window:
    """From a moment on, until before the next one; the last window holds its end too.

    Parameters
    ----------
    start, end : float
        Unix seconds.
    last : bool
        Whether rows at the very end belong to it.
    """

    start: float
    end: float
    last: bool

    def holds(self, time: np.ndarray) -> np.ndarray:
        """Return bool (n,): which moments lie in the window; NaN does not."""
        return (time >= self.start) & ((time <= self.end) if self.last else (time < self.end))


def windows(dataset: Dataset, number: int, share: float) -> list[Window]:
    """Cut the newest share of the interactions into windows with equally many of them, oldest first.

    Raises
    ------
    DataError
        Where interactions have no time, or too many have the same.
    """
    dataset.require_time("a replay")
    times = dataset.interactions.time
    moments = np.quantile(times, np.linspace(1 - share, 1, number + 1), method="lower")
    if (np.diff(moments) <= 0).any() or moments[0] <= times.min():
        raise DataError(
            f"replay: {number} windows over the newest {share:g} of {times.size:,} interactions: too many of them "
            "have the "
            "same time; take fewer windows, or another --share"
        )
    pairs = pairwise(moments)
    return [Window(float(lo), float(hi), place == number - 1) for place, (lo, hi) in enumerate(pairs)]


def known_before(dataset: Dataset, moment: float) -> Dataset:
    """Return the dataset as it was known at a moment: interactions, searches and impressions of earlier ones.

    Ids and tables of items and users stay as they are: when they came to be known is not in the data. Searches without
    a time are taken as old.
    """
    table = dataset.impressions
    return replace(
        dataset.with_rows(dataset.interactions.time < moment),
        searches=dataset.searches.take(~(dataset.searches.time >= moment)),
        impressions=table.filter(table["timestamp"].fill_null(np.inf).to_numpy() < moment),
    )


def news_of(dataset: Dataset, window: Window) -> Dataset:
    """Return what a window brings, as an update takes it: interactions, searches and impressions of that time."""
    table = dataset.impressions
    return replace(
        dataset.with_rows(window.holds(dataset.interactions.time)),
        searches=dataset.searches.take(window.holds(dataset.searches.time)),
        impressions=table.filter(window.holds(table["timestamp"].fill_null(np.nan).to_numpy())),
        links=dataset.links.clear(),
    )


def questions_of(dataset: Dataset, window: Window, targets: Targets) -> Holdout:
    """Return the queries of a window: who does something in it, with all that they did before it."""
    from fuserec.data.splits import assembled

    time = dataset.interactions.time
    before = time < window.start
    rows = Rows(before, before, window.holds(time), window.start)
    held = assembled(dataset, rows, targets)
    return replace(held, train=known_before(dataset, window.start))
