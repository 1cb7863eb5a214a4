"""Rerankers in an evaluation: ranks follow the lists that are shown, and the curve of cost."""

from __future__ import annotations

import re
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from fuserec import RunOptions, sample
from fuserec.config import RecommenderConfig
from fuserec.data.splits import SplitConfig, split
from fuserec.errors import ConfigError, RequestError
from fuserec.evaluation.contenders import Choice, assemble, entries
from fuserec.evaluation.cost_curve import CurveSpec, cost_curve, curve_table
from fuserec.evaluation.ranking_pass import ranking_pass
from fuserec.evaluation.results import EvaluationResults
from fuserec.evaluation.runner import evaluate
from fuserec.evaluation.summary import summary
from fuserec.evaluation.texts import CHINESE
from fuserec.fitted import Fitted, listed
from fuserec.rerank import RERANKERS, reranker_class
from fuserec.rerank.popularity import CALIBRATED

RUN = RunOptions(threads=1)
SPLIT = SplitConfig(protocol="last-out")


def config(**rerank: object) -> RecommenderConfig:
    return RecommenderConfig.parse(
        {
            "features": {"use_sentence": "never"},
            "parts": {"item_knn": {}, "popularity": {}},
            "rerank": rerank,
        },
        "test",
    )


@pytest.fixture(scope="module")
def reranked() -> EvaluationResults:
    return evaluate(sample(), config(depth=30, mmr={"strength": 0.9}), split=SPLIT, ks=(5, 10), run=RUN)


def test_ranks_follow_the_lists_that_are_shown() -> None:
    dataset, chosen = sample(), config(depth=30, mmr={"strength": 0.9}, popularity={"method": "penalty"})
    found = entries(dataset, chosen)
    held = split(dataset, SPLIT, 0)
    outcomes = ranking_pass(assemble(dataset, found, Choice.of(["fused"], found), held, RUN), 10, RUN)
    shown, plain = outcomes["fused"], outcomes["fused-without-rerank"]
    test = held.test
    for row in range(len(test)):
        for target in range(test.indptr[row], test.indptr[row + 1]):
            place = np.flatnonzero(shown.lists[row] == test.items[target])
            was = np.flatnonzero(plain.lists[row] == test.items[target])
            if place.size and not (was.size and was[0] == place[0]):
                assert shown.ranks[target] == place[0] + 1
            elif not place.size:
                assert shown.ranks[target] > 10
    moved = shown.ranks != plain.ranks
    assert 0.2 < moved.mean() < 1.0
    assert (plain.ranks[moved] <= 30.5).all()  # what is below the pool keeps its rank
    assert np.array_equal(shown.n_candidates, plain.n_candidates)


def test_both_lists_are_reported_and_compared(reranked) -> None:
    assert list(reranked.models)[:2] == ["fused", "fused-without-rerank"]
    plain = evaluate(sample(), config(), split=SPLIT, ks=(5, 10), run=RUN)
    without = reranked.models["fused-without-rerank"].metrics
    assert without == plain.models["fused"].metrics
    assert reranked.models["fused"].metrics["ild@10"].value > without["ild@10"].value
    assert reranked.models["item_knn"].metrics == plain.models["item_knn"].metrics
    assert any(line.startswith("With its rerankers against without") for line in summary(reranked))
    assert not any(line.startswith("With its rerankers against without") for line in summary(plain))
    assert reranked.configuration["rerank"]["mmr"]["strength"] == 0.9


def test_the_evaluation_measures_what_the_recommender_shows() -> None:
    """The snapshot of the evaluation's own parts gives the same lists as a request."""
    chosen = config(depth=20, calibration={"strength": 0.6}, mmr={"strength": 0.4})
    dataset = sample()
    held = split(dataset, SPLIT, 0)
    found = entries(dataset, chosen)
    line_up = assemble(dataset, found, Choice.of(["fused"], found), held, RUN)
    outcome = ranking_pass(line_up, 10, RUN)["fused"]
    fused = line_up.fusions["fused"]
    fitted = Fitted(held.train, fused.ground.features, fused.blend, RUN.seed, chain=fused.chain)
    for row in range(0, len(held.test), 7):
        one = fused.ground.test.queries.take([row])
        allowed = np.ones(held.train.n_items, dtype=bool)
        allowed[one.items] = False
        shown = listed(fitted, one, fused.blend.score(one), allowed, 10)
        n = int(outcome.counts[row])
        assert np.array_equal(shown.items[0, :n], outcome.lists[row, :n])


