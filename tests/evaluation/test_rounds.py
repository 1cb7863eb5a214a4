"""Several tests as one: pooled figures, intervals that know that people come back, folds, and going on after a stop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fuserec.config import RecommenderConfig
from fuserec.data.dataset import Dataset
from fuserec.data.splits import SplitConfig, splits
from fuserec.encoders.features import FeatureConfig
from fuserec.evaluation.results import EvaluationResults
from fuserec.evaluation.rounds import Pool, Round
from fuserec.evaluation.runner import evaluate
from fuserec.evaluation.statistics import Estimate, interval, paired_difference, pooled_intervals
from fuserec.fusion.config import FusionConfig
from fuserec.run import CancelledError, RunOptions
from fuserec.testing import small_dataset

CONFIG = RecommenderConfig(
    features=FeatureConfig(use_sentence="never"),
    fusion=FusionConfig(tune=False),
    parts={"popularity": {}, "item_knn": {}},
)
FOLDS = SplitConfig(protocol="random", folds=3)


def round_of(users: np.ndarray, **models: np.ndarray) -> Round:
    columns = {name: {"ndcg@10": values.astype(np.float64)} for name, values in models.items()}
    costs = {name: {"fit_s": 1.5, "score_s": 0.5, "peak_mb": 2.0} for name in models}
    whole = {name: {"coverage@10": float(len(users))} for name in models}
    return Round("one", users, columns, whole, costs, {"train": 7, "targets": len(users)})


def test_a_pooled_figure_is_the_mean_over_all_queries() -> None:
    pool = Pool(10, "ndcg@10", RunOptions())
    pool.add(round_of(np.array([0, 3]), a=np.array([1.0, 0.0])))
    pool.add(round_of(np.array([3, 5, 6]), a=np.array([1.0, np.nan, 0.5])))
    model = pool.results()["a"]
    assert model.metrics["ndcg@10"].value == pytest.approx(2.5 / 4)  # the query without a value is left out
    assert model.users == 4
    assert (model.fit_s, model.score_s, model.peak_mb) == (3.0, 1.0, 2.0)
    assert model.metrics["coverage@10"].value == pytest.approx(
        (2 * 2 + 3 * 3) / 5
    )  # a figure of lists: by their number
    assert [one.models["a"]["ndcg@10"].value for one in pool.rounds] == [0.5, 0.75]


def test_asking_the_same_people_again_makes_nothing_surer() -> None:
    """Five folds of equal answers are one fold: an interval over queries would be narrower by the root of five."""
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 80))
    pool = Pool(80, "ndcg@10", RunOptions())
    for _ in range(5):
        one = round_of(np.arange(80), a=a, b=b)
        one.columns["a"]["average_popularity@10"] = 1000 + a  # a metric without a range: people are resampled
        pool.add(one)
    found = pool.results()["a"].metrics
    bounded = interval(a, rng=RunOptions().rng("bootstrap"), within=(0, 1))
    drawn = interval(1000 + a, rng=RunOptions().rng("bootstrap"))
    for metric, once in (("ndcg@10", bounded), ("average_popularity@10", drawn)):
        for end in ("value", "low", "high"):
            assert getattr(found[metric], end) == pytest.approx(getattr(once, end), abs=1e-9), (metric, end)
    gap, paired = (
        pool.comparisons(["a"])[0].models["b"],
        paired_difference(b, a, rng=RunOptions().rng("bootstrap"), within=(0, 1)),
    )
    for end in ("difference", "low", "high", "p"):
        assert getattr(gap, end) == pytest.approx(getattr(paired, end), abs=1e-12)


def test_the_interval_over_people_is_as_wide_as_theory_says() -> None:
    """People differ (0.2) more than their own answers do (0.05): over queries the interval would be half as wide."""
    rng, n = np.random.default_rng(1), 1000
    people = rng.normal(0.5, 0.2, n)
    answers = people + rng.normal(0, 0.05, (5, n))
    pool = Pool(n, "ndcg@10", RunOptions())
    for fold in answers:
        pool.add(round_of(np.arange(n), a=fold))
    found = pool.results()["a"].metrics["ndcg@10"]
    assert found.value == pytest.approx(answers.mean())
    width = (found.high or 0) - (found.low or 0)
    assert width == pytest.approx(2 * 1.96 * np.sqrt((0.2**2 + 0.05**2 / 5) / n), rel=0.1)
    over_queries = interval(answers.ravel(), rng=RunOptions().rng("bootstrap"))
    assert (over_queries.high or 0) - (over_queries.low or 0) < 0.55 * width


@pytest.mark.parametrize("within", [None, {"hit": (0.0, 1.0)}])
def test_pooled_intervals_hold_the_truth_as_often_as_they_promise(within: dict | None) -> None:
    """People have rates and numbers of answers of their own; the mean rate is 0.3, and both are independent."""
    rng, n, misses, rounds = np.random.default_rng(2), 60, 0, 400
    for _ in range(rounds):
        rates, asked = rng.beta(3, 7, n), rng.integers(1, 10, n).astype(float)
        sums = rng.binomial(asked.astype(int), rates).astype(float)
        one = pooled_intervals({"hit": sums}, {"hit": asked}, rng=rng, within=within, n_resamples=200)["hit"]
        misses += not (one.low or 0) <= 0.3 <= (one.high or 0)
    assert 0.02 <= misses / rounds <= 0.085  # 5 % promised; over queries about 13 % would miss


def test_pooled_intervals_of_little() -> None:
    rng = np.random.default_rng(0)
    none, one, few = np.zeros(4), np.array([0.0, 3, 0, 0]), np.array([1.0, 2, 0, 3])
    found = pooled_intervals(
        {"none": none, "one": one, "few": np.array([1.0, 1, 0, 2]), "zeros": none, "odd": 9 * few},
        {"none": none, "one": 2 * one, "few": few, "zeros": few, "odd": few},
        rng=rng,
        within={"few": (0, 1), "zeros": (0, 1), "odd": (0, 1)},
    )
    assert found["none"] == Estimate(None)
    assert found["one"] == Estimate(0.5)
    assert found["few"].value == pytest.approx(4 / 6)
    assert 0 < (found["few"].low or 0) < 4 / 6 < (found["few"].high or 0) < 1
    assert (found["zeros"].value, found["zeros"].low) == (0, 0)
    assert (found["zeros"].high or 0) > 0.3  # of three people a hit may still come
    assert found["odd"].value == found["odd"].low == 9  # beyond its range, and equal for all


@pytest.fixture(scope="module")
def data() -> Dataset:
    return small_dataset()


@pytest.fixture(scope="module")
def folded(data: Dataset) -> EvaluationResults:
    return evaluate(data, CONFIG, split=FOLDS, ks=(3, 10), run=RunOptions(seed=2, threads=1))


def test_folds_are_pooled_over_what_each_of_them_found(data: Dataset, folded: EvaluationResults) -> None:
    assert [one.name for one in folded.rounds] == ["fold 1", "fold 2", "fold 3"]
    parts = list(splits(data, FOLDS, 2))
    assert [one.targets for one in folded.rounds] == [part.test.items.size for part in parts]
    assert [one.train for one in folded.rounds] == [part.train.n_interactions for part in parts]
    for name in ("fused", "popularity", "item_knn"):
        weighted = [(one.users, one.models[name]["ndcg@10"].value) for one in folded.rounds]
        mean = sum(n * (value or 0) for n, value in weighted) / sum(n for n, _ in weighted)
        pooled = folded.models[name].metrics["ndcg@10"]
        assert pooled.value == pytest.approx(mean)
        assert (pooled.low or 0) < mean < (pooled.high or 0)
    assert folded.split["folds"] == 3
    assert "share" not in folded.split
    assert folded.split["test"] == sum(part.test.items.size for part in parts)
    assert [(c.metric, c.reference) for c in folded.comparisons] == [("ndcg@10", "fused"), ("rmse", "fused")]
    assert 0 < (folded.models["item_knn"].metrics["rmse"].value or 0) < 4
    assert "intervals over people" in folded.notes[0]
    assert set(folded.models["fused"].segments) >= {"query:long", "target:head"}
    assert EvaluationResults.from_json(folded.to_json()).rounds == folded.rounds


def test_one_fold_is_the_split_of_that_fold(data: Dataset, folded: EvaluationResults) -> None:
    """The first round equals an evaluation of the same rows as a predefined split."""
    parts = next(iter(splits(data, FOLDS, 2)))
    part = np.zeros(data.n_interactions, np.uint8)
    part[parts.test.hidden] = 2
    left = np.flatnonzero(part == 0)
    part[left[parts.validation.hidden]] = 1
    marked = replace(data, interactions=replace(data.interactions, part=part))
    alone = evaluate(
        marked, CONFIG, split=SplitConfig(protocol="predefined"), ks=(10,), run=RunOptions(seed=2, threads=1)
    )
    # The predefined split gives test histories the validation rows too, as the fold does.
    for name in ("popularity", "item_knn"):
        found = folded.rounds[0].models[name]["ndcg@10"]
        assert found.value == pytest.approx(alone.models[name].metrics["ndcg@10"].value)


def test_a_stopped_evaluation_of_folds_goes_on(data: Dataset, folded: EvaluationResults, tmp_path) -> None:
    seen: list[str] = []

    def watching(stop: bool) -> RunOptions:
        return RunOptions(
            seed=2,
            threads=1,
            checkpoints=tmp_path,
            progress=lambda label, done, total: seen.append(label),
            cancel=lambda: stop and any(label.startswith("fold 2/3: scoring") for label in seen),
        )

    with pytest.raises(CancelledError):
        evaluate(data, CONFIG, split=FOLDS, ks=(3, 10), run=watching(True))
    assert len(list(tmp_path.iterdir())) == 1
    seen.clear()
    again = evaluate(data, CONFIG, split=FOLDS, ks=(3, 10), run=watching(False))
    assert not any(label.startswith("fold 1/3") for label in seen)
    assert any(label.startswith("fold 2/3: fitting") for label in seen)
    assert _figures(again) == _figures(folded)
    other = evaluate(
        data, CONFIG, split=FOLDS, ks=(10,), run=watching(False)
    )  # another evaluation: nothing is taken
    assert any(label.startswith("fold 1/3") for label in seen)
    assert other.cuts() == [10]


def test_a_damaged_round_is_done_anew(data: Dataset, folded: EvaluationResults, tmp_path) -> None:
    run = RunOptions(seed=2, threads=1, checkpoints=tmp_path)
    evaluate(data, CONFIG, split=FOLDS, ks=(3, 10), run=run)
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:100])
    again = evaluate(data, CONFIG, split=FOLDS, ks=(3, 10), run=run)
    assert _figures(again) == _figures(folded)


def _figures(results: EvaluationResults) -> dict[str, object]:
    return {
        "metrics": {name: model.metrics for name, model in results.models.items()},
        "segments": {name: model.segments for name, model in results.models.items()},
        "comparisons": results.comparisons,
        "rounds": [(one.name, one.models) for one in results.rounds],
        "notes": results.notes,
        "sample": results.sample,
        "weights": results.weights,
    }
