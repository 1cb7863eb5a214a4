"""Joint training learns what was planted by each of its losses alone, and nothing where there is nothing to learn."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from fuserec.data.dataset import SECONDS_PER_DAY
from fuserec.data.query import QueryBatch
from fuserec.encoders.reading import Words, with_words
from fuserec.errors import ConfigError, DataError, MissingExtraError, NotFittedError
from fuserec.run import CancelledError, RunOptions
from fuserec.scorers import create
from fuserec.testing import small_features
from fuserec.testing.contract import check_scorer
from fuserec.testing.planted import dataset_of

pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")

RUN = RunOptions(seed=5, threads=1)
TASTES = (
    ("galaxy", "robot", "orbit", "alien"),
    ("murder", "alibi", "witness", "police"),
    ("bread", "spice", "soup", "butter"),
)
COLD = np.array([0, 1, 2])
"""Items of each taste that nobody has taken."""

SMALL = {
    "embedding_dim": 4,  # whitening makes noise as loud as tastes where it keeps more
    "hidden": 8,
    "epochs": 15,
    "learning_rate": 0.05,
    "batch_size": 256,
    "negatives": 15,
    "held_out": 0,
    "id_dropout": 0.3,
}
NONE = {"lambda_content": 0.0, "lambda_deep": 0.0, "lambda_feedback": 0.0}
ALONE = {
    "content": {**NONE, "lambda_content": 1.0},
    "likelihood": {**NONE, "lambda_deep": 1.0},
    "next item": {**NONE, "lambda_deep": 1.0, "deep_loss": "next_item"},
    "feedback": {**NONE, "lambda_feedback": 1.0},
    "policy gradient": {**NONE, "lambda_feedback": 1.0, "feedback_loss": "policy_gradient"},
}
TOGETHER = {
    "all": {},
    "learnt weights": {"weights": "learnt"},
    "dot": {"head": "dot", "score": "logit", "context": "others"},
}


def tastes_dataset(seed=0, shuffled=False, n_users=300, n_items=45, length=5):
    """Return people who take items of one taste; item j is of taste j % 3, and so is what it is called."""
    rng = np.random.default_rng(seed)
    titles = [" ".join(rng.permutation(TASTES[j % 3])[:3]) for j in range(n_items)]
    warm = [np.setdiff1d(np.arange(taste, n_items, 3), COLD) for taste in range(3)]
    rows = [rng.permutation(warm[user % 3])[:length].tolist() for user in range(n_users)]
    if shuffled:
        mixed = rng.permutation([item for row in rows for item in row])
        rows = [list(row) for row in np.split(mixed, n_users)]
    return dataset_of(rows, n_items, titles=titles)


def fitted(data, **options):
    return create("joint", {**SMALL, **options}).fit(data, small_features(data, RUN), RUN)


def held_figure(data, **options):
    """Return NDCG@10 of each person's last event, given those before it, and what chance gives at best."""
    last = data.indptr[1:] - 1
    kept = np.ones(data.n_interactions, dtype=bool)
    kept[last] = False
    train = data.with_rows(kept)
    values = fitted(train, **options).score(train.queries()).values.copy()
    q = train.queries()
    values[q.rows, q.items] = -np.inf
    mine = values[np.arange(data.n_users), data.interactions.item[last]][:, None]
    ranks = (values > mine).sum(axis=1) + 0.5 * (1 + (values == mine).sum(axis=1))
    places = np.arange(1, data.n_items - 6)  # all items but four taken and three cold
    gains = np.where(places <= 10, 1 / np.log2(1 + places), 0)
    limit = gains.mean() + 4 * gains.std() / np.sqrt(data.n_users)
    return float(np.where(ranks <= 10, 1 / np.log2(1 + ranks), 0).mean()), float(limit)


@pytest.mark.parametrize("form", [*ALONE, *TOGETHER])
def test_a_taste_is_learnt_by_each_loss_alone_and_by_all(form):
    data = tastes_dataset()
    model = fitted(data, **({**ALONE, **TOGETHER}[form]))
    scores = model.score(QueryBatch.of_histories([[3, 6], [4, 7], [5, 8]]))
    warm = np.arange(9, data.n_items)
    for row in range(3):
        best = warm[np.argsort(-scores.values[row, warm])[:10]]
        assert (best % 3 == row).mean() == 1.0
        assert np.argmax(scores.values[row, COLD]) == row  # items that nobody took, by their text
    assert scores.answered[:, COLD].all()


@pytest.mark.parametrize("form", [*ALONE, "all"])
def test_shuffled_labels_give_chance(form):
    options = {**ALONE, **TOGETHER}[form]
    found, limit = held_figure(tastes_dataset(shuffled=True), **options)
    assert found < limit
    if form == "all":
        found, limit = held_figure(tastes_dataset(), **options)
        assert found > limit


