"""Checkpoints: whole or not there, of this training or of none, and a clear line where the disk is full."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path

import pytest

from fuserec.errors import DataError

torch = pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")
checkpoints = pytest.importorskip("fuserec.neural.checkpoints")

FACTS = {"epoch": 2, "best": -math.inf, "losses": [0.1, 1 / 3], "done": False}


def tensors():
    """Return one tensor of each kind that a training keeps."""
    return {
        "model.w": torch.randn(3, 4).T,  # not contiguous
        "best.w": torch.randn(0, 4),
        "optimizer.0.step": torch.tensor(7.0),
        "random": torch.random.get_rng_state(),
        "half": torch.randn(5).bfloat16(),
    }


@pytest.fixture
def saved(tmp_path):
    """Return a checkpoint on disk and its tensors."""
    checkpoint, kept = checkpoints.Checkpoint(tmp_path / "new" / "folder", "part", "0123"), tensors()
    checkpoint.save(kept, FACTS)
    return checkpoint, kept


def test_it_comes_back_bit_for_bit(saved):
    checkpoint, kept = saved
    found, facts = checkpoint.load()
    assert facts == FACTS
    assert found.keys() == kept.keys()
    for name, tensor in kept.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)
    assert [file.name for file in checkpoint.path.parent.iterdir()] == ["part-0123.safetensors"]


def test_a_later_one_takes_the_place_of_the_earlier(saved):
    checkpoint, _ = saved
    checkpoint.save({"w": torch.ones(2)}, {"epoch": 3})
    found, facts = checkpoint.load()
    assert facts == {"epoch": 3}
    assert list(found) == ["w"]


def test_without_a_folder_nothing_is_kept():
    checkpoint = checkpoints.Checkpoint(None, "part", "0123")
    checkpoint.save(tensors(), FACTS)
    assert checkpoint.load() is None


def test_another_key_is_another_file(saved):
    checkpoint, _ = saved
    assert checkpoints.Checkpoint(checkpoint.path.parent, "part", "4567").load() is None
    assert checkpoints.Checkpoint(checkpoint.path.parent, "other", "0123").load() is None


def test_the_key_changes_with_every_fact_and_not_with_their_order():
    facts = {"data": "abc", "config": {"a": 1, "b": 2.0}, "seed": 0}
    key = checkpoints.key_of(**facts)
    assert key == checkpoints.key_of(seed=0, config={"b": 2.0, "a": 1}, data="abc")
    others = [{"data": "abd"}, {"config": {"a": 1, "b": 2.5}}, {"seed": 1}, {"more": None}]
    keys = {checkpoints.key_of(**{**facts, **change}) for change in others}
    assert len(keys | {key}) == 5
    assert len(key) == 16


def truncated(path):
    path.write_bytes(path.read_bytes()[:-1])


def halved(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path):
    path.write_bytes(b"")


def scribbled(path):
    path.write_bytes(b"\xff" * 500)


def without_facts(path):
    from safetensors.torch import save

    path.write_bytes(save({"w": torch.ones(2)}))


def with_half_facts(path):
    from safetensors.torch import save

    path.write_bytes(save({"w": torch.ones(2)}, {"facts": json.dumps(FACTS)[:-5]}))


def made_a_folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "damage", [truncated, halved, emptied, scribbled, without_facts, with_half_facts, made_a_folder]
)
def test_a_damaged_one_is_warned_about_and_left(saved, damage, caplog):
    checkpoint, _ = saved
    damage(checkpoint.path)
    with caplog.at_level(logging.WARNING, "fuserec"):
        assert checkpoint.load() is None
    assert len(caplog.messages) == 1
    assert str(checkpoint.path) in caplog.messages[0]
    assert "starts anew" in caplog.messages[0]


def limit_of_files(size):
    """Let this process write files of ``size`` bytes at most, as a full disk would; return the limit before."""
    resource = pytest.importorskip("resource", reason="no limits of processes on this system")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_one_clear_line_and_the_earlier_checkpoint_stays(saved):
    checkpoint, kept = saved
    back = limit_of_files(4096)
    try:
        with pytest.raises(DataError, match=r"cannot be written .*free some space") as caught:
            checkpoint.save({"big": torch.randn(4096)}, FACTS)
    finally:
        back()
    assert str(checkpoint.path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert torch.equal(checkpoint.load()[0]["model.w"], kept["model.w"])
    assert [file.name for file in checkpoint.path.parent.iterdir()] == [checkpoint.path.name]


def test_a_folder_that_is_a_file_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("here already")
    with pytest.raises(DataError, match="cannot be written"):
        checkpoints.Checkpoint(tmp_path / "file", "part", "0123").save(tensors(), FACTS)


def test_what_stops_a_write_leaves_the_earlier_checkpoint(saved, monkeypatch):
    checkpoint, kept = saved
    whole = Path.write_bytes

    def interrupted(self, blob):
        whole(self, blob[:100])
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save({"w": torch.ones(2)}, {"epoch": 3})
    monkeypatch.undo()
    found, facts = checkpoint.load()
    assert facts == FACTS
    assert torch.equal(found["model.w"], kept["model.w"])
