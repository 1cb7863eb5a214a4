"""Kernels of rerankers against their objectives, written out plainly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from fuserec.numerics.diverse import dpp_order, mmr_order, space_of
from fuserec.numerics.shares import (
    Ragged,
    calibrated_order,
    covering_order,
    rows_of,
    shared_order,
    weighed_order,
)

N_ITEMS, N, M = 12, 3, 7
STRENGTHS = st.sampled_from([0.0, 0.2, 0.5, 0.8, 1.0])


def a_pool(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return pools of different length, with falling relevance; the last has a tie."""
    rng = np.random.default_rng(seed)
    items = np.stack([rng.permutation(N_ITEMS)[:M] for _ in range(N)]).astype(np.int32)
    counts = np.array([M, M - 2, M], np.int32)
    relevance = -np.sort(-rng.random((N, M)), axis=1)
    relevance[2, 3] = relevance[2, 2]
    relevance[1, M - 2 :] = 0.0
    items[1, M - 2 :] = -1
    return items, counts, relevance


def greedy(gain, items, counts, places):
    """Return orders in which each place takes the candidate with the highest ``gain(row, chosen, candidate)``."""
    found = []
    for row in range(len(items)):
        left, chosen = list(range(counts[row])), []
        while left and len(chosen) < places:
            values = [gain(row, chosen, j) for j in left]
            best = max(range(len(left)), key=lambda i: (round(values[i], 9), -left[i]))
            chosen.append(left.pop(best))
        found.append(chosen + left + list(range(counts[row], items.shape[1])))
    return np.array(found)


def cosines(vectors: np.ndarray) -> np.ndarray:
    """Return likenesses as the kernels define them."""
    length = np.linalg.norm(vectors, axis=1)
    unit = vectors / np.where(length > 0, length, 1)[:, None]
    like = unit @ unit.T
    return np.where((length == 0)[:, None] & (length == 0)[None, :], 1.0, like)


def some_vectors(seed: int) -> np.ndarray:
    """Return vectors with a repeated one, a zero one, and zeros within."""
    vectors = np.random.default_rng(seed).normal(size=(N_ITEMS, 4)).round(1).astype(np.float32)
    vectors[1], vectors[2] = vectors[0], 0.0
    vectors[np.abs(vectors) < 0.3] = 0.0
    return vectors


@given(st.integers(0, 10_000), STRENGTHS, st.integers(1, M), st.booleans())
@settings(max_examples=40, deadline=None)
def test_mmr_takes_what_its_formula_says(seed: int, strength: float, places: int, dense: bool) -> None:
    items, counts, relevance = a_pool(seed)
    vectors = some_vectors(seed)
    like = cosines(vectors.astype(np.float64))

    def gain(row: int, chosen: list[int], j: int) -> float:
        nearest = max((like[items[row, j], items[row, c]] for c in chosen), default=0.0)
        return (1 - strength) * relevance[row, j] - strength * nearest

    space = space_of(vectors if dense else sparse.csr_array(vectors))
    got = mmr_order(items, counts, relevance, space, strength, places)
    assert _equal_gains(gain, got, greedy(gain, items, counts, places), places, counts)


@given(st.integers(0, 10_000), STRENGTHS, st.integers(1, M), st.booleans())
@settings(max_examples=40, deadline=None)
def test_dpp_takes_the_largest_determinant(seed: int, strength: float, places: int, dense: bool) -> None:
    items, counts, relevance = a_pool(seed)
    vectors, ridge = some_vectors(seed), 0.05
    kernel = (1 - ridge) * cosines(vectors.astype(np.float64)) + ridge * np.eye(N_ITEMS)

    def gain(row: int, chosen: list[int], j: int) -> float:
        whole = items[row, [*chosen, j]]
        volume = np.linalg.slogdet(kernel[np.ix_(whole, whole)])[1]
        return (1 - strength) * relevance[row, [*chosen, j]].sum() + strength * volume

    space = space_of(vectors if dense else sparse.csr_array(vectors))
    got = dpp_order(items, counts, relevance, space, strength, ridge, places)
    assert _equal_gains(gain, got, greedy(gain, items, counts, places), places, counts)


