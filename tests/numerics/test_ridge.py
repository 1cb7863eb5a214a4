from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from fuserec.numerics.ridge import Ridge, factor_products, influence, solve_rows


def problem(seed, n_rows=6, n_features=12, f=5):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, n_features, n_rows)
    lengths[0] = 0
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    columns = np.concatenate([rng.choice(n_features, n, replace=False) for n in lengths]).astype(np.int32)
    targets = rng.normal(size=columns.size).astype(np.float32)
    return starts, columns, targets, rng.normal(size=(n_features, f)).astype(np.float32)


def some_ridge(f, nonnegative, level=0.3):
    fixed, growing = np.linspace(0.1, 1, f).astype(np.float32), np.linspace(0.5, 0.2, f).astype(np.float32)
    return Ridge(fixed, growing, np.full(f, level, np.float32), nonnegative)


def by_hand(x, t, ridge):
    """Solve one row as (non-negative) least squares with the ridge as further observations."""
    root = np.sqrt(ridge.of(len(t)))
    a, b = np.vstack([x.astype(float), np.diag(root)]), np.concatenate([t, root * ridge.centre])
    return optimize.nnls(a, b)[0] if ridge.nonnegative else np.linalg.lstsq(a, b, rcond=None)[0]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), nonnegative=st.booleans(), f=st.integers(1, 9))
def test_every_row_equals_least_squares_with_the_ridge_as_observations(seed, nonnegative, f):
    starts, columns, targets, features = problem(seed, f=f)
    ridge = some_ridge(f, nonnegative)
    solved = solve_rows(starts, columns, targets, features, ridge)
    for row, (lo, hi) in enumerate(itertools.pairwise(starts)):
        expected = by_hand(features[columns[lo:hi]], targets[lo:hi], ridge) if hi > lo else ridge.centre
        np.testing.assert_allclose(solved[row], expected, atol=2e-4)


def test_a_row_without_observations_is_the_centre():
    starts, columns, targets, features = problem(0)
    assert np.all(solve_rows(starts, columns, targets, features, some_ridge(5, False))[0] == np.float32(0.3))


@pytest.mark.parametrize("nonnegative", [False, True])
def test_threads_change_nothing(nonnegative):
    data = problem(1, n_rows=200)
    one, four = (solve_rows(*data, some_ridge(5, nonnegative), threads=t) for t in (1, 4))
    assert np.array_equal(one, four)


@pytest.mark.parametrize("nonnegative", [False, True])
def test_influence_rebuilds_the_solution_from_its_observations(nonnegative):
    starts, columns, targets, features = problem(2, n_rows=12)
    ridge = some_ridge(5, nonnegative)
    solved = solve_rows(starts, columns, targets, features, ridge)
    bound = 0
    for row, (lo, hi) in enumerate(itertools.pairwise(starts)):
        x, t = features[columns[lo:hi]], targets[lo:hi]
        moved, free = influence(x, ridge, solved[row])
        centre = np.where(free, ridge.centre, 0.0)
        np.testing.assert_allclose(centre + (t - x @ centre) @ moved, solved[row], atol=2e-4)
        bound += int(np.sum(~free))
    assert bound > 0 or not nonnegative


def test_candidates_get_the_same_products_as_the_catalogue():
    rng = np.random.default_rng(0)
    users, factors = rng.normal(size=(7, 3)).astype(np.float32), rng.normal(size=(11, 3)).astype(np.float32)
    whole = factor_products(users, factors, None)
    items = rng.integers(0, 11, (7, 4))
    np.testing.assert_allclose(
        factor_products(users, factors, items), np.take_along_axis(whole, items, 1), rtol=1e-5
    )
    np.testing.assert_allclose(factor_products(users, factors, items[0]), whole[:, items[0]], rtol=1e-5)