def test_what_people_say_is_read_like_what_they_take():
    data = tastes_dataset()
    features = small_features(data, RUN)
    model = create("joint", {**SMALL, "as_words": 0.3}).fit(data, features, RUN)
    nobody = QueryBatch.of_histories([[], [], []])
    asked = with_words(nobody, [Words(request=" ".join(words[:3])) for words in TASTES], features, RUN)
    scores = model.score(asked)
    assert scores.queries.all()
    warm = np.arange(3, data.n_items)
    for row in range(3):
        assert (warm[np.argsort(-scores.values[row, warm])[:10]] % 3 == row).mean() > 0.8


def logged(propensity):
    """Return people who take items 2 to 4, and what 400 unknown ones were shown.

    Item 0 is liked by half of them: those to whom it was shown nine times as often. Item 1 is liked by seven in ten,
    and was shown to every other one.
    """
    rows = [(0, 1.0, 0.9)] * 180 + [(0, 0.0, 0.1)] * 20 + [(1, 1.0, 0.5)] * 70 + [(1, 0.0, 0.5)] * 30
    table = pl.DataFrame(
        {
            "request_id": [f"r{place}" for place in range(len(rows))],
            "user_id": [f"guest {place}" for place in range(len(rows))],
            "item_id": [f"i{item}" for item, _, _ in rows],
            "position": [0.0] * len(rows),
            "propensity": [p if propensity else None for _, _, p in rows],
            "reward": [reward for _, reward, _ in rows],
            "timestamp": [SECONDS_PER_DAY] * len(rows),
        },
        schema_overrides={"propensity": pl.Float64},
    )
    return replace(dataset_of([[2, 3, 4], [3, 4, 2], [4, 2, 3]] * 10, 5), impressions=table)


def test_propensities_make_a_biased_log_tell_the_truth():
    options = {**ALONE["feedback"], "score": "logit", "epochs": 60, "as_words": 0.0, "id_dropout": 0.0}
    guest = QueryBatch.of_histories([[]])
    said = {
        known: 1 / (1 + np.exp(-fitted(logged(known), **options).score(guest).values[0, :2]))
        for known in (True, False)
    }
    assert said[True] == pytest.approx([0.5, 0.7], abs=0.03)
    assert said[False] == pytest.approx([0.9, 0.7], abs=0.03)


@pytest.mark.parametrize("likelihood", ["gaussian", "ordinal"])
def test_ratings_are_predicted_in_their_scale(likelihood):
    data = tastes_dataset(length=10, n_users=150)
    stars = np.where(data.interactions.item // 3 % 2 == 0, 5.0, 2.0).astype(np.float32)
    rated = replace(
        data,
        interactions=replace(data.interactions, rating=stars),
        info=replace(data.info, rating_scale=(1.0, 5.0)),
    )
    model = fitted(rated, likelihood=likelihood, id_dropout=0.0, epochs=20, negatives=5)
    assert model.can_predict
    items = np.array([[9, 12, 15, 18]])
    found = model.predict(QueryBatch.of_histories([[3, 6]]), items)
    np.testing.assert_allclose(found, [[2.0, 5.0, 2.0, 5.0]], atol=0.35)
    with pytest.raises(NotFittedError, match="likelihood"):
        fitted(data, epochs=1).predict(QueryBatch.of_histories([[3]]), items)


def test_the_score_is_the_probability_among_what_training_holds():
    data = tastes_dataset()
    plain = fitted(data, sharpness=1.0, epochs=3)
    config = plain.config.model_copy(update={"score": "logit"})
    raw = type(plain).from_state(config, *plain.state(), small_features(data, RUN))
    q = QueryBatch.of_histories([[3, 6], [4, 8, 12], [0]])
    warm = np.setdiff1d(np.arange(data.n_items), COLD)
    p, logits = plain.score(q).values, raw.score(q).values
    np.testing.assert_allclose(p[:, warm].sum(axis=1), 1.0, rtol=1e-5)
    odds = np.exp(logits[:, warm])
    np.testing.assert_allclose(p[:, warm], odds / odds.sum(axis=1, keepdims=True), rtol=1e-4)


def test_the_joint_logit_weighs_the_heads_by_their_lambdas():
    data, q = tastes_dataset(), QueryBatch.of_histories([[3, 6, 4]])
    model = fitted(data, epochs=2, score="logit", lambda_content=1.0, lambda_deep=3.0, lambda_feedback=4.0)
    arrays, meta = model.state()
    np.testing.assert_allclose(arrays["weights"], [1 / 8, 3 / 8, 4 / 8])
    alone = []
    for place in range(3):
        weights = np.zeros(3)
        weights[place] = 1.0
        one = type(model).from_state(
            model.config, {**arrays, "weights": weights}, meta, small_features(data, RUN)
        )
        alone.append(one.score(q).values)
    wanted = (alone[0] + 3 * alone[1] + 4 * alone[2]) / 8
    np.testing.assert_allclose(model.score(q).values, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"head": "dot", "score": "logit"},
        {"lambda_deep": 0.0, "score": "logit", "feedback_loss": "policy_gradient", "top_k": 4},
        {"likelihood": "ordinal", "weights": "learnt", "context": "others"},
        {"deep_loss": "next_item", "lambda_content": 0.0, "lambda_feedback": 0.0, "reads": "words"},
        {**ALONE["content"], "negatives": 10_000},
    ],
    ids=str,
)
def test_the_contract_holds_for_the_other_forms(options):
    check_scorer(create("joint", {**options, "epochs": 2}))


