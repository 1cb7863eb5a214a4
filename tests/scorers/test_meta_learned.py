"""Meta-learned: a few events make the shared head a person's own; none leave it as it is."""

from __future__ import annotations

from copy import copy
from dataclasses import replace

import numpy as np
import pytest
from neural_tastes import COLD, RUN, WORDS, fitted, share_of, tastes

from fuserec.data.query import QueryBatch
from fuserec.encoders.reading import Words, with_words
from fuserec.errors import ConfigError, DataError, MissingExtraError
from fuserec.run import CancelledError
from fuserec.scorers import create
from fuserec.testing import small_features
from fuserec.testing.contract import check_scorer
from fuserec.testing.planted import dataset_of

pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")

SMALL = {"epochs": 10, "held_out": 0, "embedding_dim": 8, "hidden": 8, "text_dim": 2, "batch_size": 128}
N_ITEMS = 40


def opposite(seed=0, shuffled=False, n_users=300):
    """Return people of two tastes who share one direction: what one of them takes the other leaves, with exceptions."""
    rng = np.random.default_rng(seed)
    rows = []
    for u in range(n_users):
        sign = 0.0 if shuffled else (1.0 if u % 2 else -1.0)
        fit = 3.0 * sign * np.where(np.arange(N_ITEMS) % 2, 1.0, -1.0)
        rows.append(np.argsort(-(fit + rng.gumbel(size=N_ITEMS)))[:8])
    return dataset_of([rng.permutation(row).tolist() for row in rows], N_ITEMS, titles=[None] * N_ITEMS)


def without_steps(model):
    """Return the scorer with its shared head alone."""
    other = copy(model)
    other._model = replace(model._model, steps=0)
    return other


def right_of(model, length, n=150, seed=3):
    """Return, for new people of either taste with some events, how often an item of theirs beats one of the others'."""
    rng = np.random.default_rng(seed)
    of = [np.arange(t, N_ITEMS, 2) for t in range(2)]
    histories = [rng.permutation(of[u % 2])[:length] for u in range(n)]
    values, found = model.score(QueryBatch.of_histories(histories)).values, []
    for u in range(n):
        mine, theirs = np.setdiff1d(of[u % 2], histories[u]), of[1 - u % 2]
        found.append((values[u, mine][:, None] > values[u, theirs][None, :]).mean())
    return np.array(found)


def test_adaptation_is_worth_it_from_the_first_event_on_and_does_nothing_without():
    model = fitted("meta_learned", opposite(), **SMALL)
    plain = without_steps(model)
    for length in range(1, 6):
        gain = right_of(model, length) - right_of(plain, length)
        low = gain.mean() - 1.96 * gain.std() / np.sqrt(gain.size)
        assert low > 0.25, length
        assert right_of(model, length).mean() > 0.8
    assert np.array_equal(right_of(model, 0), right_of(plain, 0))
    assert abs(right_of(plain, 3).mean() - 0.5) < 0.1  # one head cannot suit both


def test_from_shuffled_tastes_nothing_is_adapted_to():
    model = fitted("meta_learned", opposite(shuffled=True), **SMALL)
    found = right_of(model, 4)
    assert abs(found.mean() - 0.5) < 4 * found.std() / np.sqrt(found.size) + 0.02


@pytest.mark.parametrize("first_order", [True, False])
def test_items_of_ones_taste_come_first_and_new_ones_by_their_text(first_order):
    data = tastes()
    model = fitted("meta_learned", data, **SMALL, first_order=first_order)
    scores = model.score(QueryBatch.of_histories([[3, 6], [4, 7], [5, 8]]))
    for row in range(3):
        assert share_of(scores, row, np.arange(9, data.n_items))[row] == 1.0
        assert np.argmax(scores.values[row, list(COLD)]) == row
    nobody = QueryBatch.of_histories([[], [], []])
    said = [Words(request=" ".join(words)) for words in WORDS]
    told = model.score(with_words(nobody, said, small_features(data, RUN), RUN))
    for row in range(3):
        assert share_of(told, row, np.arange(3, data.n_items))[row] > 0.7


def test_a_dislike_is_adapted_to_the_other_way_round():
    model = fitted("meta_learned", tastes(), **SMALL)
    q = QueryBatch.of_histories([[3]])
    liked, disliked = model.score(q), model.score(q.with_weights(np.array([-1.0])))
    space = np.arange(6, 45, 3)
    assert (liked.values[0, space] > disliked.values[0, space]).all()


def test_evidence_is_what_anybody_gets_and_what_events_add():
    model = fitted("meta_learned", tastes(), **SMALL)
    q, items = QueryBatch.of_histories([[3, 6], []]), np.tile(np.arange(9, 15), (2, 1))
    scores, rows = model.score(q, items).values, model.evidence(q, items)
    plain = without_steps(model).score(q, items).values
    for query in range(2):
        for column, cell in enumerate(rows[query]):
            assert cell[0].kind == "popularity"
            assert cell[0].contribution == pytest.approx(plain[query, column], rel=1e-5)
            assert sum(row.contribution for row in cell) == pytest.approx(scores[query, column], abs=1e-5)
    assert {row.key for cell in rows[0] for row in cell if row.kind == "item"} == {3, 6}
    assert all(len(cell) == 1 for cell in rows[1])


@pytest.mark.parametrize("options", [{"first_order": False}, {"reads": "nothing", "local_steps": 1}], ids=str)
def test_the_contract_holds_for_the_other_forms(options):
    scorer = create("meta_learned", {**options, "epochs": 2})
    if options.get("reads") != "nothing":
        check_scorer(scorer)
        return
    data = tastes()
    model = scorer.fit(data, small_features(data, RUN), RUN)
    assert not model.score(QueryBatch.of_histories([[3]])).items[list(COLD)].any()


def test_a_stopped_training_goes_on_to_the_same_figure(tmp_path):
    data, asked = tastes(), []
    stopped = replace(RUN, checkpoints=tmp_path, cancel=lambda: asked.append(1) or len(asked) == 17)
    options = {**SMALL, "held_out": 20}
    with pytest.raises(CancelledError, match="goes on from its checkpoint"):
        fitted("meta_learned", data, stopped, **options)
    again, whole = fitted("meta_learned", data, stopped, **options), fitted("meta_learned", data, **options)
    for name, array in whole.state()[0].items():
        np.testing.assert_array_equal(array, again.state()[0][name], err_msg=name)


def test_epochs_are_planned_and_what_cannot_be_is_said(monkeypatch):
    data = tastes()
    features = small_features(data, RUN)
    sized, _ = create("meta_learned", {"epochs": 5}).within(600.0, data, features, RUN)
    assert sized.config.epochs == 5
    none, why = create("meta_learned").within(0.0, data, features, RUN)
    assert none is None
    assert "too little for 4 epochs" in why
    with pytest.raises(DataError, match="nothing to learn from, leave this part out"):
        fitted("meta_learned", dataset_of([[0], [1], [2]], 3), **SMALL)
    with pytest.raises(ConfigError, match="local_rate"):
        create("meta_learned", {"local_rate": 0})
    monkeypatch.setattr("fuserec.neural.available", lambda: False)
    with pytest.raises(MissingExtraError, match="deep"):
        fitted("meta_learned", data, **SMALL)
