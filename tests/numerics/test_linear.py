from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from fuserec.errors import ConfigError
from fuserec.numerics.linear import ease_weights, gram, spd_inverse


@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 80),
    st.integers(1, 150),
    st.sampled_from([0.0, 0.02, 0.9]),
    st.integers(1, 3),
)
@settings(max_examples=60, deadline=None)
def test_gram_equals_numpy(seed, n, m, density, threads):
    x = sparse.random(n, m, density, format="csr", dtype=np.float32, random_state=np.random.default_rng(seed))
    dense = x.toarray().astype(np.float64)
    assert_allclose(gram(x, threads=threads), dense.T @ dense, atol=1e-4)


def test_gram_of_unsorted_and_repeated_columns():
    x = sparse.csr_matrix(
        (np.array([1, 2, 3, 4], np.float32), np.array([2, 0, 2, 1], np.int32), np.array([0, 3, 4])),
        shape=(2, 3),
    )
    assert_array_equal(gram(x), x.toarray().T @ x.toarray())
    assert_array_equal(x.indices, [2, 0, 2, 1])  # the argument is as it was


@given(st.integers(0, 2**32 - 1), st.integers(1, 120))
@settings(max_examples=40, deadline=None)
def test_inverse_times_matrix_is_the_identity(seed, m):
    a = np.random.default_rng(seed).standard_normal((m, m))
    a = (a @ a.T / m + np.eye(m)).astype(np.float32)
    work = a.copy()
    inverse = spd_inverse(work, threads=2)
    assert inverse is work
    assert_array_equal(inverse, inverse.T)
    assert_allclose(inverse.astype(np.float64) @ a, np.eye(m), atol=2e-4)


def test_not_positive_definite_is_an_error_of_one_line():
    with pytest.raises(ConfigError, match="not positive definite") as error:
        spd_inverse(np.array([[1, 2], [2, 1]], np.float32))
    assert "\n" not in str(error.value)
    with pytest.raises(ConfigError, match="not positive definite"):
        spd_inverse(np.full((3, 3), np.nan, np.float32))


def test_inverse_refuses_what_it_cannot_overwrite():
    for wrong in (
        np.eye(3),
        np.eye(4, dtype=np.float32)[:, :3],
        np.asfortranarray(np.ones((3, 4), np.float32)),
    ):
        with pytest.raises(ValueError, match="square contiguous float32"):
            spd_inverse(wrong)
    assert spd_inverse(np.zeros((0, 0), np.float32)).shape == (0, 0)


def test_ease_by_hand():
    # X'X + I = [[3, 1], [1, 2]] has the inverse [[2, -1], [-1, 3]] / 5: B = -P / diag(P) by columns.
    x = sparse.csr_matrix(np.array([[1, 1], [1, 0]], np.float32))
    assert_allclose(ease_weights(x, 1.0), [[0, 1 / 3], [1 / 2, 0]], atol=1e-6)


def test_ease_solves_its_own_problem():
    rng = np.random.default_rng(3)
    x = sparse.random(200, 40, 0.2, format="csr", dtype=np.float32, random_state=rng)
    weights = ease_weights(x, 5.0, threads=2).astype(np.float64)
    assert_array_equal(np.diagonal(weights), 0)
    dense = x.toarray().astype(np.float64)
    # Off the diagonal the gradient of |X - X B|^2 + 5 |B|^2 is zero.
    gradient = dense.T @ (dense @ weights - dense) + 5 * weights
    np.fill_diagonal(gradient, 0)
    assert np.abs(gradient).max() < 1e-3


@pytest.mark.parametrize("regularization", [0.0, -1.0, float("nan")])
def test_ease_needs_a_regularization(regularization):
    with pytest.raises(ConfigError, match="regularization must be above 0"):
        ease_weights(sparse.csr_matrix((3, 3), dtype=np.float32), regularization)
