"""Paired tests against brute force and scipy, the correction for many of them, effects and what could be seen."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.stats
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuserec.evaluation import wording
from fuserec.evaluation.figures import corrected
from fuserec.evaluation.results import Comparison
from fuserec.evaluation.statistics import (
    Difference,
    Estimate,
    holm,
    paired_difference,
    paired_ratio_difference,
    sign_flip_p,
    unpaired_difference,
)

UNIT = (0.0, 1.0)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def every_sign(d):
    """The definition, by all 2^n signs."""
    sums = [abs(np.dot(signs, d)) for signs in itertools.product((-1, 1), repeat=len(d))]
    return np.mean(np.array(sums) >= abs(np.sum(d)) - 1e-9)


class TestSignFlips:
    @settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.25, 0.6309, 1.0]), min_size=1, max_size=10))
    def test_few_differences_are_exact(self, d):
        assert sign_flip_p(d) == pytest.approx(every_sign(d), abs=1e-12)

    @pytest.mark.parametrize(("n", "wins"), [(100, 60), (1000, 480), (1000, 600), (37, 30)])
    def test_hits_alone_are_the_sign_test(self, n, wins):
        d = np.r_[np.ones(wins), -np.ones(n - wins), np.zeros(500)]
        assert sign_flip_p(d) == pytest.approx(scipy.stats.binomtest(wins, n).pvalue, rel=2e-3)

    @pytest.mark.parametrize("shift", [0.0, 0.1, 0.3])
    def test_many_differences_agree_with_scipys_permutation_test(self, shift):
        d = rng(int(10 * shift)).normal(shift, 1, 60) * (rng(9).random(60) < 0.9)
        theirs = scipy.stats.permutation_test(
            (d,), np.sum, permutation_type="samples", n_resamples=20_000, rng=rng(1)
        ).pvalue
        assert sign_flip_p(d) == pytest.approx(theirs, abs=0.012)

    def test_the_approximation_meets_the_exact_values_at_the_border(self, monkeypatch):
        for seed in range(6):
            d = rng(seed).normal(0.25, 1, 34)
            exact = sign_flip_p(d)
            with monkeypatch.context() as patch:
                patch.setattr("fuserec.evaluation.statistics.signflip.ENUMERATED", 0)
                assert sign_flip_p(d) == pytest.approx(exact, rel=0.01)

    def test_ends(self):
        assert sign_flip_p(np.zeros(5)) == 1
        assert sign_flip_p([]) == 1
        assert sign_flip_p(np.ones(50)) == pytest.approx(2.0**-49)
        assert sign_flip_p(np.ones(5000)) > 0
        assert sign_flip_p(np.r_[np.ones(50), -np.ones(50)]) == 1
        d = rng(3).normal(0.1, 1, 500)
        assert sign_flip_p(d) == pytest.approx(sign_flip_p(-1000 * d), rel=1e-9)


class TestHolm:
    @settings(max_examples=60)
    @given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
    def test_rejects_what_the_step_down_procedure_rejects(self, p):
        adjusted = holm(p)
        order = np.argsort(p, kind="stable")
        for level in (0.01, 0.05, 0.3):
            rejected = set()
            for step, at in enumerate(order):
                if p[at] * (len(p) - step) > level:
                    break
                rejected.add(int(at))
            assert rejected == set(np.flatnonzero(adjusted <= level).tolist())

    def test_what_was_not_tested_does_not_count(self):
        np.testing.assert_allclose(holm([0.02, np.nan, 0.01]), [0.02, np.nan, 0.02])

    def test_either_direction_of_a_pair_is_one_comparison(self):
        gap = Difference(0.1, 0.05, 0.15, 0.01, 100)
        found = corrected(
            [
                Comparison(metric="ndcg@10", reference="a", models={"b": gap}),
                Comparison(metric="ndcg@10", reference="b", models={"a": gap.turned()}),
                Comparison(metric="rmse", reference="a", models={"b": gap}),
            ]
        )
        assert [next(iter(one.models.values())).p_holm for one in found] == [0.02, 0.02, 0.02]


class TestDifferences:
    def test_effect_shares_and_tests_of_a_case_worked_by_hand(self):
        found = paired_difference([1, 1, 0, 0.5], [0, 1, 0, 1], rng=rng(), within=UNIT)
        d = np.array([1, 0, 0, -0.5])
        assert found.difference == pytest.approx(0.125)
        assert found.effect == pytest.approx(d.mean() / d.std(ddof=1))
        assert (found.above, found.below) == (0.25, 0.25)
        assert found.p == 1.0  # of the four signs of 1 and -0.5 all sums are at least 0.5

    def test_the_interval_of_a_difference_is_that_of_gains_less_losses(self):
        gains = np.r_[np.ones(30), np.zeros(970)]
        alone = paired_difference(gains, np.zeros(1000), rng=rng(), within=UNIT)
        theirs = scipy.stats.binomtest(30, 1000).proportion_ci(method="wilson")
        assert alone.low == pytest.approx(0.03 - np.hypot(0.03 - theirs.low, 0.0038), abs=2e-4)
        both = paired_difference(gains, gains[::-1], rng=rng(), within=UNIT)
        assert both.low == pytest.approx(-both.high)
        spread = np.abs(gains - gains[::-1]).std()
        assert both.high == pytest.approx(1.96 * np.sqrt(0.06 / 1000), rel=0.05), spread

    def test_over_several_answers_each_no_end_leaves_the_range_of_a_difference(self):
        source, held, bounded = rng(6), 0, []
        for _ in range(150):
            counts = source.integers(1, 5, 12)
            a, b = (source.binomial(counts, rate).astype(float) for rate in (0.9, 0.05))
            found = paired_ratio_difference(a, b, counts, rng=source, within=UNIT, n_resamples=50)
            assert -1 <= found.low <= found.difference <= found.high <= 1
            held += found.low <= 0.85 <= found.high
            bounded.append(found.high - found.low)
        assert held >= 135
        assert np.mean(bounded) < 0.5
        same = paired_ratio_difference([2, 0, 4], [0, 2, 4], [2, 2, 4], rng=rng(), within=UNIT)
        assert same.low == pytest.approx(-same.high)
        away = paired_ratio_difference([3, 0], [0, 0], [1, 1], rng=rng(), within=UNIT)  # of a wider range
        assert away.high == paired_ratio_difference([3, 0], [0, 0], [1, 1], rng=rng()).high

    def test_what_is_called_detectable_is_found_four_times_in_five(self):
        source, n = rng(4), 200
        noise = source.normal(0, 1, (n, 400))
        gap = paired_difference(noise[:, 0], np.zeros(n), rng=source).detectable
        exact = 2.8016 / np.sqrt(n)
        assert gap == pytest.approx(exact, rel=0.15)
        seen = np.mean([sign_flip_p(column + exact) <= 0.05 for column in noise.T])
        assert 0.74 <= seen <= 0.86

    def test_the_bootstrap_agrees_with_the_permutation_test(self):
        source = rng(5)
        for shift in (0.0, 0.1, 0.2):
            d = source.normal(shift, 1, 300)
            found = paired_difference(d, np.zeros(300), rng=source, n_resamples=2000)
            assert found.p_bootstrap == pytest.approx(found.p, abs=0.05)

    def test_swapping_models_swaps_everything(self):
        source = rng(6)
        a, b = source.random(80), source.random(80)
        there, back = paired_difference(a, b, rng=rng()), paired_difference(b, a, rng=rng())
        turned = back.turned()
        assert (turned.difference, turned.effect) == pytest.approx((there.difference, there.effect))
        assert (turned.above, turned.below, turned.p) == pytest.approx((there.above, there.below, there.p))
        assert (turned.low, turned.high) == pytest.approx((there.low, there.high), abs=1e-9)

    def test_rmse_is_tested_by_swapping_squared_errors(self):
        counts = np.full(40, 3.0)
        a, b = rng(7).gamma(3, 1, 40), rng(8).gamma(3, 1.4, 40)
        found = paired_ratio_difference(a, b, counts, rng=rng(), root=True)
        assert found.p == sign_flip_p(a - b)
        assert found.difference < 0
        assert found.effect < 0
        assert found.below > found.above

    def test_beyond_the_bound_there_is_no_bootstrap(self, monkeypatch):
        monkeypatch.setattr("fuserec.evaluation.statistics.confidence.MOST_USERS", 50)
        found = paired_difference(rng().random(60), rng(1).random(60), rng=rng())
        assert found.p_bootstrap is None
        assert found.low < found.difference < found.high

    def test_unpaired_is_wider_than_paired(self):
        source = rng(9)
        common = source.random(500)
        a, b = common + source.normal(0.02, 0.05, 500), common + source.normal(0, 0.05, 500)
        paired = paired_difference(a, b, rng=rng())
        ends = [
            Estimate(x.mean(), x.mean() - 1.96 * x.std() / 500**0.5, x.mean() + 1.96 * x.std() / 500**0.5)
            for x in (a, b)
        ]
        apart = unpaired_difference(*ends, users=500)
        assert apart.difference == pytest.approx(paired.difference)
        assert apart.high - apart.low > 3 * (paired.high - paired.low)
        assert apart.p == pytest.approx(scipy.stats.ttest_ind(a, b).pvalue, abs=0.01)
        assert unpaired_difference(Estimate(0.3), Estimate(0.2), 9).p is None
        assert unpaired_difference(Estimate(None), Estimate(0.2), 9).difference is None


class TestVerdicts:
    @pytest.mark.parametrize(
        ("metric", "found", "said"),
        [
            (
                "ndcg@10",
                Difference(0.004, 0.002, 0.006, 1e-5, 22363),
                "better by 0.0040 [0.0020, 0.0060] on 22,363 users",
            ),
            ("rmse", Difference(0.004, 0.002, 0.006, 1e-5, 90), "worse by 0.0040 [0.0020, 0.0060]"),
            ("rmse", Difference(-0.004, -0.006, -0.002, 1e-5, 90), "better by 0.0040 [0.0020, 0.0060]"),
            ("novelty@10", Difference(-0.4, -0.6, -0.2, 1e-5, 90), "lower by 0.40 [0.20, 0.60]"),
            (
                "ndcg@10",
                Difference(0.004, 0.002, 0.006, 0.01, 90, p_holm=0.08),
                "no difference that holds among so many",
            ),
            (
                "ndcg@10",
                Difference(0.001, -0.002, 0.003, 0.4, 90, detectable=0.002),
                "one of 0.0020 would have been seen",
            ),
            (
                "ndcg@10",
                Difference(0.0, -0.002, 0.002, 1.0, 90, above=0.0, below=0.0),
                "each of 90 users the same value",
            ),
            ("ndcg@10", Difference(0.1, None, None, None, 1), "too few"),
            ("ndcg@10", Difference(None, None, None, None, 0), "no user has a value of both"),
            ("ndcg@10", Difference(2e-5, 1e-5, 3e-5, 1e-5, 10**6), "better by 2e-05 [1e-05, 3e-05]"),
        ],
    )
    def test_in_words(self, metric, found, said):
        assert said in wording.verdict(metric, found)


@pytest.mark.parametrize("n", [2, 7, 300])
@pytest.mark.parametrize("within", [UNIT, None])
def test_identical_models_differ_by_nothing_and_surely_so(n, within):
    values = np.where(rng().random(n) < 0.4, 0.63, 0.0)
    same = paired_difference(values, values, rng=rng(), within=within)
    assert (same.difference, same.low, same.high, same.p) == (0.0, 0.0, 0.0, 1.0)
    errors = paired_ratio_difference(values, values, np.ones(n), rng=rng(), root=True)
    assert (errors.difference, errors.low, errors.high) == (0.0, 0.0, 0.0)
    other = values.copy()
    other[0] += 0.1
    one = paired_difference(other, values, rng=rng(), within=UNIT)
    assert one.low < 0 < one.high  # a single change may be chance
    assert wording.verdict("ndcg@10", same) == f"no difference: both give each of {n} users the same value"
