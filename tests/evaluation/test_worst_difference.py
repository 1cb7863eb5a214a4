"""What the worst served group gains: a planted change is held, whichever group is the worst."""

from __future__ import annotations

import numpy as np
import pytest

from fuserec.evaluation.groups import Groups
from fuserec.evaluation.measures.fairness import less_worst
from fuserec.evaluation.statistics import Difference, worst_difference
from fuserec.metrics.fairness import worst
from fuserec.run import RunOptions

UNIT = (0.0, 1.0)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def drawn(source: np.random.Generator, rates: tuple[float, ...], n: int, of_luck: np.ndarray) -> np.ndarray:
    """Return hits of n users a group; most of the luck of a user is the same for every model."""
    own = np.where(source.random(of_luck.size) < 0.7, of_luck, source.random(of_luck.size))
    return (own < np.repeat(rates, n)).astype(float)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ((0.5, 0.45, 0.3), (0.5, 0.45, 0.2)),  # one group stays the worst
        ((0.5, 0.3, 0.6), (0.5, 0.6, 0.2)),  # another group becomes the worst
        ((0.4, 0.4, 0.4), (0.4, 0.4, 0.4)),  # any may be
        ((0.4, 0.4, 0.4), (0.5, 0.5, 0.2)),  # with one model any may be
        ((0.06, 0.04, 0.1), (0.06, 0.02, 0.1)),  # hardly any hit
    ],
)
def test_the_change_of_the_worst_group_is_held(ours: tuple[float, ...], theirs: tuple[float, ...]) -> None:
    source, n, held, widths = rng(2), 60, 0, []
    truth = min(ours) - min(theirs)
    codes = np.repeat([0, 1, 2], n)
    for _ in range(120):
        luck = source.random(3 * n)
        a, b = drawn(source, ours, n, luck), drawn(source, theirs, n, luck)
        found = worst_difference(
            a, b, codes, 3, rng=source, permuting=source, within=UNIT, n_resamples=100, n_permutations=1
        )
        assert found.low is not None
        assert found.high is not None
        held += found.low <= truth <= found.high
        widths.append(found.high - found.low)
    assert held >= 110
    assert np.mean(widths) < 0.5


def test_the_worst_group_is_found_anew_in_every_resample() -> None:
    """Groups tie: with the two that look worst the replicates would spread to both sides of the figure alike."""
    source = rng(3)
    codes = np.repeat(np.arange(6), 50)
    a = source.random(300)
    b = np.repeat([0.9, 0.9, 0.9, 0.9, 0.9, 0.2], 50)
    found = worst_difference(a, b, codes, 6, rng=rng(), permuting=rng(), within=None)
    means = np.array([a[codes == g].mean() for g in range(6)])
    assert found.difference == pytest.approx(means.min() - 0.2)
    assert found.low is not None
    assert found.high is not None
    picks = [source.integers(0, 50, (2000, 50)) + 50 * g for g in range(6)]
    anew = worst(np.stack([a[rows].mean(axis=1) for rows in picks], axis=1)) - 0.2
    assert found.low == pytest.approx(np.quantile(anew, 0.025), abs=0.02)


def test_equal_models_and_missing_users() -> None:
    a = np.array([0.2, 0.4, 0.6, np.nan, 0.1, 0.9])
    codes = np.array([0, 0, 1, 1, -1, 1])
    same = worst_difference(a, a, codes, 2, rng=rng(), permuting=rng(), within=UNIT)
    assert (same.difference, same.low, same.high, same.p) == (0, 0, 0, 1)
    assert same.users == 4
    alone = worst_difference([0.1, 0.5, 0.6], [0.2, 0.4, 0.7], [0, 1, 1], 2, rng=rng(), permuting=rng())
    assert alone.difference == pytest.approx(
        0.0
    )  # 0.55 in the group of two, with either: one user is no group
    assert alone.users == 2
    nobody = worst_difference(a, np.full(6, np.nan), codes, 2, rng=rng(), permuting=rng())
    assert nobody == Difference(None, None, None, None, 0)


def test_a_lift_of_the_worst_group_is_told_from_chance() -> None:
    source = rng(4)
    codes = np.repeat([0, 1], 100)
    b = np.where(codes == 0, source.random(200) < 0.6, source.random(200) < 0.1).astype(float)
    lifted = np.where((codes == 1) & (source.random(200) < 0.3), 1.0, b)
    groups = Groups("g", ("x", "y"), codes)
    found = less_worst(lifted, b, groups, RunOptions(), 199)
    assert found.difference == pytest.approx(lifted[100:].mean() - b[100:].mean())
    assert (found.low or 0) > 0
    assert (found.p or 1) <= 0.01
    assert found.users == 200
    spared = np.where((codes == 0) & (source.random(200) < 0.3), 1.0, b)  # only the best served gain
    still = less_worst(spared, b, groups, RunOptions(), 199)
    assert still.difference == 0
    assert still.p == 1
