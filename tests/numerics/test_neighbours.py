from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from fuserec.errors import ConfigError
from fuserec.numerics.neighbours import nearest, neighbours, rows_topk
from fuserec.numerics.similarity import KINDS, reference, similarity_rows


def brute_similarity(x, y, kind, shrinkage):
    """The definitions, pair by pair, in double precision; a missing column is NaN."""
    a, b = np.nan_to_num(x), np.nan_to_num(y)
    both = ~np.isnan(x) & ~np.isnan(y)
    n = int(both.sum())
    if n == 0:
        return 0.0
    p, q = x[both], y[both]
    if kind == "dot":
        value = a @ b
    elif kind == "cosine":
        norms = np.linalg.norm(a) * np.linalg.norm(b)
        value = a @ b / norms if norms > 0 else 0.0
    elif kind == "jaccard":
        value = n / (~np.isnan(x) | ~np.isnan(y)).sum()
    elif kind == "euclidean":
        value = 1 / (1 + np.linalg.norm(p - q))
    else:
        spread = [np.linalg.norm(v - v.mean()) > 1e-6 * np.linalg.norm(v) for v in (p, q)]
        p, q = p - p.mean(), q - q.mean()
        norms = np.linalg.norm(p) * np.linalg.norm(q)
        value = p @ q / norms if n > 1 and all(spread) else 0.0
    return value * n / (n + shrinkage)


def with_gaps(matrix):
    dense = np.full(matrix.shape, np.nan)
    for r in range(matrix.shape[0]):
        row = slice(matrix.indptr[r], matrix.indptr[r + 1])
        dense[r, matrix.indices[row]] = matrix.data[row]
    return dense


def brute(queries, vectors, kind, shrinkage):
    q, v = with_gaps(queries), with_gaps(vectors)
    return np.array([[brute_similarity(x, y, kind, shrinkage) for y in v] for x in q]).reshape(len(q), len(v))


