"""The operator's dials in an evaluation: the lists that are measured are those that would be shown."""

from __future__ import annotations

import numpy as np
import pytest
from control_records import CONFIG

from fuserec import Dataset, RecommenderConfig, RunOptions, evaluate
from fuserec.data.splits import SplitConfig
from fuserec.evaluation.dials import measure_dials
from fuserec.evaluation.results import EvaluationResults


def measured(records: Dataset, control: dict[str, object]) -> EvaluationResults:
    config = RecommenderConfig.parse({**CONFIG, "control": control}, "test")
    return evaluate(
        records, config, split=SplitConfig(), models=["fused"], ks=(5, 10), run=RunOptions(threads=1)
    )


def test_an_evaluation_shows_the_lists_of_the_operator(records: Dataset) -> None:
    plain, rare = measured(records, {}), measured(records, {"novelty": 0.6, "depth": 20})
    before, after = (r.models["fused"].metrics for r in (plain, rare))
    assert after["novelty@10"].value > before["novelty@10"].value + 0.05
    assert measured(records, {"depth": 20, "novelty": 0}).models["fused"].metrics == before
    config = RecommenderConfig.parse({**CONFIG, "control": {"depth": 20}}, "test")
    options = {"split": SplitConfig(), "run": RunOptions(threads=1)}
    _, (curve,) = measure_dials(records, ["novelty=0,0.6"], config, **options)
    for step, metrics in zip(curve.steps, (before, after), strict=True):
        assert step.effect.value == pytest.approx(metrics["novelty@10"].value)
        assert step.ndcg.value == pytest.approx(metrics["ndcg@10"].value, abs=0.02)  # ties: mean ranks there
    assert curve.steps[1].ndcg.value == pytest.approx(after["ndcg@10"].value, abs=1e-6)


def test_what_never_comes_is_in_no_list_and_found_by_nobody(records: Dataset) -> None:
    found = measured(records, {"never": ["Jazz", "Rock"]}).models["fused"].metrics
    assert found["coverage@10"].value <= 20 / 60 + 1e-9
    assert found["recall@10"].value < measured(records, {}).models["fused"].metrics["recall@10"].value
    assert np.isfinite(found["auc"].value)
