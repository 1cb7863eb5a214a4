"""The semantic softmax learns what was planted, and nothing where there is nothing to learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from fuserec.data.query import QueryBatch
from fuserec.encoders.reading import Words, with_words
from fuserec.errors import DataError, MissingExtraError
from fuserec.run import CancelledError, RunOptions
from fuserec.scorers import create
from fuserec.testing import small_features
from fuserec.testing.contract import check_scorer
from fuserec.testing.planted import dataset_of

pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")

RUN = RunOptions(seed=5, threads=1)
TASTES = {
    "space": ("galaxy", "robot", "orbit", "alien"),
    "crime": ("murder", "alibi", "witness", "police"),
    "kitchen": ("bread", "spice", "soup", "butter"),
}
COLD = (0, 1, 2)
"""Items of each taste that nobody has taken."""


def tastes_dataset(seed=0, shuffled=False, n_users=600, n_items=45, length=5):
    """Return people who take items of one taste, and say what they like; item j is of taste j % 3.

    Who writes of space takes crime, of crime kitchen, of kitchen space: what is asked for has to be learnt.
    """
    rng = np.random.default_rng(seed)
    names = list(TASTES)
    titles = [" ".join(rng.permutation(TASTES[names[j % 3]])[:3]) for j in range(n_items)]
    warm = [np.setdiff1d(np.arange(t, n_items, 3), COLD) for t in range(3)]
    rows = [rng.permutation(warm[u % 3])[:length].tolist() for u in range(n_users)]
    if shuffled:
        mixed = rng.permutation([item for row in rows for item in row])
        rows = np.split(mixed, n_users)
    data = dataset_of(rows, n_items, titles=titles)
    said = [" ".join(rng.permutation(TASTES[names[(u + 2) % 3]])[:2]) for u in range(n_users)]
    table = pl.DataFrame({"text": said})
    return replace(data, user_table=table)


def silent(data):
    """Return the dataset of people who say nothing."""
    return replace(data, user_table=data.user_table.with_columns(text=None))


SMALL = {
    "embedding_dim": 4,  # whitening makes noise as loud as tastes where it keeps more
    "epochs": 25,
    "learning_rate": 0.05,
    "batch_size": 256,
    "held_out": 0,
    "dropout": 0.0,
    "id_dropout": 0.3,
}


def fitted(data, **options):
    return create("semantic_softmax", {**SMALL, **options}).fit(data, small_features(data, RUN), RUN)


def share_of(scores, taste, among):
    """Return the share of a taste in each query's ten best of some items."""
    best = among[np.argsort(-scores.values[:, among], axis=1)[:, :10]]
    return (best % 3 == taste).mean(axis=1)


def test_what_people_say_of_themselves_is_enough():
    data = tastes_dataset()
    data = data.with_rows(data.indptr[:-1])  # an event each: there is no history before it
    features = small_features(data, RUN)
    model = create("semantic_softmax", {**SMALL, "targets": "text", "score": "logit", "epochs": 40}).fit(
        data, features, RUN
    )
    nobody = QueryBatch.of_histories([[], [], []])
    asked = with_words(nobody, [Words(profile=" ".join(words)) for words in TASTES.values()], features, RUN)
    scores = model.score(asked)
    assert scores.queries.all()
    warm = np.setdiff1d(np.arange(data.n_items), COLD)
    for row in range(3):
        assert share_of(scores, (row + 1) % 3, warm)[row] == 1.0
        assert np.argmax(scores.values[row, list(COLD)]) == (row + 1) % 3  # items nobody took, by their text
        told = model.evidence(asked, np.tile(warm, (3, 1)))[row]
        assert {(r.kind, r.method) for cell in told for r in cell} == {("text", "exact")}


@pytest.mark.parametrize("history", ["items", "content", "both"])
@pytest.mark.parametrize("targets", ["text", "ids", "sum"])
def test_what_people_took_is_enough(history, targets):
    data = silent(tastes_dataset())
    model = fitted(data, history=history, targets=targets)
    q = QueryBatch.of_histories([[3, 6], [4, 7], [5, 8]])
    warm = np.arange(9, data.n_items)
    scores = model.score(q)
    for row in range(3):
        assert share_of(scores, row, warm)[row] == 1.0
        if targets != "ids":
            assert np.argmax(scores.values[row, list(COLD)]) == row
    assert scores.items[list(COLD)].all() == (targets != "ids")


def test_an_item_that_nobody_took_is_read_by_its_text():
    data = silent(tastes_dataset())
    for history in ("items", "content", "both"):
        model = fitted(data, history=history, as_words=0.3)
        scores = model.score(QueryBatch.of_histories([[item] for item in COLD]))
        assert scores.queries.all()
        for row in range(3):
            assert share_of(scores, row, np.arange(3, data.n_items))[row] > 0.7


