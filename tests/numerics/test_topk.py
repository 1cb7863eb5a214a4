from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from fuserec.errors import RequestError
from fuserec.numerics.topk import factor_top_k, tile_factors, top_k


def brute(scores, k, exclude, allowed, ties):
    """The definition: sort what may be returned by score, then by hash."""
    rows = []
    for r, row in enumerate(scores):
        banned = set() if exclude is None else set(exclude[1][exclude[0][r] : exclude[0][r + 1]].tolist())
        kept = [
            j
            for j in range(len(row))
            if row[j] > -np.inf and j not in banned and (allowed is None or allowed[j])
        ]
        rows.append(sorted(kept, key=lambda j: (-row[j], ties[j]))[:k])
    return rows


def check(result, scores, expected, k):
    items, values, counts = result
    assert items.shape == values.shape == (len(scores), min(k, scores.shape[1]))
    for r, row in enumerate(expected):
        n = counts[r]
        assert items[r, :n].tolist() == row
        assert_array_equal(values[r, :n], scores[r, row])
        assert (items[r, n:] == -1).all()
        assert (values[r, n:] == -np.inf).all()


@st.composite
def cases(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, m = draw(st.integers(1, 40)), draw(st.integers(1, 1200))
    scores = rng.standard_normal((n, m)).astype(np.float32)
    kind = draw(st.sampled_from(["plain", "rounded", "equal", "negative zero", "huge", "sorted"]))
    if kind == "rounded":
        scores = np.round(scores)
    elif kind == "equal":
        scores[:] = 0.25
    elif kind == "negative zero":
        scores = np.where(scores > 0, np.float32(0.0), np.float32(-0.0))
    elif kind == "huge":
        scores *= np.float32(1e37)
    elif kind == "sorted":
        scores.sort(axis=1)
    for value, share in ((np.nan, 0.05), (-np.inf, 0.05), (np.inf, 0.01)):
        scores[rng.random((n, m)) < draw(st.sampled_from([0.0, share]))] = value
    ties = rng.permutation(m).astype(np.uint64)  # equal upper halves
    if draw(st.booleans()):
        ties = rng.choice(2**62, m, replace=False).astype(np.uint64)
    seen = rng.random((n, m)) < draw(st.sampled_from([0.05, 0.5, 1.0]))
    csr = (np.r_[0, seen.sum(axis=1).cumsum()].astype(np.int64), np.nonzero(seen)[1].astype(np.int32))
    exclude = csr if draw(st.booleans()) else None
    allowed = rng.random(m) < 0.5 if draw(st.booleans()) else None
    return scores, draw(st.integers(1, 150)), exclude, allowed, ties, draw(st.integers(1, 3))


@given(cases())
@settings(max_examples=150, deadline=None)
def test_equals_the_definition(case):
    scores, k, exclude, allowed, ties, threads = case
    before = scores.copy()
    result = top_k(scores, k, exclude=exclude, allowed=allowed, ties=ties, threads=threads)
    check(result, scores, brute(scores, k, exclude, allowed, ties), k)
    assert_array_equal(scores, before)


def test_long_rows_of_equal_scores_follow_the_hash():
    ties = np.random.default_rng(1).permutation(30_000).astype(np.uint64)
    items, _, counts = top_k(np.zeros((2, 30_000), np.float32), 500, ties=ties)
    assert_array_equal(items[0], np.argsort(ties)[:500])
    assert_array_equal(items[0], items[1])
    assert (counts == 500).all()


def test_order_does_not_depend_on_the_position():
    rng = np.random.default_rng(2)
    scores, ties = (
        np.round(rng.standard_normal((5, 700))).astype(np.float32),
        rng.permutation(700).astype(np.uint64),
    )
    order = rng.permutation(700)
    plain = top_k(scores, 60, ties=ties)[0]
    moved = top_k(np.ascontiguousarray(scores[:, order]), 60, ties=ties[order])[0]
    assert_array_equal(order[moved], plain)


def test_no_items_and_everything_excluded():
    items, _, counts = top_k(np.zeros((3, 0), np.float32), 5, ties=np.zeros(0, np.uint64))
    assert items.shape == (3, 0)
    assert_array_equal(counts, 0)
    everything = (np.array([0, 2], np.int64), np.array([0, 1], np.int32))
    items, values, counts = top_k(
        np.ones((1, 2), np.float32), 5, exclude=everything, ties=np.arange(2, dtype=np.uint64)
    )
    assert_array_equal(items, -1)
    assert_array_equal(values, -np.inf)
    assert_array_equal(counts, 0)


def test_no_rows():
    items, _, counts = top_k(np.zeros((0, 4), np.float32), 2, ties=np.arange(4, dtype=np.uint64))
    assert items.shape == (0, 2)
    assert counts.shape == (0,)


@pytest.mark.parametrize("k", [0, -3])
def test_k_must_be_positive(k):
    with pytest.raises(RequestError, match="k must be at least 1"):
        top_k(np.zeros((1, 4), np.float32), k, ties=np.arange(4, dtype=np.uint64))


@pytest.mark.parametrize("width", [1, 3, 4, 10, 64])
@pytest.mark.parametrize("m", [1, 63, 64, 65, 500])
def test_products_equal_the_definition(width, m):
    rng = np.random.default_rng(width * 1000 + m)
    users = rng.integers(-3, 4, (37, width)).astype(np.float32)  # exact, and full of ties
    factors = rng.integers(-3, 4, (m, width)).astype(np.float32)
    ties = rng.permutation(m).astype(np.uint64)
    seen = rng.random((37, m)) < 0.2
    exclude = (np.r_[0, seen.sum(axis=1).cumsum()].astype(np.int64), np.nonzero(seen)[1].astype(np.int32))
    allowed = rng.random(m) < 0.8
    scores = users @ factors.T
    for items in (factors, tile_factors(factors)):
        result = factor_top_k(users, items, 20, exclude=exclude, allowed=allowed, ties=ties, threads=2)
        check(result, scores, brute(scores, 20, exclude, allowed, ties), 20)


def test_products_of_one_user_are_those_of_the_batch():
    rng = np.random.default_rng(5)
    users, factors = (
        rng.standard_normal((150, 30)).astype(np.float32),
        rng.standard_normal((900, 30)).astype(np.float32),
    )
    ties = rng.permutation(900).astype(np.uint64)
    whole = factor_top_k(users, factors, 40, ties=ties, threads=2)
    for r in (0, 1, 2, 3, 77, 149):
        alone = factor_top_k(users[r : r + 1], factors, 40, ties=ties)
        for a, b in zip(alone, whole, strict=True):
            assert_array_equal(a[0], b[r])
    assert np.allclose(whole[1], np.sort(users @ factors.T, axis=1)[:, ::-1][:, :40], atol=1e-5)


def test_products_need_equal_factors():
    with pytest.raises(ValueError, match="3 factors and items 4"):
        factor_top_k(np.ones((1, 3), np.float32), np.ones((2, 4), np.float32), 1, ties=np.zeros(2, np.uint64))
