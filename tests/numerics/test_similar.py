from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from fuserec.numerics.similar import Kept, dense_neighbours, sparse_neighbours
from fuserec.run import RunOptions

RUN = RunOptions(threads=2)
ALL = Kept(n_neighbors=100, min_similarity=0.0, sharpness=1.0)


def ties(n):
    return np.random.default_rng(1).integers(0, 2**63, n).astype(np.uint64)


def cosine(rows):
    rows = np.asarray(rows, np.float64)
    norms = np.linalg.norm(rows, axis=1)
    outer = np.outer(norms, norms)
    found = np.divide(rows @ rows.T, outer, out=np.zeros_like(outer), where=outer > 0)
    np.fill_diagonal(found, 0.0)
    return np.maximum(found, 0.0)


def jaccard(rows):
    found = np.zeros((len(rows), len(rows)))
    for i, a in enumerate(rows):
        for j, b in enumerate(rows):
            one, other = set(np.flatnonzero(a)), set(np.flatnonzero(b))
            if i != j and one | other:
                found[i, j] = len(one & other) / len(one | other)
    return found


@given(st.lists(st.lists(st.sampled_from([0, 0, 1, 2, -1]), min_size=4, max_size=4), max_size=9))
@settings(max_examples=60, deadline=None)
def test_sparse_similarities_equal_the_definition(rows):
    matrix = sparse.csr_matrix(np.array(rows, np.float32).reshape(-1, 4))
    dense = matrix.toarray()
    for kind, oracle in (("cosine", cosine), ("jaccard", jaccard)):
        found = sparse_neighbours(matrix, kind, ALL, ties(len(rows)), RUN)
        assert found.shape == (len(rows), len(rows))
        assert found.dtype == np.float32
        np.testing.assert_allclose(found.toarray(), oracle(dense), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(matrix.toarray(), np.array(rows, np.float32).reshape(-1, 4))


def test_stored_zeros_belong_to_no_set():
    rows = sparse.csr_matrix(np.array([[1, 1], [1, 1]], np.float32))
    rows.data[1] = 0.0
    found = sparse_neighbours(rows, "jaccard", ALL, ties(2), RUN)
    assert found.toarray().tolist() == [[0, 0.5], [0.5, 0]]


@pytest.fixture
def vectors():
    rows = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_dense_neighbours_are_the_largest(vectors):
    found = dense_neighbours(vectors, Kept(5, 0.0, 1.0), ties(60), RUN).toarray()
    expected = cosine(vectors)
    for row in range(60):
        best = np.argsort(-expected[row])[:5]
        assert set(np.flatnonzero(found[row]).tolist()) == set(best[expected[row, best] > 0].tolist())
        np.testing.assert_allclose(found[row, best], expected[row, best], rtol=1e-5)


def test_weak_ones_are_dropped_and_the_rest_sharpened(vectors):
    found = dense_neighbours(vectors, Kept(100, 0.4, 3.0), ties(60), RUN).toarray()
    expected = cosine(vectors)
    np.testing.assert_allclose(found, np.where(expected >= 0.4, expected, 0.0) ** 3, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("form", ["dense", "sparse"])
def test_small_memory_gives_the_same(vectors, form):
    def found(run):
        if form == "dense":
            return dense_neighbours(vectors, Kept(7, 0.1, 2.0), ties(60), run)
        return sparse_neighbours(
            sparse.csr_matrix(np.maximum(vectors, 0)), "cosine", Kept(7, 0.1, 2.0), ties(60), run
        )

    pieces = []
    small = replace(RUN, memory_mb=0, progress=lambda label, done, total: pieces.append(done))
    np.testing.assert_allclose(found(small).toarray(), found(RUN).toarray(), rtol=1e-5, atol=1e-7)
    assert pieces == list(range(1, 61))


def test_ties_are_settled_by_the_hash_not_by_position():
    rows = np.ones((4, 1), np.float32)
    order = np.array([9, 1, 5, 3], np.uint64)
    found = dense_neighbours(rows, Kept(1, 0.0, 1.0), order, RUN)
    assert found.toarray().argmax(axis=1).tolist() == [1, 3, 1, 1]


def test_no_rows():
    assert dense_neighbours(np.empty((0, 3), np.float32), ALL, ties(0), RUN).shape == (0, 0)
