"""Where tensors live, what they are multiplied in, and who may train at a time; no GPU is needed for it."""

from __future__ import annotations

import threading

import pytest

from fuserec.errors import ConfigError
from fuserec.run import RunOptions

torch = pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")
device = pytest.importorskip("fuserec.neural.device")

PART = ("part", "batch_size (128) or max_length (64)")


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


@pytest.mark.parametrize("native", [False, True])
def test_half_precision_only_where_the_gpu_multiplies_it(monkeypatch, native):
    def supported(including_emulation=True):
        return including_emulation or native

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    wanted = torch.bfloat16 if native else torch.float32
    assert device.fast_type(torch.device("cuda:0")) == wanted


@pytest.mark.parametrize(
    ("name", "numbers"), [("cpu", []), ("cuda:1", [1]), ("cuda:0", [0]), ("cuda", [0, 1, 2])]
)
def test_a_training_seeds_and_gives_back_the_generators_of_its_own_gpus_alone(
    gpus, monkeypatch, name, numbers
):
    gpus(3)
    current, before, seeded = [], [torch.full((8,), i, dtype=torch.uint8) for i in range(3)], []
    given_back = {}

    class On:
        def __init__(self, index):
            self.index = index

        def __enter__(self):
            current.append(self.index)

        def __exit__(self, *_):
            current.pop()

    monkeypatch.setattr(torch.cuda, "device", On)
    monkeypatch.setattr(torch.cuda, "manual_seed", lambda seed: seeded.append((current[-1], seed)))
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: seeded.append(("all", seed)))
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda index: before[index])
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, index: given_back.update({index: state}))
    with device.training(7, RunOptions(device=name, threads=1), *PART) as chosen:
        assert chosen == torch.device(name)
    assert seeded == [(index, 7) for index in numbers]
    assert given_back == {index: before[index] for index in numbers}


@pytest.mark.parametrize(("name", "waits"), [("cpu", []), ("cuda:1", [torch.device("cuda:1")])])
def test_only_a_gpu_is_waited_for(monkeypatch, name, waits):
    waited = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    device.wait(torch.device(name))
    assert waited == waits


def test_a_training_is_seeded_and_gives_back_generator_and_threads():
    torch.set_num_threads(1)
    torch.manual_seed(3)
    wanted = torch.rand(4)
    torch.manual_seed(3)
    drawn = []
    for _ in range(2):
        with device.training(11, RunOptions(threads=2), *PART):
            assert torch.get_num_threads() == 2
            drawn.append(torch.rand(4))
    assert torch.equal(*drawn)
    with pytest.raises(KeyError):
        _fails_in_training()
    assert torch.get_num_threads() == 1
    assert torch.equal(torch.rand(4), wanted)


def _fails_in_training():
    with device.training(12, RunOptions(threads=0), *PART):
        assert torch.get_num_threads() == 1
        raise KeyError


def test_one_training_at_a_time():
    inside = threading.Event()

    def other():
        with device.training(1, RunOptions(threads=1), *PART):
            inside.set()

    waiting = threading.Thread(target=other)
    with device.training(0, RunOptions(threads=1), *PART):
        waiting.start()
        assert not inside.wait(0.1)
    assert inside.wait(30)
    waiting.join()


FULL = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB\nmore lines"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
]


@pytest.mark.parametrize("fault", FULL, ids=str)
def test_a_gpu_without_memory_is_one_line_that_names_what_to_lower(fault):
    def full():
        with device.training(1, RunOptions(threads=1), *PART):
            raise fault

    with pytest.raises(ConfigError) as caught:
        full()
    said = "part: the GPU has too little memory for this training: lower batch_size (128) or max_length (64)"
    assert str(caught.value) == said


def test_other_errors_of_a_training_stay_what_they_are():
    def fails():
        with device.training(1, RunOptions(threads=1), *PART):
            raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes cannot"):
        fails()


def test_what_to_lower_is_told_with_its_value():
    from fuserec.neural.joint.config import JointConfig

    told = device.lowered(JointConfig(batch_size=8), "batch_size", "max_length")
    assert told == "batch_size (8) or max_length (50)"
