from __future__ import annotations

import doctest
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuserec.errors import DataError, RequestError
from fuserec.metrics import debiased, outcomes
from fuserec.metrics.debiased import popularity_propensities, weighted_ndcg, weighted_recall
from fuserec.metrics.outcomes import outcome_rate, worth
from fuserec.metrics.ranking import ndcg, recall, target_ranks
from fuserec.metrics.targets import chance_within, mean_discount


@pytest.mark.parametrize(("module", "examples"), [(debiased, 5), (outcomes, 3)])
def test_docstring_examples(module, examples):
    result = doctest.testmod(module)
    assert result.attempted == examples
    assert result.failed == 0


@st.composite
def targets(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    counts = rng.integers(0, 5, int(rng.integers(1, 7)))
    ranks = np.concatenate([rng.permutation(20)[:count] + 1.0 for count in counts] or [np.empty(0)])
    ranks[rng.random(ranks.size) < 0.2] = np.inf
    chance = rng.uniform(0.05, 1, ranks.size)
    chance[rng.random(ranks.size) < 0.1] = np.nan
    return counts, ranks, chance, np.repeat(np.arange(counts.size), counts), int(rng.integers(1, 12))


@given(targets())
def test_equals_the_brute_force_oracle(drawn):
    counts, ranks, chance, query, k = drawn
    found, total = weighted_recall(ranks, chance, query, counts.size, k)
    gains, ideal = weighted_ndcg(ranks, chance, query, counts.size, k)
    for user in range(counts.size):
        own = [
            (r, 1 / p)
            for r, p, q in zip(ranks, chance, query, strict=True)
            if q == user and not math.isnan(p)
        ]
        assert total[user] == pytest.approx(sum(w for _, w in own))
        assert found[user] == pytest.approx(sum(w for r, w in own if r <= k))
        assert gains[user] == pytest.approx(sum(w / math.log2(1 + r) for r, w in own if r <= k))
        best = sorted((w for _, w in own), reverse=True)[:k]
        assert ideal[user] == pytest.approx(sum(w / math.log2(2 + at) for at, w in enumerate(best)))
        assert gains[user] <= ideal[user] + 1e-9


def test_with_equal_propensities_and_one_target_each_it_is_recall_and_ndcg():
    rng = np.random.default_rng(0)
    ranks = rng.integers(1, 30, 50).astype(float)
    plain = target_ranks(np.arange(51), ranks, 40)
    for metric, own in ((recall, weighted_recall), (ndcg, weighted_ndcg)):
        above, below = own(ranks, np.full(50, 0.3), np.arange(50), 50, 10)
        assert above.sum() / below.sum() == pytest.approx(np.mean(metric(plain, 10)))


def test_it_tells_what_uniform_exposure_would():
    """Popular targets are observed four times as often. Debiased recall is that of the whole truth."""
    rng = np.random.default_rng(0)
    n = 40_000
    popular = rng.random(n) < 0.5  # what people would take if everything were seen alike
    found = np.where(popular, rng.random(n) < 0.8, rng.random(n) < 0.1)
    chance = np.where(popular, 0.8, 0.2)
    seen = rng.random(n) < chance
    ranks = np.where(found, 1.0, np.inf)[seen]
    above, below = weighted_recall(ranks, chance[seen], np.arange(seen.sum()), int(seen.sum()), 10)
    assert above.sum() / below.sum() == pytest.approx(found.mean(), abs=0.01)
    assert found[seen].mean() > found.mean() + 0.15  # the plain figure


def test_propensities_follow_the_power_and_the_floor():
    made = popularity_propensities([400, 100, 1, 0], 0.5, 0.1)
    assert made.tolist() == [1.0, 0.5, 0.1, 0.1]
    assert popularity_propensities([0, 0]).tolist() == [0.05, 0.05]
    assert popularity_propensities([7, 3], 0).tolist() == [1, 1]
    for bad in ({"floor": 0}, {"floor": 1.5}, {"exponent": -1}):
        with pytest.raises(RequestError, match="propensities"):
            popularity_propensities([1], **bad)
    with pytest.raises(DataError, match="above 0"):
        weighted_recall([1], [0.0], [0], 1, 5)
    with pytest.raises(RequestError, match="k of at least 1"):
        weighted_ndcg([1], [1.0], [0], 1, 0)


@given(targets())
def test_outcomes_equal_the_brute_force_oracle(drawn):
    counts, ranks, value, query, k = drawn
    kind = np.nan_to_num(value) > 0.5
    rate = outcome_rate(ranks, kind, query, counts.size, k)
    found, total = worth(ranks, value, query, counts.size, k)
    for user in range(counts.size):
        mine = query == user
        wanted = ranks[mine & kind]
        assert rate[user] == pytest.approx(np.mean(wanted <= k) if wanted.size else np.nan, nan_ok=True)
        known = mine & ~np.isnan(value)
        expected = value[known & (ranks <= k)].sum() if known.any() else np.nan
        assert found[user] == pytest.approx(expected, nan_ok=True)
        assert total[user] == pytest.approx(value[known].sum())


def test_outcomes_refuse_what_is_not_aligned():
    with pytest.raises(DataError, match="one value a target"):
        worth([1, 2], [1.0], [0, 0], 1, 5)
    with pytest.raises(RequestError, match="k of at least 1"):
        outcome_rate([1], [True], [0], 1, 0)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_ties_count_by_all_their_orders(seed):
    """A target that ties with others is found as often as in all orders of its tie, by brute force."""
    rng = np.random.default_rng(seed)
    size, above, k = int(rng.integers(1, 6)), int(rng.integers(0, 6)), int(rng.integers(1, 9))
    places = above + 1 + np.arange(size)
    rank, one = [above + (size + 1) / 2], [0]
    within = float(np.mean(places <= k))
    gain = float(np.mean(np.where(places <= k, 1 / np.log2(1 + places), 0)))
    assert chance_within(rank, k, [size]) == pytest.approx([within])
    assert mean_discount(rank, k, [size]) == pytest.approx([gain])
    assert weighted_recall(rank, [0.5], one, 1, k, [size])[0] == pytest.approx([2 * within])
    assert weighted_ndcg(rank, [0.5], one, 1, k, [size])[0] == pytest.approx([2 * gain])
    assert outcome_rate(rank, [True], one, 1, k, [size]) == pytest.approx([within])
    assert worth(rank, [3.0], one, 1, k, [size])[0] == pytest.approx([3 * within])
    assert chance_within([np.inf], k, [size]).tolist() == mean_discount([np.inf], k, [size]).tolist() == [0]
