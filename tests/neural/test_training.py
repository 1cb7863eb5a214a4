"""The training loop on tasks of a few numbers: its schedule, when it ends, and what it does with what is no number."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from fuserec.errors import ConfigError, DataError
from fuserec.run import CancelledError, RunOptions

torch = pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")
training = pytest.importorskip("fuserec.neural.training")

from fuserec.neural.checkpoints import Checkpoint  # noqa: E402

RUN = RunOptions(threads=1)
NOWHERE = Checkpoint(None, "toy", "")


class Toy:
    """A line to be fitted; figures on held-out data as they are given."""

    def __init__(self, figures=(), steps=4, lost=None, seed=0):
        torch.manual_seed(seed)
        self.model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Dropout(0.3), torch.nn.Linear(4, 1))
        self.figures, self.steps, self.lost = list(figures), steps, lost
        self.weights, self.asked = [], []

    def batches(self, epoch):
        return [(epoch, step) for step in range(self.steps)]

    def loss(self, batch):
        self.asked.append(batch)
        x = torch.sin(torch.arange(15.0).reshape(5, 3) * (1 + batch[0] + batch[1]))
        loss = (self.model(x).flatten() - x.sum(dim=1)).square().mean()
        return loss * self.lost(batch) if self.lost else loss

    def judge(self):
        assert not self.model.training
        self.weights.append(copied(self.model))
        if not self.figures:
            return None
        figure = self.figures[len(self.weights) - 1]
        return np.asarray(figure) if np.ndim(figure) else np.full(9, float(figure))


def copied(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def plan(**changes):
    return training.Plan("toy", **{"epochs": 5, "learning_rate": 0.01, **changes})


class TestSchedule:
    def test_it_warms_up_and_falls_as_a_cosine(self):
        rates = [training.rate(step / 200, 0.1) for step in range(201)]
        assert rates[0] > 0
        assert rates[10] == pytest.approx(0.5)
        assert all(a < b for a, b in pairwise(rates[:20]))
        assert max(rates) == pytest.approx(1.0, abs=0.03)
        assert rates.index(max(rates)) in (19, 20)
        assert all(a > b for a, b in pairwise(rates[20:]))
        assert rates[100] == pytest.approx(0.51, abs=0.01)
        assert 0 < rates[-1] <= 0.02 + 1e-9
        assert training.rate(1.5, 0.1) == pytest.approx(rates[-1])

    def test_the_steps_follow_it(self, monkeypatch):
        taken, step = [], torch.optim.AdamW.step

        def told(self, *args, **kwargs):
            taken.append({group["lr"] for group in self.param_groups})
            return step(self, *args, **kwargs)

        monkeypatch.setattr(torch.optim.AdamW, "step", told)
        at = training.train(Toy(), plan(), RUN, NOWHERE)
        assert taken == [{0.01 * training.rate(step / 20, 0.03)} for step in range(20)]
        assert (at.step, at.total, at.epoch) == (20, 20, 5)

    def test_every_batch_of_every_epoch_is_seen_once(self):
        task = Toy()
        training.train(task, plan(), RUN, NOWHERE)
        assert task.asked == [(epoch, step) for epoch in range(5) for step in range(4)]

    def test_tables_of_ids_and_vectors_are_not_decayed(self):
        model = torch.nn.Module()
        model.table = torch.nn.Parameter(torch.ones(3, 2))
        model.weight = torch.nn.Parameter(torch.ones(3, 2))
        model.bias = torch.nn.Parameter(torch.ones(2))
        groups = training._optimizer(model, plan(regularization=0.5)).param_groups
        decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
        assert [decay[id(p)] for p in (model.table, model.weight, model.bias)] == [0.0, 0.5, 0.0]

    def test_long_gradients_are_shortened(self, monkeypatch):
        found = []
        clip = torch.nn.utils.clip_grad_norm_
        monkeypatch.setattr(
            torch.nn.utils,
            "clip_grad_norm_",
            lambda parameters, most: found.append(clip(parameters := list(parameters), most)),
        )
        norms, step = [], torch.optim.AdamW.step

        def told(self, *args, **kwargs):
            grads = [p.grad for group in self.param_groups for p in group["params"]]
            norms.append(float(torch.cat([g.flatten() for g in grads]).norm()))
            return step(self, *args, **kwargs)

        monkeypatch.setattr(torch.optim.AdamW, "step", told)
        training.train(Toy(lost=lambda batch: 1e6), plan(epochs=1), RUN, NOWHERE)
        assert min(found) > 5
        assert max(norms) <= 5.0 * (1 + 1e-4)


class TestEarlyStopping:
    def test_it_stops_after_its_patience_and_gives_back_the_best_weights(self):
        task = Toy([0.1, 0.5, 0.3, 0.4, 0.9, 0.9, 0.9])
        at = training.train(task, plan(epochs=7, patience=2), RUN, NOWHERE)
        assert at.figures == pytest.approx([0.1, 0.5, 0.3, 0.4])
        assert (at.best, at.best_epoch, at.done) == (pytest.approx(0.5), 1, True)
        assert same(copied(task.model), task.weights[1])
        assert not same(task.weights[1], task.weights[3])
        assert not task.model.training

    def test_a_gain_renews_its_patience(self):
        figures = [0.1, 0.0, 0.2, 0.1, 0.3, 0.2, 0.2]
        at = training.train(Toy(figures), plan(epochs=7, patience=2), RUN, NOWHERE)
        assert at.figures == pytest.approx(figures)

    def test_an_epoch_that_is_behind_by_chance_is_not_worse(self):
        lucky, usual = np.array([1.0, 0, 0, 1, 0, 1, 0, 0]), np.array([0, 0, 1.0, 0, 0, 1, 0, 0])
        task = Toy([lucky, usual, usual, usual])
        at = training.train(task, plan(epochs=4, patience=1), RUN, NOWHERE)
        assert (at.best_epoch, at.epoch) == (0, 4)
        assert same(copied(task.model), task.weights[3])  # the last weights, not the lucky ones

    def test_without_patience_all_epochs_are_trained_and_the_best_is_kept(self):
        task = Toy([0.9, 0.5, 0.3, 0.2, 0.1])
        at = training.train(task, plan(), RUN, NOWHERE)
        assert at.epoch == 5
        assert same(copied(task.model), task.weights[0])

    def test_without_held_out_data_the_last_weights_are_kept(self):
        task = Toy()
        at = training.train(task, plan(patience=1), RUN, NOWHERE)
        assert at.epoch == 5
        assert same(copied(task.model), task.weights[-1])

    def test_progress_and_tracking_are_told(self):
        told, shown = [], []
        run = replace(RUN, track=lambda *args: told.append(args), progress=lambda *args: shown.append(args))
        at = training.train(Toy([0.1, 0.2]), plan(epochs=2), run, NOWHERE)
        assert [(name, step) for name, step, _ in told] == [("toy", 1), ("toy", 2)]
        assert [metrics["loss"] for *_, metrics in told] == at.losses
        assert [(done, total) for _, done, total in shown] == [(1, 2), (2, 2)]
        assert "toy" in shown[0][0]
        assert any(value == 0.2 for value in told[1][2].values())


class TestNoNumber:
    @pytest.mark.parametrize("value", [math.nan, math.inf])
    def test_it_stops_and_says_where_and_what_to_do(self, value):
        task = Toy(lost=lambda batch: value if batch == (1, 2) else 1.0)
        with pytest.raises(ConfigError) as caught:
            training.train(task, plan(), RUN, NOWHERE)
        said = str(caught.value)
        assert said.startswith(f"toy: the loss is {value} in epoch 2, batch 3")
        assert "lower learning_rate" in said
        assert "0.01" in said
        assert "0.0025" in said
        assert "\n" not in said

    def test_weights_that_the_last_step_has_lost_are_refused(self):
        with pytest.raises(ConfigError, match="weights are no longer numbers after the last step"):
            training.train(Toy(steps=1), plan(epochs=1, regularization=1e300), RUN, NOWHERE)

    def test_the_weights_before_it_are_untouched_by_it(self):
        task = Toy(lost=lambda batch: math.nan if batch == (1, 0) else 1.0)
        with pytest.raises(ConfigError):
            training.train(task, plan(), RUN, NOWHERE)
        assert same(copied(task.model), task.weights[0])


class TestDeadline:
    def trained(self, monkeypatch, deadline, step_s=0.1, slow_from=None):
        """Train 500 steps of ``step_s`` seconds by a clock of our own; return (progress, time at the end)."""
        now = [100.0]

        def lost(batch):
            now[0] += step_s
            return 1.0

        monkeypatch.setattr(training, "time", SimpleNamespace(monotonic=lambda: now[0]))
        run = replace(RUN, deadline=None if deadline is None else 100.0 + deadline)
        at = training.train(Toy(steps=50, lost=lost), plan(epochs=10), run, NOWHERE)
        return at, now[0] - 100.0

    def test_the_schedule_is_shortened_to_end_near_it(self, monkeypatch):
        rates, rate = [], training.rate
        monkeypatch.setattr(training, "rate", lambda *args: rates.append(rate(*args)) or rates[-1])
        at, spent = self.trained(monkeypatch, 20.0)
        assert 16.0 < spent <= 20.0
        assert at.done
        assert at.step < 500
        assert rates[-1] < 0.1  # the whole fall of the learning rate is gone through

    def test_where_there_is_time_enough_nothing_changes(self, monkeypatch):
        at, spent = self.trained(monkeypatch, 1000.0)
        assert at.step == at.total == 500
        assert spent == pytest.approx(50.0)

    def test_one_that_was_cut_short_is_not_taken_for_a_whole_one(self, monkeypatch, tmp_path):
        now = [0.0]

        def lost(batch):
            now[0] += 0.1
            return 1.0

        monkeypatch.setattr(training, "time", SimpleNamespace(monotonic=lambda: now[0]))
        checkpoint = Checkpoint(tmp_path, "toy", "k")
        hurried = replace(RUN, deadline=10.0)
        assert training.train(Toy(steps=50, lost=lost), plan(), hurried, checkpoint).step < 125
        assert training.train(Toy(steps=50, lost=lost), plan(), RUN, checkpoint).step == 250

    def test_one_that_has_passed_ends_the_training_soon(self, monkeypatch):
        at, _ = self.trained(monkeypatch, 0.0)
        assert at.step <= training.TRIAL_STEPS + 1
        assert at.done


class TestStops:
    def test_a_cancel_keeps_a_checkpoint_and_says_so(self, tmp_path):
        checkpoint = Checkpoint(tmp_path, "toy", "k")
        calls = iter([False] * 6 + [True] * 9)
        run = replace(RUN, cancel=lambda: next(calls))
        with pytest.raises(CancelledError, match=r"toy: .*epoch 2; the same command goes on"):
            training.train(Toy(), plan(), run, checkpoint)
        facts = checkpoint.load()[1]
        assert (facts["epoch"], facts["batch"], facts["step"]) == (1, 2, 6)

    def test_without_a_folder_nothing_is_promised(self):
        with pytest.raises(CancelledError) as caught:
            training.train(Toy(), plan(), replace(RUN, cancel=lambda: True), NOWHERE)
        assert "goes on" not in str(caught.value)

    @pytest.mark.parametrize("every", [1, 3, 4, 7])
    def test_stopped_again_and_again_it_ends_at_the_same_weights(self, tmp_path, every):
        figures = [0.1, 0.3, 0.2, 0.25, 0.1]
        whole = Toy(figures)
        torch.manual_seed(1)
        wanted = training.train(whole, plan(), RUN, NOWHERE)
        checkpoint, stopped, found = Checkpoint(tmp_path, "toy", "k"), 0, None
        while found is None:
            task = Toy(figures)
            torch.manual_seed(1 + 1000 * stopped)  # what is drawn comes from the checkpoint
            task.weights = [None] * (0 if stopped == 0 else checkpoint.load()[1]["epoch"])
            steps = iter([False] * every + [True])
            try:
                found = training.train(task, plan(), replace(RUN, cancel=lambda s=steps: next(s)), checkpoint)
            except CancelledError:
                stopped += 1
        assert stopped == (20 - 1) // every
        assert vars(found) == vars(wanted)
        assert same(copied(task.model), copied(whole.model))
        assert same(copied(whole.model), whole.weights[1])

    def test_the_generator_that_is_kept_is_the_one_of_the_device_in_use(self, tmp_path, monkeypatch):
        states, asked = {1: torch.full((4,), 7, dtype=torch.uint8)}, []
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: states[device.index])
        monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: asked.append((state, device)))
        kept = Checkpoint(tmp_path, "toy", "key")
        loop = training._Loop(Toy(), plan(), RUN, kept)
        loop.save()  # on the processor no GPU is asked
        training._Loop(Toy(), plan(), RUN, kept).resume()
        assert not asked
        loop.device = torch.device("cuda:1")
        loop.save()
        again = training._Loop(Toy(), plan(), RUN, kept)
        again.resume()
        assert not asked
        again.device = torch.device("cuda:1")
        again.resume()
        ((state, device),) = asked
        assert torch.equal(state, states[1])
        assert device == torch.device("cuda:1")

    def test_a_finished_one_is_taken_as_it_is_and_does_not_say_that_it_goes_on(self, tmp_path, caplog):
        checkpoint, task = Checkpoint(tmp_path, "toy", "k"), Toy([0.1, 0.3, 0.2, 0.1, 0.1])
        at = training.train(task, plan(), RUN, checkpoint)
        assert caplog.messages == []
        again = Toy(seed=9)
        assert vars(training.train(again, plan(), RUN, checkpoint)) == vars(at)
        assert again.asked == []
        assert caplog.messages == ["toy: its training had ended, it is taken from its checkpoint"]
        assert same(copied(again.model), copied(task.model))

    @pytest.mark.parametrize(
        ("tensors", "facts"),
        [
            ({"model.0.weight": torch.zeros(2, 2)}, {"done": False, "total": 3, "planned": 3}),
            ({}, {"epoch": 1}),
            ({}, {"done": False, "total": 3, "planned": 3, "mood": 1}),
            ({}, []),
        ],
    )
    def test_one_of_another_training_under_its_name_is_one_line(self, tmp_path, tensors, facts):
        checkpoint = Checkpoint(tmp_path, "toy", "k")
        checkpoint.save(tensors, facts)
        with pytest.raises(DataError, match=r"is not of this training .*: remove it") as told:
            training.train(Toy(), plan(), RUN, checkpoint)
        assert "\n" not in str(told.value)

    def test_checkpoints_are_made_by_the_clock(self, tmp_path, monkeypatch):
        now, saves = [0.0], []

        def lost(batch):
            now[0] += 25.0
            return 1.0

        monkeypatch.setattr(training, "time", SimpleNamespace(monotonic=lambda: now[0]))
        checkpoint = Checkpoint(tmp_path, "toy", "k")
        monkeypatch.setattr(Checkpoint, "save", lambda self, tensors, facts: saves.append(facts["step"]))
        training.train(Toy(lost=lost), plan(), RUN, checkpoint)
        assert saves == [3, 6, 9, 12, 15, 18, 20]
