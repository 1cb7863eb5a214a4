"""Similarities between items: what they are, where they are found, and what they are without one person."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from fuserec.numerics.item_similarity import similarities
from fuserec.numerics.similar import Kept
from fuserec.run import RunOptions

RUN = RunOptions(seed=0, threads=1)
KEPT = Kept(100, 0.05, 1.0)


def taken(seed=0, users=30, items=9, share=0.35):
    dense = np.random.default_rng(seed).random((users, items)) < share
    return sparse.csr_matrix(dense.astype(np.float32))


def made(matrix, contents=None, shrinkage=4.0, kept=KEPT):
    ties = np.arange(matrix.shape[1], dtype=np.uint64)
    return similarities(matrix, contents or {}, kept, shrinkage, ties, RUN)


def plain(matrix, shrinkage):
    """Return the shrunk cosine of all pairs, written out."""
    x = matrix.toarray() > 0
    out = np.zeros((x.shape[1], x.shape[1]))
    for i in range(x.shape[1]):
        for j in range(x.shape[1]):
            both = int((x[:, i] & x[:, j]).sum())
            if i != j and both:
                out[i, j] = both / np.sqrt(x[:, i].sum() * x[:, j].sum()) * both / (both + shrinkage)
    return out


@pytest.mark.parametrize("shrinkage", [0.0, 4.0])
def test_cooccurrence_is_the_shrunk_cosine(shrinkage):
    matrix = taken()
    like = made(matrix, shrinkage=shrinkage)
    found = like.map_of(like.values[:, 0]).toarray()
    np.testing.assert_allclose(found, plain(matrix, shrinkage), rtol=1e-5)
    x = matrix.toarray() > 0
    both = x.T.astype(int) @ x.astype(int)
    assert np.array_equal(like.shared, both[like.sources, like.targets])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 200), st.integers(0, 29), st.sampled_from([0.0, 3.0]))
def test_without_one_person_it_is_what_it_would_be_had_they_never_come(seed, user, shrinkage):
    matrix = taken(seed)
    like = made(matrix, shrinkage=shrinkage)
    mine = matrix.toarray()[user] > 0
    entries = np.flatnonzero(mine[like.sources])
    targets = like.targets[entries]
    found = like.without(entries, targets, np.ones(entries.size, bool), mine[targets])
    rest = matrix.toarray()
    rest[user] = 0.0
    wanted = plain(sparse.csr_matrix(rest), shrinkage)
    np.testing.assert_allclose(found[:, 0], wanted[like.sources[entries], targets], rtol=1e-5, atol=1e-7)


def test_what_one_person_alone_took_together_is_not_alike_to_them():
    matrix = sparse.csr_matrix(np.array([[1, 1, 0], [1, 0, 1], [0, 1, 1]], np.float32))
    like = made(matrix, shrinkage=0.0)
    entries = np.flatnonzero((like.sources == 0) & (like.targets == 1))
    assert like.values[entries, 0] == pytest.approx(0.5)
    whole = like.without(entries, np.array([1]), np.array([True]), np.array([True]))
    assert whole[0, 0] == 0.0


def test_content_and_cooccurrence_stand_side_by_side():
    vectors = np.zeros((9, 3), np.float32)
    vectors[:3, 0] = vectors[3:6, 1] = 1.0  # 6 to 8 say nothing
    like = made(
        taken(), {"words": sparse.csr_matrix(vectors), "sentence": vectors}, kept=Kept(100, 0.05, 2.0)
    )
    assert like.channels == ("cooccurrence", "words", "sentence")
    content = like.map_of(like.values[:, 1]).toarray()
    wanted = vectors @ vectors.T
    np.fill_diagonal(wanted, 0.0)
    np.testing.assert_array_equal(content, wanted)
    np.testing.assert_array_equal(like.map_of(like.values[:, 2]).toarray(), wanted)
    alone = similarities(None, {"content": vectors}, KEPT, 1.0, np.arange(9, dtype=np.uint64), RUN)
    assert alone.channels == ("content",)
    np.testing.assert_array_equal(alone.map_of(alone.values[:, 0]).toarray(), wanted)
    assert not alone.people.any()


def test_entries_are_found_by_event_and_candidate():
    like = made(taken(3))
    starts, events = np.array([0, 2, 2, 5]), np.array([1, 4, 0, 8, 4])
    candidates = np.array([[0, 1], [2, 3], [8, 7]])
    found = like.find(starts, events, candidates)
    dense = like.map_of(np.arange(like.sources.size) + 1.0).toarray() - 1
    rows = np.repeat(np.arange(3), np.diff(starts))
    for event, row in enumerate(rows):
        for column in range(2):
            assert found[event, column] == dense[events[event], candidates[row, column]]
