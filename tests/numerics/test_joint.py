"""Sums of products of two ragged tables, beside plain matrix products."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from fuserec.numerics.joint import joint_mass


@settings(deadline=None)  # the first call compiles
@given(st.integers(0, 12), st.integers(1, 5), st.integers(1, 5), st.integers(0, 10_000))
def test_equals_dense_products(n, n_a, n_b, seed):
    rng = np.random.default_rng(seed)
    a, b = (rng.random((n, width)) * (rng.random((n, width)) < 0.5) for width in (n_a, n_b))
    order = rng.permutation(n)
    tables = [
        (m.indptr.astype(np.int64), m.indices.astype(np.int32), m.data) for m in map(sp.csr_array, (a, b))
    ]
    mass, squares = np.full((2, n_a, n_b), np.nan)
    joint_mass(*tables, order, mass, squares)
    np.testing.assert_allclose(mass, a.T @ b[order], atol=1e-12)
    np.testing.assert_allclose(squares, (a**2).T @ b[order] ** 2, atol=1e-12)
