from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from fuserec.errors import DataError, RequestError
from fuserec.evaluation import statistics
from fuserec.evaluation.statistics import Estimate
from fuserec.evaluation.statistics.smooth import Ratios, abc_mean, abc_ratios


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_the_sums_are_those_of_the_drawn_users():
    columns = np.random.default_rng(1).normal(size=(30, 4))
    source = rng(5)
    drawn = [source.integers(0, 30, 30, dtype=np.int32) for _ in range(20)]
    expected = [columns[rows].sum(axis=0) for rows in drawn]
    np.testing.assert_allclose(statistics.resampled_sums(columns, rng(5), 20), expected, atol=1e-12)


def test_chunks_do_not_change_the_resamples(monkeypatch):
    columns = np.random.default_rng(1).normal(size=(3000, 2))
    whole = statistics.resampled_sums(columns, rng(), 200, memory_mb=64)
    small = statistics.resampled_sums(columns, rng(), 200, memory_mb=0)
    np.testing.assert_allclose(small, whole, rtol=1e-12)


def test_equals_scipys_bca_bootstrap_in_its_limit():
    values = np.random.default_rng(3).exponential(size=400)
    ours = abc_mean(values, 0.95)
    theirs = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=8000, method="BCa", rng=rng(1)
    ).confidence_interval
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.01)
    assert ours[1] - values.mean() > 1.02 * (values.mean() - ours[0])  # longer on the side of the long tail


def test_ratios_in_the_limit_equal_scipys_bca_bootstrap():
    source = rng(2)
    counts = source.integers(1, 9, 250).astype(float)
    a, b = (np.array([(source.normal(0, s, int(n)) ** 2).sum() for n in counts]) for s in (0.8, 0.9))

    def gap(a, b, n, axis=-1):
        return np.sqrt(a.sum(axis) / n.sum(axis)) - np.sqrt(b.sum(axis) / n.sum(axis))

    ours = abc_ratios(np.column_stack([a, b, counts]), Ratios((1.0, -1.0), True), 0.95)
    found = scipy.stats.bootstrap(
        (a, b, counts), gap, paired=True, n_resamples=4000, method="BCa", rng=rng(1)
    )
    theirs = found.confidence_interval
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.006)


@pytest.mark.parametrize(("root", "signs"), [(False, (1.0,)), (True, (1.0,)), (True, (1.0, -1.0))])
def test_derivatives_of_ratios(root, signs):
    function, at = Ratios(signs, root), np.array([1.7, 0.6, 2.3][-len(signs) - 1 :])
    steps = 1e-5 * np.eye(at.size)
    slope = [(function.value(at + h) - function.value(at - h)) / 2e-5 for h in steps]
    np.testing.assert_allclose(function.gradient(at), slope, rtol=1e-6)
    second = [(function.gradient(at + h) - function.gradient(at - h)) / 2e-5 for h in steps]
    np.testing.assert_allclose(function.hessian(at), second, rtol=1e-6, atol=1e-9)


def test_hits_have_wilsons_interval():
    values = np.zeros(10_000)
    values[:130] = 1
    ours = statistics.interval(values, rng=rng(), within=(0, 1))
    theirs = scipy.stats.binomtest(130, 10_000).proportion_ci(method="wilson")
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=1e-3)


def test_no_hit_does_not_say_that_there_is_none():
    found = statistics.interval(np.zeros(50), rng=rng(), within=(0, 1))
    assert found.value == found.low == 0
    assert 0.05 < found.high < 0.09
    assert statistics.interval(np.full(50, 0.25), rng=rng(), within=(0, 1)) == Estimate(0.25, 0.25, 0.25)


