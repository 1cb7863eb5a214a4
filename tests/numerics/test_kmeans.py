from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuserec.numerics import kmeans as module
from fuserec.numerics.kmeans import kmeans, nearest_centroids


def inertia(vectors, centroids):
    """The sum of squared distances to the nearest centroid, plainly."""
    gaps = np.square(vectors[:, None, :].astype(float) - centroids[None].astype(float)).sum(axis=2)
    return gaps.min(axis=1).sum()


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 40), k=st.integers(1, 9), d=st.integers(1, 5), seed=st.integers(0, 99))
def test_the_nearest_is_the_nearest(n, k, d, seed):
    rng = np.random.default_rng(seed)
    vectors, centroids = (rng.normal(size=(m, d)).astype(np.float32) for m in (n, k))
    found = nearest_centroids(vectors, centroids)
    gaps = np.square(vectors[:, None] - centroids[None]).sum(axis=2)
    np.testing.assert_allclose(gaps[np.arange(n), found], gaps.min(axis=1), rtol=1e-4, atol=1e-5)


def test_in_pieces_it_is_the_same(monkeypatch):
    rng = np.random.default_rng(0)
    vectors, centroids = (rng.normal(size=(m, 3)).astype(np.float32) for m in (50, 7))
    whole = nearest_centroids(vectors, centroids)
    monkeypatch.setattr(module, "_CHUNK", 21)
    assert np.array_equal(nearest_centroids(vectors, centroids), whole)


def test_planted_groups_are_found():
    rng = np.random.default_rng(1)
    middles = 10 * rng.normal(size=(6, 4)).astype(np.float32)
    vectors = np.repeat(middles, 30, axis=0) + 0.1 * rng.normal(size=(180, 4)).astype(np.float32)
    own = nearest_centroids(vectors, kmeans(vectors, 6, np.random.default_rng(0)))
    assert [len(set(own[30 * g : 30 * g + 30])) for g in range(6)] == [1] * 6
    assert len(set(own)) == 6


def test_it_is_as_good_as_another_implementation():
    cluster = pytest.importorskip("sklearn.cluster")
    vectors = np.random.default_rng(2).normal(size=(600, 8)).astype(np.float32)
    wanted = np.mean(
        [cluster.KMeans(20, n_init=1, random_state=s, max_iter=25).fit(vectors).inertia_ for s in range(5)]
    )
    found = np.mean([inertia(vectors, kmeans(vectors, 20, np.random.default_rng(s))) for s in range(5)])
    assert found < 1.03 * wanted
    assert inertia(vectors, vectors[:20]) > 1.2 * wanted  # what the band would catch


def test_there_are_no_more_centroids_than_vectors_that_differ():
    vectors = np.repeat(np.eye(3, dtype=np.float32), 5, axis=0)
    found = kmeans(vectors, 8, np.random.default_rng(0))
    assert sorted(map(tuple, found.tolist())) == sorted(map(tuple, np.eye(3).tolist()))
    assert kmeans(vectors[:1], 8, np.random.default_rng(0)).shape == (1, 3)


def test_a_centroid_without_vectors_moves_to_what_is_worst_served():
    vectors = np.array([[0.0], [1.0], [9.0]], np.float32)
    moved = module._means(vectors, np.array([0, 0, 0]), np.array([[0.0], [50.0]], np.float32))
    np.testing.assert_allclose(moved, [[10 / 3], [9.0]], rtol=1e-6)


def test_equal_seeds_give_equal_centroids():
    vectors = np.random.default_rng(3).normal(size=(900, 4)).astype(np.float32)
    one, other, third = (kmeans(vectors, 5, np.random.default_rng(s)) for s in (4, 4, 5))
    assert np.array_equal(one, other)
    assert not np.array_equal(one, third)
