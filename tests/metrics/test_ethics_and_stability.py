from __future__ import annotations

import doctest
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuserec.errors import DataError, RequestError
from fuserec.metrics import ethics, stability
from fuserec.metrics.ethics import flagged_lists, list_topics, topic_change, topic_entropy
from fuserec.metrics.stability import jaccard, rank_biased_overlap


@pytest.mark.parametrize(("module", "examples"), [(ethics, 4), (stability, 2)])
def test_docstring_examples(module, examples):
    result = doctest.testmod(module)
    assert result.attempted == examples
    assert result.failed == 0


@st.composite
def two_lists(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, n_items, width = 4, 9, int(rng.integers(1, 8))
    lists = []
    for _ in range(2):
        table = np.argsort(rng.random((n, n_items)), axis=1)[:, :width]
        counts = rng.integers(0, width + 1, n)
        lists.append(np.where(np.arange(width) < counts[:, None], table, -1))
    return (*lists, int(rng.integers(1, 10)))


@given(two_lists())
def test_overlap_equals_the_brute_force_oracle(drawn):
    a, b, k = drawn
    p = 0.9
    overlap, agreement = jaccard(a, b, k), rank_biased_overlap(a, b, k, p)
    for row in range(len(a)):
        left, right = ([i for i in one[row, :k] if i >= 0] for one in (a, b))
        if not left and not right:
            assert math.isnan(overlap[row])
            assert math.isnan(agreement[row])
            continue
        assert overlap[row] == pytest.approx(len({*left} & {*right}) / len({*left} | {*right}))
        depth = min(k, a.shape[1])
        shared = [len({*left[:d]} & {*right[:d]}) / d for d in range(1, depth + 1)]
        expected = shared[-1] * p**depth + (1 - p) / p * sum(x * p**d for d, x in enumerate(shared, 1))
        assert agreement[row] == pytest.approx(expected)


def test_agreement_at_the_top_counts_more():
    base = [[1, 2, 3, 4]]
    top, bottom = rank_biased_overlap(base, [[2, 1, 3, 4]], 4), rank_biased_overlap(base, [[1, 2, 4, 3]], 4)
    assert top[0] < bottom[0] < 1
    assert rank_biased_overlap(base, base, 3)[0] == pytest.approx(1)
    assert rank_biased_overlap(base, [[5, 6, 7, 8]], 4)[0] == 0


@given(two_lists(), st.integers(0, 999))
def test_flags_and_topics_equal_the_brute_force_oracle(drawn, seed):
    lists, _, k = drawn
    rng = np.random.default_rng(seed)
    counts, flags, topics = (lists >= 0).sum(axis=1), rng.random(9) < 0.3, rng.integers(0, 3, (9, 4))
    found, summed = flagged_lists(lists, counts, k, flags), list_topics(lists, counts, k, topics).toarray()
    entropy = topic_entropy(summed)
    for row in range(len(lists)):
        items = [i for i in lists[row, :k] if i >= 0]
        assert found[row] == pytest.approx(
            float(any(flags[i] for i in items)) if items else np.nan, nan_ok=True
        )
        total = sum((topics[i] for i in items), np.zeros(4))
        np.testing.assert_allclose(summed[row], total)
        shares = [t / total.sum() for t in total if t > 0]
        bits = -sum(s * math.log2(s) for s in shares) if shares else np.nan
        assert entropy[row] == pytest.approx(bits, nan_ok=True)


def test_a_narrowing_list_is_below_zero():
    history = [[5, 5, 0], [0, 0, 4], [1, 1, 1]]
    assert topic_change(history, [[9, 1, 0], [1, 1, 2], [0, 0, 0]])[:2].round(2).tolist() == [-0.53, 1.5]


def test_bad_input_is_refused():
    with pytest.raises(DataError, match="two lists for the same queries"):
        jaccard([[1]], [[1], [2]], 1)
    with pytest.raises(RequestError, match="persistence"):
        rank_biased_overlap([[1]], [[1]], 1, 1.0)
    for call in (lambda: jaccard([[1]], [[1]], 0), lambda: flagged_lists([[0]], [1], 0, [True])):
        with pytest.raises(RequestError, match="k of at least 1"):
            call()
