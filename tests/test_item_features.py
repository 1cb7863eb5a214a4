"""Encoders of each kind from configuration to answer: fitted, saved, loaded, updated, forgotten."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import polars as pl
import pytest

from fuserec import Recommender, RecommenderConfig, RunOptions
from fuserec.data.splits import SplitConfig
from fuserec.encoders.features import FeatureConfig, ItemFeatures
from fuserec.encoders.sentence import SentenceConfig
from fuserec.errors import ConfigError, DataError
from fuserec.evaluation.runner import evaluate
from fuserec.features import item_features
from fuserec.testing import dataset_of

RUN = RunOptions(threads=1, seed=1)
TITLES = [
    f"{colour} {thing} of {place}"
    for colour in ("red", "green", "blue")
    for thing in ("boat", "house")
    for place in ("paris", "london", "rome")
]
SMALL = {
    "word2vec": {"embedding_dim": 8, "min_count": 1, "epochs": 3},
    "fasttext": {"embedding_dim": 8, "min_count": 1, "epochs": 3},
    "lstm": {"embedding_dim": 8, "hidden_dim": 6, "min_count": 1, "epochs": 1, "word_epochs": 1},
}


@pytest.fixture
def no_cache(tmp_path, monkeypatch):
    """Return the folder in which vectors would be kept."""
    monkeypatch.setenv("FUSEREC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    histories = [rng.permutation(len(TITLES))[:6].tolist() for _ in range(20)]
    return dataset_of(histories, len(TITLES), titles=TITLES)


@pytest.fixture(params=["word2vec", "fasttext", "glove", "lstm"])
def table(request, tmp_path):
    """Return [features] of each kind."""
    kind = request.param
    if kind == "lstm":
        pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")
    if kind == "glove":
        path, rng = tmp_path / "glove.txt", np.random.default_rng(0)
        words = [*sorted({word for title in TITLES for word in title.split()} - {"of"}), "boots"]
        path.write_text("".join(f"{w} {' '.join(map(str, rng.normal(size=5)))}\n" for w in words))
        return {"sentence": {"kind": kind, "glove": {"path": str(path)}}}
    return {"sentence": {"kind": kind, kind: SMALL[kind]}}


def built(data, table, run=RUN):
    return item_features(data, FeatureConfig.parse(table, "[features]"), run)


def test_every_kind_reads_items_queries_and_new_items(data, table, no_cache):
    features = built(data, table)
    assert features.sentence.shape[0] == data.n_items
    np.testing.assert_allclose(np.linalg.norm(features.sentence, axis=1), 1, atol=1e-5)
    read = features.read([TITLES[4], "", "zzz-unheard"], RUN)
    np.testing.assert_allclose(read.sentence[0], features.sentence[4], atol=1e-5)
    assert not read.sentence[1].any()
    later = dataset_of([[0, 1]], 20, titles=[*TITLES, "purple boat of rome", "red xylophone"])
    grown = features.extended(later, RUN)
    assert grown.sentence.shape[0] == data.n_items + 2
    assert grown.sentence[18:].any(axis=1).all()
    assert grown.sentence_encoder is features.sentence_encoder
    np.testing.assert_allclose(grown.sentence[: data.n_items], features.sentence, atol=1e-5)
    facts = features.facts["encoder_facts"]
    assert facts["kind"] == table["sentence"]["kind"]
    assert facts["texts_without"] == 0
    assert not list(no_cache.rglob("*.vectors"))  # of one catalogue alone: nothing for the next one to find


def test_state_round_trip(data, table):
    features = built(data, table)
    arrays, meta = features.state()
    again = ItemFeatures.from_state({k: v.copy() for k, v in arrays.items()}, json.loads(json.dumps(meta)))
    one, other = (f.read(["green boat", "red rome"], RUN).sentence for f in (features, again))
    np.testing.assert_array_equal(one, other)
    assert again.sentence_encoder.fingerprint == features.sentence_encoder.fingerprint
    assert again.facts == features.facts


def test_other_texts_another_fingerprint(data, table):
    more = dataset_of(
        [[0, 1, 2]], 4, titles=["red boat of rome", "blue house of paris", "red house", "green boat"]
    )
    first, second = built(data, table), built(more, table)
    assert first.sentence_encoder.fingerprint != second.sentence_encoder.fingerprint
    assert first.sentence_encoder.fingerprint == built(data, table).sentence_encoder.fingerprint


def test_a_recommender_is_fitted_saved_loaded_updated_and_forgets(data, table, tmp_path):
    config = RecommenderConfig.parse({"features": table, "parts": {"popularity": {}, "content": {}}}, "test")
    model = Recommender(config).fit(data, RUN)
    assert model.info()["encoder_facts"]["kind"] == table["sentence"]["kind"]
    model.save(tmp_path / "model", bundle_encoder=True)  # there is nothing to bundle: it is inside
    assert not list((tmp_path / "model").glob("encoder-*"))
    again = Recommender.load(tmp_path / "model")
    asked = {"text": "a green boat", "history": ["i0"], "k": 5}
    assert [i.item_id for i in again.recommend(**asked).items] == [
        i.item_id for i in model.recommend(**asked).items
    ]
    again.update(items=[{"item_id": "new", "title": "green boat of paris"}])
    assert again.recommend(text="green boat of paris", k=3).items[0].item_id in {"new", "i6"}
    encoder = model.fitted.features.sentence_encoder
    model.forget("u3", RUN)
    assert model.fitted.features.sentence_encoder is encoder  # the same texts: nothing is trained again


def test_forgetting_after_an_update_equals_a_fit_on_the_grown_catalogue(data):
    table = {"sentence": {"kind": "word2vec", "word2vec": SMALL["word2vec"]}}
    config = RecommenderConfig.parse({"features": table, "parts": {"popularity": {}, "content": {}}}, "test")
    model = Recommender(config).fit(data, RUN)
    model.update(items=[{"item_id": "new", "title": "purple boat of oslo"}])
    grown = model.fitted.dataset.without_user(3)
    model.forget("u3", RUN)
    fresh = Recommender(config).fit(grown, RUN).fitted.features
    np.testing.assert_array_equal(model.fitted.features.sentence, fresh.sentence)


def test_a_fitted_lstm_answers_without_pytorch(data, tmp_path):
    pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")
    table = {"sentence": {"kind": "lstm", "lstm": SMALL["lstm"]}}
    config = RecommenderConfig.parse({"features": table, "parts": {"content": {}}}, "test")
    model = Recommender(config).fit(data, RUN)
    model.save(tmp_path / "model")
    script = (
        "import sys; sys.modules['torch'] = None\n"
        "from fuserec import Recommender\n"
        f"model = Recommender.load({str(tmp_path / 'model')!r})\n"
        "print([i.item_id for i in model.recommend(text='green boat', k=3).items])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str([i.item_id for i in model.recommend(text="green boat", k=3).items])


def test_an_lstm_is_not_trained_below_its_room(data):
    config = FeatureConfig.parse({"sentence": {"kind": "lstm"}}, "[features]")
    with pytest.raises(ConfigError, match=r"fuserec\.features\.item_features"):
        ItemFeatures.build(data, config, RUN)


def test_configurations_are_compared_each_with_its_own_encoder(data):
    parts = {"content": {"sentence_share": 1.0}}
    tables = {
        "words": {"use_sentence": "never"},
        "w2v": {"sentence": {"kind": "word2vec", "word2vec": SMALL["word2vec"]}},
        "ft": {"sentence": {"kind": "fasttext", "fasttext": SMALL["fasttext"]}},
    }
    configs = {
        name: RecommenderConfig.parse({"features": table, "parts": parts, "fusion": {"tune": False}}, name)
        for name, table in tables.items()
    }
    found = json.loads(evaluate(data, configs, split=SplitConfig(), models=("content",), run=RUN).to_json())
    assert set(found["models"]) == {"words.content", "w2v.content", "ft.content"}
    figures = [found["models"][name]["metrics"]["mrr"]["value"] for name in sorted(found["models"])]
    assert len(set(figures)) > 1


def test_text_that_teaches_nothing_is_an_error_and_no_text_is_none(data):
    table = {"sentence": {"kind": "word2vec"}}
    lonely = dataset_of([[0, 1]], 3, titles=["one", "two", "three"])
    with pytest.raises(DataError, match="choose another encoder"):
        built(lonely, table)
    silent = dataset_of([[0, 1]], 3, titles=[None, "", " "])
    assert built(silent, table).sentence is None
    assert built(data, {**table, "use_sentence": "never"}).sentence is None


def test_configurations_and_models_of_before_still_work(data):
    old = {
        "sentence": {"model": "minilm", "backend": "auto", "compute_type": "float32"},
        "use_sentence": "never",
    }
    assert FeatureConfig.parse(old, "[features]").sentence == SentenceConfig(compute_type="float32")
    features = ItemFeatures.build(data, FeatureConfig.parse(old, "[features]"), RUN)
    arrays, meta = features.state()
    added = {"kind", "word2vec", "fasttext", "glove", "lstm", "sif"}
    meta["config"]["sentence"] = {k: v for k, v in meta["config"]["sentence"].items() if k not in added}
    assert ItemFeatures.from_state(arrays, json.loads(json.dumps(meta))).config == features.config


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"kind": "word2vek"}, "did you mean 'word2vec'"),
        ({"word2vec": {"windw": 3}}, r"unknown key 'sentence.word2vec.windw'; did you mean 'window'"),
        ({"fasttext": {"char_ngrams": [5, 3]}}, "shortest <= longest"),
        ({"lstm": {"pooling": "sum"}}, "'mean'"),
        ({"sif": {"a": 0}}, "greater than 0"),
    ],
)
def test_wrong_configurations_say_what_is_allowed(table, told):
    with pytest.raises(ConfigError, match=told):
        FeatureConfig.parse({"sentence": table}, "[features]")


def test_tags_are_learnt_from_text_without_them():
    pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")
    from dataclasses import replace

    data = dataset_of(
        [[0, 1, 2]], 40, titles=[f"{'red' if i % 2 else 'blue'} boat {i % 5}" for i in range(40)]
    )
    kinds = [["warm"] if i % 2 else ["cold"] for i in range(40)]
    data = replace(data, item_table=data.item_table.with_columns(pl.Series("categories", kinds)))
    table = {"sentence": {"kind": "lstm", "lstm": {**SMALL["lstm"], "objective": "tags"}}}
    assert built(data, table).facts["encoder_facts"]["objective"] == "tags"
