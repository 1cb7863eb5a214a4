"""Tuning of lists: what is raised and what has to hold, on the half that was searched on and on the other one."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fuserec import Dataset, RecommenderConfig, RunOptions, load_config, tune, tune_lists
from fuserec.data.splits import SplitConfig, split
from fuserec.errors import ConfigError, RequestError
from fuserec.tuning.list_search import Found, best_first, front

pytest.importorskip("optuna", reason="the extra `tune` is not installed")

TRIALS = 10
SPACE: dict[str, dict[str, Any]] = {"popularity": {"strength": [0.0, 1.0]}}


def tuned(data: Dataset, config: RecommenderConfig, objective: str, run: RunOptions, **more: Any) -> Any:
    options = {"space": SPACE, "trials": TRIALS, "objective": objective, "run": run, **more}
    return tune_lists(data, config, **options)


@pytest.fixture(scope="module")
def popular() -> Dataset:
    """Taste is popularity, so that whatever makes lists novel costs accuracy."""
    from fuserec.testing.planted import dataset_of

    rng = np.random.default_rng(0)
    chance = 1.0 / np.arange(1, 81)
    return dataset_of(
        [rng.choice(80, 8, replace=False, p=chance / chance.sum()).tolist() for _ in range(240)], 80
    )


@pytest.fixture(scope="module")
def start() -> RecommenderConfig:
    parts = {"popularity": {}, "item_knn": {}}
    return RecommenderConfig.parse({"features": {"use_sentence": "never"}, "parts": parts}, "test")


def test_a_limit_is_met_and_costs_what_it_says(
    popular: Dataset, start: RecommenderConfig, tmp_path: Path
) -> None:
    run = RunOptions(threads=1)
    found = tuned(popular, start, "ndcg@10 subject to novelty@10 >= 2.5", run)
    point = found.points[0]
    assert found.start.figures["novelty@10"] < 2.5 <= point.figures["novelty@10"]
    assert point.holds
    assert point.check_holds
    assert 0 < point.changes["popularity.strength"] <= 1
    free = tuned(popular, start, "ndcg@10", run)
    assert free.points[0].check[0] >= free.start.check[0]
    found.save(tmp_path / "tuned.toml")
    again = load_config(tmp_path / "tuned.toml")
    assert again.rerank.tables["popularity"]["strength"] == point.changes["popularity.strength"]
    assert set(again.parts) == {"popularity", "item_knn"}
    assert "novelty@10 >= 2.5: holds" in (tmp_path / "tuned.toml").read_text(encoding="utf-8")


def test_the_figures_are_those_of_an_evaluation(popular: Dataset, start: RecommenderConfig) -> None:
    """A configuration that was found shows, in an evaluation of the same queries, what the tuning said of it."""
    run = RunOptions(threads=1)
    found = tuned(popular, start, "ndcg@10 + 0.1*novelty@10 - coverage@5", run, queries=10_000)
    from fuserec.features import item_features
    from fuserec.fusion import fusion_of
    from fuserec.numerics.hashing import reseed
    from fuserec.rerank.chain import lists_of
    from fuserec.rerank.learning import taught_chain

    held = split(popular, SplitConfig(), 0).validation
    held = held.take(run.rng("tuning.queries").permutation(len(held)))
    features = item_features(held.train, start.features, run)
    fitted = {name: part.fit(held.train, features, run) for name, part in start.scorers(held.train).items()}
    fused = fusion_of(start.fusion, fitted).taught(held, run, features)
    point = found.points[0]
    chain = taught_chain(point.config.rerank.chain(), fused, held, features, run)
    half = held.take(np.arange((len(held) + 1) // 2))
    scores = fused.score(half.queries)
    visible = np.where(scores.answered, scores.values, np.float32(-np.inf))
    ties = reseed(held.train.items.hashes, 0)
    shown = lists_of(visible, 10, chain, half.queries, exclude=half.queries.seen(), ties=ties)
    gains = []
    for row, listed in enumerate(shown.items):
        places = np.flatnonzero(np.isin(listed, half.items[half.rows == row]))
        gains.append(sum(1 / np.log2(place + 2) for place in places))
    assert found.points[0].figures["ndcg@10"] == pytest.approx(
        np.mean(gains), abs=0.01
    )  # ties have mean ranks there
    assert found.points[0].figures["coverage@5"] == len(np.unique(shown.items[:, :5])) / 80


def test_a_front_of_two_aims(popular: Dataset, start: RecommenderConfig, tmp_path: Path) -> None:
    found = tuned(popular, start, "ndcg@10, novelty@10", RunOptions(threads=1))
    assert len(found.points) >= 2
    for better, other in itertools.pairwise(found.points):
        assert better.aims[0] > other.aims[0]
        assert better.aims[1] < other.aims[1]
    for which in (1, len(found.points), "balanced"):
        found.save(tmp_path / "p.toml", which)
        strength = load_config(tmp_path / "p.toml").rerank.tables.get("popularity", {}).get("strength", 0.0)
        assert strength == found.pick(which).changes.get("popularity.strength", 0.0)
    assert found.pick("balanced") in found.points
    for wrong in (0, len(found.points) + 1, "best"):
        with pytest.raises(RequestError, match="write a number from 1 to"):
            found.pick(wrong)


def test_it_goes_on_as_if_it_had_not_been_interrupted(
    popular: Dataset, start: RecommenderConfig, tmp_path: Path
) -> None:
    run, objective = RunOptions(threads=1), "ndcg@10 + 0.05*novelty@10"
    whole = tuned(popular, start, objective, run, study=tmp_path / "whole.db")
    study = tmp_path / "parts.db"
    tuned(popular, start, objective, run, study=study, trials=5)
    resumed = tuned(popular, start, objective, run, study=study)
    assert resumed.points[0].changes == whole.points[0].changes
    assert resumed.points[0].figures == whole.points[0].figures
    assert resumed.trials == whole.trials
    with pytest.raises(ConfigError, match="another objective"):
        tuned(popular, start, "ndcg@10", run, study=study)
    with pytest.raises(ConfigError, match="another space"):
        tuned(popular, start, objective, run, study=study, space={"popularity": {"strength": [0, 0.5]}})


def test_the_test_part_is_never_touched(popular: Dataset, start: RecommenderConfig) -> None:
    """Other items in the test rows change no figure; other ones in the validation rows do."""
    rng, rows = np.random.default_rng(1), popular.interactions

    def changed(back: int) -> Dataset:
        items = rows.item.copy()
        for user in range(popular.n_users):
            span = slice(popular.indptr[user], popular.indptr[user + 1])
            free = np.setdiff1d(np.arange(popular.n_items), rows.item[span])
            items[popular.indptr[user + 1] - back] = rng.choice(free)
        return replace(popular, interactions=replace(rows, item=items))

    def searched(data: Dataset) -> tuple[dict[str, float], dict[str, float]]:
        found = tuned(data, start, "ndcg@10 + 0.1*novelty@10", RunOptions(threads=1), trials=3)
        return found.start.figures, found.start.check_figures

    before = searched(popular)
    assert searched(changed(1)) == before
    assert searched(changed(2)) != before


def test_dials_and_forms_of_the_fusion_are_searched_too(popular: Dataset, start: RecommenderConfig) -> None:
    space = {
        "control": {"novelty": [0.0, 0.9]},
        "fusion": {"kind": {"choices": ["blend", "reciprocal_rank"]}},
    }
    found = tuned(popular, start, "novelty@10", RunOptions(threads=1), space=space)
    point = found.points[0]
    assert point.config.control.novelty > 0.4
    assert point.check[0] > found.start.check[0]
    assert set(found.searched) == {"control.novelty", "fusion.kind"}
    assert point.config.fusion.kind == point.changes.get("fusion.kind", "blend")


def test_best_and_front_by_hand() -> None:
    def trial(number: int, aims: tuple[float, ...], excess: tuple[float, ...] = (), **values: float) -> Found:
        return Found(values, {}, aims, excess, number)

    assert [
        t.number
        for t in best_first([trial(0, (1.0,), (0.5,)), trial(1, (0.2,), (-1.0,)), trial(2, (0.3,), (0.0,))])
    ] == [2, 1, 0]
    assert [t.number for t in best_first([trial(0, (1.0,), a=1), trial(1, (1.0,))])] == [1, 0]
    found = [
        trial(0, (1, 1)),
        trial(1, (2, 0)),
        trial(2, (0, 2)),
        trial(3, (1, 0)),
        trial(4, (1, 1)),
        trial(5, (9, 9), (1.0,)),
    ]
    assert [t.number for t in front([replace(t, excess=t.excess or (-1.0,)) for t in found])] == [1, 0, 2]
    assert [t.number for t in front([trial(0, (1, 1), (2.0,)), trial(1, (0, 0), (1.0,))])] == [1]


@pytest.mark.parametrize(
    ("objective", "space", "said"),
    [
        ("ndcg@10 + rmse2", SPACE, "no metric 'rmse2'"),
        ("ndcg@10 - 0.1*rmse", SPACE, "rmse cannot be measured on the validation lists"),
        ("ndcg@10", {"mmrr": {"strength": [0, 1]}}, "did you mean 'mmr'?"),
        ("ndcg@10", {"mmr": {"strenght": [0, 1]}}, "did you mean 'strength'?"),
        ("ndcg@10", {"mmr": {"strength": [0, 2]}}, "strength = 2"),
        (
            "ndcg@10",
            {"control": {"more": [0, 1]}},
            "can be searched are diversity, novelty, freshness, new_share",
        ),
        ("ndcg@10", {"fusion": {"max_queries": [10, 20]}}, "of the fusion, kind can be searched"),
    ],
)
def test_what_is_refused(
    popular: Dataset, start: RecommenderConfig, objective: str, space: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError) as error:
        tuned(popular, start, objective, RunOptions(threads=1), space=space)
    assert said in str(error.value)


def test_parts_are_not_tuned_by_sums(popular: Dataset, start: RecommenderConfig) -> None:
    with pytest.raises(ConfigError, match="tune_lists"):
        tune(popular, start, objective="ndcg@10 + ild@10", run=RunOptions(threads=1))