def test_a_range_scales_and_values_beyond_it_are_as_without_one():
    values = rng(5).beta(0.5, 3, 80)
    unit = statistics.interval(values, rng=rng(), within=(0, 1))
    wide = statistics.interval(10 * values - 2, rng=rng(), within=(-2, 8))
    assert (wide.low, wide.high) == pytest.approx((10 * unit.low - 2, 10 * unit.high - 2))
    beyond = statistics.interval(values + 1, rng=rng(), within=(0, 1))
    assert beyond == statistics.interval(values + 1, rng=rng())


def test_a_million_users_are_not_resampled_and_agree_with_those_that_are(monkeypatch):
    values = rng(1).gamma(2.0, size=20_000)
    drawn = statistics.interval(values, rng=rng())
    monkeypatch.setattr("fuserec.evaluation.statistics.confidence.MOST_USERS", 100)
    limit = statistics.interval(values, rng=rng())
    assert limit != drawn
    assert (limit.low, limit.high) == pytest.approx((drawn.low, drawn.high), rel=2e-3)


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_intervals_hold_the_true_mean_as_often_as_they_say(level):
    source = rng(11)
    held = 0
    for _ in range(300):
        sample = (source.random(250) < 0.1).astype(float)  # a hit rate
        found = statistics.interval(sample, rng=source, n_resamples=300, level=level)
        held += found.low <= 0.1 <= found.high
    assert level - 0.055 <= held / 300 <= level + 0.045


def test_many_metrics_at_once_equal_one_at_a_time():
    source = rng(2)
    values = {name: source.random(80) for name in "abc"}
    values["b"][::3] = np.nan
    together = statistics.intervals(values, rng=rng())
    for name, column in values.items():
        alone = statistics.interval(column, rng=rng())
        assert together[name].value == pytest.approx(alone.value)
        assert (together[name].low, together[name].high) == pytest.approx((alone.low, alone.high))