def test_a_curve_fits_once_and_reaches_more_with_strength() -> None:
    what = "rerank.mmr.strength=0,0.25,0.5,0.75,1"
    results = cost_curve(sample(), what, config(), split=SPLIT, ks=(10,), run=RUN)
    names = [f"mmr.strength={value}" for value in (0, 0.25, 0.5, 0.75, 1)]
    assert [name for name in results.models if name.startswith("mmr.")] == names
    plain = results.models["fused-without-rerank"].metrics
    still = results.models[names[0]].metrics
    assert still == plain
    aims = [results.models[name].metrics["aim@10"].value for name in names]
    assert aims == sorted(aims)
    assert aims[-1] > aims[0] + 0.02
    assert plain["aim@10"].value == pytest.approx(plain["ild@10"].value)  # the same space, as it happens
    gaps = next(c for c in results.comparisons if c.reference == "fused-without-rerank")
    assert gaps.models[names[0]].difference == 0
    assert any(note.startswith("Aim of mmr: Diversity.") for note in results.notes)
    again = EvaluationResults.from_json(results.to_json())
    assert again.configuration["curve"]["values"] == [0, 0.25, 0.5, 0.75, 1]


def test_a_curve_of_the_worst_group() -> None:
    what = "rerank.worst_group.strength=0,1"
    results = cost_curve(sample(), what, config(), split=SPLIT, ks=(10,), run=RUN)
    for model in results.models.values():
        worst, mean = model.metrics["aim@10"], model.metrics["ndcg@10"].value
        assert 0 <= worst.value <= mean
        assert 0 <= worst.low <= worst.value <= worst.high <= 1
    plain = "fused-without-rerank"
    gaps = next(one for one in results.comparisons if (one.metric, one.reference) == ("aim@10", plain))
    lifted, still = gaps.models["worst_group.strength=1"], gaps.models["worst_group.strength=0"]
    figures = [
        results.models[name].metrics["aim@10"].value for name in (*list(gaps.models)[-1:], gaps.reference)
    ]
    assert lifted.difference == pytest.approx(figures[0] - figures[1])
    assert lifted.low <= lifted.difference <= lifted.high
    assert (still.difference, still.low, still.high, still.p) == (0, 0, 0, 1)
    console = Console(width=200, file=StringIO())
    console.print(curve_table(results))
    assert console.file.getvalue().count("paired interval") == 2


def test_what_a_curve_is_of_is_told_in_chinese() -> None:
    aims = [reranker_class(name).aim for name in RERANKERS] + [CALIBRATED]
    assert len({aim.title for aim in aims}) == 7  # mmr and dpp have one
    for aim in aims:
        said = CHINESE.note(f"Aim of mmr: {aim.title}. {aim.meaning} What is better: {aim.better}.")
        assert said.startswith("mmr 的目标：")
        assert not re.search(r"[a-z]{3}", said.removeprefix("mmr")), said


@pytest.mark.parametrize(
    ("what", "error", "said"),
    [
        ("mmr", RequestError, "write rerank.NAME.KEY=V,V"),
        ("rerank.mmr.strength=", RequestError, "write rerank.NAME.KEY=V,V"),
        ("rerank.mrr.strength=0,1", ConfigError, "did you mean 'mmr'"),
        ("rerank.mmr.strenght=0,1", ConfigError, "did you mean 'strength'"),
        ("rerank.mmr.strength=0,2", ConfigError, "less than or equal to 1"),
        ("rerank.calibration.column=brand", ConfigError, "one fit cannot serve a curve of it"),
        ("rerank.flagged.strength=0,1", ConfigError, "nothing is flagged"),
    ],
)
def test_bad_curves_are_named_before_any_work(what, error, said) -> None:
    with pytest.raises(error, match=said):
        cost_curve(sample(), what, config(), split=SPLIT, run=RUN)


def test_values_are_read_as_toml() -> None:
    assert CurveSpec.parse("rerank.popularity.method=xquad,penalty").values == ("xquad", "penalty")
    assert CurveSpec.parse("mmr.strength=0, 0.50 ,1").values == (0, 0.5, 1)
