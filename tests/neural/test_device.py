"""Where tensors live, what they are multiplied in, and who may train at a time; no GPU is needed for it."""

from __future__ import annotations

import threading

import pytest

from fuserec.errors import ConfigError
from fuserec.run import RunOptions

torch = pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")
device = pytest.importorskip("fuserec.neural.device")


@pytest.fixture
def gpus(monkeypatch):
    """Return a function that makes PyTorch see so many GPUs."""

    def seen(count):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    return seen


@pytest.mark.parametrize(
    ("name", "count", "wanted"),
    [("cpu", 0, "cpu"), ("cpu", 1, "cpu"), ("auto", 0, "cpu"), ("auto", 1, "cuda"), ("cuda:1", 2, "cuda:1")],
)
def test_the_device_that_is_named(gpus, name, count, wanted):
    gpus(count)
    assert device.device_of(RunOptions(device=name)) == torch.device(wanted)


@pytest.mark.parametrize(
    ("name", "count", "says"),
    [
        ("cuda", 0, "PyTorch sees no GPU here; choose"),
        ("cuda:0", 0, "PyTorch sees no GPU here; choose"),
        ("cuda:7", 2, "choose"),
        ("mps", 0, "choose"),
        ("meta", 0, "choose"),
        ("abacus", 0, "choose"),
        ("", 0, "choose"),
    ],
)
def test_a_device_that_is_not_there_is_one_clear_line(gpus, name, count, says):
    gpus(count)
    with pytest.raises(ConfigError, match=says) as caught:
        device.device_of(RunOptions(device=name))
    assert repr(name) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("said", [(False, False), (True, False), (False, True), ()])
def test_half_precision_only_where_the_processor_multiplies_it(monkeypatch, said):
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    for name in names:
        monkeypatch.delattr(torch.cpu, name, raising=False)
    for name, answer in zip(names, said, strict=False):
        monkeypatch.setattr(torch.cpu, name, lambda answer=answer: answer, raising=False)
    wanted = torch.bfloat16 if any(said) else torch.float32
    assert device.fast_type(torch.device("cpu")) == wanted


def test_a_training_is_seeded_and_gives_back_generator_and_threads():
    torch.set_num_threads(1)
    torch.manual_seed(3)
    wanted = torch.rand(4)
    torch.manual_seed(3)
    drawn = []
    for _ in range(2):
        with device.training(11, 2):
            assert torch.get_num_threads() == 2
            drawn.append(torch.rand(4))
    assert torch.equal(*drawn)
    with pytest.raises(KeyError):
        _fails_in_training()
    assert torch.get_num_threads() == 1
    assert torch.equal(torch.rand(4), wanted)


def _fails_in_training():
    with device.training(12, 0):
        assert torch.get_num_threads() == 1
        raise KeyError


def test_one_training_at_a_time():
    inside = threading.Event()

    def other():
        with device.training(1, 1):
            inside.set()

    waiting = threading.Thread(target=other)
    with device.training(0, 1):
        waiting.start()
        assert not inside.wait(0.1)
    assert inside.wait(30)
    waiting.join()
