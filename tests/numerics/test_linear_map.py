from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import sparse

from fuserec.numerics.linear_map import fitted_map, leading_directions, ridge_path


def rng(seed=0):
    return np.random.default_rng(seed)


def planted(n, m, rank, seed=0):
    values = 2.0 ** -np.arange(rank)
    left, _ = np.linalg.qr(rng(seed).normal(size=(n, rank)))
    right, _ = np.linalg.qr(rng(seed + 1).normal(size=(m, rank)))
    return sparse.csr_matrix((left * values) @ right.T, dtype=np.float32)


def test_leading_directions_equal_the_whole_decomposition():
    matrix = planted(90, 70, 60)
    found = leading_directions(matrix, 6, rng())
    _, _, exact = np.linalg.svd(matrix.toarray(), full_matrices=False)
    np.testing.assert_allclose(np.abs(exact[:6] @ found), np.eye(6), atol=2e-3)
    np.testing.assert_allclose(found.T @ found, np.eye(6), atol=1e-4)
    assert np.array_equal(found, leading_directions(matrix, 6, rng()))


@example(n=8, m=9, rank=8, seed=28)
@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 12), m=st.integers(1, 12), rank=st.integers(1, 9), seed=st.integers(0, 99))
def test_no_more_directions_than_there_are(n, m, rank, seed):
    matrix = sparse.random(n, m, density=0.4, format="csr", dtype=np.float32, random_state=seed)
    found = leading_directions(matrix, rank, rng(seed))
    assert found.shape[1] <= min(rank, n, m)
    np.testing.assert_allclose(found.T @ found, np.eye(found.shape[1]), atol=1e-2)
    if rank >= min(n, m):  # what is spanned by all of them is everything
        np.testing.assert_allclose(matrix @ found @ found.T, matrix.toarray(), atol=2e-2)


def test_nothing_has_no_directions():
    assert leading_directions(sparse.csr_matrix((4, 3), dtype=np.float32), 2, rng()).shape == (3, 0)
    assert leading_directions(sparse.csr_matrix((4, 0), dtype=np.float32), 2, rng()).shape == (0, 0)


def test_ridge_is_that_of_scikit_learn():
    linear = pytest.importorskip("sklearn.linear_model")
    x, y, w = rng(1).normal(size=(50, 7)), rng(2).normal(size=(50, 3)), rng(3).random(50)
    for found, ridge in zip(ridge_path(x, y, w, (0.1, 5.0)), (0.1, 5.0), strict=True):
        wanted = linear.Ridge(alpha=ridge).fit(x, y, sample_weight=w * 50 / w.sum())
        np.testing.assert_allclose(found.weights, wanted.coef_.T, atol=1e-9)
        np.testing.assert_allclose(found.intercept, wanted.intercept_, atol=1e-9)
        np.testing.assert_allclose(found(x[:4]), wanted.predict(x[:4]), atol=1e-9)


@pytest.mark.parametrize(("noise", "wanted"), [(0.0, 0.01), (30.0, 10_000.0)])
def test_held_out_rows_choose_the_penalty(noise, wanted):
    x = rng(1).normal(size=(80, 10))
    y = x @ rng(2).normal(size=(10, 2)) + noise * rng(3).normal(size=(80, 2))
    held = np.arange(80) % 4 == 0
    found = fitted_map(x, y, np.ones(80), (0.01, 1.0, 10_000.0), held)
    assert found.ridge == wanted
    np.testing.assert_allclose(found.weights, ridge_path(x, y, np.ones(80), [wanted])[0].weights)
    assert fitted_map(x, y, np.ones(80), (0.01, 1.0, 9.0), np.zeros(80, bool)).ridge == 1.0
