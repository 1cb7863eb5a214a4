from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from fuserec.data.query import QueryBatch
from fuserec.numerics.sparse import csr_parts
from fuserec.scorers.base import Capabilities, Scores, chosen, known
from fuserec.scorers.history import (
    DENSE_SHARE,
    DenseMap,
    HistoryScorer,
    SparseMap,
    compact_map,
    map_from_state,
)
from fuserec.settings import Settings

M = np.array([[0, 0.5, 0, 0], [0.25, 0, 0, 1.0], [0, 0, 0, 0], [0, -0.5, 0, 0]], np.float32)


class Fixed(HistoryScorer):
    """A map written on paper."""

    name: ClassVar[str] = "fixed"
    Config = Settings
    capabilities: ClassVar[Capabilities] = Capabilities(evidence="exact")

    def __init__(self, matrix, scale=None):
        super().__init__()
        self._map, self._items, self._fitted, self._scale = (
            matrix,
            np.array([True, True, False, True]),
            True,
            scale,
        )

    def _fit(self, train, features, run):
        raise NotImplementedError

    def inputs(self, q):
        return q.weights

    def target_scale(self):
        return self._scale


@pytest.mark.parametrize("matrix", [DenseMap(M), SparseMap(sparse.csr_matrix(M))], ids=["dense", "sparse"])
def test_score_and_evidence_by_hand(matrix):
    scorer = Fixed(matrix, np.array([1, 2, 1, 1], np.float32))
    q = QueryBatch.of_histories([[0, 3, 0], [2], []]).with_weights(np.array([1, 1, 0.5, 1]))
    scores = scorer.score(q)
    np.testing.assert_allclose(scores.values, [[0, 0.5, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    assert scores.queries.tolist() == [True, False, False]  # item 2 says nothing
    assert scores.answered.tolist() == [[True, True, False, True], [False] * 4, [False] * 4]
    rows = scorer.evidence(q, np.array([[1], [1], [1]]))
    assert [(r.key, r.contribution) for r in rows[0][0]] == [
        (0, 1.5),
        (3, -1.0),
    ]  # both events of item 0 in one row
    assert rows[1:] == [[[]], [[]]]


def test_weights_of_zero_do_not_speak():
    q = QueryBatch.of_histories([[0]]).with_weights(np.zeros(1))
    assert not Fixed(DenseMap(M)).score(q).queries[0]


@given(
    st.lists(st.lists(st.integers(0, 5), max_size=6), max_size=5),
    st.lists(st.sampled_from([0.0, 0.5, -1.0, 2.0]), min_size=36, max_size=36),
)
@settings(max_examples=40, deadline=None)
def test_sparse_and_dense_maps_agree_with_the_product(histories, values):
    matrix = np.array(values, np.float32).reshape(6, 6)
    q = QueryBatch.of_histories(histories)
    x = q.csr(q.weights, 6)
    for form in (DenseMap(matrix), SparseMap(sparse.csr_matrix(matrix))):
        np.testing.assert_allclose(form.apply(csr_parts(x), 2), x.toarray() @ matrix, atol=1e-5)
        np.testing.assert_array_equal(form.speaks(), matrix.any(axis=1))
        np.testing.assert_array_equal(
            form.cells(np.array([0, 3, 0]), np.array([5, 1])), matrix[[[0], [3], [0]], [5, 1]]
        )
        again = map_from_state(form.state(), 6)
        np.testing.assert_array_equal(again.cells(np.arange(6), np.arange(6)), matrix)


def test_the_smaller_form_is_chosen():
    n = 40
    few, many = (
        sparse.identity(n, np.float32, format="csr"),
        sparse.random(n, n, 2 * DENSE_SHARE, "csr", np.float32),
    )
    assert isinstance(compact_map(few), SparseMap)
    assert isinstance(compact_map(many), DenseMap)
    np.testing.assert_array_equal(compact_map(many).matrix, many.toarray())


def test_chosen_and_known_take_all_three_forms():
    values, mask = np.arange(8, dtype=np.float32).reshape(2, 4), np.array([True, False, True, True])
    assert chosen(values, None) is values
    assert chosen(values, np.array([2, 0])).tolist() == [[2, 0], [6, 4]]
    assert chosen(values, np.array([[2], [1]])).tolist() == [[2], [5]]
    assert known(mask, np.array([[1], [2]])).tolist() == [[False], [True]]


def test_answered_joins_items_and_queries():
    scores = Scores(np.zeros((2, 3), np.float32), np.array([True, False, True]), np.array([True, False]))
    assert scores.answered.tolist() == [[True, False, True], [False] * 3]
    own = Scores(np.zeros((2, 1), np.float32), np.array([[True], [False]]), np.array([True, True]))
    assert own.answered.tolist() == [[True], [False]]
