"""Windows: every event but the first of each history is predicted once an epoch, and only from what came before it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")
windows = pytest.importorskip("fuserec.neural.windows")

SIZES = st.lists(st.integers(0, 40), max_size=30)
LENGTH, BATCH, SEED = st.integers(1, 12), st.integers(1, 60), st.integers(0, 3)


def numbered(sizes):
    """Return histories whose items are the numbers of their events, so that each can be told."""
    indptr = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]).astype(np.int64)
    return windows.Histories(indptr, np.arange(indptr[-1]))


def rows(batches):
    """Return (inputs, targets) of each window without what fills it up."""
    return [
        (batch.inputs[row, :size], batch.targets[row, :size])
        for batch in batches
        for row, size in enumerate(batch.lengths)
    ]


def same(one, other):
    return len(one) == len(other) and all(
        np.array_equal(a.inputs, b.inputs) and np.array_equal(a.targets, b.targets)
        for a, b in zip(one, other, strict=True)
    )


@given(SIZES, LENGTH, BATCH, SEED)
@settings(max_examples=80, deadline=None)
def test_each_event_but_the_first_is_predicted_once_from_what_came_before(sizes, length, batch, seed):
    histories = numbered(sizes)
    predicted = []
    for inputs, targets in rows(histories.epoch(length, batch, np.random.default_rng(seed))):
        assert 1 <= inputs.size <= length
        owner = np.searchsorted(histories.indptr, inputs[0], side="right") - 1
        assert histories.indptr[owner] <= inputs[0]
        assert targets[-1] < histories.indptr[owner + 1]  # one person's events
        assert np.array_equal(inputs, np.arange(inputs[0], inputs[0] + inputs.size))
        assert np.array_equal(targets, inputs + 1)
        predicted.append(targets)
    found = np.sort(np.concatenate([np.empty(0, np.int64), *predicted]))
    first = histories.indptr[:-1][np.array(sizes, dtype=np.int64) > 0]
    assert np.array_equal(found, np.setdiff1d(histories.items, first))


@given(SIZES, LENGTH, BATCH, SEED)
@settings(max_examples=60, deadline=None)
def test_no_target_is_among_its_inputs(sizes, length, batch, seed):
    """The leak alarm: what a position may read (itself and before) never holds the event it is to predict."""
    for inputs, targets in rows(numbered(sizes).epoch(length, batch, np.random.default_rng(seed))):
        for place, target in enumerate(targets):
            assert target not in inputs[: place + 1]


@given(SIZES, LENGTH, BATCH, SEED)
@settings(max_examples=60, deadline=None)
def test_batches_keep_to_their_size_and_shape(sizes, length, batch, seed):
    for made in numbered(sizes).epoch(length, batch, np.random.default_rng(seed)):
        assert made.inputs.shape == made.targets.shape
        width, longest = made.inputs.shape[1], int(made.lengths.max())
        assert longest <= width <= min(length, longest + windows.WIDTH - 1)
        assert width == length or width % windows.WIDTH == 0  # few shapes
        assert made.inputs.shape[0] == 1 or made.inputs.size <= batch
        beyond = np.arange(made.inputs.shape[1]) >= made.lengths[:, None]
        assert not made.inputs[beyond].any()
        assert np.all(made.targets[beyond] == -1)
        assert np.all(made.targets[~beyond] >= 0)


@given(SIZES, LENGTH, BATCH, SEED)
@settings(max_examples=30, deadline=None)
def test_an_equal_seed_gives_an_equal_epoch(sizes, length, batch, seed):
    one, other = (numbered(sizes).epoch(length, batch, np.random.default_rng(seed)) for _ in range(2))
    assert same(one, other)


def test_epochs_differ_in_their_order_and_in_where_long_histories_are_cut():
    histories = numbered([30] * 5)
    one, other = (histories.epoch(8, 32, np.random.default_rng(seed)) for seed in (0, 1))
    assert not same(one, other)
    begins = [{int(inputs[0]) for inputs, _ in rows(epoch)} for epoch in (one, other)]
    assert begins[0] != begins[1]


def test_windows_of_like_length_share_a_batch():
    short, long = windows.WIDTH, 3 * windows.WIDTH
    batches = numbered([1 + short, 1 + long] * 40).epoch(long, 2 * long, np.random.default_rng(0))
    assert sum(int(batch.lengths.sum()) for batch in batches) == 40 * (short + long)
    assert sum(batch.inputs.size for batch in batches) < 1.1 * 40 * (short + long)


def test_items_are_read_through_their_histories():
    histories = windows.Histories(np.array([0, 3, 5]), np.array([7, 3, 7, 9, 7]))
    found = sorted((i.tolist(), t.tolist()) for i, t in rows(histories.epoch(5, 9, np.random.default_rng(0))))
    assert found == [([7, 3], [3, 7]), ([9], [7])]


def test_the_newest_events_of_a_query_are_its_window():
    from fuserec.neural.windows import newest

    inputs, lengths = newest(np.array([0, 4, 4, 5]), np.array([1, 2, 3, 4, 9]), 3)
    assert inputs.tolist() == [[2, 3, 4], [0, 0, 0], [9, 0, 0]]
    assert lengths.tolist() == [3, 0, 1]
    inputs, lengths = newest(np.array([0, 0]), np.empty(0, np.int64), 3)
    assert inputs.shape == (1, 1)
    assert lengths.tolist() == [0]
