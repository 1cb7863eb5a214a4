"""What the report's plots are made of: are probabilities true, and who gets the places of the lists."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fuserec.evaluation.results import Curve

if TYPE_CHECKING:
    from fuserec.evaluation.ranking_pass import Outcome
    from fuserec.evaluation.yardstick import Yardstick

CALIBRATION, LORENZ, POPULARITY = "calibration", "lorenz", "popularity"
"""Names of the curves."""

POINTS = 10
"""Points of a calibration plot, and groups of items by popularity."""

NORMAL_95 = 1.959964

_SHARES = np.concatenate([np.linspace(0, 0.95, 20), [0.96, 0.97, 0.98, 0.985, 0.99, 0.995, 0.999, 1.0]])
"""Where a Lorenz curve is kept: close together at its end, where concentrated lists have all they have."""


@dataclass(frozen=True)
class Plotter:
    """Makes the curves of all models of an evaluation.

    Parameters
    ----------
    yardstick : Yardstick
    k : int
        How many places of each list count.
    """

    yardstick: Yardstick
    k: int

    def of_people(self) -> dict[str, Curve]:
        """Return what people chose in the training data: the measure of the models' curves."""
        counts = self.yardstick.train.item_counts
        return {LORENZ: lorenz(counts), POPULARITY: self._by_popularity(counts)}

    def of_model(self, outcome: Outcome) -> dict[str, Curve]:
        """Return the curves of one model; calibration where it gives probabilities."""
        shown = np.arange(min(self.k, outcome.lists.shape[1])) < outcome.counts[:, None]
        lists = outcome.lists[:, : self.k]
        exposure = np.bincount(lists[shown], minlength=self.yardstick.train.n_items)
        found = {LORENZ: lorenz(exposure), POPULARITY: self._by_popularity(exposure)}
        if outcome.probabilities is not None and shown.any():
            told = outcome.probabilities[:, : self.k][shown]
            found[CALIBRATION] = calibration(told, self._hits(lists)[shown])
        return found

    def _hits(self, lists: np.ndarray) -> npt.NDArray[np.bool_]:
        """Return bool (n, k): whether each place holds a target of its query."""
        test, n_items = self.yardstick.test, self.yardstick.train.n_items
        wanted = test.rows.astype(np.int64) * n_items + test.items
        given = np.arange(len(lists), dtype=np.int64)[:, None] * n_items + lists
        return np.isin(given, wanted) & (lists >= 0)

    @cached_property
    def _groups(self) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Items from most to least chosen, and where groups of about equally many choices begin; the last is new."""
        counts = self.yardstick.train.item_counts
        order = np.argsort(-counts, kind="stable")
        known = int(np.count_nonzero(counts))
        total = np.cumsum(counts[order[:known]], dtype=np.float64)
        if not known:
            return order, np.zeros(1, np.intp)
        wanted = total[-1] * np.arange(1, POINTS) / POINTS
        starts = np.concatenate([[0], np.searchsorted(total, wanted) + 1])
        starts = np.unique(starts[starts < known])
        return order, np.append(starts, known) if known < counts.size else starts

    def _by_popularity(self, given: npt.ArrayLike) -> Curve:
        """Return the share of ``given`` (n_items,) that each group gets, the most popular items first."""
        order, starts = self._groups
        values = np.add.reduceat(np.asarray(given, np.float64)[order], starts) if order.size else np.zeros(0)
        sizes = np.diff(np.append(starts, order.size)) if order.size else np.zeros(0, np.int64)
        return Curve(
            x=[float(at + 1) for at in range(values.size)],
            y=_short(values / max(values.sum(), 1.0)),
            n=[int(size) for size in sizes],
        )


def lorenz(counts: npt.ArrayLike) -> Curve:
    """Return the share of all places (y) that the least shown items (x, a share of all items) have together.

    Equal exposure is the diagonal (Lorenz 1905, "Methods of measuring the concentration of wealth").

    Parameters
    ----------
    counts : int (n_items,)
        How often each item was shown.

    Examples
    --------
    >>> lorenz([0, 0, 5, 5]).y[10], lorenz([1, 1, 1, 1]).y[10]
    (0.0, 0.5)
    """
    ordered = np.sort(np.asarray(counts, np.float64))
    total = ordered.sum()
    if total <= 0:
        return Curve(x=[], y=[])
    below = np.concatenate([[0.0], np.cumsum(ordered)]) / total
    at = np.interp(_SHARES, np.arange(below.size) / ordered.size, below)
    return Curve(x=_short(_SHARES), y=_short(at))


def calibration(told: npt.ArrayLike, taken: npt.ArrayLike) -> Curve:
    """Return predicted probability (x) against the share that was taken (y), with 95 % Wilson intervals.

    Places are sorted by probability and cut where equally many hits are predicted, so that the few
    high probabilities are told apart too (Wilson 1927, "Probable inference, the law of succession, and statistical
    inference", for the intervals).

    Parameters
    ----------
    told : float (n,)
        Predicted probabilities.
    taken : bool (n,)
        What happened.

    Examples
    --------
    >>> curve = calibration([0.5] * 4, [True, True, False, False])
    >>> curve.x, curve.y, curve.n
    ([0.5], [0.5], [4])
    """
    told, taken = np.asarray(told, np.float64), np.asarray(taken, np.float64)
    order = np.argsort(told, kind="stable")
    told, taken = told[order], taken[order]
    mass = np.cumsum(told + 1e-12)
    inner = np.searchsorted(mass, mass[-1] * np.arange(1, POINTS) / POINTS)
    inner = np.searchsorted(told, told[inner])  # equal probabilities stay together
    starts = _wide(np.unique(np.concatenate([[0], inner])).astype(np.intp), mass)
    n = np.diff(np.append(starts, told.size)).astype(np.float64)
    share = np.add.reduceat(taken, starts) / n
    centre = (share + NORMAL_95**2 / (2 * n)) / (1 + NORMAL_95**2 / n)
    margin = np.sqrt(share * (1 - share) / n + NORMAL_95**2 / (4 * n**2)) * NORMAL_95 / (1 + NORMAL_95**2 / n)
    return Curve(
        x=_short(np.add.reduceat(told, starts) / n),
        y=_short(share),
        low=_short(np.maximum(centre - margin, 0.0)),
        high=_short(np.minimum(centre + margin, 1.0)),
        n=[int(count) for count in n],
    )


def _wide(starts: npt.NDArray[np.intp], mass: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """Join a group to the one before where ties left it less than half the hits that each was to have."""
    least = mass[-1] / (2 * POINTS)
    kept: list[int] = [0]
    for start in starts[1:].tolist():
        below = mass[kept[-1] - 1] if kept[-1] else 0.0
        if mass[start - 1] - below >= least and mass[-1] - mass[start - 1] >= least:
            kept.append(start)
    return np.array(kept, np.intp)


def _short(values: npt.NDArray[np.float64]) -> list[float]:
    """Return numbers with as many digits as a plot can show."""
    return [float(f"{value:.5g}") for value in values]