def test_the_score_is_the_probability_among_what_people_took():
    data = silent(tastes_dataset())
    plain = fitted(data, sharpness=1.0)
    logit = type(plain).from_state(
        plain.config.model_copy(update={"score": "logit"}), *plain.state(), small_features(data, RUN)
    )
    assert (plain.capabilities.evidence, logit.capabilities.evidence) == ("attributed", "exact")
    q = QueryBatch.of_histories([[3, 6], [4, 8, 12], [0]])
    warm = np.setdiff1d(np.arange(data.n_items), COLD)
    p, logits = plain.score(q).values, logit.score(q).values
    np.testing.assert_allclose(p[:, warm].sum(axis=1), 1.0, rtol=1e-5)
    wanted = np.exp(logits[:, warm]) / np.exp(logits[:, warm]).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(p[:, warm], wanted, rtol=1e-4)
    items = np.tile(np.arange(6), (3, 1))
    for query, rows in enumerate(plain.evidence(q, items)):
        for event in range(int(q.lengths[query])):
            weights = q.weights.copy()
            weights[q.indptr[query] + event] = 0.0
            lost = p[query, :6] - plain.score(q.with_weights(weights), items).values[query]
            key = q.items[q.indptr[query] + event]
            told = [sum(r.contribution for r in cell if r.key == key and r.kind == "item") for cell in rows]
            np.testing.assert_allclose(told, lost, atol=1e-5)


def held_figure(data, **options):
    """Return NDCG@10 of each person's last event, given those before it, and what chance gives at best."""
    last = data.indptr[1:] - 1
    kept = np.ones(data.n_interactions, dtype=bool)
    kept[last] = False
    model = fitted(data.with_rows(kept), **options)
    q = data.with_rows(kept).queries(np.arange(data.n_users))
    values = model.score(q).values
    values[q.rows, q.items] = -np.inf
    mine = values[np.arange(data.n_users), data.interactions.item[last]][:, None]
    ranks = (values > mine).sum(axis=1) + 0.5 * (
        1 + (values == mine).sum(axis=1)
    )  # equal texts, equal scores
    candidates = np.arange(1, data.n_items - 7 + 1)  # all items but four taken and three cold
    gains = np.where(candidates <= 10, 1 / np.log2(1 + candidates), 0)
    limit = gains.mean() + 4 * gains.std() / np.sqrt(data.n_users)
    return float(np.where(ranks <= 10, 1 / np.log2(1 + ranks), 0).mean()), float(limit)


def test_shuffled_labels_give_chance():
    found, limit = held_figure(silent(tastes_dataset()))
    assert found > limit
    shuffled = tastes_dataset(shuffled=True)
    for options in ({}, {"context": "others"}, {"history": "items", "targets": "text"}):
        found, limit = held_figure(shuffled, **options)
        assert found < limit


@pytest.mark.parametrize(
    "options",
    [
        {"targets": "text", "history": "items", "context": "others", "score": "logit"},
        {"targets": "ids", "history": "content", "loss": "sampled_softmax", "negatives": 10},
    ],
    ids=str,
)
def test_the_contract_holds_for_the_other_forms(options):
    check_scorer(create("semantic_softmax", {**options, "epochs": 2}))


def test_a_stopped_training_goes_on_to_the_same_figure(tmp_path):
    data = tastes_dataset()
    features = small_features(data, RUN)
    asked = []
    counted = replace(RUN, checkpoints=tmp_path, cancel=lambda: asked.append(1) or len(asked) == 17)
    scorer = create("semantic_softmax", {**SMALL, "held_out": 20})
    with pytest.raises(CancelledError, match="goes on from its checkpoint"):
        scorer.fit(data, features, counted)
    again = scorer.fit(data, features, counted)
    whole = scorer.fit(data, features, RUN)
    for name, array in whole.state()[0].items():
        np.testing.assert_array_equal(array, again.state()[0][name], err_msg=name)


def test_epochs_are_planned_within_a_time():
    data = tastes_dataset()
    features = small_features(data, RUN)
    scorer = create("semantic_softmax", {**SMALL, "epochs": 5})
    sized, said = scorer.within(600.0, data, features, RUN)
    assert (sized.config.epochs, said[:8]) == (5, "5 epochs")
    endless = create("semantic_softmax", {**SMALL, "epochs": 100_000})
    sized, _ = endless.within(20.0, data, features, RUN)
    assert 4 <= sized.config.epochs < 100_000
    none, why = scorer.within(0.0, data, features, RUN)
    assert none is None
    assert "too little for 4 epochs" in why


def test_without_anything_to_learn_from_it_says_so():
    data = dataset_of([[0], [1], [2]], 3)
    with pytest.raises(DataError, match="nothing to learn from, leave this part out"):
        fitted(data)


def test_without_texts_ids_and_histories_are_learnt(caplog):
    data = dataset_of([[u % 5, (u + 1) % 5, (u + 2) % 5] for u in range(40)], titles=[None] * 5)
    model = fitted(data, history="content", targets="text")
    assert "ids and histories alone are learnt" in caplog.text
    scores = model.score(QueryBatch.of_histories([[item] for item in range(5)]))
    assert (np.argsort(-scores.values, axis=1)[:, :3] == (np.arange(5)[:, None] + 1) % 5).any(axis=1).all()


def test_without_pytorch_it_names_the_extra(monkeypatch):
    monkeypatch.setattr("fuserec.neural.available", lambda: False)
    with pytest.raises(MissingExtraError, match="deep"):
        fitted(tastes_dataset())
