"""What every reranker promises, over all of them; and that each reaches what it aims at, the more the stronger."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fuserec import RunOptions
from fuserec.errors import ConfigError, DataError, NotFittedError
from fuserec.rerank import RERANKERS, create
from fuserec.rerank.base import Pool

RUN = RunOptions(threads=1)
CONFIGS: dict[str, dict] = {
    "mmr": {},
    "mmr by category": {"reranker": "mmr", "space": "categories"},
    "dpp": {},
    "calibration": {},
    "xquad": {"reranker": "popularity"},
    "calibrated": {"reranker": "popularity", "method": "calibrated"},
    "penalty": {"reranker": "popularity", "method": "penalty"},
    "exposure": {},
    "balance": {"reranker": "exposure", "method": "balance", "column": "brand", "target": "equal"},
    "worst_group": {},
    "flagged": {"column": "categories", "values": ["adult"]},
}
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)


def made(name: str, **changes):
    """Return an unfitted reranker of the list above."""
    values = {**CONFIGS[name], **changes}
    return create(values.pop("reranker", name), values)


@pytest.fixture(scope="module")
def fitted(shop):
    """Return all of them fitted on the shop; the one that learns has learnt to like rare items."""
    found = {name: made(name).fit(shop.dataset, shop.features, RUN) for name in CONFIGS}
    found["worst_group"]._weights = np.array([1.0, -3.0, 0.5, 0.2])
    return found


def test_the_list_names_every_registered_reranker() -> None:
    assert {values.get("reranker", name) for name, values in CONFIGS.items()} == set(RERANKERS)


@pytest.mark.parametrize("name", CONFIGS)
def test_orders_are_permutations_that_touch_nothing(name, fitted, shop) -> None:
    before = [column.copy() for column in (shop.pool.items, shop.pool.scores, shop.pool.relevance)]
    order = fitted[name].retuned(strength=0.7).order(shop.pool, shop.queries, 10)
    assert order.dtype == np.int32
    assert (np.sort(order, axis=1) == np.arange(order.shape[1])).all()
    after = (shop.pool.items, shop.pool.scores, shop.pool.relevance)
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    assert (np.diff(order[:, 10:], axis=1) > 0).all()  # what is not chosen follows as it was


@pytest.mark.parametrize("name", CONFIGS)
def test_strength_0_is_the_order_of_scores_and_1_is_not(name, fitted, shop) -> None:
    as_it_was = np.broadcast_to(np.arange(shop.pool.items.shape[1]), shop.pool.items.shape)
    assert np.array_equal(fitted[name].retuned(strength=0.0).order(shop.pool, shop.queries, 60), as_it_was)
    assert not np.array_equal(
        fitted[name].retuned(strength=1.0).order(shop.pool, shop.queries, 60), as_it_was
    )


@pytest.mark.parametrize("name", CONFIGS)
def test_a_short_list_is_the_beginning_of_a_long_one(name, fitted, shop) -> None:
    reranker = fitted[name].retuned(strength=0.6)
    short, long = (reranker.order(shop.pool, shop.queries, places) for places in (5, 20))
    assert np.array_equal(short[:, :5], long[:, :5])


@pytest.mark.parametrize("name", CONFIGS)
def test_a_batch_equals_its_queries(name, fitted, shop) -> None:
    reranker = fitted[name].retuned(strength=0.6)
    whole = reranker.order(shop.pool, shop.queries, 10, threads=2)
    for row in (3, 17):
        pool = Pool(*(getattr(shop.pool, f)[[row]] for f in ("items", "scores", "counts", "relevance")))
        assert np.array_equal(reranker.order(pool, shop.queries.take([row]), 10), whole[[row]])


@pytest.mark.parametrize("name", CONFIGS)
def test_state_is_arrays_and_json_and_comes_back(name, fitted, shop) -> None:
    import json

    reranker = fitted[name].retuned(strength=0.6)
    arrays, meta = reranker.state()
    assert all(isinstance(array, np.ndarray) for array in arrays.values())
    again = type(reranker).from_state(reranker.config, arrays, json.loads(json.dumps(meta)), shop.features)
    assert np.array_equal(
        again.order(shop.pool, shop.queries, 10), reranker.order(shop.pool, shop.queries, 10)
    )


@pytest.mark.parametrize("name", [name for name in CONFIGS if name != "worst_group"])
def test_more_strength_serves_the_aim_more(name, fitted, shop) -> None:
    reached, up = [], 1 if fitted[name].aim.better == "higher" else -1
    for strength in STRENGTHS:
        reranker = fitted[name].retuned(strength=strength)
        order = reranker.order(shop.pool, shop.queries, 10)
        pool = shop.pool.reordered(order)
        lists, counts = pool.items[:, :10], np.minimum(pool.counts, 10)
        reached.append(up * np.nanmean(reranker.reached(lists, counts, shop.queries)))
    # The steps of a greedy list: a hundredth of the whole way may be lost between two of them.
    assert (np.diff(reached) >= -0.01 * (reached[-1] - reached[0])).all(), reached
    assert reached[-1] - reached[0] > 0.02, reached


@pytest.mark.parametrize("name", CONFIGS)
def test_an_empty_pool_and_a_short_one_are_served(name, fitted, shop) -> None:
    items = np.full((2, 4), -1, np.int32)
    items[1, :2] = [3, 9]
    scores = np.where(items >= 0, 1.0, -np.inf).astype(np.float32)
    pool = Pool.of(items, scores, np.array([0, 2], np.int32))
    order = fitted[name].order(pool, shop.queries.take([0, 1]), 4)
    assert sorted(order[1, :2]) == [0, 1]
    assert (order[:, 2:] == [2, 3]).all()


def test_a_query_without_a_history_is_served(fitted, shop) -> None:
    from fuserec.data.query import QueryBatch

    nobody = QueryBatch.of_histories([[]])
    pool = Pool(*(getattr(shop.pool, f)[[0]] for f in ("items", "scores", "counts", "relevance")))
    for name, reranker in fitted.items():
        order = reranker.order(pool, nobody, 10)
        assert (np.sort(order, axis=1) == np.arange(order.shape[1])).all(), name
        if name in ("calibration", "xquad", "calibrated"):
            assert np.array_equal(order[0], np.arange(order.shape[1])), name


@pytest.mark.parametrize("name", CONFIGS)
def test_clauses_are_there_in_both_languages(name, fitted) -> None:
    for up in (True, False):
        english, chinese = (fitted[name].because(7, up, language) for language in ("en", "zh"))
        assert english
        assert any("\u4e00" <= sign <= "\u9fff" for sign in chinese)


def test_the_pool_scales_relevance_to_its_range() -> None:
    pool = Pool.of(
        np.array([[4, 2, 7], [1, -1, -1], [5, 6, 8]], np.int32),
        np.array([[3.0, 2.0, 1.0], [0.5, -np.inf, -np.inf], [2.0, 2.0, 2.0]], np.float32),
        np.array([3, 1, 3], np.int32),
    )
    assert pool.relevance.tolist() == [[1.0, 0.5, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 1.0]]
    turned = pool.reordered(np.array([[2, 0, 1], [0, 1, 2], [0, 1, 2]]))
    assert turned.items[0].tolist() == [7, 4, 2]
    assert turned.scores[0].tolist() == [1.0, 3.0, 2.0]
    assert turned.relevance[0].tolist() == [1.0, 0.5, 0.0]  # it belongs to places


def test_unfitted_ones_refuse(shop) -> None:
    with pytest.raises(NotFittedError, match="'mmr' is not fitted"):
        create("mmr").require_fitted()


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("mrr", {}, "unknown reranker 'mrr'; did you mean 'mmr'"),
        ("mmr", {"strenght": 0.3}, r"\[rerank.mmr\]: unknown key 'strenght'; did you mean 'strength'"),
        ("mmr", {"strength": 1.5}, "less than or equal to 1"),
        ("popularity", {"method": "xqad"}, "did you mean 'xquad'"),
        ("flagged", {}, "nothing is flagged"),
        ("flagged", {"items": ["i1"], "protected": {"age": {"~": 3}}}, "unknown comparison '~'"),
        ("flagged", {"items": ["i1"], "protected": {"age": {"<": "x"}}}, "compare with a number"),
    ],
)
def test_bad_settings_are_named(name, values, said) -> None:
    with pytest.raises(ConfigError, match=said):
        create(name, values)


@pytest.mark.parametrize(
    ("name", "values", "error", "said"),
    [
        ("calibration", {"column": "categorys"}, ConfigError, "did you mean 'categories'"),
        (
            "exposure",
            {"column": "brand", "shares": {"brand 9": 0.2}},
            ConfigError,
            "no item has the brand 'brand 9'",
        ),
        ("flagged", {"column": "color", "values": ["red"]}, ConfigError, "items have no such column"),
    ],
)
def test_what_the_data_lack_is_named(name, values, error, said, shop) -> None:
    with pytest.raises(error, match=said):
        create(name, values).fit(shop.dataset, shop.features, RUN)


def test_items_without_a_vector_are_not_told_apart_by_mmr(shop) -> None:
    import polars as pl
    from scipy import sparse

    empty = replace(shop.features, lexical=sparse.csr_matrix(shop.features.lexical.shape, dtype=np.float32))
    with pytest.raises(DataError, match='space = "text": no item has any text; try space = "categories"'):
        create("mmr").fit(shop.dataset, empty, RUN)
    assert isinstance(shop.dataset.item_table, pl.DataFrame)


def test_settings_that_fit_reads_need_another_fit(fitted) -> None:
    with pytest.raises(ConfigError, match=r"\[rerank.calibration\] column: fit reads it"):
        fitted["calibration"].retuned(column="brand")
