"""A whole training of the sequence scorer: stopped and taken up again, killed, and what it may learn from."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_training import RUN, SMALL, STEPS, Calls, fitted, state, walks

from fuserec.errors import ConfigError, DataError
from fuserec.run import CancelledError
from fuserec.testing.planted import dataset_of

torch = pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")
sequence_fit = pytest.importorskip("fuserec.neural.sequence.fit")

from fuserec.neural.windows import Histories  # noqa: E402

ALL = {
    "transformer": {"loss": "softmax", "item_vectors": "sum"},
    "masked": {"loss": "gbce", "item_vectors": "union"},
    "gru": {"loss": "sampled_softmax", "item_vectors": "experts"},
    "cnn": {"loss": "bpr", "item_vectors": "ids"},
}
"""Between them they have every loss and most forms of item vectors."""


def assert_same(one, other):
    """Bit-equal, array by array."""
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], err_msg=name)


@pytest.fixture(scope="module")
def whole():
    """What an uninterrupted training of the small transformer learns."""
    return state(fitted())


class TestResume:
    @pytest.mark.parametrize("architecture", ALL)
    def test_stopped_in_the_middle_of_an_epoch_it_ends_bit_equal(self, architecture, tmp_path):
        changes = {"architecture": architecture, **ALL[architecture]}
        wanted = state(fitted(**changes))
        kept = replace(RUN, checkpoints=tmp_path)
        for calls in (STEPS // 2 + 2, 4):  # the second stop is in the same epoch
            with pytest.raises(CancelledError, match="goes on from its checkpoint"):
                fitted(replace(kept, cancel=Calls(calls)), **changes)
        again = Calls(10**6)
        found = state(fitted(replace(kept, cancel=again), **changes))
        assert again.made == STEPS - (STEPS // 2 + 1) - 3  # it went on, it did not start anew
        assert_same(found, wanted)

    def test_keeping_checkpoints_changes_nothing(self, whole, tmp_path):
        assert_same(state(fitted(replace(RUN, checkpoints=tmp_path))), whole)

    def test_the_training_of_another_seed_data_or_configuration_is_not_taken_up(self, tmp_path):
        kept = replace(RUN, checkpoints=tmp_path)
        fitted(kept)
        counted = Calls(10**6)
        fitted(replace(kept, cancel=counted))
        assert counted.made == 0  # finished already: nothing is trained
        others = [
            (replace(kept, seed=6), {}),
            (kept, {"data": walks(seed=1)}),
            (kept, {"learning_rate": 0.011}),
            (kept, {"loss": "gbce"}),
        ]
        for run, changes in others:
            counted = Calls(10**6)
            found = state(fitted(replace(run, cancel=counted), **changes))
            assert counted.made > STEPS // 2
            assert_same(found, state(fitted(replace(run, checkpoints=None), **changes)))
        assert len(list(tmp_path.iterdir())) == 1 + len(others)

    def test_a_damaged_checkpoint_is_warned_about_and_training_starts_anew(self, whole, tmp_path, caplog):
        kept = replace(RUN, checkpoints=tmp_path)
        with pytest.raises(CancelledError):
            fitted(replace(kept, cancel=Calls(9)))
        (file,) = tmp_path.iterdir()
        file.write_bytes(file.read_bytes()[:-100])
        with caplog.at_level(logging.WARNING, "fuserec"):
            found = state(fitted(kept))
        assert any(str(file) in message and "starts anew" in message for message in caplog.messages)
        assert_same(found, whole)

    def test_a_full_disk_is_one_clear_line(self, tmp_path):
        resource = pytest.importorskip("resource", reason="no limits of processes on this system")
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        run = replace(RUN, checkpoints=tmp_path, cancel=Calls(5))
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
        try:
            with pytest.raises(DataError, match="checkpoint cannot be written") as caught:
                fitted(run)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert "\n" not in str(caught.value)
        assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
class TestKilled:
    """A process of its own, as it is started by hand; what it left is taken up here."""

    @pytest.fixture
    def start(self):
        started = []

        def process(folder, how):
            script = Path(__file__).with_name("small_training.py")
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            pipe = subprocess.PIPE
            child = subprocess.Popen(
                [sys.executable, script, folder, how],
                env=environment,
                stdin=pipe,
                stdout=pipe,
                stderr=pipe,
                text=True,
            )
            started.append(child)
            return child

        yield process
        for child in started:
            child.kill()
            child.communicate()

    def test_sigterm_leaves_a_checkpoint_that_ends_at_the_same_weights(self, start, whole, tmp_path):
        child = start(tmp_path, "waits")
        assert child.stdout.readline() == "here\n", child.stderr.read()
        child.send_signal(signal.SIGTERM)
        said, _ = child.communicate("on\n", timeout=300)
        assert "finished" not in said
        assert child.returncode == -signal.SIGTERM
        self.taken_up(tmp_path, whole, steps_left=STEPS - 10)

    def test_a_kill_in_the_middle_of_a_write_leaves_the_last_checkpoint_whole(self, start, whole, tmp_path):
        child = start(tmp_path, "dies")
        said, fault = child.communicate(timeout=300)
        assert child.returncode == -signal.SIGKILL, fault
        assert "finished" not in said
        self.taken_up(tmp_path, whole, steps_left=STEPS - 2)

    def taken_up(self, folder, whole, steps_left):
        """Go on from the checkpoint in a folder, and find the weights of a training that was not stopped."""
        (file,) = folder.glob("*.safetensors")
        counted = Calls(10**6)
        found = state(fitted(replace(RUN, checkpoints=folder, cancel=counted)))
        assert counted.made == steps_left
        assert file.exists()
        assert_same(found, whole)


class TestNoNumber:
    def test_absurd_values_stop_with_what_to_do(self, monkeypatch):
        monkeypatch.setattr(sequence_fit, "START", float("inf"))
        with pytest.raises(
            ConfigError, match=r"sequence: the loss is nan in epoch 1, batch 1: lower learning_rate"
        ):
            fitted(item_vectors="ids")


class TestWhatIsLearntFrom:
    def test_dislikes_change_nothing(self):
        """Trained with and without the disliked rows, the same is learnt."""
        ring = [[(begin + step) % 20 for step in range(8)] for begin in range(40)]
        liked = dataset_of(ring, 20)
        mixed = [[x for item in row for x in (item, (item * 7 + 3) % 20)] for row in ring]
        weights = [[1.0, -0.5] * 8] * 40
        both = dataset_of(mixed, 20, weights=weights)
        assert_same(state(fitted(data=both)), state(fitted(data=liked)))

    def test_without_two_events_there_is_nothing_to_learn(self):
        lonely = dataset_of([[0], [1], [2, 3]], 4, weights=[[1.0], [1.0], [1.0, -1.0]])
        with pytest.raises(DataError, match="no history holds two events") as caught:
            fitted(data=lonely)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("sizes", [[3, 4, 5] * 10, [1, 2, 3] * 20, [6] * 10])
    def test_what_is_kept_to_know_when_to_stop_is_not_trained_on(self, sizes):
        indptr = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        items = np.arange(indptr[-1]) % 7
        order = np.random.default_rng(0).integers(1 << 60, size=len(sizes)).astype(np.uint64)
        rest, (asked, targets) = sequence_fit.keep_some(Histories(indptr, items), 4, order)
        changed = np.flatnonzero(rest.lengths != np.array(sizes))
        able = np.flatnonzero(np.array(sizes) > 2)
        assert changed.size == targets.size == min(4, able.size // 10)
        assert np.isin(changed, able).all()
        for row, user in enumerate(changed):
            whole = items[indptr[user] : indptr[user + 1]]
            assert rest.items[rest.indptr[user] : rest.indptr[user + 1]].tolist() == whole[:-1].tolist()
            assert asked.items[asked.indptr[row] : asked.indptr[row + 1]].tolist() == whole[:-1].tolist()
            assert targets[row] == whole[-1]

    def test_an_item_that_nothing_else_would_teach_stays_in_training(self):
        """Every last item is somebody's only one: all of them have to be left where they are."""
        sizes = np.full(20, 4)
        items = np.concatenate([[0, 1, 2, 3 + user] for user in range(20)])
        indptr = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        rest, held = sequence_fit.keep_some(Histories(indptr, items), 5, np.arange(20).astype(np.uint64))
        assert held is None
        assert np.array_equal(rest.items, items)

    def test_two_askers_of_the_same_item_leave_it_one_event(self):
        """An item that was taken twice, both times last: one of the two may be asked for, not both."""
        histories = [[0, 1, 2, 3]] * 18 + [[0, 1, 2, 4]] * 2
        indptr = np.arange(21).astype(np.int64) * 4
        order = np.array([*range(10, 28), 0, 1], dtype=np.uint64)  # the two come first
        rest, _ = sequence_fit.keep_some(Histories(indptr, np.concatenate(histories)), 2, order)
        assert 4 in rest.items

    def test_labels_permuted_between_users_are_at_chance(self):
        """The leak alarm: each history's last item is another user's, so nothing can tell what was held out."""
        n_items, n_users = 40, 300
        rng = np.random.default_rng(0)
        begins = rng.integers(n_items, size=n_users)
        lasts = rng.permutation((begins + 8) % n_items)
        ring = [
            [*((begin + np.arange(8)) % n_items).tolist(), int(last)]
            for begin, last in zip(begins, lasts, strict=True)
        ]
        told = []
        run = replace(RUN, track=lambda name, epoch, figures: told.append(figures))
        fitted(run, dataset_of(ring, n_items), epochs=6, patience=0, held_out=100)
        (name,) = told[0].keys() - {"loss"}
        chance = np.sum(1 / np.log2(2 + np.arange(10))) / (n_items - 8)
        assert told[-1]["loss"] < 0.7 * told[0]["loss"]  # there was something to learn
        assert max(figures[name] for figures in told) < chance + 0.17  # thirty askers: three standard errors

    def test_the_same_with_their_own_labels_is_near_one(self):
        told = []
        run = replace(RUN, track=lambda name, epoch, figures: told.append(figures))
        fitted(run, walks(40, 300), epochs=6, patience=0, held_out=100)
        (name,) = told[0].keys() - {"loss"}
        assert told[-1][name] > 0.9


def test_an_epoch_s_time_is_told_without_touching_anything():
    from fuserec.scorers.sequence import SequenceConfig
    from fuserec.testing.small import small_features

    data = walks()
    found = sequence_fit.seconds_per_epoch(SequenceConfig(**SMALL), data, small_features(data, RUN), RUN)
    assert 0 < found < 60