def _equal_gains(gain, got, wanted, places, counts, close=1e-5) -> bool:
    """Return whether each place of ``got`` has the best gain there is, which rounding may share among candidates."""
    for row in range(len(got)):
        assert sorted(got[row]) == list(range(len(got[row])))
        chosen: list[int] = []
        for j in got[row, : min(places, counts[row])]:
            left = [c for c in range(counts[row]) if c not in chosen]
            best = max(gain(row, chosen, c) for c in left)
            if gain(row, chosen, j) < best - close:
                return False
            chosen.append(j)
        rest = list(got[row, len(chosen) :])
        assert rest == sorted(rest)
    assert got.shape == wanted.shape
    return True


def test_greedy_dpp_finds_the_best_pair_of_a_textbook_case() -> None:
    """Two likes and one at a right angle: relevance takes the first, volume the one that is unlike it."""
    vectors = np.array([[1, 0], [1, 0.1], [0, 1]], np.float32)
    items, counts = np.array([[0, 1, 2]], np.int32), np.array([3], np.int32)
    relevance = np.array([[1.0, 0.9, 0.2]])
    space = space_of(vectors)
    assert dpp_order(items, counts, relevance, space, 0.0, 0.01, 3).tolist() == [[0, 1, 2]]
    assert dpp_order(items, counts, relevance, space, 0.5, 0.01, 3).tolist() == [[0, 2, 1]]


def groups_of(seed: int) -> np.ndarray:
    """Return p(group | item) of 12 items and 3 groups; an item has no group."""
    members = (np.random.default_rng(seed).random((N_ITEMS, 3)) < 0.5).astype(float)
    members[4] = 0
    return members / np.maximum(1, members.sum(axis=1, keepdims=True))


def as_rows(matrix: np.ndarray) -> Ragged:
    """Return a dense matrix as ragged rows."""
    csr = sparse.csr_array(matrix.astype(np.float32))
    return Ragged(csr.indptr.astype(np.int64), csr.indices.astype(np.int32), csr.data)


@given(st.integers(0, 10_000), STRENGTHS, st.integers(1, M))
@settings(max_examples=40, deadline=None)
def test_calibration_lowers_the_divergence_of_steck(seed: int, strength: float, places: int) -> None:
    items, counts, relevance = a_pool(seed)
    groups, mix = groups_of(seed), 0.01
    wanted = np.random.default_rng(seed).dirichlet(np.ones(3), N)
    wanted[0] = 0  # without a history
    wanted[1] = [0.5, 0.5, 0.0]

    def gain(row: int, chosen: list[int], j: int) -> float:
        whole = [*chosen, j]
        shown = groups[items[row, whole]].mean(axis=0)
        p = wanted[row]
        mixed = np.where(p > 0, (1 - mix) * shown + mix * p, 1)
        kl = float(np.sum(np.where(p > 0, p * np.log(np.where(p > 0, p, 1) / mixed), 0)))
        return (1 - strength) * relevance[row, whole].sum() - strength * kl

    got = calibrated_order(
        rows_of(items, counts, relevance), as_rows(groups), as_rows(wanted), 3, strength, mix, places
    )
    assert _equal_gains(gain, got, greedy(gain, items, counts, places), places, counts)
    if strength < 1:
        assert got[0].tolist() == list(range(M))


