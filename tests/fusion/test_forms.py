"""Every form by configuration: fitted, evaluated side by side, kept as a folder, refused where it is unknown."""

from __future__ import annotations

import json
from typing import get_args

import pytest

from fuserec import Recommender, RecommenderConfig, RunOptions, evaluate
from fuserec.config import create_parts
from fuserec.data.splits import SplitConfig, hold_out
from fuserec.errors import ConfigError
from fuserec.fusion import FUSIONS, fusion_class, fusion_of
from fuserec.fusion.base import held_with_words
from fuserec.fusion.blend import Blend
from fuserec.fusion.config import FusionConfig, Kind
from fuserec.testing import small_dataset, small_features
from fuserec.testing.planted import dataset_of

RUN = RunOptions(seed=7, threads=1)
STACK = {"if_better": False, "folds": 2, "trees": 10}


def configured(kind):
    return RecommenderConfig.parse(
        {
            "features": {"use_sentence": "never"},
            "fusion": {"kind": kind, "tune": False, "stack": STACK},
            "parts": {"popularity": {}, "item_knn": {}, "content": {}, "svd": {}},
        },
        "test",
    )


@pytest.fixture(scope="module")
def fitted():
    data = small_dataset()
    return {kind: Recommender(configured(kind)).fit(data, RUN) for kind in FUSIONS}


def test_the_registry_is_what_the_configuration_allows():
    assert tuple(FUSIONS) == get_args(Kind)
    assert {fusion_class(kind).kind for kind in FUSIONS} == set(FUSIONS)
    assert FusionConfig().kind == "blend"


@pytest.mark.parametrize("kind", FUSIONS)
def test_each_form_is_fitted_asked_and_kept(kind, fitted, tmp_path):
    model = fitted[kind]
    assert type(model.fitted.fused) is fusion_class(kind)
    model.save(tmp_path / "model")
    again = Recommender.load(tmp_path / "model")
    for asked in (
        {"user": "user 8"},
        {"history": ["item-3", "item-7"]},
        {"text": "detective murder"},
        {"user": "nobody at all"},
        {"user": "user 8", "filters": {"price": {">=": 20}}},
    ):
        one, other = (m.recommend(**asked, k=12, explain=True) for m in (model, again))
        assert len(one.items) == 12
        assert one == other
        assert all(0 <= item.probability <= 1 and item.reason for item in one.items)
        for item in one.items:
            told = sum(row.contribution for row in item.evidence)
            assert told == pytest.approx(item.score, abs=1e-4 * max(1, abs(item.score))) or not item.evidence


@pytest.mark.parametrize("kind", FUSIONS)
def test_filters_do_not_change_scores(kind, fitted):
    everything = fitted[kind].recommend(user="user 8", k=40)
    kept = fitted[kind].recommend(user="user 8", k=40, filters={"price": {">=": 20}})
    scores = {item.item_id: item.score for item in everything.items}
    assert {item.item_id: item.score for item in kept.items}.items() <= scores.items()
    assert len(kept.items) < len(everything.items)


@pytest.mark.parametrize("kind", FUSIONS)
def test_validation_figures_name_every_part_and_the_blend(kind, fitted):
    figures = fitted[kind].info()["validation"]
    assert {"fused", "popularity", "item_knn", "content", "svd"} <= set(figures)
    assert all(0 <= figure <= 1 for figure in figures.values())
    others = [name for name in figures if " " in name]
    assert (kind == "blend") == (not others)


@pytest.mark.parametrize("kind", FUSIONS)
def test_where_nothing_can_be_held_out_each_form_still_answers(kind, caplog):
    data = dataset_of([[0], [1]], 4)
    features = small_features(data, RUN)
    fused = fusion_of(FusionConfig(kind=kind), create_parts({"popularity": {}, "content": {}}))
    fused = fused.fit(data, features, RUN)
    assert "the fusion is not learnt" in caplog.text
    found = fused.score(data.queries([0, 1]))
    assert found.queries.all()
    assert fused.learnt.figures == {}


def test_a_model_from_before_there_were_forms_is_a_blend(fitted, tmp_path):
    folder = tmp_path / "model"
    fitted["blend"].save(folder)
    head = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    for key in ("kind", "reciprocal_rank", "cascade", "mixed", "stack"):
        del head["config"]["fusion"][key]
    (folder / "model.json").write_text(json.dumps(head), encoding="utf-8")
    again = Recommender.load(folder)
    assert type(again.fitted.fused) is Blend
    assert again.recommend(user="user 8") == fitted["blend"].recommend(user="user 8")


def test_an_unknown_form_names_the_nearest():
    with pytest.raises(ConfigError, match=r"fusion\.kind = 'lambdamrt'.*did you mean 'lambdamart'\?"):
        RecommenderConfig.parse({"fusion": {"kind": "lambdamrt"}}, "config.toml")
    with pytest.raises(ConfigError, match=r"unknown fusion 'cascad'; did you mean 'cascade'\?"):
        fusion_class("cascad")


def test_a_form_made_by_hand_says_what_it_is():
    made = fusion_class("mixed")(parts=create_parts({"popularity": {}}))
    assert made.config.kind == "mixed"


def test_several_forms_are_evaluated_side_by_side():
    names = {kind: kind.replace("blend", "weighted") for kind in FUSIONS}
    configs = {name: configured(kind) for kind, name in names.items()}
    results = evaluate(small_dataset(), configs, split=SplitConfig(), ks=(5,), run=RUN)
    assert set(names.values()) <= set(results.models)
    assert {"popularity", "item_knn", "content", "svd"} <= set(results.models)  # shared, so not once a form
    shown = {name: model.metrics["ndcg@5"].value for name, model in results.models.items()}
    assert len({shown[name] for name in names.values()}) > 3


def test_all_forms_learn_over_the_same_tuned_parts():
    data = small_dataset()
    features = small_features(data, RUN)
    held = held_with_words(hold_out(data, SplitConfig(), 7, "validation"), data, features, RUN)
    parts = {n: p.fit(held.train, features, RUN) for n, p in create_parts({"content": {}, "als": {}}).items()}
    made = {
        kind: fusion_of(FusionConfig.parse({"kind": kind, "stack": STACK}, "test"), parts).taught(held, RUN)
        for kind in ("blend", "mixed", "logistic")
    }
    tuned = {kind: {n: p.config for n, p in fused.parts.items()} for kind, fused in made.items()}
    assert tuned["blend"] == tuned["mixed"] == tuned["logistic"]
