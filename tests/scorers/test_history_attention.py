"""Attention over the history as a scorer: planted tastes, chance, evidence, new items, and what it refuses."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from neural_tastes import COLD, RUN, WORDS, fitted, pairwise_right, share_of, tastes, without_last

from fuserec.data.query import QueryBatch
from fuserec.encoders.reading import Words, with_words
from fuserec.errors import ConfigError, DataError, MissingExtraError
from fuserec.run import CancelledError
from fuserec.scorers import create
from fuserec.testing import small_features
from fuserec.testing.contract import check_scorer
from fuserec.testing.planted import dataset_of

pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")

SMALL = {"epochs": 4, "held_out": 0, "text_dim": 2, "batch_size": 256, "negatives": 4}
FORMS = ("global", "bilinear", "mlp")


def attention(data, run=RUN, **options):
    return fitted("history_attention", data, run, **{**SMALL, **options})


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("similarity", ["cooccurrence", "content", "both"])
def test_items_of_ones_taste_come_first(form, similarity):
    data = tastes()
    model = attention(data, attention=form, similarity=similarity)
    scores = model.score(QueryBatch.of_histories([[3, 6], [4, 7], [5, 8]]))
    for row in range(3):
        assert share_of(scores, row, np.arange(9, data.n_items))[row] == 1.0
        if similarity != "cooccurrence":
            assert np.argmax(scores.values[row, list(COLD)]) == row
    assert bool(scores.items[list(COLD)].all()) == (similarity != "cooccurrence")


def test_words_are_an_event():
    data = tastes()
    model = attention(data)
    features = small_features(data, RUN)
    nobody = QueryBatch.of_histories([[], [], []])
    asked = with_words(nobody, [Words(request=" ".join(words)) for words in WORDS], features, RUN)
    scores = model.score(asked)
    for row in range(3):
        assert share_of(scores, row, np.arange(data.n_items))[row] == 1.0
    rows = model.evidence(asked, np.tile(np.array([[3, 4, 5]]), (3, 1)))
    assert {(r.kind, r.method) for query in rows for cell in query for r in cell} == {("text", "exact")}


@pytest.mark.parametrize("form", FORMS)
def test_shuffled_labels_give_chance(form):
    real, held = without_last(tastes())
    right, error = pairwise_right(attention(real, attention=form, similarity="cooccurrence"), real, held)
    assert right > 0.6 + 4 * error
    mixed, held = without_last(tastes(shuffled=True))
    right, error = pairwise_right(attention(mixed, attention=form, similarity="cooccurrence"), mixed, held)
    assert abs(right - 0.5) < 4 * error


def test_what_everybody_takes_weighs_less_than_what_tells_a_taste():
    rng = np.random.default_rng(2)
    warm = [np.arange(t, 45, 3) for t in range(3)]
    rows = []
    for u in range(400):  # items 42 to 44 come anywhere, and say nothing of what comes next
        row = rng.permutation(warm[u % 3][:14])[:6].tolist()
        row.insert(int(rng.integers(6)), int(rng.integers(42, 45)))
        rows.append(row)
    model = attention(dataset_of(rows, 45), similarity="cooccurrence", regularization=0.5, epochs=12)
    weights = model._model.shared + model._model.own[:, 0]
    assert weights[42:].max() < weights[:42].min()


def test_probability_and_logit_rank_alike_and_evidence_shares_both_out():
    data = tastes()
    q, items = QueryBatch.of_histories([[3, 6], [4]]), np.tile(np.arange(9, 30), (2, 1))
    logit, probability = (attention(data, score=score) for score in ("logit", "probability"))
    a, b = logit.score(q, items).values, probability.score(q, items).values
    np.testing.assert_allclose(b, 1 / (1 + np.exp(-(a + logit._model.bias))), rtol=1e-5)
    for query, cells in enumerate(probability.evidence(q, items)):
        for column, cell in enumerate(cells):
            assert sum(row.contribution for row in cell) == pytest.approx(b[query, column], abs=1e-5)
            assert {row.kind for row in cell} <= {"bias", "item"}


@pytest.mark.parametrize(
    "options",
    [
        {"attention": "bilinear", "similarity": "content"},
        {"attention": "mlp", "score": "probability", "context": "others"},
        {"similarity": "cooccurrence", "loss": "squared"},
    ],
    ids=str,
)
def test_the_contract_holds_for_the_other_forms(options):
    check_scorer(create("history_attention", {**options, "epochs": 2}))


def test_a_stopped_training_goes_on_to_the_same_figure(tmp_path):
    data, asked = tastes(), []
    stopped = replace(RUN, checkpoints=tmp_path, cancel=lambda: asked.append(1) or len(asked) == 9)
    with pytest.raises(CancelledError, match="goes on from its checkpoint"):
        attention(data, stopped, attention="mlp")
    again, whole = attention(data, stopped, attention="mlp"), attention(data, attention="mlp")
    for name, array in whole.state()[0].items():
        np.testing.assert_array_equal(array, again.state()[0][name], err_msg=name)


def test_epochs_are_planned_within_a_time():
    data = tastes()
    features = small_features(data, RUN)
    sized, said = create("history_attention", {"epochs": 5}).within(600.0, data, features, RUN)
    assert (sized.config.epochs, said[:8]) == (5, "5 epochs")
    none, why = create("history_attention").within(0.0, data, features, RUN)
    assert none is None
    assert "too little for 2 epochs" in why


def test_an_update_counts_anew_and_keeps_what_was_learnt():
    data = tastes()
    model = attention(data.with_rows(data.interactions.item != 9))
    assert model.score(QueryBatch.of_histories([[3]])).values[0, 9] != 0.0  # by content
    later = model.updated(data, small_features(data, RUN), RUN)
    np.testing.assert_array_equal(model._model.own, later._model.own)
    assert later._model.like.people[9] > 0 == model._model.like.people[9]


def test_what_cannot_be_learnt_or_compared_is_said():
    with pytest.raises(DataError, match="nothing to learn from, leave this part out"):
        attention(dataset_of([[0], [1], [2]], 3))
    bare = dataset_of([[u % 5, (u + 1) % 5, (u + 2) % 5] for u in range(40)], titles=[None] * 5)
    with pytest.raises(DataError, match='set similarity = "cooccurrence"'):
        attention(bare, similarity="content")
    with pytest.raises(ConfigError, match="attention"):
        create("history_attention", {"attention": "globl"})


def test_without_texts_who_took_what_is_enough(caplog):
    bare = dataset_of([[u % 5, (u + 1) % 5, (u + 2) % 5] for u in range(40)], titles=[None] * 5)
    model = attention(bare)
    assert "co-occurrence alone is used" in caplog.text
    assert model.score(QueryBatch.of_histories([[0]])).answered.all()


def test_without_pytorch_it_names_the_extra_and_still_answers(monkeypatch):
    monkeypatch.setattr("fuserec.neural.available", lambda: False)
    with pytest.raises(MissingExtraError, match="deep"):
        attention(tastes())
    code = (
        "import sys; import fuserec.scorers.history_attention, fuserec.scorers.neural_cf; "
        "import fuserec.neural.attention.fitted, fuserec.neural.attention.likeness; "
        "import fuserec.neural.collaborative.fitted; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
