from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from fuserec.errors import ConfigError
from fuserec.numerics.als import als_fit, fold_in, objective, whiten


def confidences(n=120, m=70, density=0.1, seed=0, high=5.0):
    rng = np.random.default_rng(seed)
    x = sparse.random(n, m, density, format="csr", dtype=np.float32, random_state=rng)
    x.data = (1 + high * x.data).astype(np.float32)
    return x


def seeds(m, seed=0):
    return np.random.default_rng(seed).choice(2**62, m, replace=False).astype(np.uint64)


def brute_objective(x, u, v, regularization):
    c = x.toarray().astype(np.float64)
    p = c > 0
    return float(
        (np.where(p, c, 1.0) * (p - u.astype(np.float64) @ v.T) ** 2).sum()
        + regularization * ((u.astype(np.float64) ** 2).sum() + (v.astype(np.float64) ** 2).sum())
    )


def exact_rows(x, v, regularization):
    """Every row by its normal equations, in double precision."""
    v = v.astype(np.float64)
    rows = []
    for row in x.toarray().astype(np.float64):
        c = np.where(row > 0, row, 1.0)
        a = (v * c[:, None]).T @ v + regularization * np.eye(v.shape[1])
        rows.append(np.linalg.solve(a, v.T @ np.where(row > 0, row, 0.0)))
    return np.array(rows)


def test_objective_equals_the_definition():
    x, rng = confidences(), np.random.default_rng(1)
    u, v = rng.standard_normal((120, 7)).astype(np.float32), rng.standard_normal((70, 7)).astype(np.float32)
    assert objective(x, u, v, 0.3) == pytest.approx(brute_objective(x, u, v, 0.3), rel=1e-6)


@pytest.mark.parametrize("high", [0.0, 1.0, 40.0])
@pytest.mark.parametrize("factors", [1, 5, 16])
def test_fold_in_solves_the_normal_equations(high, factors):
    x = confidences(high=high)
    v = np.random.default_rng(2).standard_normal((70, factors)).astype(np.float32)
    assert_allclose(fold_in(x, whiten(v, 0.05), threads=2), exact_rows(x, v, 0.05), atol=1e-4, rtol=1e-3)


def test_whitened_factors_are_orthonormal():
    v = np.random.default_rng(3).standard_normal((70, 6)).astype(np.float32)
    white = whiten(v, 0.5, threads=2)
    gram = white.inverse @ (v.T @ v + 0.5 * np.eye(6)) @ white.inverse.T
    assert_allclose(gram, np.eye(6), atol=1e-4)
    assert_allclose(white.factors, v @ white.inverse.T, atol=1e-5)


@pytest.mark.parametrize("high", [0.0, 1.0, 9.0, 40.0])
def test_the_objective_falls_in_every_iteration(high):
    x = confidences(high=high)
    values = [
        objective(x, *als_fit(x, 8, iterations=n, regularization=0.1, item_seeds=seeds(70)), 0.1)
        for n in range(1, 12)
    ]
    assert all(later < earlier * (1 + 1e-6) for earlier, later in itertools.pairwise(values))


@pytest.mark.parametrize("high", [0.0, 1.0, 9.0])
def test_reaches_plain_alternating_least_squares(high):
    x = confidences(high=high)
    v = np.random.default_rng(4).random((70, 8)) * 0.01
    for _ in range(15):
        u = exact_rows(x, v, 0.1)
        v = exact_rows(x.T.tocsr(), u, 0.1)
    plain = brute_objective(x, u, v, 0.1)
    ours = objective(x, *als_fit(x, 8, iterations=15, regularization=0.1, item_seeds=seeds(70)), 0.1)
    assert ours <= plain * 1.002


def test_threads_change_nothing():
    x = confidences(400, 300)
    one, two = (als_fit(x, 10, iterations=3, item_seeds=seeds(300), threads=t) for t in (1, 2))
    assert_array_equal(one[0], two[0])
    assert_array_equal(one[1], two[1])


def test_the_order_of_rows_changes_only_rounding():
    x, s, rng = confidences(), seeds(70), np.random.default_rng(5)
    users, items = rng.permutation(120), rng.permutation(70)
    u, v = als_fit(x, 6, iterations=3, item_seeds=s)
    moved = als_fit(x[users][:, items].tocsr(), 6, iterations=3, item_seeds=s[items])
    assert_allclose(moved[0] @ moved[1].T, (u @ v.T)[users][:, items], atol=2e-3)


def test_empty_rows_get_zeros():
    x = confidences().tolil()
    x[3], x[:, 5] = 0, 0
    u, v = als_fit(x.tocsr().astype(np.float32), 6, item_seeds=seeds(70))
    assert_array_equal(u[3], 0)
    assert_allclose(v[5], 0, atol=1e-6)
    assert_array_equal(
        fold_in(sparse.csr_matrix((2, 70), dtype=np.float32), whiten(v, 0.1)), np.zeros((2, 6))
    )


def test_calls_back_after_each_iteration_and_may_be_stopped():
    done = []
    als_fit(confidences(), 4, iterations=3, item_seeds=seeds(70), after=done.append)
    assert done == [1, 2, 3]

    def stop(_):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        als_fit(confidences(), 4, item_seeds=seeds(70), after=stop)


@pytest.mark.parametrize("wrong", [{"factors": 0}, {"iterations": 0}, {"regularization": 0.0}])
def test_settings_are_checked(wrong):
    with pytest.raises(ConfigError, match="at least 1"):
        als_fit(confidences(), **{"factors": 4, "item_seeds": seeds(70), **wrong})
    with pytest.raises(ConfigError, match="not finite"):
        whiten(np.full((5, 2), np.nan, np.float32), 0.1)
