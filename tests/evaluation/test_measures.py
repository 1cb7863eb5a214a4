"""What an evaluation says of lists, end to end: which figures are there, with intervals, and what they are made of."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from fuserec.config import RecommenderConfig
from fuserec.data.dataset import Dataset
from fuserec.data.splits import SplitConfig
from fuserec.encoders.features import FeatureConfig
from fuserec.evaluation.results import EvaluationResults
from fuserec.evaluation.runner import evaluate
from fuserec.fusion.config import FusionConfig
from fuserec.run import RunOptions


def measured(rated: bool, categories: bool) -> EvaluationResults:
    rng = np.random.default_rng(4)
    rows = [
        (f"u{user}", f"i{item}", float(rng.integers(1, 6)))
        for user in range(40)
        for item in rng.choice(25, 8, replace=False, p=np.arange(1, 26) / 325)
    ]
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "rating"], orient="row")
    items = pl.DataFrame(
        {
            "item_id": [f"i{item}" for item in range(25)],
            "title": [f"word{item % 7} word{item % 5}" for item in range(25)],
            "categories": [[f"c{item % 4}"] if categories else [] for item in range(25)],
        }
    )
    config = RecommenderConfig(
        features=FeatureConfig(use_sentence="never"),
        fusion=FusionConfig(tune=False),
        parts={"popularity": {}, "content": {}},
    )
    data = Dataset.from_frames(frame if rated else frame.drop("rating"), items)
    return evaluate(data, config, split=SplitConfig(protocol="random", share=0.3), ks=(3,), run=RunOptions())


@pytest.fixture(scope="module")
def results() -> EvaluationResults:
    return measured(rated=True, categories=True)


def test_figures_of_all_users_have_intervals_and_coverage_has_none(results: EvaluationResults) -> None:
    figures = results.models["fused"].metrics
    for name in (
        "gini",
        "exposure_entropy",
        "distributional_coverage",
        "popularity_lift",
        "ece",
        "ild_users",
    ):
        estimate = figures[f"{name}@3"]
        assert estimate.low is not None, name
        assert estimate.high is not None, name
        assert estimate.low <= estimate.value <= estimate.high, name
    assert figures["coverage@3"].value is not None
    assert figures["coverage@3"].low is None
    for name in ("f1@3", "graded_ndcg@3", "r_precision", "gauc", "miscalibration@3", "serendipity@3"):
        assert figures[name].value is not None, name


def test_only_what_gives_probabilities_is_judged_by_them(results: EvaluationResults) -> None:
    assert "log_loss@3" in results.models["fused"].metrics
    assert "log_loss@3" not in results.models["popularity"].metrics
    brier = results.models["fused"].metrics["brier@3"].value
    assert brier is not None
    precision = results.models["fused"].metrics["precision@3"].value
    assert brier <= precision  # calibrated chances do no worse than saying never


def test_what_the_data_lack_is_left_out() -> None:
    figures = measured(rated=False, categories=False).models["fused"].metrics
    for name in ("graded_ndcg@3", "category_entropy@3", "miscalibration@3", "ild_category@3"):
        assert name not in figures
    assert "ndcg@3" in figures


def test_the_result_survives_json(results: EvaluationResults) -> None:
    again = EvaluationResults.from_json(results.to_json())
    assert again.models["fused"].metrics["gini@3"] == results.models["fused"].metrics["gini@3"]
