"""Values per query in the file: what is written is read back, damage is told, and nothing grows without bound."""

from __future__ import annotations

import base64
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuserec.data.splits import SplitConfig
from fuserec.data.splits import split as split_data
from fuserec.errors import DataError
from fuserec.evaluation import queries
from fuserec.evaluation.queries import Queries, fingerprint, kept, packed, unpacked
from fuserec.testing.planted import dataset_of


def rows(n_users: int, seed: int = 0) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [rng.permutation(20)[:6].tolist() for _ in range(n_users)]


def yardstick(histories=None):
    held = split_data(dataset_of(histories or rows(40), 20), SplitConfig(), 0)
    return SimpleNamespace(test=held.test, train=held.train, audit=SimpleNamespace(groups=()))


def columns(n: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    return {
        "ndcg@10": rng.random(n),
        "recall@10": rng.random(n),
        "mrr@10": rng.random(n),
        "auc": rng.random(n),
    }


@settings(max_examples=40)
@given(st.lists(st.floats(width=32, allow_infinity=False), max_size=50))
def test_numbers_are_read_back(values):
    column = np.array(values, np.float32)
    np.testing.assert_array_equal(unpacked(packed(column, np.float32), column.size, np.float32), column)


def test_misses_take_next_to_nothing():
    hits = np.where(
        np.random.default_rng(0).random(20_000) < 0.1, 1 / np.log2(1 + np.arange(1, 20_001) % 10 + 1), 0
    )
    assert len(packed(hits, np.float32)) < 1.2 * hits.size
    assert len(packed(np.random.default_rng(0).random(20_000), np.float32)) < 5.4 * 20_000


def test_damage_is_one_clear_line():
    text = packed(np.ones(5), np.float32)
    for broken in ("%%%", base64.b64encode(b"no zlib").decode(), text[:8], packed(np.ones(4), np.float32)):
        with pytest.raises(DataError, match="evaluate again"):
            unpacked(broken, 5, np.float32)


def test_a_bomb_is_not_unpacked():
    bomb = base64.b64encode(zlib.compress(bytes(50_000_000))).decode()
    with pytest.raises(DataError, match="not 5"):
        unpacked(bomb, 5, np.float32)


def test_what_is_kept_is_what_was_measured():
    measured = yardstick()
    own = {"a": columns(40), "b": columns(40, 1)}
    found = kept(measured, own, {}, "ndcg@10")
    assert found is not None
    assert set(found.values["a"]) == {"ndcg@10", "recall@10", "mrr@10"}
    np.testing.assert_allclose(found.column("b", "recall@10"), own["b"]["recall@10"], rtol=1e-6)
    assert found.column("b", "auc") is None
    assert found.column("c", "ndcg@10") is None
    assert found.errors("a") is None
    np.testing.assert_array_equal(found.lengths(), measured.test.queries.lengths)
    np.testing.assert_array_equal(found.counts(), measured.train.item_counts[measured.test.items])
    assert found.ids() is None
    assert Queries.model_validate_json(found.model_dump_json()) == found


def test_users_are_named_only_where_asked_for():
    measured = yardstick()
    text = kept(measured, {"a": columns(40)}, {}, "ndcg@10", user_ids=True)
    assert text.ids() == measured.test.train.users.ids(measured.test.queries.users)
    broken = text.model_copy(update={"users": base64.b64encode(zlib.compress(b'["a"]')).decode()})
    with pytest.raises(DataError, match="user ids are damaged"):
        broken.ids()


def test_size_is_bounded(monkeypatch):
    own = {"a": columns(40), "b": columns(40, 1)}
    monkeypatch.setattr(queries, "KEPT_MB", 3 * 4 * 40 / 2**20)  # room for three columns of six
    assert set(kept(yardstick(), own, {}, "ndcg@10").values["b"]) == {"ndcg@10"}
    monkeypatch.setattr(queries, "KEPT_MB", 1 * 4 * 40 / 2**20)
    assert kept(yardstick(), own, {}, "ndcg@10") is None


def test_the_fingerprint_is_that_of_who_asks_and_what_is_to_be_found():
    histories = rows(40)
    same = fingerprint(yardstick(histories).test)
    assert same == fingerprint(yardstick([list(row) for row in histories]).test)
    older = [[*row[:2][::-1], *row[2:]] for row in histories]
    assert same == fingerprint(yardstick(older).test)  # other histories, same questions
    other = [list(row) for row in histories]
    other[7] = [*other[7][:-2], other[7][-1], other[7][-2]]
    assert same != fingerprint(yardstick(other).test)