@given(st.integers(0, 10_000), STRENGTHS, st.integers(1, M))
@settings(max_examples=30, deadline=None)
def test_covering_is_smooth_xquad(seed: int, strength: float, places: int) -> None:
    items, counts, relevance = a_pool(seed)
    rng = np.random.default_rng(seed)
    group, wanted = rng.integers(0, 2, N_ITEMS).astype(np.int32), rng.dirichlet(np.ones(2), N)

    def gain(row: int, chosen: list[int], j: int) -> float:
        g = group[items[row, j]]
        share = np.mean([group[items[row, c]] == g for c in chosen]) if chosen else 0.0
        return (1 - strength) * relevance[row, j] + strength * wanted[row, g] * (1 - share)

    got = covering_order(rows_of(items, counts, relevance), group, wanted, strength, places)
    assert _equal_gains(gain, got, greedy(gain, items, counts, places), places, counts)


@given(st.integers(0, 10_000), STRENGTHS)
@settings(max_examples=60, deadline=None)
def test_minimum_shares_hold_at_every_prefix(seed: int, strength: float) -> None:
    items, counts, relevance = a_pool(seed)
    group = np.random.default_rng(seed).integers(-1, 3, N_ITEMS).astype(np.int32)
    shares = np.array([0.3, 0.3, 0.4])
    got = shared_order(rows_of(items, counts, relevance), group, shares, strength, True, M)
    for row in range(N):
        real = got[row, : counts[row]]
        of = group[items[row, real]]
        has = np.bincount(of[of >= 0], minlength=3)
        for k in range(1, counts[row] + 1):
            shown = np.bincount(of[:k][of[:k] >= 0], minlength=3)
            # One place a prefix: what is due in the same step to several groups comes within the next.
            due = np.minimum(has, np.floor(strength * shares * k + 1e-9))
            assert np.maximum(due - shown, 0).sum() <= 1
        for g in range(-1, 3):  # within a group the order of relevance stays
            assert (np.diff(real[of == g]) > 0).all()
    if strength == 0:
        assert (got == np.arange(M)).all()


@given(st.integers(0, 10_000), STRENGTHS, st.integers(1, M))
@settings(max_examples=30, deadline=None)
def test_balance_prefers_what_lacks_exposure(seed: int, strength: float, places: int) -> None:
    items, counts, relevance = a_pool(seed)
    group = np.random.default_rng(seed).integers(-1, 3, N_ITEMS).astype(np.int32)
    shares = np.array([0.2, 0.3, 0.5])

    def gain(row: int, chosen: list[int], j: int) -> float:
        g = group[items[row, j]]
        has = np.mean([group[items[row, c]] == g for c in chosen]) if chosen else 0.0
        lack = shares[g] - has if g >= 0 else 0.0
        return (1 - strength) * relevance[row, j] + strength * lack

    got = shared_order(rows_of(items, counts, relevance), group, shares, strength, False, places)
    assert _equal_gains(gain, got, greedy(gain, items, counts, places), places, counts)


def test_weighed_order_keeps_ties_and_padding() -> None:
    values = np.array([[0.1, 0.5, 0.5, 9.0], [0.2, 0.9, 0.4, 0.3]])
    counts = np.array([3, 4], np.int32)
    assert weighed_order(values, counts, 4).tolist() == [[1, 2, 0, 3], [1, 2, 3, 0]]
    assert weighed_order(values, counts, 1).tolist() == [[1, 0, 2, 3], [1, 0, 2, 3]]


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_change_nothing(threads: int) -> None:
    rng = np.random.default_rng(0)
    items = np.stack([rng.permutation(300)[:40] for _ in range(90)]).astype(np.int32)
    counts, relevance = np.full(90, 40, np.int32), -np.sort(-rng.random((90, 40)), axis=1)
    space = space_of(rng.normal(size=(300, 8)).astype(np.float32))
    one = mmr_order(items, counts, relevance, space, 0.5, 10)
    assert np.array_equal(one, mmr_order(items, counts, relevance, space, 0.5, 10, threads))
    single = np.concatenate(
        [
            mmr_order(items[r : r + 1], counts[r : r + 1], relevance[r : r + 1], space, 0.5, 10)
            for r in range(90)
        ]
    )
    assert np.array_equal(one, single)