@st.composite
def matrices(draw):
    """Ratings or ones, from almost empty (short lists) to almost full (bits and dense rows)."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, m = draw(st.integers(1, 45)), draw(st.integers(1, 90))
    x = sparse.random(n, m, draw(st.sampled_from([0.01, 0.05, 0.3, 0.9])), format="csr", random_state=rng)
    x = x.astype(np.float32)
    values = draw(st.sampled_from(["ones", "ratings", "signed"]))
    if values == "ones":
        x.data[:] = 1
    elif values == "ratings":
        x.data = rng.integers(1, 6, x.nnz).astype(np.float32)
    else:
        x.data = rng.standard_normal(x.nnz).astype(np.float32)
    return x, rng


@given(matrices(), st.sampled_from(sorted(KINDS)), st.sampled_from([0.0, 3.0]), st.integers(1, 3))
@settings(max_examples=150, deadline=None)
def test_similarity_rows_equal_the_definitions(case, kind, shrinkage, threads):
    vectors, rng = case
    queries = vectors[rng.permutation(vectors.shape[0])[:20]]
    got = similarity_rows(reference(vectors, kind), queries, shrinkage=shrinkage, threads=threads)
    assert_allclose(got, brute(queries, vectors, kind, shrinkage), atol=2e-5, rtol=2e-5)


@given(
    matrices(),
    st.sampled_from(sorted(KINDS)),
    st.sampled_from([0.0, 3.0]),
    st.integers(1, 60),
    st.integers(1, 3),
)
@settings(max_examples=150, deadline=None)
def test_neighbours_are_the_largest_positive_similarities(case, kind, shrinkage, k, threads):
    vectors, rng = case
    n = vectors.shape[0]
    ties = rng.choice(2**62, n, replace=False).astype(np.uint64)
    graph = neighbours(vectors, k, kind=kind, ties=ties, shrinkage=shrinkage, threads=threads)
    truth = similarity_rows(reference(vectors, kind), vectors, shrinkage=shrinkage)  # checked above
    np.fill_diagonal(truth, -1)
    for r in range(n):
        row = slice(graph.indptr[r], graph.indptr[r + 1])
        expected = sorted((j for j in range(n) if truth[r, j] > 0), key=lambda j: (-truth[r, j], ties[j]))[:k]
        assert graph.indices[row].tolist() == expected
        assert_array_equal(graph.data[row], truth[r, expected])


PAIR = {(0, 0): 5, (0, 1): 3, (0, 2): 4, (1, 0): 4, (1, 1): 1, (1, 3): 5}  # shared columns: 0 and 1
BY_HAND = {
    "dot": 5 * 4 + 3 * 1,
    "cosine": 23 / np.sqrt((25 + 9 + 16) * (16 + 1 + 25)),
    "jaccard": 2 / 4,
    "euclidean": 1 / (1 + np.sqrt(1 + 4)),
    "pearson": 1.0,  # two shared columns, both vectors fall
}


def from_cells(cells, shape):
    rows, columns = zip(*cells, strict=True)
    return sparse.csr_matrix((np.array(list(cells.values()), np.float32), (rows, columns)), shape=shape)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_by_hand(kind):
    x = from_cells(PAIR, (2, 4))
    assert similarity_rows(reference(x, kind), x)[0, 1] == pytest.approx(BY_HAND[kind], rel=1e-6)
    shrunk = similarity_rows(reference(x, kind), x, shrinkage=2.0)[0, 1]
    assert shrunk == pytest.approx(BY_HAND[kind] / 2, rel=1e-6)


def test_pearson_by_hand_means_are_over_the_shared_columns():
    # Shared: (1, 2, 6) and (2, 1, 3), means 3 and 2: (-2, -1, 3).(0, -1, 1) / sqrt(14 * 2). The other
    # columns, far from these means, do not count.
    x = from_cells(
        {(0, 0): 1, (0, 1): 2, (0, 2): 6, (0, 3): 50, (1, 0): 2, (1, 1): 1, (1, 2): 3, (1, 4): 90}, (2, 5)
    )
    assert similarity_rows(reference(x, "pearson"), x)[0, 1] == pytest.approx(4 / np.sqrt(28), rel=1e-6)


def test_pearson_is_zero_for_one_shared_column_and_for_constant_ratings():
    one = from_cells({(0, 0): 5, (0, 1): 3, (1, 0): 4, (1, 2): 1}, (2, 3))
    assert similarity_rows(reference(one, "pearson"), one)[0, 1] == 0
    constant = from_cells({(0, 0): 0.1, (0, 1): 0.1, (0, 2): 0.1, (1, 0): 4, (1, 1): 1, (1, 2): 2}, (2, 3))
    assert_array_equal(similarity_rows(reference(constant, "pearson"), constant)[0], 0)


def test_pearson_keeps_its_digits_on_a_scale_far_from_zero():
    rng = np.random.default_rng(0)
    base = rng.integers(1, 6, (2, 400)).astype(np.float32)
    plain, far = sparse.csr_matrix(base), sparse.csr_matrix(base + 10_000)
    expected = similarity_rows(reference(plain, "pearson"), plain)
    assert_allclose(similarity_rows(reference(far, "pearson"), far), expected, atol=1e-6)


def test_a_zero_vector_is_like_nothing():
    x = sparse.csr_matrix(
        (np.array([0.0, 1.0], np.float32), np.array([0, 0], np.int32), np.array([0, 1, 2, 2]))
    )
    assert_array_equal(similarity_rows(reference(x, "cosine"), x), [[0, 0, 0], [0, 1, 0], [0, 0, 0]])


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_bits_dense_rows_and_lists_agree_on_a_larger_matrix(kind):
    rng = np.random.default_rng(1)
    share = rng.random((300, 1)) ** 6  # a few long rows and many short ones
    x = sparse.csr_matrix((rng.random((300, 800)) < share).astype(np.float32))
    ties = rng.choice(2**62, 300, replace=False).astype(np.uint64)
    one, two = (neighbours(x, 30, kind=kind, ties=ties, threads=t) for t in (1, 2))
    assert_array_equal(one.indices, two.indices)
    assert_array_equal(one.data, two.data)
    truth = similarity_rows(reference(x, kind), x)
    np.fill_diagonal(truth, -1)
    kept = np.sort(truth, axis=1)[:, ::-1][:, :30]
    assert_array_equal(one.data, kept[kept > 0])


def test_nearest_of_new_queries_includes_all_but_the_named_one():
    x = sparse.csr_matrix(np.array([[1, 1, 0], [1, 1, 0], [0, 1, 1]], np.float32))
    known, ties = reference(x, "cosine"), np.array([5, 4, 3], np.uint64)
    items, values, counts = nearest(known, x[:1], 5, ties=ties)
    assert items[0, : counts[0]].tolist() == [1, 0, 2]  # equal similarities: the lower hash first
    assert_allclose(values[0], [1, 1, 0.5], rtol=1e-6)
    items, _, counts = nearest(known, x[:1], 5, ties=ties, own=np.array([1], np.int32))
    assert items[0, : counts[0]].tolist() == [0, 2]
    assert (items[0, counts[0] :] == -1).all()


@given(matrices(), st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_rows_topk_keeps_the_largest(case, k):
    x, rng = case
    ties = rng.choice(2**62, x.shape[1], replace=False).astype(np.uint64)
    x.data[rng.random(x.nnz) < 0.1] = np.nan
    kept = rows_topk(x, k, ties=ties, threads=2)
    assert kept.shape == x.shape
    for r in range(x.shape[0]):
        row, out = slice(x.indptr[r], x.indptr[r + 1]), slice(kept.indptr[r], kept.indptr[r + 1])
        cells = [(-v, ties[c], c) for c, v in zip(x.indices[row], x.data[row], strict=True) if v == v]
        assert kept.indices[out].tolist() == [c for _, _, c in sorted(cells)[:k]]
        assert_array_equal(kept.data[out], [-v for v, _, _ in sorted(cells)[:k]])


def test_settings_are_checked():
    x, ties = sparse.csr_matrix(np.eye(3, dtype=np.float32)), np.arange(3, dtype=np.uint64)
    with pytest.raises(ConfigError, match="did you mean 'cosine'"):
        neighbours(x, 1, kind="cosin", ties=ties)
    with pytest.raises(ConfigError, match="at least 1"):
        neighbours(x, 0, kind="cosine", ties=ties)
    with pytest.raises(ConfigError, match="at least 1"):
        rows_topk(x, 0, ties=ties)


def test_pearson_keeps_its_digits_where_values_hardly_differ():
    rng = np.random.default_rng(1)
    base = (0.3 + 1e-3 * rng.standard_normal((2, 50))).astype(np.float32)
    x = sparse.csr_matrix(base)
    expected = np.corrcoef(base.astype(np.float64))
    assert_allclose(similarity_rows(reference(x, "pearson"), x), expected, atol=1e-6)
