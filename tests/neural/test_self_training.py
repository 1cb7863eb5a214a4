"""Few labels: which are used, which pairs are taught without one, and when that ends."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "scorers"))

from planted_words import LEARNS, RUN, ring_of_tastes, tiny
from small_language import Calls

torch = pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")
pytest.importorskip("transformers")

from fuserec.errors import ConfigError, DataError  # noqa: E402
from fuserec.neural.language.pairs.config import LanguagePairConfig, SelfTrainingConfig  # noqa: E402
from fuserec.neural.language.pairs.fit import prepared  # noqa: E402
from fuserec.neural.language.pairs.self_training import (  # noqa: E402
    BALANCE,
    Calibration,
    precision,
    self_trained,
    sure_pairs,
)
from fuserec.run import CancelledError  # noqa: E402
from fuserec.scorers import create  # noqa: E402
from fuserec.testing import small_features  # noqa: E402


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny(tmp_path_factory.mktemp("tiny"))


BI = {**LEARNS, "form": "bi", "learning_rate": 3e-3}


def task_of(model, data=None, **options):
    data = ring_of_tastes() if data is None else data
    config = LanguagePairConfig.parse({**BI, "model": model, **options}, "test")
    torch.manual_seed(0)
    return prepared(config, data, small_features(data, RUN), RUN, None)


def fitted(model, data, run=RUN, **options):
    scorer = create("language_pair", {**BI, "model": model, **options})
    return scorer.fit(data, small_features(data, run), run)


class TestCalibration:
    def test_planted_probabilities_are_found_again(self):
        rng = np.random.default_rng(0)
        logits = rng.normal(1.0, 3.0, 40_000)
        labels = (rng.random(40_000) < 1 / (1 + np.exp(-(0.5 * logits - 1.0)))).astype(float)
        found = Calibration.fit(logits, labels)
        assert found.slope == pytest.approx(0.5, abs=0.02)
        assert found.offset == pytest.approx(-1.0, abs=0.04)
        assert found.probability(np.array([2.0]))[0] == pytest.approx(0.5, abs=0.01)

    def test_few_cases_that_are_parted_cleanly_claim_no_certainty(self):
        found = Calibration.fit(np.array([-9.0, -8.0, 8.0, 9.0]), np.array([0.0, 0.0, 1.0, 1.0]))
        p = found.probability(np.array([-8.0, 8.0]))
        assert 0.15 < p[0] < 0.35  # Platt's target of two cases: 1 / 4
        assert 0.65 < p[1] < 0.85

    def test_useless_logits_say_how_many_are_matches(self):
        rng = np.random.default_rng(1)
        labels = (np.arange(2000) % 5 == 0).astype(float)
        p = Calibration.fit(rng.normal(size=2000), labels).probability(np.array([-3.0, 3.0]))
        np.testing.assert_allclose(p, 0.2, atol=0.06)


class TestLabels:
    @pytest.mark.parametrize(("count", "held"), [(0, 0), (4, 0), (19, 0), (20, 4), (64, 12), (300, 60)])
    def test_so_many_are_used_and_a_fifth_of_them_is_held_out(self, model, count, held):
        task = task_of(model, labels=count)
        assert (task.train.size, task.held.size) == (count - held, held)
        every = np.concatenate([task.train, task.held, task.hidden])
        assert np.array_equal(np.sort(every), task.source.at)

    def test_no_history_tells_what_is_held_out(self, model):
        task = task_of(model, labels=100)
        users = task.source.data.interactions.user
        for event in task.held:
            mine = task.source.at[users[task.source.at] == users[event]]
            assert event == mine.max()
        assert (
            np.unique(users[np.concatenate([task.train, task.held])]).size == 100
        )  # one each, while there are people

    def test_more_than_there_are_is_all(self, model):
        task = task_of(model, labels=10_000)
        assert not task.hidden.size
        assert task.held.size == task.source.at.size // 5

    def test_without_labels_the_model_is_as_it_was(self, model):
        data = ring_of_tastes()
        scorer = fitted(model, data, labels=0, epochs=3)
        base = task_of(model).pairs.backbone
        wanted = base.encode(list(scorer._model.described.texts), RUN, length=8)
        np.testing.assert_allclose(scorer._model.vectors, wanted, atol=0.06 * np.abs(wanted).max())  # int8
        assert scorer.facts["labels"] == 0

    def test_other_labels_change_nothing(self, model):
        """What is not among the labels is not learnt from: exchanging the items of hidden last events is not seen."""
        data = ring_of_tastes()
        options = {"labels": 24, "negative_popularity": 0.0, "compute_type": "float32"}
        task = task_of(model, data, **options)
        rows, lasts = data.interactions, data.indptr[1:] - 1
        free = np.setdiff1d(lasts, np.concatenate([task.train, task.held]))
        assert np.isin(free, task.hidden).all()
        liked = rows.item.copy()
        liked[free] = np.roll(liked[free], 1)
        other = replace(data, interactions=replace(rows, item=liked))
        a, b = (fitted(model, each, epochs=2, **options)._model.vectors for each in (data, other))
        np.testing.assert_array_equal(a, b)


class TestPairs:
    def test_none_is_held_out_and_none_was_met(self, model):
        task = task_of(model, held_out=12)
        at, items = task.unlabelled(4000, np.random.default_rng(0))
        rows = task.source.data.interactions
        pairs = set(zip(rows.user[at].tolist(), items.tolist(), strict=True))
        met = set(zip(rows.user.tolist(), rows.item.tolist(), strict=True))
        assert not pairs & met  # the held-out ones among them
        assert not np.isin(at, task.held).any()

    def test_hidden_events_are_asked_about_but_no_held_out_ones(self, model):
        task = task_of(model, labels=60)
        at, items = task.unlabelled(600, np.random.default_rng(0))
        rows = task.source.data.interactions
        own = rows.item[at] == items
        assert 250 < own.sum() <= 300
        assert np.isin(at[own], task.hidden).all()
        held = set(zip(rows.user[task.held].tolist(), rows.item[task.held].tolist(), strict=True))
        assert not held & set(zip(rows.user[at].tolist(), items.tolist(), strict=True))

    def test_only_sure_ones_are_taught_and_no_class_swamps_the_other(self, model):
        task = task_of(model, held_out=12)
        at, items = task.unlabelled(500, np.random.default_rng(3))
        logits = task.logits(at, items)
        middle = Calibration(4.0 / logits.std(), -4.0 * np.quantile(logits, 0.9) / logits.std())
        told = SelfTrainingConfig(pairs=500, positive=0.8, negative=0.3)
        pseudo, found = sure_pairs(task, middle, told, np.random.default_rng(3))
        p = middle.probability(task.logits(pseudo.at, pseudo.items))
        assert (p[pseudo.labels == 1] >= 0.8).all()
        assert (p[pseudo.labels == 0] <= 0.3).all()
        yes, no = int(pseudo.labels.sum()), int((pseudo.labels == 0).sum())
        assert found["judged"] == at.size
        assert (yes, found["positive"]) == (found["positive"], int((middle.probability(logits) >= 0.8).sum()))
        assert 0 < no == min(found["negative"], BALANCE * yes)
        assert found["taught"] == yes + no

    def test_how_right_they_are_is_told_by_the_other_half(self):
        rng = np.random.default_rng(0)
        labels = (np.arange(6000) % 5 == 0).astype(float)
        logits = np.where(labels > 0, 2.0, -2.0) + rng.normal(size=6000)
        told = precision(logits, labels, SelfTrainingConfig(positive=0.9, negative=0.02))
        assert told["held_positive_right"] > 0.9
        assert told["held_negative_right"] > 0.98
        noise = precision(rng.normal(size=6000), labels, SelfTrainingConfig())
        assert noise["held_positive"] == 0
        assert noise["held_positive_right"] is None

    def test_they_join_the_loss_with_their_weight(self, model):
        task = task_of(model, held_out=12, labels=None)
        at, items = task.unlabelled(40, np.random.default_rng(0))
        batch = task.batches(0)[0]
        task.model.eval()
        alone = task.loss(batch).item()
        from fuserec.neural.language.pairs.self_training import PseudoPairs

        labels = (np.arange(at.size) % 2).astype(np.float32)
        losses = []
        for weight in (0.5, 1.0):
            task.pseudo = PseudoPairs(at, items, labels, weight)
            losses.append(task.loss(batch).item() - alone)
        assert losses[1] == pytest.approx(2 * losses[0], rel=1e-4)
        which = task._guessed(batch[1])
        z = task.logits(at[which], items[which])
        y = labels[which]
        wanted = np.mean(np.log1p(np.exp(-np.where(y > 0, z, -z))))
        assert losses[1] == pytest.approx(wanted, rel=1e-4)


def test_a_round_that_does_not_gain_ends_it_and_is_thrown_away(model):
    task = task_of(model, held_out=12)
    torch.manual_seed(1)
    told = SelfTrainingConfig(rounds=5, pairs=300, positive=0.51, negative=0.49)
    asked = []

    def same(turn, pseudo):
        asked.append(turn)
        return task_of(model, held_out=12)  # as untaught as the first

    best, reports = self_trained(task, told, same, np.random.default_rng(0))
    assert best is task
    assert len(reports) == 1
    assert asked in ([1], [])
    assert reports[0]["kept"] is False


SURE = {"pairs": 1000, "positive": 0.65, "negative": 0.2, "weight": 1.0}
FEW = {"labels": 150, "epochs": 12, "negatives": 1}
"""A taste is right or wrong, but of drawn items a third is of the right one: more than 0.75 cannot be sure."""


def test_a_few_labels_and_what_is_sure_of_go_further_than_the_labels_alone(model):
    scorer = fitted(model, ring_of_tastes(n_users=400), self_training={"rounds": 1, **SURE}, **FEW)
    told = scorer.facts["self_training"][0]
    assert told["round"] == 1
    assert told["taught"] == told["positive"] + told["negative"] > 500
    assert told["held_positive_right"] > 0.65  # as sure as was asked
    assert told["held_negative_right"] > 0.8
    assert told["gain"] > told["error"]
    assert told["kept"]


def test_a_stopped_round_goes_on_as_if_nothing_had_happened(model, tmp_path):
    data = ring_of_tastes()
    sure = {"rounds": 1, "pairs": 200, "positive": 0.51, "negative": 0.49}
    options = {"labels": 100, "epochs": 8, "negatives": 1, "self_training": sure, "compute_type": "float32"}
    whole = fitted(model, data, **options)
    assert "gain" in whole.facts["self_training"][0]
    kept = replace(RUN, checkpoints=tmp_path / "kept")
    with pytest.raises(CancelledError):
        fitted(model, data, replace(kept, cancel=Calls(50)), **options)
    assert len(list((tmp_path / "kept").iterdir())) == 2  # in the second training
    again = fitted(model, data, kept, **options)
    np.testing.assert_array_equal(again._model.vectors, whole._model.vectors)
    assert again.facts == whole.facts


def test_too_little_is_held_out_to_be_sure(model):
    with pytest.raises(DataError, match=r"10 held-out likings at least .* there are 4: raise held_out"):
        fitted(model, ring_of_tastes(), labels=20, epochs=1, self_training={"rounds": 1})


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"labels": 0, "form": "cross"}, "labels = 0"),
        ({"labels": 0, "heads": {"match": 1, "topic": 1}}, "labels = 0"),
        ({"labels": -1}, "labels"),
        ({"self_training": {"rounds": 1}, "labels": 8}, "20 labels"),
        ({"self_training": {"rounds": 1}, "held_out": 0}, "held_out above 0"),
        ({"self_training": {"rounds": 1}, "loss": "softmax"}, "loss = 'bce'"),
        ({"self_training": {"positive": 0.4}}, "positive"),
        ({"self_training": {"round": 1}}, "did you mean 'rounds'"),
    ],
)
def test_bad_configuration(table, told):
    with pytest.raises(ConfigError, match=told):
        LanguagePairConfig.parse(table, "[parts.language_pair]")
