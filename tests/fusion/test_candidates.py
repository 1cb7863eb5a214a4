from __future__ import annotations

import numpy as np
import pytest

from fuserec.data.splits import SplitConfig, hold_out
from fuserec.fusion import candidates
from fuserec.fusion.candidates import DEPTH, candidate_table
from fuserec.fusion.cohorts import query_cohorts
from fuserec.numerics.hashing import reseed
from fuserec.run import RunOptions
from fuserec.scorers import create
from fuserec.testing import small_dataset, small_features

RUN = RunOptions(threads=1)
PER_PART = 12


@pytest.fixture(scope="module")
def held():
    return hold_out(small_dataset(), SplitConfig(), 0, "validation")


@pytest.fixture(scope="module")
def parts(held):
    features = small_features(held.train, RUN)
    return {
        name: create(name).fit(held.train, features, RUN)
        for name in ("popularity", "cooccurrence", "content")
    }


@pytest.fixture(scope="module")
def table(held, parts):
    return candidate_table(parts, held, PER_PART, reseed(held.train.items.hashes, 0), RUN)


def cell(table, q):
    return slice(table.indptr[q], table.indptr[q + 1])


def test_every_target_is_there_and_nothing_of_the_history(held, table):
    for q in range(len(held)):
        items = table.items[cell(table, q)]
        wanted = held.items[held.indptr[q] : held.indptr[q + 1]]
        history = held.queries.items[held.queries.indptr[q] : held.queries.indptr[q + 1]]
        assert items[table.target[cell(table, q)]].tolist() == sorted(wanted.tolist())
        assert not set(items.tolist()) & set(history.tolist())
    np.testing.assert_array_equal(table.n_targets, np.diff(held.indptr))
    np.testing.assert_array_equal(table.cohorts, query_cohorts(held.queries))


def test_scores_are_the_parts_own_and_the_best_of_each_are_there(held, parts, table):
    for column, part in enumerate(parts.values()):
        scores = part.score(held.queries)
        for q in range(len(held)):
            items = table.items[cell(table, q)]
            np.testing.assert_array_equal(table.answered[cell(table, q), column], scores.answered[q, items])
            expected = np.where(scores.answered[q, items], scores.values[q, items], 0)
            np.testing.assert_array_equal(table.scores[cell(table, q), column], expected)
            visible = np.where(scores.answered[q], scores.values[q], -np.inf)
            visible[held.queries.items[held.queries.indptr[q] : held.queries.indptr[q + 1]]] = -np.inf
            best = np.sort(visible[np.isfinite(visible)])[::-1]
            if best.size:
                last = best[min(PER_PART, best.size) - 1]
                assert set(np.flatnonzero(visible > last).tolist()) <= set(items.tolist())
            tenth = best[DEPTH - 1] if best.size >= DEPTH and scores.queries[q] else np.nan
            assert table.scale[q, column] == pytest.approx(abs(tenth), nan_ok=True)


def test_chunks_do_not_change_the_table(held, parts, table, monkeypatch):
    monkeypatch.setattr(candidates, "CHUNK_MB", 1e-9)
    again = candidate_table(parts, held, PER_PART, reseed(held.train.items.hashes, 0), RUN)
    for name in ("indptr", "items", "scores", "answered", "target", "scale"):
        np.testing.assert_allclose(getattr(again, name), getattr(table, name), rtol=1e-5)
