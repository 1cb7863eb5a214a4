from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuserec.numerics.ranks import target_ranks


def ragged(rows):
    indptr = np.concatenate([[0], np.cumsum([len(r) for r in rows])]).astype(np.int64)
    return indptr, np.array([i for r in rows for i in r], np.int32)


def brute(values, exclude, targets):
    ranks, counts = [], []
    for row, out, wanted in zip(values, exclude, targets, strict=True):
        rest = [j for j in range(len(row)) if j not in out]
        counts.append(len(rest))
        for t in wanted:
            above = sum(row[j] > row[t] for j in rest)
            equal = sum(row[j] == row[t] for j in rest)
            ranks.append(above + (equal + 1) / 2)
    return ranks, counts


SCORE = st.sampled_from([0.0, -1.0, 0.5, 0.5, 2.0, float("-inf")])


@given(st.data(), st.integers(1, 9), st.integers(0, 5), st.integers(1, 3))
@settings(max_examples=100, deadline=None)
def test_equals_counting(data, m, n, threads):
    values = np.array([[data.draw(SCORE) for _ in range(m)] for _ in range(n)], np.float32).reshape(n, m)
    exclude, targets = [], []
    for _ in range(n):
        out = data.draw(st.lists(st.integers(0, m - 1), max_size=6))  # repeats too, as a history has them
        exclude.append(out)
        rest = [j for j in range(m) if j not in out]
        targets.append(data.draw(st.lists(st.sampled_from(rest), unique=True, max_size=3)) if rest else [])
    ranks, counts = target_ranks(values, ragged(exclude), ragged(targets), threads)
    expected, left = brute(values, exclude, targets)
    np.testing.assert_array_equal(ranks, expected)
    np.testing.assert_array_equal(counts, left)


def test_by_hand():
    values = np.array([[0.9, 0.5, 0.5, 0.1], [0.0, 0.0, 0.0, 0.0]], np.float32)
    ranks, left = target_ranks(values, ragged([[0], []]), ragged([[1, 3], [2]]))
    assert ranks.tolist() == [1.5, 3.0, 2.5]
    assert left.tolist() == [3, 4]


def test_what_has_no_answer_shares_the_last_ranks():
    values = np.array([[1.0, -np.inf, -np.inf]], np.float32)
    assert target_ranks(values, ragged([[]]), ragged([[2]]))[0].tolist() == [2.5]


@pytest.mark.parametrize("threads", [1, 4])
def test_the_scores_are_not_changed(threads):
    values = np.random.default_rng(0).random((50, 20)).astype(np.float32)
    before = values.copy()
    target_ranks(values, ragged([[1]] * 50), ragged([[2]] * 50), threads)
    np.testing.assert_array_equal(values, before)
