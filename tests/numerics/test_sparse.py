from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from fuserec.numerics.sparse import csr_parts, csr_times_csr_dense, csr_times_dense


@st.composite
def products(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, m, width = draw(st.integers(0, 60)), draw(st.integers(1, 90)), draw(st.integers(1, 300))
    density = draw(st.sampled_from([0.0, 0.05, 0.6]))
    x = sparse.random(n, m, density, format="csr", dtype=np.float32, random_state=rng)
    return x, rng.standard_normal((m, width)).astype(np.float32), rng, draw(st.integers(1, 3))


@given(products())
@settings(max_examples=60, deadline=None)
def test_dense_and_sparse_products_equal_numpy(case):
    x, matrix, rng, threads = case
    expected = x.toarray() @ matrix
    assert_allclose(csr_times_dense(*csr_parts(x), matrix, threads=threads), expected, atol=1e-4)
    thin = np.where(rng.random(matrix.shape) < 0.3, matrix, np.float32(0))
    got = csr_times_csr_dense(*csr_parts(x), sparse.csr_matrix(thin), threads=threads)
    assert_allclose(got, x.toarray() @ thin, atol=1e-4)


@given(products())
@settings(max_examples=40, deadline=None)
def test_candidate_columns_are_those_of_the_whole(case):
    x, matrix, rng, threads = case
    columns = rng.permutation(matrix.shape[1])[: 1 + matrix.shape[1] // 3].astype(np.int32)
    expected = (x.toarray() @ matrix)[:, columns]
    got = csr_times_dense(*csr_parts(x), matrix, columns=columns, threads=threads)
    assert_allclose(got, expected, atol=1e-4)
    got = csr_times_csr_dense(*csr_parts(x), sparse.csr_matrix(matrix), columns=columns, threads=threads)
    assert_allclose(got, expected, atol=1e-4)


def test_one_row_equals_its_row_in_a_batch_and_threads_change_nothing():
    rng = np.random.default_rng(0)
    x = sparse.random(800, 500, 0.1, format="csr", dtype=np.float32, random_state=rng)
    matrix = rng.standard_normal((500, 333)).astype(np.float32)
    whole = csr_times_dense(*csr_parts(x), matrix, threads=2)
    assert_array_equal(whole, csr_times_dense(*csr_parts(x), matrix, threads=1))
    for r in (0, 17, 799):
        assert_array_equal(csr_times_dense(*csr_parts(x[r]), matrix)[0], whole[r])


def test_writes_to_out_and_refuses_a_wrong_one():
    x = sparse.csr_matrix(np.eye(3, dtype=np.float32))
    matrix, out = np.arange(6, dtype=np.float32).reshape(3, 2), np.full((3, 2), 9, np.float32)
    assert csr_times_dense(*csr_parts(x), matrix, out=out) is out
    assert_array_equal(out, matrix)
    out[:] = 9
    csr_times_csr_dense(*csr_parts(x), sparse.csr_matrix(matrix), out=out)
    assert_array_equal(out, matrix)
    for wrong in (np.zeros((3, 2)), np.zeros((2, 3), np.float32), np.zeros((2, 3), np.float32).T):
        with pytest.raises(ValueError, match="out must be"):
            csr_times_dense(*csr_parts(x), matrix, out=wrong)
