"""Going on with what is new: what is replayed, and that forgetting is seen and is less with replay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_language import RUN, WORDS, Calls, readers, titles

torch = pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")
pytest.importorskip("transformers")
pytest.importorskip("peft")

from fuserec.errors import ConfigError, DataError  # noqa: E402
from fuserec.neural.language.adapt import AdaptConfig, adapt  # noqa: E402
from fuserec.neural.language.adapt.continual import Periods, ReplayTask, met_at  # noqa: E402
from fuserec.neural.language.adapt.examples import examples_of  # noqa: E402
from fuserec.neural.language.backbone import open_backbone  # noqa: E402
from fuserec.run import CancelledError  # noqa: E402
from fuserec.testing.language import tiny_model  # noqa: E402
from fuserec.testing.planted import dataset_of  # noqa: E402

QUICK = {"tuning": {"method": "full"}, "batch_size": 32, "learning_rate": 2e-3, "held_out": 30, "patience": 0}


def config(**changes):
    return AdaptConfig.parse({**QUICK, **changes}, "test")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return str(tiny_model(tmp_path_factory.mktemp("models") / "bert", "bert", WORDS))


def timed(data, seed=0):
    """Return the data with times: people come one after another, and all of one at about the same time."""
    rows = data.interactions
    time = 1e9 + 1e6 * rows.user + np.arange(len(rows)) % 100
    return replace(data, interactions=replace(rows, time=time.astype(np.float64)))


def periods_of(data, newest=0.25, most=10, replay=0.2):
    told = config(continual={"newest": newest, "replay": replay}).continual
    found = examples_of(data, np.ones(data.n_items, dtype=bool), 5)
    return Periods.of(data, found, told, most, RUN)


def test_when_an_example_was_met_is_the_first_time():
    data = dataset_of([[0, 1, 0, 2], [2, 1]], 3)
    data = replace(data, interactions=replace(data.interactions, time=np.arange(1.0, 7.0)))
    found = examples_of(data, np.ones(3, dtype=bool), 5)
    assert found.targets.tolist() == [1, 2, 1]
    assert met_at(data, found).tolist() == [2, 4, 6]


def test_old_and_new_are_parts_by_time_and_what_is_held_out_is_in_neither():
    data = timed(readers())
    told = periods_of(data)
    at = met_at(data, told.examples)
    assert (at[told.new] >= told.moment).all()
    assert (at[~told.new] < told.moment).all()
    assert len(told.held_old) == 10
    assert len(told.held_new) > 3
    learnt = set(zip(told.examples.users.tolist(), told.examples.targets.tolist(), strict=True))
    for held in (told.held_old, told.held_new):
        assert not learnt & set(zip(held.users.tolist(), held.targets.tolist(), strict=True))
    assert (np.diff(told.examples.users) >= 0).all()


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5])
def test_so_many_old_examples_are_read_drawn_anew(base, share):
    told = periods_of(timed(readers()), replay=share)
    own = config(continual={"newest": 0.25, "replay": share}, batch_size=8)
    task = ReplayTask(open_backbone(base, RUN), told, titles(), own, 0, torch.float32, None)
    epochs = [np.concatenate(task.batches(epoch)) for epoch in (0, 0, 1)]
    for read in epochs:
        assert (~told.new[read]).mean() == pytest.approx(share, abs=0.05)
        assert np.unique(read).size == read.size
    assert np.array_equal(epochs[0], epochs[1])
    old = [set(read[~told.new[read]].tolist()) for read in epochs]
    assert share == 0.0 or old[0] != old[2]


def two_worlds():
    """Return people of whom the early ones join texts by one rule, the late ones by another that undoes it."""
    rng = np.random.default_rng(0)
    histories = []
    for user in range(160):
        pair = user % 6 if user < 80 else (user + 1) % 6
        even = [i for i in range(36) if i % 2 == 0 and i // 2 % 6 == user % 6]
        odd = [
            i for i in range(36) if i % 2 == 1 and i // 2 % 6 == (user % 6 if user < 80 else (pair + 2) % 6)
        ]
        mixed = [
            item for both in zip(rng.permutation(even), rng.permutation(odd), strict=True) for item in both
        ]
        histories.append([int(item) for item in mixed[:6]])
    return timed(dataset_of(histories, 36, titles=titles()))


def test_what_is_forgotten_is_told_and_replay_keeps_more(base, tmp_path):
    data = two_worlds()
    first = data.with_rows(data.interactions.user < 80)
    tuned = adapt(first, config(epochs=6), RUN, base=base).save(tmp_path / "tuned")
    found = {}
    for share in (0.0, 0.5):
        told = config(epochs=4, continual={"newest": 0.5, "replay": share})
        found[share] = adapt(data, told, RUN, base=str(tuned)).facts["figures"]["continual"]
    plain, replayed = found[0.0], found[0.5]
    assert (plain["replayed"], replayed["replayed"] > 100) == (0, True)
    assert plain["on_old"]["before"] == replayed["on_old"]["before"]
    assert plain["on_old"]["high"] < 0  # surely forgotten
    assert replayed["on_old"]["after"] > plain["on_old"]["after"]
    for one in found.values():
        assert one["on_new"]["low"] > 0  # and the new is surely learnt
        assert one["on_new"]["low"] <= one["on_new"]["change"] <= one["on_new"]["high"]


def test_a_stopped_one_goes_on_as_if_nothing_had_happened(base, tmp_path):
    told = config(epochs=3, batch_size=16, continual={"newest": 0.3, "replay": 0.3})
    data = timed(readers())
    whole = adapt(data, told, RUN, base=base)
    kept = replace(RUN, checkpoints=tmp_path / "kept")
    with pytest.raises(CancelledError):
        adapt(data, told, replace(kept, cancel=Calls(8)), base=base)
    again = adapt(data, told, kept, base=base)
    assert again.facts["figures"]["losses"] == whole.facts["figures"]["losses"]
    a, b = whole.backbone.state_dict(), again.backbone.state_dict()
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_faults(base):
    rows = readers().interactions
    timeless = replace(readers(), interactions=replace(rows, time=np.full(len(rows), np.nan)))
    with pytest.raises(DataError, match="newest needs a time"):
        adapt(timeless, config(continual={"newest": 0.2}), RUN, base=base)
    with pytest.raises(DataError, match="choose another share"):
        adapt(timed(readers()), config(continual={"newest": 0.01}), RUN, base=base)
    for table, said in (
        ({"continual": {"newest": 1.5}}, "newest"),
        ({"continual": {"replay": 1.0, "newest": 0.1}}, "replay"),
        ({"continual": {"newest": 0.1}, "labels": 9}, "leave one of them out"),
        ({"continual": {"newest": 0.1}, "objective": "masked"}, "objective = 'pairs'"),
        ({"labels": 9, "objective": "causal"}, "objective = 'pairs'"),
    ):
        with pytest.raises(ConfigError, match=said):
            config(**table)
