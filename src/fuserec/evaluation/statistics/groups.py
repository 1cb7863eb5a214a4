"""How far groups of users lie apart: intervals that know the groups were picked by looking.

The best and the worst served group are chosen by the same data that measure them, so the interval of the contrast
that the data show, or of its resamples, lies above 0 far too often where groups do not differ. Here all groups and all
pairs of groups have intervals that hold together (Šidák 1967, Rectangular confidence regions for the means of
multivariate normal distributions; Bonferroni over pairs), and what follows from them is true whichever group is the
best: at least the level, more where groups are many. The mean of a group has a score interval, a difference of two
groups puts theirs together by MOVER (see ``confidence.py``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fuserec.evaluation.statistics.confidence import score_ends
from fuserec.evaluation.statistics.values import Estimate, FloatArray


@dataclass(frozen=True)
class Spread:
    """Best mean less worst, worst over best, and the worst mean."""

    gap: Estimate
    ratio: Estimate
    worst: Estimate


def spread_of_groups(
    values: npt.ArrayLike, codes: npt.NDArray[np.int64], n_groups: int, *, level: float = 0.95
) -> Spread | None:
    """Return how far the means of groups lie apart; None with fewer than two groups that have two values.

    Parameters
    ----------
    values : float (n_users,)
        Between 0 and 1; NaN where a user has none.
    codes : int (n_users,)
        Group of each user, negative for none.
    n_groups : int
    level : float
        Confidence of each of the intervals, at least.
    """
    x = np.asarray(values, np.float64)
    told = [x[(codes == group) & ~np.isnan(x)] for group in range(n_groups)]
    told = [each for each in told if each.size > 1]
    if len(told) < 2:
        return None
    means = np.array([each.mean() for each in told])
    bands = _bands(told, level ** (1 / len(told)))
    low, high = bands[:, 0], bands[:, 1]
    best, worst = float(means.max()), float(means.min())
    surely, perhaps = float(low.max()), float(high.max())  # the best group's mean lies between
    ratio = Estimate(None)
    if best > 0:
        most = min(1.0, float(high.min()) / surely) if surely > 0 else 1.0
        ratio = Estimate(worst / best, float(low.min()) / perhaps, most)
    return Spread(
        gap=Estimate(best - worst, *_gap_ends(told, means, level)),
        ratio=ratio,
        worst=Estimate(worst, float(low.min()), float(high.min())),
    )


def _bands(told: list[FloatArray], level: float) -> FloatArray:
    """Return the score interval of the mean of each group: float64 (n_groups, 2)."""
    return np.array([score_ends(float(x.mean()), float(x.std()), x.size, level) for x in told])


def _gap_ends(told: list[FloatArray], means: FloatArray, level: float) -> tuple[float, float]:
    """Return the ends of the largest difference: of all pairs, the highest lower and the highest upper one."""
    pairs = len(told) * (len(told) - 1) // 2
    bands = _bands(told, 1 - (1 - level) / pairs)
    below, above = (means - bands[:, 0]) ** 2, (bands[:, 1] - means) ** 2
    apart = means[:, None] - means[None]
    low = apart - np.sqrt(below[:, None] + above[None])
    high = apart + np.sqrt(above[:, None] + below[None])
    np.fill_diagonal(low, 0.0)
    np.fill_diagonal(high, 0.0)
    return max(0.0, float(low.max())), min(1.0, float(high.max()))
