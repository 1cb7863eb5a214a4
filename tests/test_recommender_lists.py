"""Lists without k, for nobody, of ranks, and what updates and deferred forgetting leave as it was."""

from __future__ import annotations

import numpy as np
import pytest

from fuserec.config import RecommenderConfig
from fuserec.recommender import Recommender
from fuserec.run import RunOptions
from fuserec.testing import small_dataset

RUN = RunOptions(threads=1)


@pytest.fixture(scope="module")
def config() -> RecommenderConfig:
    features = {"use_sentence": "never"}
    parts = {"popularity": {}, "content": {}, "user_knn": {}}
    return RecommenderConfig.parse({"features": features, "parts": parts}, "test")


@pytest.fixture(scope="module")
def fitted(config) -> Recommender:
    return Recommender(config).fit(small_dataset(), RUN)


def test_a_threshold_stands_instead_of_k(fitted):
    user = fitted.fitted.dataset.users[0]
    everything = fitted.recommend(user=user, k=10_000).items
    assert len(everything) > 12
    assert len(fitted.recommend(user=user).items) == 10
    lowest = everything[11].probability
    likely = [item.item_id for item in everything if item.probability >= lowest]
    found = fitted.recommend(user=user, min_probability=lowest)
    assert [item.item_id for item in found.items] == likely
    assert len(fitted.recommend(user=user, min_probability=lowest, k=3).items) == 3


def test_nobody_gets_no_lists(fitted):
    items, scores = fitted.recommend_users([], k=5)
    assert items.shape == scores.shape == (0, 5)


def test_explain_ranks_as_recommend_does(fitted):
    """An item that no part knows stands behind all that are known, whatever its offset."""
    model = Recommender.of(fitted.config, fitted.fitted)
    model.update(items=[{"item_id": "mute"}], run=RUN)
    user = model.fitted.dataset.users[0]
    listed = model.recommend(user=user, k=10_000).items
    assert "mute" in [item.item_id for item in listed[-3:]]
    for item in (listed[0], listed[4], *listed[-3:]):
        assert model.explain(item.item_id, user=user).rank == item.rank


def test_an_update_without_items_reads_nothing_anew(fitted):
    model = Recommender.of(fitted.config, fitted.fitted)
    data = fitted.fitted.dataset
    model.update(interactions=[{"user_id": data.users[0], "item_id": data.items[5]}], run=RUN)
    assert model.fitted.features is fitted.fitted.features
    assert model.fitted.fused.parts["content"] is fitted.fitted.fused.parts["content"]
    assert model.fitted.dataset.n_interactions == data.n_interactions + 1
    assert model.fitted.titles == fitted.fitted.titles
    model.update(items=[{"item_id": "new", "title": "brand new words"}], run=RUN)
    assert model.fitted.features.n_items == data.n_items + 1


def test_forgetting_later_leaves_every_other_user_their_own_row(fitted):
    """Users move up by one: their neighbours are found as before, and nobody is their own neighbour."""
    model = Recommender.of(fitted.config, fitted.fitted)
    data = fitted.fitted.dataset
    model.forget(data.users[3], defer=True)
    assert set(model.info()["pending"]) == set(fitted.fitted.fused.parts)
    near = model.fitted.fused.parts["user_knn"]
    kept = np.delete(np.arange(data.n_users), 3)
    before = fitted.fitted.fused.parts["user_knn"]._neighbours(data.queries(kept))
    after = near._neighbours(model.fitted.dataset.queries())
    for row, user in enumerate(kept):
        named = {data.users[u] for u in before[row].indices} - {data.users[3]}
        found = {model.fitted.dataset.users[u] for u in after[row].indices}
        assert named <= found
        assert data.users[int(user)] not in found
