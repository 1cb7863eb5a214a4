"""Lifts and tastes against plain counting of what came before."""

from __future__ import annotations

import numpy as np
import pytest

from fuserec.numerics.lifts import lifts_before, lifts_of, no_counts
from fuserec.numerics.tastes import tastes_before, tastes_of

USERS, EVENTS, ITEMS, DAMPING = 4, 6, 5, 2.0


@pytest.fixture
def world():
    rng = np.random.default_rng(0)
    n = USERS * EVENTS
    items = rng.integers(0, ITEMS, n).astype(np.int32)
    liking = rng.normal(size=n).astype(np.float32)
    liking[::5] = np.nan
    asked = np.arange(n + 1) * 2
    return (
        rng,
        np.arange(USERS + 1) * EVENTS,
        items,
        liking,
        asked,
        rng.integers(0, ITEMS, 2 * n).astype(np.int32),
    )


def test_lifts_count_what_was_strictly_earlier(world):
    rng, _, items, _, asked, candidates = world
    n, starts = items.size, np.array([0, 3, 5])
    at = rng.integers(0, 8, n).astype(np.float64)  # many at the same moment
    codes = np.stack([rng.integers(-1, 3, n), rng.integers(-1, 2, n)], axis=1).astype(np.int32)
    counts, out = no_counts(ITEMS, starts), np.empty((candidates.size, 2), np.float32)
    lifts_before(np.argsort(at, kind="stable"), at, items, codes, asked, candidates, DAMPING, counts, out)

    def plain(earlier, item, column, code):
        if code < 0:
            return np.nan
        had = earlier & (codes[:, column] >= 0)
        usual = ((had & (codes[:, column] == code)).sum() + 1) / (
            had.sum() + starts[column + 1] - starts[column]
        )
        own = (had & (items == item) & (codes[:, column] == code)).sum() + DAMPING * usual
        return np.log(own / ((had & (items == item)).sum() + DAMPING) / usual)

    for e, candidate in enumerate(candidates):
        row = e // 2
        for column in range(2):
            wanted = plain(at < at[row], candidate, column, codes[row, column])
            assert out[e, column] == pytest.approx(wanted, abs=1e-5, nan_ok=True)
    last = np.empty((1, ITEMS, 2), np.float32)
    lifts_of(np.array([[1, 0]], np.int32), np.arange(ITEMS, dtype=np.int32)[None], DAMPING, counts, last)
    for item in range(ITEMS):
        for column, code in enumerate((1, 0)):
            assert last[0, item, column] == pytest.approx(plain(at >= 0, item, column, code), abs=1e-5)


def test_tastes_are_those_of_earlier_events(world):
    _, indptr, items, liking, asked, candidates = world
    value_indptr, values = np.array([0, 2, 3, 3, 5, 6]), np.array([0, 1, 1, 0, 2, 2], np.int32)
    out = np.empty((candidates.size, 2), np.float32)
    tastes_before(indptr, items, liking, asked, candidates, value_indptr, values, 3, DAMPING, out)

    def of(item):
        return values[value_indptr[item] : value_indptr[item + 1]].tolist()

    def plain(events, item):
        theirs = of(item)
        if not theirs:
            return np.nan, np.nan
        met = [(liking[e], sum(v in of(items[e]) for v in theirs)) for e in events]
        heard = sum(times for like, times in met if like == like)
        liked = sum(like * times for like, times in met if like == like)
        return liked / (heard + DAMPING), sum(times for _, times in met) / (len(theirs) * (len(events) + 1))

    for e, candidate in enumerate(candidates):
        row = e // 2
        wanted = plain(range(row - row % EVENTS, row), candidate)
        assert out[e].tolist() == pytest.approx(wanted, abs=1e-5, nan_ok=True)
    every = np.tile(np.arange(ITEMS, dtype=np.int32), (USERS, 1))
    whole = np.empty((USERS, ITEMS, 2), np.float32)
    tastes_of(indptr, items, liking, every, value_indptr, values, 3, DAMPING, whole)
    for user in range(USERS):
        for item in range(ITEMS):
            wanted = plain(range(user * EVENTS, (user + 1) * EVENTS), item)
            assert whole[user, item].tolist() == pytest.approx(wanted, abs=1e-5, nan_ok=True)
