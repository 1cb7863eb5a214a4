"""Statistics of behaviour against plain counting, and what they must never see: the row itself and its future."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fuserec.data.dataset import SECONDS_PER_DAY
from fuserec.encoders.behaviour import DAMPING, ItemPast, ItemSummary
from fuserec.encoders.structured import ColumnChoice, FeatureSpace
from fuserec.testing import small_dataset

DATA = small_dataset()


def features_of(data, rows=None):
    """Everything that describes the rows of a training set, one row each."""
    past = ItemPast.of(data)
    when = data.interactions.time
    space = FeatureSpace.learn(DATA, ItemPast.of(DATA), DATA.interactions.time, ColumnChoice())
    asked, _ = space.of_rows(data, past, when)
    items = data.interactions.item
    return np.hstack(
        [asked.statistics, past.statistics(items, when), past.times_at(items, when), asked.where.numbers]
    )


def test_statistics_equal_plain_counting():
    rows, mean = DATA.interactions, ItemPast.of(DATA).mean
    found = features_of(DATA)
    for r in range(0, len(rows), 7):
        earlier = [
            j for j in range(len(rows)) if rows.item[j] == rows.item[r] and rows.time[j] < rows.time[r]
        ]
        rated = [float(rows.rating[j]) - mean for j in earlier if np.isfinite(rows.rating[j])]
        assert found[r, 6] == pytest.approx(np.log1p(len(earlier)), rel=1e-5)
        assert found[r, 7] == pytest.approx(sum(rated) / (len(rated) + DAMPING), abs=1e-5)
        if len(rated) >= 2:
            assert found[r, 8] == pytest.approx(np.std(rated), abs=1e-4)
        own = list(range(int(DATA.indptr[rows.user[r]]), r))
        assert found[r, 0] == pytest.approx(np.log1p(len(own)), rel=1e-5)
        if earlier:
            days = (rows.time[r] - max(rows.time[j] for j in earlier)) / SECONDS_PER_DAY
            assert found[r, 10] == pytest.approx(np.log1p(days), rel=1e-4)
        if own:
            days = (rows.time[r] - rows.time[r - 1]) / SECONDS_PER_DAY
            assert found[r, 5] == pytest.approx(np.log1p(days), abs=1e-4)


def test_a_rows_own_rating_and_its_future_change_nothing():
    rows, before = DATA.interactions, features_of(DATA)
    row = int(np.argsort(rows.time)[len(rows) // 2])
    later = (rows.time > rows.time[row]) | (np.arange(len(rows)) == row)
    rated = np.flatnonzero(later & np.isfinite(rows.rating))
    ratings, items = rows.rating.copy(), rows.item.copy()
    ratings[rated] = np.random.default_rng(0).permutation(ratings[rated])
    future = np.flatnonzero(later & (np.arange(len(rows)) != row))
    items[future] = np.random.default_rng(1).permutation(items[future])
    after = features_of(replace(DATA, interactions=replace(rows, rating=ratings, item=items)))
    np.testing.assert_allclose(after[row], before[row], rtol=1e-5)  # the mean of all ratings is the same
    assert not np.allclose(after[future], before[future], equal_nan=True)


def test_the_summary_is_the_past_of_the_end():
    past = ItemPast.of(DATA)
    summary = ItemSummary.of(past)
    np.testing.assert_allclose(np.expm1(summary.statistics[:, 0]), DATA.item_counts, rtol=1e-5)
    items, at = np.arange(DATA.n_items), np.full(DATA.n_items, 2e9)
    np.testing.assert_allclose(summary.times(items, np.array([2e9]))[0], past.times_at(items, at), rtol=1e-5)
    again = ItemSummary.from_state(summary.arrays(), summary.mean)
    np.testing.assert_array_equal(again.statistics, summary.statistics)


def test_without_times_the_order_within_users_counts():
    bare = replace(DATA, interactions=replace(DATA.interactions, time=np.full(DATA.n_interactions, np.nan)))
    past = ItemPast.of(bare)
    assert not past.timed
    assert np.isnan(past.times_at(np.arange(3), np.full(3, 5.0))).all()
    first = past.statistics(bare.interactions.item, np.zeros(len(bare.interactions)))
    assert (first[:, 0] == 0).all()  # nobody has anything before a first event


def test_months_hours_and_weekdays():
    from fuserec.encoders.structured import _part

    moments = np.array(
        [0.0, 1_700_000_000.0, 951_782_400.0, np.nan]
    )  # 1970-01-01, 2023-11-14 22:13, 2000-02-29
    np.testing.assert_array_equal(_part(moments, "hour"), np.array([0, 22, 0, np.nan], np.float32))
    np.testing.assert_array_equal(_part(moments, "weekday"), np.array([3, 1, 1, np.nan], np.float32))
    np.testing.assert_array_equal(_part(moments, "month"), np.array([1, 11, 2, np.nan], np.float32))
