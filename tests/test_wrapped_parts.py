"""Parts made of other scorers go through fitting, tuning, storage, updates and forgetting as any part does."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fuserec import Recommender, RunOptions
from fuserec.config import RecommenderConfig
from fuserec.testing import small_dataset

RUN = RunOptions(threads=1)
TABLES = {
    "features": {
        "use_sentence": "never",
        "augment": {"variants": 2, "rare": 8, "synonyms": {"robot": ["droid"]}},
    },
    "fusion": {"tune": True},
    "parts": {
        "popularity": {},
        "content_map": {"embedding_dim": 8, "iterations": 3, "word_dim": 8},
        "als": {"seeds": 2, "debias": 0.2, "embedding_dim": 8, "iterations": 3},
        "boosted": {"scorer": "augmented", "of": "item_knn", "by": "content"},
    },
}


@pytest.fixture(scope="module")
def model():
    config = RecommenderConfig.parse(TABLES, "wrapped")
    return Recommender(config).fit(small_dataset(), RUN)


def test_the_fusion_tunes_what_is_wrapped(model):
    parts = model.fitted.fused.parts
    assert {"content_map", "boosted"} <= set(parts)  # they read words, so they stay
    tuned = parts.get("als")
    if tuned is not None:
        assert tuned.name == "debiased"
        assert tuned.config.exponent in (*tuned.tunable["exponent"], 0.2)
    json.dumps(model.info())


def test_a_stored_model_answers_alike(model, tmp_path):
    model.save(tmp_path / "model")
    again = Recommender.load(tmp_path / "model")
    for asked in ({"user": "user 8"}, {"history": ["item-3", "item-5"]}, {"text": "robot orbit"}, {}):
        one, other = model.recommend(**asked, k=8, explain=True), again.recommend(**asked, k=8, explain=True)
        assert one == other
        for item in one.items:
            assert abs(sum(row.contribution for row in item.evidence) - item.score) < 1e-4 * max(
                1, abs(item.score)
            )
    assert again.fitted.features.variation.synonyms["robot"] == ("droid",)


def test_it_updates_and_forgets(model):
    own = Recommender.of(model.config, model.fitted)
    before = model.recommend(text="robot orbit", k=40)
    own.update(items=[{"item_id": "new", "title": "robot orbit planet"}], run=RUN)
    rows = own.explain("new", text="robot orbit").evidence
    assert any(row.scorer == "content_map" and row.contribution > 0 for row in rows)
    own.update(interactions=[{"user_id": "user 8", "item_id": "new"}], run=RUN)
    own.forget("user 8", RUN, defer=True)
    scores = own.fitted.fused.score(own.fitted.dataset.queries())
    assert np.isfinite(scores.values).all()
    assert model.recommend(text="robot orbit", k=40) == before
