from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from fuserec.data.query import QueryBatch, TextVectors

HISTORIES = st.lists(st.lists(st.integers(0, 9), max_size=7), max_size=6)


def batch(histories, seed=0):
    """Queries whose every array holds something else."""
    q = QueryBatch.of_histories(histories)
    rng = np.random.default_rng(seed)
    n, events = len(q), q.items.size
    text = TextVectors(
        sparse.random(n, 5, 0.5, "csr", np.float32, random_state=seed),
        rng.random((n, 3)).astype(np.float32),
        rng.random(n) < 0.5,
    )
    return replace(
        q,
        weights=rng.normal(size=events).astype(np.float32),
        ratings=rng.random(events).astype(np.float32),
        ages=rng.random(events).astype(np.float32),
        users=np.arange(n, dtype=np.int32),
        at=rng.random(n),
        text=text,
        contexts=tuple({"query": i} for i in range(n)),
    )


@given(HISTORIES)
@settings(max_examples=50, deadline=None)
def test_rows_steps_and_lengths(histories):
    q = QueryBatch.of_histories(histories)
    assert len(q) == len(histories)
    assert q.lengths.tolist() == [len(h) for h in histories]
    assert q.rows.tolist() == [i for i, h in enumerate(histories) for _ in h]
    assert q.steps.tolist() == [len(h) - 1 - p for h in histories for p in range(len(h))]
    assert q.items.tolist() == [i for h in histories for i in h]


@given(HISTORIES, st.integers(1, 9))
@settings(max_examples=50, deadline=None)
def test_padded_keeps_the_newest_to_the_right(histories, length):
    expected = [([-1] * length + h)[-length:] for h in histories]
    np.testing.assert_array_equal(
        QueryBatch.of_histories(histories).padded(length), np.array(expected, np.int32).reshape(-1, length)
    )


@given(HISTORIES)
@settings(max_examples=50, deadline=None)
def test_seen_is_sorted_within_each_query(histories):
    indptr, items = QueryBatch.of_histories(histories).seen()
    assert [items[indptr[i] : indptr[i + 1]].tolist() for i in range(len(histories))] == [
        sorted(h) for h in histories
    ]


@given(HISTORIES)
@settings(max_examples=50, deadline=None)
def test_csr_sums_repeats(histories):
    q = batch(histories)
    dense = np.zeros((len(histories), 10), np.float32)
    for row, item, weight in zip(q.rows, q.items, q.weights, strict=True):
        dense[row, item] += weight
    matrix = q.csr(q.weights, 10)
    np.testing.assert_allclose(matrix.toarray(), dense, rtol=1e-5, atol=1e-6)
    assert matrix.has_canonical_format
    np.testing.assert_array_equal(q.weights, batch(histories).weights)


@given(HISTORIES.filter(len), st.data())
@settings(max_examples=50, deadline=None)
def test_take_takes_everything_of_a_query(histories, data):
    q = batch(histories)
    rows = data.draw(st.lists(st.integers(0, len(histories) - 1), max_size=8))
    taken = q.take(rows)
    assert len(taken) == len(rows)
    for position, row in enumerate(rows):
        mine, theirs = (slice(b.indptr[i], b.indptr[i + 1]) for b, i in ((taken, position), (q, row)))
        for name in ("items", "weights", "ratings", "ages"):
            np.testing.assert_array_equal(getattr(taken, name)[mine], getattr(q, name)[theirs])
        for name in ("users", "at"):
            assert getattr(taken, name)[position] == getattr(q, name)[row]
        assert taken.contexts[position] == {"query": row}
        np.testing.assert_array_equal(
            taken.text.lexical[[position]].toarray(), q.text.lexical[[row]].toarray()
        )
        np.testing.assert_array_equal(taken.text.sentence[position], q.text.sentence[row])
        assert taken.has_text[position] == q.has_text[row]


def test_of_histories_knows_nothing_else():
    q = QueryBatch.of_histories([[3], []], np.array([5, -1]))
    assert q.weights.tolist() == [1.0]
    assert np.isnan(q.ratings).all()
    assert np.isnan(q.ages).all()
    assert np.isnan(q.at).all()
    assert q.users.tolist() == [5, -1]
    assert not q.has_text.any()
    assert (q.items.dtype, q.indptr.dtype, q.weights.dtype) == (np.int32, np.int64, np.float32)


def test_with_weights_changes_a_copy():
    q = QueryBatch.of_histories([[3, 4]])
    other = q.with_weights(np.array([0.0, 2.0]))
    assert q.weights.tolist() == [1.0, 1.0]
    assert other.weights.tolist() == [0.0, 2.0]
    assert other.weights.dtype == np.float32