def test_a_stopped_training_goes_on_to_the_same_figure(tmp_path):
    data = tastes_dataset()
    features = small_features(data, RUN)
    asked = []
    counted = replace(RUN, checkpoints=tmp_path, cancel=lambda: asked.append(1) or len(asked) == 17)
    scorer = create("joint", {**SMALL, "held_out": 20, "epochs": 5, "weights": "learnt"})
    with pytest.raises(CancelledError, match="goes on from its checkpoint"):
        scorer.fit(data, features, counted)
    again, whole = scorer.fit(data, features, counted), scorer.fit(data, features, RUN)
    for name, array in whole.state()[0].items():
        np.testing.assert_array_equal(array, again.state()[0][name], err_msg=name)


def test_epochs_are_planned_within_a_time():
    data = tastes_dataset()
    features = small_features(data, RUN)
    scorer = create("joint", {**SMALL, "epochs": 5})
    sized, said = scorer.within(600.0, data, features, RUN)
    assert (sized.config.epochs, said[:8]) == (5, "5 epochs")
    none, why = scorer.within(0.0, data, features, RUN)
    assert none is None
    assert "too little for 4 epochs" in why


class TestFaults:
    def test_a_loss_has_to_be_left(self):
        with pytest.raises(ConfigError, match="at least one loss has to be left"):
            create("joint", NONE)

    @pytest.mark.parametrize("options", [{"lambda_deep": -1}, {"weight_limit": 1}, {"unknown_weight": 0}])
    def test_numbers_out_of_range_are_refused(self, options):
        with pytest.raises(ConfigError, match=next(iter(options))):
            create("joint", options)

    def test_ratings_that_are_not_there(self):
        with pytest.raises(DataError, match="needs ratings"):
            fitted(tastes_dataset(), likelihood="gaussian")

    def test_ratings_that_are_no_levels(self):
        data = tastes_dataset()
        many = np.linspace(1, 5, data.n_interactions).astype(np.float32)
        data = replace(data, interactions=replace(data.interactions, rating=many))
        with pytest.raises(DataError, match=r'at most 20 levels.*likelihood = "gaussian"'):
            fitted(data, likelihood="ordinal")

    def test_nothing_to_learn_from(self):
        with pytest.raises(DataError, match="nothing to learn from, leave this part out"):
            fitted(dataset_of([[0], [1], [2]], 3))

    def test_without_texts_the_content_loss_is_left_out(self, caplog):
        data = dataset_of([[u % 5, (u + 1) % 5, (u + 2) % 5] for u in range(40)], titles=[None] * 5)
        model = fitted(data)
        assert "the content loss is left out" in caplog.text
        assert model.score(QueryBatch.of_histories([[0]])).answered.all()
        with pytest.raises(DataError, match="too little text"):
            fitted(data, **ALONE["content"])

    def test_without_pytorch_it_names_the_extra(self, monkeypatch):
        monkeypatch.setattr("fuserec.neural.available", lambda: False)
        with pytest.raises(MissingExtraError, match="deep"):
            fitted(tastes_dataset())


def test_a_fitted_model_answers_without_pytorch(tmp_path):
    data = tastes_dataset()
    model = fitted(data, epochs=1)
    arrays, meta = model.state()
    np.savez(tmp_path / "state.npz", **arrays)
    program = f"""
import sys
sys.modules["torch"] = None
import numpy as np
from fuserec.data.query import QueryBatch
from fuserec.scorers.joint import Joint, JointConfig
model = Joint(JointConfig(embedding_dim=4, hidden=8))
model._restore(dict(np.load({str(tmp_path / "state.npz")!r})), {meta!r})
model._fitted = True
q = QueryBatch.of_histories([[3, 6]])
print(repr(model.score(q).values[0].tolist()), len(model.evidence(q, np.array([[9]]))))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    values = np.array([float(text) for text in done.stdout.split("]")[0].strip("[").split(",")])
    np.testing.assert_allclose(values, model.score(QueryBatch.of_histories([[3, 6]])).values[0], rtol=1e-5)


@pytest.mark.skipif(not pytest.importorskip("torch").cuda.is_available(), reason="PyTorch sees no GPU here")
@pytest.mark.parametrize(
    "options", [{}, {"deep_loss": "next_item", "feedback_loss": "policy_gradient"}], ids=str
)
def test_a_gpu_learns_the_same(options):
    data = tastes_dataset()
    features, q = small_features(data, RUN), QueryBatch.of_histories([[3, 6], [4, 7], [5, 8]])
    scorer = create("joint", {**SMALL, **options, "id_dropout": 0.0})
    for device in ("cpu", "cuda"):
        values = scorer.fit(data, features, replace(RUN, device=device)).score(q).values[:, 9:]
        best = np.argsort(-values, axis=1)[:, :10] % 3
        assert (best == np.arange(3)[:, None]).all(), device
