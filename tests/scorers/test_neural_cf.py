"""Neural collaborative filtering as a scorer: planted tastes, chance, ratings, new items, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from neural_tastes import COLD, RUN, WORDS, fitted, pairwise_right, share_of, tastes, without_last

from fuserec.data.query import QueryBatch
from fuserec.encoders.reading import Words, with_words
from fuserec.errors import ConfigError, DataError, MissingExtraError, NotFittedError
from fuserec.run import CancelledError
from fuserec.scorers import create
from fuserec.testing import small_features
from fuserec.testing.contract import check_scorer
from fuserec.testing.planted import dataset_of

pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")

SMALL = {
    "epochs": 12,
    "held_out": 0,
    "embedding_dim": 8,
    "mlp_dim": 4,
    "hidden": (8, 4),
    "text_dim": 4,
    "batch_size": 128,
    "learning_rate": 0.02,
    "id_dropout": 0.3,
}
RATED = {**SMALL, "loss": "mse", "epochs": 30, "reads": "nothing"}


def ncf(data, run=RUN, **options):
    return fitted("neural_cf", data, run, **{**SMALL, **options})


@pytest.mark.parametrize("form", ["neumf", "dot", "gmf", "mlp"])
def test_items_of_ones_taste_come_first(form):
    data = tastes()
    model = ncf(data, form=form, epochs=40 if form == "mlp" else 12)
    scores = model.score(QueryBatch.of_histories([[3, 6], [4, 7], [5, 8]]))
    for row in range(3):
        assert share_of(scores, row, np.arange(9, data.n_items))[row] == 1.0
        assert np.argmax(scores.values[row, list(COLD)]) == row  # by their text alone
    assert scores.items[list(COLD)].all()


@pytest.mark.parametrize(("n_items", "n_users"), [(45, 60), (60, 120)])
def test_its_tables_are_as_long_as_the_catalogue_and_know_what_the_data_name(n_items, n_users):
    data = tastes(n_items=n_items, n_users=n_users)
    model = ncf(data, epochs=1, reads="nothing")
    arrays = model.state()[0]
    assert {name for name, array in arrays.items() if n_items in array.shape} >= {"read", "target", "bias"}
    assert not [
        name for name, array in arrays.items() if n_users in array.shape
    ]  # people are their histories
    taken = np.bincount(data.interactions.item, minlength=n_items) > 0
    np.testing.assert_array_equal(model._model.known, taken)
    assert model.score(QueryBatch.of_histories([[3]])).values.shape == (1, n_items)


def test_ids_alone_know_nothing_of_items_that_nobody_took():
    model = ncf(tastes(), reads="nothing")
    scores = model.score(QueryBatch.of_histories([[3, 6], [COLD[0]]]))
    assert not scores.items[list(COLD)].any()
    assert scores.queries.tolist() == [True, False]


def test_words_stand_where_items_of_their_text_do():
    data = tastes()
    model = ncf(data, as_words=0.3)
    nobody = QueryBatch.of_histories([[], [], []])
    said = [Words(request=" ".join(words)) for words in WORDS]
    scores = model.score(with_words(nobody, said, small_features(data, RUN), RUN))
    for row in range(3):
        assert share_of(scores, row, np.arange(3, data.n_items))[row] == 1.0


@pytest.mark.parametrize("form", ["neumf", "dot"])
def test_shuffled_labels_give_chance(form):
    real, held = without_last(tastes())
    right, error = pairwise_right(ncf(real, form=form), real, held)
    assert right > 0.6 + 4 * error
    mixed, held = without_last(tastes(shuffled=True))
    right, error = pairwise_right(ncf(mixed, form=form), mixed, held)
    assert abs(right - 0.5) < 4 * error


def test_evidence_is_what_a_score_loses_without_an_event():
    model = ncf(tastes())
    q, items = QueryBatch.of_histories([[3, 6, 7]]), np.array([[9, 10, 11]])
    score = model.score(q, items).values
    for event in range(3):
        weights = np.ones(3, np.float32)
        weights[event] = 0.0
        lost = (score - model.score(q.with_weights(weights), items).values)[0]
        rows = model.evidence(q, items)[0]
        told = [sum(r.contribution for r in cell if r.key == q.items[event]) for cell in rows]
        np.testing.assert_allclose(told, lost, atol=1e-6)


def test_ratings_are_predicted_better_than_by_the_baseline():
    data = tastes(ratings=True, length=14, n_users=400)
    rng = np.random.default_rng(0)
    held = rng.random(data.n_interactions) < 0.15
    seen, rows = data.with_rows(~held), data.interactions
    model = fitted("neural_cf", seen, **RATED)
    q, right = seen.queries(rows.user[held]), rows.rating[held]
    assert model.can_predict
    found = model.predict(q, rows.item[held][:, None])[:, 0]
    plain = model._baseline.expected(_rated(q, model), rows.item[held][:, None])[:, 0]
    rmse, by_baseline = (float(np.sqrt(np.mean((p - right) ** 2))) for p in (found, plain))
    assert by_baseline > 1.1  # a taste is no bias
    assert rmse < 0.75  # rounding and noise leave .5
    mixed = data.with_rows(~held)
    rows = replace(mixed.interactions, rating=rng.permutation(mixed.interactions.rating))
    model = fitted("neural_cf", replace(mixed, interactions=rows), **{**RATED, "epochs": 8})
    q = mixed.queries(data.interactions.user[held])
    found = model.predict(q, data.interactions.item[held][:, None])[:, 0]
    assert np.corrcoef(found, right)[0, 1] < 0.25


def _rated(q, model):
    from fuserec.scorers.ratings import RatedHistories

    return RatedHistories.of(q, model._model.known)


def test_without_ratings_learnt_none_are_predicted():
    model = ncf(tastes(), epochs=1)
    assert not model.can_predict
    with pytest.raises(NotFittedError, match='set loss = "mse"'):
        model.predict(QueryBatch.of_histories([[3]]), np.array([[4]]))
    with pytest.raises(DataError, match="needs ratings"):
        fitted("neural_cf", tastes(), **RATED)


@pytest.mark.parametrize(
    "options",
    [{"form": "dot", "score": "logit"}, {"form": "mlp", "context": "others"}, {"loss": "mse"}],
    ids=str,
)
def test_the_contract_holds_for_the_other_forms(options):
    check_scorer(create("neural_cf", {**options, "epochs": 2}))


def test_items_that_came_since_are_known_by_their_text():
    data = tastes()
    for options in ({}, RATED):
        small = tastes(ratings=True) if options else data
        model = ncf(small, **options)
        grown = tastes(n_items=48, ratings=bool(options))
        features = small_features(small, RUN).extended(grown, RUN)
        later = model.updated(grown, features, RUN)
        scores = later.score(QueryBatch.of_histories([[3, 6], [4, 7], [5, 8]]))
        assert scores.values.shape[1] == 48
        assert bool(scores.items[45:].all()) == (not options)
        if not options:
            assert [int(np.argmax(row)) for row in scores.values[:, 45:]] == [0, 1, 2]


def test_a_stopped_training_goes_on_to_the_same_figure(tmp_path):
    data, asked = tastes(), []
    stopped = replace(RUN, checkpoints=tmp_path, cancel=lambda: asked.append(1) or len(asked) == 17)
    with pytest.raises(CancelledError, match="goes on from its checkpoint"):
        ncf(data, stopped, held_out=30)
    again, whole = ncf(data, stopped, held_out=30), ncf(data, held_out=30)
    for name, array in whole.state()[0].items():
        np.testing.assert_array_equal(array, again.state()[0][name], err_msg=name)


def test_epochs_are_planned_within_a_time():
    data = tastes()
    features = small_features(data, RUN)
    sized, said = create("neural_cf", {"epochs": 5}).within(600.0, data, features, RUN)
    assert (sized.config.epochs, said[:8]) == (5, "5 epochs")
    none, why = create("neural_cf").within(0.0, data, features, RUN)
    assert none is None
    assert "too little for 4 epochs" in why


def test_what_cannot_be_learnt_is_said(monkeypatch):
    with pytest.raises(DataError, match="nothing to learn from, leave this part out"):
        ncf(dataset_of([[0], [1], [2]], 3))
    with pytest.raises(ConfigError, match="form"):
        create("neural_cf", {"form": "nmf"})
    monkeypatch.setattr("fuserec.neural.available", lambda: False)
    with pytest.raises(MissingExtraError, match="deep"):
        ncf(tastes())
