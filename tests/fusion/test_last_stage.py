"""The last stage re-scores the best of a fusion, where it proves better on people it was not fitted to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from paper_parts import Paper, held_out

import fuserec.fusion.last_stage as stage
from fuserec.errors import ConfigError
from fuserec.fusion import fusion_of
from fuserec.fusion.blend import Blend
from fuserec.fusion.config import FusionConfig
from fuserec.fusion.crossfit import StackTable
from fuserec.fusion.last_stage import CUT, WITH_FIGURE, WITHOUT_FIGURE, Weighed, last_scorer, rescored
from fuserec.run import RunOptions

RUN = RunOptions(seed=3, threads=1)


def planted(n=300, m=40, seed=0, telling=True):
    """A part that knows roughly what is right, and a judge that knows it well (or nothing at all)."""
    rng = np.random.default_rng(seed)
    histories = [rng.choice(m, 3, replace=False).tolist() for _ in range(n)]
    targets = [int(rng.choice(np.setdiff1d(np.arange(m), histories[u]))) for u in range(n)]
    rough = rng.random((n, m)).astype(np.float32)
    rough[np.arange(n), targets] += 0.45
    fine = rng.normal(size=(n, m)).astype(np.float32)
    if telling:
        fine[np.arange(n), targets] += 2.0
    return held_out(histories, targets, m), {"rough": Paper(rough)}, Paper(fine)


def taught(monkeypatch, judge, held, parts, **settings):
    monkeypatch.setattr(stage, "last_scorer", lambda table: judge)
    config = FusionConfig.parse({"tune": False, "last_stage": {"scorer": {}, **settings}}, "test")
    return rescored(Blend)(config, parts).taught(held, RUN, features=object())


def test_what_it_knows_is_used_and_the_cost_is_told(monkeypatch):
    held, parts, judge = planted()
    fused = taught(monkeypatch, judge, held, parts, depth=15)
    figures, told = fused.learnt.figures, fused.facts["last_stage"]
    assert figures["fused"] == figures[WITH_FIGURE] > 1.2 * figures[WITHOUT_FIGURE]
    assert told["weight"] > 0
    assert told["ms_per_request"] >= 0
    assert "re-scores the best 15" in told["said"]


def test_one_that_knows_nothing_is_left_out(monkeypatch):
    held, parts, judge = planted(telling=False)
    fused = taught(monkeypatch, judge, held, parts, depth=15)
    blend = Blend(FusionConfig(tune=False), parts).taught(held, RUN)
    assert fused.facts["last_stage"]["weight"] == 0.0
    assert "is not used: NDCG@10 is" in fused.facts["last_stage"]["said"]
    np.testing.assert_array_equal(fused.score(held.queries).values, blend.score(held.queries).values)


def test_the_weight_0_is_tried_too():
    """A judge that is wrong all along gets none: on validation it never falls below the fusion."""
    rng = np.random.default_rng(0)
    target = np.tile(np.arange(10) == 3, 60)
    first = (target + 0.3 * rng.random(600)).astype(np.float32)
    wrong = (-5.0 * target + rng.random(600)).astype(np.float32)[:, None]
    table = StackTable(np.arange(0, 601, 10), wrong, first, target, np.ones(60, int), np.arange(60) % 2)
    assert Weighed.fit(table, 1.0, 10).weight == 0.0
    right = replace(table, first=-first, features=-wrong)
    assert Weighed.fit(right, 1.0, 10).weight > 0.0


def test_what_it_abstains_on_is_neither_raised_nor_sunk():
    one = Weighed(2.0, 1.0, 0.5)
    found = one.values(np.array([[np.nan], [1.0], [1.25], [99.0], [-99.0]], np.float32))
    np.testing.assert_allclose(found, [0.0, 0.0, 1.0, 2 * CUT, -2 * CUT])
    assert one.lowest == -2 * CUT


def test_only_the_best_of_the_whole_catalogue_are_re_scored(monkeypatch):
    held, parts, judge = planted(n=120)
    fused = taught(monkeypatch, judge, held, parts, depth=5, if_better=False, folds=2)
    blend = Blend(fused.config, parts).taught(held, RUN)
    q = held.queries
    before, after = blend.score(q).values, fused.score(q).values
    changed = before != after
    assert changed.sum(axis=1).max() <= 5
    seen = np.zeros_like(changed)
    seen[q.rows, q.items] = True
    assert not (changed & seen).any()
    for row in range(len(q)):
        if changed[row].any():
            assert after[row, changed[row]].min() >= after[row, ~changed[row] & ~seen[row]].max()
    items = np.tile(np.array([7, 3, 30]), (len(q), 1))
    np.testing.assert_array_equal(fused.score(q, items).values, np.take_along_axis(after, items, axis=1))


def test_few_validation_queries_are_not_believed(monkeypatch):
    held, parts, judge = planted(n=30)
    fused = taught(monkeypatch, judge, held, parts, depth=10)
    assert "validation queries tell anything" in fused.facts["last_stage"]["said"]


def test_it_is_a_parts_table_that_is_checked_before_anything_is_fitted():
    parts = {"rough": Paper(np.zeros((3, 4)))}
    with pytest.raises(ConfigError, match=r"\[fusion.last_stage.scorer\]: unknown key 'depht'"):
        fusion_of(
            FusionConfig.parse({"last_stage": {"scorer": {"scorer": "ease", "depht": 1}}}, "test"), parts
        )
    with pytest.raises(ConfigError, match="has to be the name of a scorer"):
        last_scorer({"scorer": 3})
    assert last_scorer({"form": "cross"}).for_candidates().config.candidates == 0
    held, parts, _ = planted(n=30)
    fused = fusion_of(FusionConfig.parse({"last_stage": {"scorer": {"scorer": "popularity"}}}, "test"), parts)
    with pytest.raises(ConfigError, match="pass the item features"):
        fused.taught(held, RUN)


def test_any_scorer_may_be_one_and_is_kept_with_the_model(tmp_path):
    from fuserec import Recommender, sample
    from fuserec.config import RecommenderConfig

    scorer = {"scorer": "item_knn", "n_neighbors": 20}
    config = RecommenderConfig.parse(
        {
            "features": {"use_sentence": "never"},
            "parts": {"popularity": {}, "content": {}},
            "fusion": {"tune": False, "last_stage": {"scorer": scorer, "depth": 20, "if_better": False}},
        },
        "test",
    )
    model = Recommender(config).fit(sample(), RunOptions(threads=1))
    told = model.info()["last_stage"]
    assert (told["scorer"], told["depth"]) == ("item_knn", 20)
    assert told["weight"] > 0
    model.save(tmp_path / "model")
    again = Recommender.load(tmp_path / "model")
    one, two = (m.recommend(user=sample().users[3], k=5, explain=True) for m in (model, again))
    assert one == two
    assert again.info()["last_stage"] == told
