from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from fuserec.config import RecommenderConfig
from fuserec.data.dataset import Dataset
from fuserec.data.splits import SplitConfig
from fuserec.data.splits import split as split_data
from fuserec.encoders.features import FeatureConfig, ItemFeatures
from fuserec.evaluation.figures import rating_errors
from fuserec.evaluation.results import EvaluationResults
from fuserec.evaluation.runner import evaluate
from fuserec.fusion.config import FusionConfig
from fuserec.run import RunOptions
from fuserec.scorers import create

WORDS = FeatureConfig(use_sentence="never")


def value(results: EvaluationResults, model: str, metric: str) -> float:
    found = results.models[model].metrics[metric].value
    assert found is not None
    return found


@pytest.fixture(scope="module")
def rated() -> Dataset:
    rng = np.random.default_rng(4)
    users, items = rng.normal(0, 0.6, 80), rng.normal(0, 0.6, 50)
    rows = [
        (f"u{u}", f"i{i}", float(np.clip(np.round(3.2 + users[u] + items[i] + rng.normal(0, 0.3)), 1, 5)))
        for u in range(80)
        for i in rng.choice(50, 20, replace=False)
    ]
    return Dataset.from_frames(pl.DataFrame(rows, schema=["user_id", "item_id", "rating"], orient="row"))


def test_ratings_are_predicted_by_whoever_can(rated: Dataset) -> None:
    split, run = SplitConfig(protocol="random", share=0.2), RunOptions(seed=7)
    config = RecommenderConfig(
        features=WORDS, fusion=FusionConfig(tune=False), parts={"popularity": {}, "svd": {}, "nmf": {}}
    )
    results = evaluate(rated, config, split=split, run=run)
    held = split_data(rated, split, 7)
    features = ItemFeatures.build(rated, WORDS, run)
    svd = create("svd").fit(held.train, features, run)
    wrong = [
        float(svd.predict(held.test.queries.take([row]), np.array([[item]]))[0, 0]) - rating
        for row, item, rating in zip(held.test.rows, held.test.items, held.test.ratings, strict=True)
    ]
    assert value(results, "svd", "rmse") == pytest.approx(np.sqrt(np.mean(np.square(wrong))), rel=1e-5)
    assert value(results, "svd", "mae") == pytest.approx(np.mean(np.abs(wrong)), rel=1e-5)
    assert "rmse" not in results.models["popularity"].metrics
    constant = float(np.std(held.test.ratings))
    assert value(results, "fused", "rmse") < 0.8 * constant
    assert value(results, "fused", "rmse") > 0.3  # the noise that was put in
    compared = {found.metric: found for found in results.comparisons}
    assert set(compared["rmse"].models) == {"svd", "nmf"}
    gap = compared["rmse"].models["svd"].difference
    assert gap == pytest.approx(value(results, "svd", "rmse") - value(results, "fused", "rmse"))


def test_ratings_are_asked_for_in_pieces_as_at_once(rated: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    held = split_data(rated, SplitConfig(protocol="random"), 0)
    features = ItemFeatures.build(rated, WORDS, RunOptions())
    svd = create("svd").fit(held.train, features, RunOptions())
    whole = rating_errors(svd, held.test, RunOptions())
    monkeypatch.setattr("fuserec.evaluation.figures.CELLS", 7)
    pieces = rating_errors(svd, held.test, RunOptions())
    assert whole is not None
    assert pieces is not None
    np.testing.assert_allclose(pieces.squared, whole.squared, rtol=1e-4)
    np.testing.assert_array_equal(pieces.counts, np.bincount(held.test.rows, minlength=len(held.test)))
    unrated = replace(held.test, ratings=np.full_like(held.test.ratings, np.nan))
    assert rating_errors(svd, unrated, RunOptions()) is None
