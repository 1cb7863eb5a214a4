"""How far groups lie apart: intervals that hold although the groups were picked by looking."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuserec.evaluation.statistics import interval, spread_of_groups

RNG = np.random.default_rng


def test_of_two_groups_the_gap_is_newcombes_difference():
    # Newcombe 1998 (Interval estimation for the difference between independent proportions), method 10, 56 of 70 and
    # 48 of 80: 0.2 [0.0524, 0.3339]; Student's quantiles make ours a little wider.
    values = np.repeat([1.0, 0.0, 1.0, 0.0], [56, 14, 48, 32])
    found = spread_of_groups(values, np.repeat([0, 1], [70, 80]), 2)
    assert found.gap.value == pytest.approx(0.2)
    assert (found.gap.low, found.gap.high) == pytest.approx((0.0524, 0.3339), abs=0.005)
    assert found.ratio.value == pytest.approx(0.6 / 0.8)
    assert found.worst.value == pytest.approx(0.6)


@pytest.mark.parametrize("groups", [2, 4, 8])
def test_where_groups_do_not_differ_the_gap_may_be_none(groups):
    rng, apart, wrong = RNG(groups), 0, 0
    codes = np.arange(75 * groups) % groups
    for _ in range(300):
        values = (rng.random(codes.size) < 0.2) * rng.random(codes.size)
        found = spread_of_groups(values, codes, groups)
        apart += found.gap.low > 0
        wrong += not found.worst.low <= 0.1 <= found.worst.high or found.ratio.high < 1
    assert (
        apart <= 0.08 * 300
    )  # the resamples of the two that look best and worst: 49 % of them with eight groups
    assert wrong <= 0.08 * 300


def test_where_they_do_the_gap_is_found_and_held():
    rng, seen, held = RNG(1), 0, 0
    codes = np.arange(800) % 4
    rates = np.array([0.1, 0.2, 0.2, 0.4])
    for _ in range(200):
        found = spread_of_groups((rng.random(800) < rates[codes]).astype(float), codes, 4)
        seen += found.gap.low > 0
        held += found.gap.low <= 0.3 <= found.gap.high and found.ratio.low <= 0.25 <= found.ratio.high
    assert seen >= 198
    assert held >= 190


@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(4, 60))
def test_figures_lie_in_their_intervals_and_these_in_the_range(seed, groups, n):
    rng = RNG(seed)
    values = np.where(rng.random(n) < 0.1, np.nan, (rng.random(n) < rng.random()) * rng.random(n))
    found = spread_of_groups(values, rng.integers(-1, groups, n), groups)
    if found is None:
        return
    for one in (found.gap, found.ratio, found.worst):
        if one.value is not None:
            assert -1e-9 <= one.low <= one.value + 1e-9
            assert one.value - 1e-9 <= one.high <= 1 + 1e-9


def test_one_group_has_no_gap():
    assert spread_of_groups(np.ones(9), np.zeros(9, np.int64), 3) is None
    assert spread_of_groups(np.ones(3), np.array([0, 0, 1]), 2) is None  # a group of one says nothing


def test_the_worst_of_two_is_wider_than_one_alone():
    values, codes = RNG(3).random(200), np.repeat([0, 1], 100)
    found = spread_of_groups(values, codes, 2)
    alone = interval(values[codes == 0], rng=RNG(0), within=(0.0, 1.0))
    assert found.worst.high - found.worst.low >= 0.9 * (alone.high - alone.low)