@settings(max_examples=40)
@given(st.lists(st.one_of(st.none(), st.floats(-5, 5)), min_size=2, max_size=25), st.integers(0, 99))
def test_nan_is_left_out_and_the_interval_surrounds_the_mean(drawn, seed):
    values = np.array([np.nan if value is None else value for value in drawn])
    there = values[~np.isnan(values)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = statistics.interval(values, rng=rng(seed), n_resamples=100)
    if not len(there):
        assert found == Estimate(None, None, None)
    elif len(there) == 1:
        assert found == Estimate(pytest.approx(there[0]), None, None)
    else:
        assert found.value == pytest.approx(there.mean())
        assert found.low - 1e-9 <= found.value <= found.high + 1e-9


def test_minute_values_have_an_interval_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = statistics.interval([0.0, 2.7e-139], rng=rng())
    assert found.low < found.value < found.high


def test_a_segment_is_the_column_with_nan_outside():
    source = rng(4)
    values, inside = source.random(2000), source.random(2000) < 0.2
    masked = statistics.interval(np.where(inside, values, np.nan), rng=rng())
    alone = statistics.interval(values[inside], rng=rng(1))
    assert masked.value == pytest.approx(alone.value)
    assert masked.high - masked.low == pytest.approx(alone.high - alone.low, rel=0.15)


def test_rmse_weighs_ratings_and_its_interval_holds_the_truth():
    sums, counts = np.array([4.0, 0.0, 9.0]), np.array([1.0, 0.0, 3.0])
    found = statistics.ratio_interval(sums, counts, rng=rng(), root=True)
    assert found.value == pytest.approx(np.sqrt(13 / 4))
    source, held = rng(8), 0
    for _ in range(200):
        per_user = source.integers(1, 12, 150)
        squared = np.array([(source.normal(0, 0.9, n) ** 2).sum() for n in per_user])
        one = statistics.ratio_interval(squared, per_user, rng=source, root=True, n_resamples=300)
        held += one.low <= 0.9 <= one.high
    assert 0.88 <= held / 200 <= 0.995
    assert statistics.ratio_interval([0.0], [0.0], rng=rng()) == Estimate(None)


def test_paired_test_finds_a_planted_difference():
    source = rng(6)
    hard = source.random(3000)  # users differ far more than models do
    a = (source.random(3000) < 0.3 * hard + 0.03).astype(float)
    better = np.where(source.random(3000) < 0.04, 1.0, a)
    found = statistics.paired_difference(better, a, rng=rng())
    assert found.difference == pytest.approx((better - a).mean())
    assert 0 < found.low < found.difference < found.high
    assert found.p <= 0.002
    assert found.users == 3000
    back = statistics.paired_difference(a, better, rng=rng())
    assert (back.difference, back.p) == pytest.approx((-found.difference, found.p))


def test_paired_test_rejects_a_null_as_rarely_as_it_says():
    source = rng(7)
    rejected = 0
    for _ in range(300):
        common = source.random(200)
        a, b = common + source.normal(0, 0.3, 200), common + source.normal(0, 0.3, 200)
        rejected += statistics.paired_difference(a, b, rng=source, n_resamples=300).p <= 0.05
    assert 0.015 <= rejected / 300 <= 0.09


def test_equal_models_do_not_differ():
    values = rng().random(50)
    found = statistics.paired_difference(values, values, rng=rng())
    assert (found.difference, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_pairs_need_both_values():
    found = statistics.paired_difference([1.0, np.nan, 3.0], [0.0, 1.0, np.nan], rng=rng())
    assert (found.difference, found.users, found.p, found.low) == (1.0, 1, None, None)
    assert statistics.paired_difference([np.nan], [1.0], rng=rng()).difference is None


def test_many_models_against_one_equal_one_by_one():
    source = rng(9)
    reference = source.random(60)
    models = {name: source.random(60) for name in "ab"}
    together = statistics.paired_differences(models, reference, rng=rng())
    for name, values in models.items():
        alone = statistics.paired_difference(values, reference, rng=rng())
        assert together[name].difference == pytest.approx(alone.difference)
        assert together[name].low == pytest.approx(alone.low)
        assert together[name].p == alone.p


def test_paired_rmse():
    source = rng(10)
    counts = source.integers(1, 9, 400).astype(float)
    a = np.array([(source.normal(0, 0.8, int(n)) ** 2).sum() for n in counts])
    b = np.array([(source.normal(0, 1.0, int(n)) ** 2).sum() for n in counts])
    found = statistics.paired_ratio_difference(a, b, counts, rng=rng(), root=True)
    assert found.difference == pytest.approx(
        np.sqrt(a.sum() / counts.sum()) - np.sqrt(b.sum() / counts.sum())
    )
    assert found.high < 0
    assert found.p <= 0.002
    same = statistics.paired_ratio_difference(a, a, counts, rng=rng(), root=True)
    assert (same.difference, same.p) == (0, 1)
    assert statistics.paired_ratio_difference([1.0], [1.0], [0.0], rng=rng()).users == 0


def test_equal_seeds_give_equal_intervals():
    values = rng(1).random(100)
    assert statistics.interval(values, rng=rng(3)) == statistics.interval(values, rng=rng(3))
    assert statistics.interval(values, rng=rng(3)) != statistics.interval(values, rng=rng(4))


def test_nothing_gives_nothing():
    assert statistics.intervals({}, rng=rng()) == {}
    assert statistics.interval([], rng=rng()) == Estimate(None)


def test_bad_input():
    with pytest.raises(DataError, match="same users"):
        statistics.intervals({"a": [1.0], "b": [1.0, 2.0]}, rng=rng())
    with pytest.raises(DataError, match="finite"):
        statistics.interval([1.0, np.inf], rng=rng())
    with pytest.raises(DataError, match="denominators"):
        statistics.ratio_interval([1.0], [-1.0], rng=rng())
    for settings_ in ({"level": 1.0}, {"level": 0.0}, {"n_resamples": 0}):
        with pytest.raises(RequestError):
            statistics.interval([1.0, 2.0], rng=rng(), **settings_)
