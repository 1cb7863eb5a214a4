from __future__ import annotations

import doctest
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuserec.errors import DataError, RequestError
from fuserec.metrics import fairness
from fuserec.metrics.fairness import (
    disparity,
    exposure_by_group,
    gap,
    gap_p,
    means_of_groups,
    paired_gap_p,
    worst,
    worst_due,
    worst_to_best,
)


def test_docstring_examples():
    result = doctest.testmod(fairness)
    assert result.attempted >= 9
    assert result.failed == 0


@given(st.integers(0, 2**32 - 1))
def test_equals_the_brute_force_oracle(seed):
    rng = np.random.default_rng(seed)
    n, n_groups = int(rng.integers(1, 30)), int(rng.integers(1, 5))
    values, codes = rng.random(n), rng.integers(-1, n_groups, n)
    values[rng.random(n) < 0.2] = np.nan
    means = [
        [v for v, c in zip(values, codes, strict=True) if c == group and not math.isnan(v)]
        for group in range(n_groups)
    ]
    means = [sum(own) / len(own) for own in means if own]
    found = means_of_groups(values, codes, n_groups)
    if not means:
        assert np.isnan(gap(found))
        return
    np.testing.assert_allclose(gap(found), max(means) - min(means), atol=1e-12)
    np.testing.assert_allclose(worst(found), min(means))
    np.testing.assert_allclose(worst_to_best(found), min(means) / max(means))


@given(st.integers(0, 2**32 - 1))
def test_exposure_equals_the_brute_force_oracle(seed):
    rng = np.random.default_rng(seed)
    n, n_items, width, n_groups = 5, 9, int(rng.integers(1, 7)), 3
    lists = np.argsort(rng.random((n, n_items)), axis=1)[:, :width]
    counts, groups = rng.integers(0, width + 1, n), rng.integers(-1, n_groups, n_items)
    k = int(rng.integers(1, 9))
    found = exposure_by_group(lists, counts, k, groups, n_groups)
    for row in range(n):
        shown = lists[row, : min(k, counts[row])]
        weights = [1 / math.log2(2 + place) for place in range(len(shown))]
        for group in range(n_groups):
            own = sum(w for w, item in zip(weights, shown, strict=True) if groups[item] == group)
            assert found[row, group] == pytest.approx(own / sum(weights) if weights else 0)
    total, due = found.sum(axis=0), rng.random(n_groups) + 0.1
    if total.any():
        shares, dues = total / total.sum(), due / due.sum()
        assert disparity(total, due) == pytest.approx(sum(abs(shares - dues)) / 2)
        assert worst_due(total, due) == pytest.approx(min(shares / dues))


def test_the_permutation_test_calls_gaps_and_only_gaps():
    rng = np.random.default_rng(0)
    codes = np.repeat([0, 1, 2], 60)
    called = 0
    for _ in range(100):
        called += gap_p(rng.random(180), codes, 3, rng=rng, n_permutations=39) <= 0.05
    assert called <= 12
    uneven = rng.random(180) + 0.5 * (codes == 1)
    assert gap_p(uneven, codes, 3, rng=rng) <= 0.01


def test_the_paired_test_calls_a_model_that_treats_groups_otherwise():
    rng = np.random.default_rng(1)
    codes = np.repeat([0, 1], 100)
    called = 0
    for _ in range(100):
        shared = rng.random(200)
        one, two = (shared + 0.1 * rng.random(200) for _ in range(2))
        called += paired_gap_p(one, two, codes, 2, rng=rng, n_permutations=39) <= 0.05
    assert called <= 12
    even = rng.random(200)
    assert paired_gap_p(even, even + 0.4 * codes, codes, 2, rng=rng) <= 0.02
    missing = np.where(codes == 0, np.nan, even)  # one group has no values from this model: no gap to compare
    assert math.isnan(paired_gap_p(even, np.full(200, np.nan), codes, 2, rng=rng))
    assert paired_gap_p(even, missing, codes, 2, rng=rng) == 1


def test_bad_input_is_refused():
    with pytest.raises(DataError, match="one group a value"):
        means_of_groups([1, 2], [0], 1)
    with pytest.raises(RequestError, match="at least 1 permutation"):
        gap_p([1, 2], [0, 1], 2, rng=np.random.default_rng(0), n_permutations=0)
    with pytest.raises(RequestError, match="k of at least 1"):
        exposure_by_group([[0]], [1], 0, [0], 1)
    assert math.isnan(gap_p([np.nan], [0], 1, rng=np.random.default_rng(0)))
