from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuserec.data.query import QueryBatch
from fuserec.run import RunOptions
from fuserec.scorers import create
from fuserec.scorers.history import DenseMap
from fuserec.testing import dataset_of, small_features
from fuserec.testing.oracles import cooccurrence as oracle

RUN = RunOptions(threads=1)
PLAIN = {"decay": 0.5, "backward": 0.25, "popularity_exponent": 0.0, "recency": 1.0}


def fit(data, run=RUN, **config):
    return create("cooccurrence", {**PLAIN, **config}).fit(data, small_features(data, run), run)


def matrix(data, **config):
    return fit(data, **config).score(QueryBatch.of_histories([[i] for i in range(data.n_items)])).values


def test_pairs_by_distance_and_direction():
    expected = [[0, 1, 0.5], [0.25, 0, 1], [0.125, 0.25, 0]]
    np.testing.assert_allclose(matrix(dataset_of([[0, 1, 2]])), expected)


def test_window_cuts_off():
    expected = [[0, 1, 0], [0.25, 0, 1], [0, 0.25, 0]]
    np.testing.assert_allclose(matrix(dataset_of([[0, 1, 2]]), window=1), expected)


def test_users_do_not_run_into_each_other():
    found = matrix(dataset_of([[0, 1], [2, 3]]))
    assert found[1, 2] == 0
    assert found[2, 1] == 0


def test_weights_multiply_and_dislikes_do_not_count():
    data = dataset_of([[0, 1, 2]], weights=[[1.0, 0.5, -1.0]])
    np.testing.assert_allclose(matrix(data), [[0, 0.5, 0], [0.125, 0, 0], [0, 0, 0]])


def test_repeats_are_no_company_of_themselves():
    found = matrix(dataset_of([[0, 0, 1]]))
    assert found[0, 0] == 0
    np.testing.assert_allclose(found[0, 1], 1 + 0.5)


def test_popularity_damps_both_sides():
    data = dataset_of([[0, 1], [0, 2]])
    found = matrix(data, popularity_exponent=0.5)
    np.testing.assert_allclose(found[0, 1], 1 / np.sqrt(3 * 2), rtol=1e-6)


def test_newest_event_counts_most():
    fitted = fit(dataset_of([[0, 2], [1, 3]]), recency=0.5)
    found = fitted.score(QueryBatch.of_histories([[0, 1], [1, 0]])).values
    np.testing.assert_allclose(found[:, [2, 3]], [[0.5, 1.0], [1.0, 0.5]])


def test_only_the_strongest_followers_are_kept():
    data = dataset_of([[0, 1], [0, 1], [0, 1], [0, 2], [0, 2], [0, 3]])
    found = matrix(data, n_neighbors=2, backward=0.0)
    np.testing.assert_allclose(found[0], [0, 3, 2, 0])


@pytest.mark.parametrize(
    "config", [{}, {"window": 2, "backward": 1.0}, {"popularity_exponent": 0.7, "recency": 0.6}]
)
@given(
    histories=st.lists(st.lists(st.integers(0, 6), max_size=8), min_size=1, max_size=5),
    asked=st.lists(st.integers(0, 6), max_size=5),
)
@settings(max_examples=25, deadline=None)
def test_equals_counting_pair_by_pair(histories, asked, config):
    data = dataset_of(histories, 7)
    fitted, q = fit(data, **config), QueryBatch.of_histories([asked])
    np.testing.assert_allclose(fitted.score(q).values, oracle(fitted, data, None, q), rtol=1e-5, atol=1e-6)


def test_dense_and_sparse_forms_agree():
    histories = [[0, 1, 2, 3], [3, 2, 1, 0]]
    dense, thin = fit(dataset_of(histories, 4)), fit(dataset_of(histories, 90))
    assert isinstance(dense._map, DenseMap)
    assert not isinstance(thin._map, DenseMap)
    q = QueryBatch.of_histories([[0, 2], [3]])
    np.testing.assert_allclose(dense.score(q).values, thin.score(q).values[:, :4], rtol=1e-6)
