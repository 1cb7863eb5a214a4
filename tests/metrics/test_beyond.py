from __future__ import annotations

import doctest
import math

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics.pairwise import cosine_distances

from fuserec.errors import DataError, RequestError
from fuserec.metrics import beyond


@st.composite
def case(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_items, width, n = int(rng.integers(1, 9)), int(rng.integers(1, 9)), int(rng.integers(0, 6))
    width = min(width, n_items)
    counts = rng.integers(0, width + 1, n)
    lists = np.full((n, width), -1, np.int32)
    for row, count in enumerate(counts):
        lists[row, :count] = rng.permutation(n_items)[:count]
    vectors = rng.integers(-2, 3, (n_items, 3)).astype(np.float32)
    popularity = rng.integers(0, 21, n_items)
    return lists, counts, int(rng.integers(1, 11)), vectors, popularity


def test_docstring_examples():
    result = doctest.testmod(beyond)
    assert result.attempted >= 5
    assert result.failed == 0


@given(case())
def test_equals_the_brute_force_oracle(drawn):
    lists, counts, k, vectors, popularity = drawn
    shown = [lists[row, : min(k, count)].tolist() for row, count in enumerate(counts)]
    n_items = len(vectors)
    assert beyond.coverage(lists, counts, k, n_items) == len(set().union(*shown)) / n_items
    novelty = beyond.novelty(lists, counts, k, popularity, 20)
    dense = beyond.intra_list_diversity(lists, counts, k, vectors)
    sparse = beyond.intra_list_diversity(lists, counts, k, sp.csr_array(vectors))
    distance = cosine_distances(vectors.astype(float))
    for row, items in enumerate(shown):
        bits = [-math.log2((popularity[i] or 0.5) / 20) for i in items]
        np.testing.assert_allclose(novelty[row], np.mean(bits) if bits else np.nan, rtol=1e-12)
        known = [i for i in items if vectors[i].any()]
        gaps = [distance[a, b] for at, a in enumerate(known) for b in known[:at]]
        expected = np.mean(gaps) if gaps else np.nan
        np.testing.assert_allclose(dense[row], expected, atol=2e-6)
        np.testing.assert_allclose(sparse[row], expected, atol=2e-6)


def test_threads_and_cuts_change_nothing():
    rng = np.random.default_rng(0)
    lists = np.argsort(rng.random((50, 12)), axis=1)[:, :6].astype(np.int32)
    counts = rng.integers(0, 7, 50)
    vectors = rng.normal(size=(12, 5))
    whole = beyond.intra_list_diversity(lists, counts, 6, vectors)
    spread = beyond.intra_list_diversities(lists, counts, (6, 2, 40, 4), vectors, threads=2)
    np.testing.assert_array_equal(spread[:, 0], whole)
    np.testing.assert_array_equal(spread[:, 2], whole)
    np.testing.assert_array_equal(spread[:, 1], beyond.intra_list_diversity(lists, counts, 2, vectors))
    np.testing.assert_array_equal(spread[:, 3], beyond.intra_list_diversity(lists, counts, 4, vectors))
    assert np.isnan(whole[counts < 2]).all()


def test_the_order_of_a_list_and_what_lies_behind_it_do_not_matter():
    vectors = np.eye(4)[[0, 0, 1, 2]]
    one = beyond.intra_list_diversity([[0, 1, 2, 99]], [3], 4, vectors)
    two = beyond.intra_list_diversity([[2, 0, 1]], [3], 4, vectors)
    np.testing.assert_allclose(one, [2 / 3], atol=1e-6)
    np.testing.assert_allclose(two, one)


def test_unseen_items_are_rarer_than_any_seen_one():
    values = beyond.novelty([[0], [1], [2]], [1, 1, 1], 1, [100, 1, 0], 100)
    assert values[0] == 0
    assert values[0] < values[1] < values[2] < math.inf


def test_identical_items_have_no_distance_and_opposite_ones_two():
    vectors = np.array([[1.0, 2.0], [2.0, 4.0], [-1.0, -2.0]])
    values = beyond.intra_list_diversity([[0, 1], [0, 2]], [2, 2], 2, vectors)
    np.testing.assert_allclose(values, [0, 2], atol=1e-6)


def test_bad_input():
    with pytest.raises(DataError, match="catalogue"):
        beyond.coverage([[7]], [1], 1, 3)
    with pytest.raises(DataError, match="count"):
        beyond.coverage([[1]], [1, 1], 1, 3)
    with pytest.raises(RequestError, match="at least 1"):
        beyond.coverage([[1]], [1], 0, 3)
    with pytest.raises(DataError, match="at least one"):
        beyond.novelty([[0]], [1], 1, [0], 0)
    with pytest.raises(DataError, match="catalogue"):
        beyond.coverage(np.zeros((0, 3), int), [], 1, 0)
