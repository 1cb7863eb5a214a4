"""Where tensors live, in what precision they are multiplied, and who may train at a time."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from fuserec.errors import ConfigError
from fuserec.numerics.gpu_memory import is_full

if TYPE_CHECKING:
    from pydantic import BaseModel

    from fuserec.run import RunOptions

_TRAINING = threading.RLock()
"""PyTorch's generator and number of threads belong to the process: one training at a time changes them."""


def device_of(run: RunOptions) -> torch.device:
    """Return the device that ``run.device`` names; ``auto`` takes a GPU where there is one.

    Raises
    ------
    ConfigError
        For a device that this machine does not have.
    """
    name = run.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f'device {name!r}: choose "cpu", "cuda", "cuda:1" or "auto"')
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            f'device {name!r}: PyTorch sees no GPU here; choose "cpu", or "auto" to take what there is'
        )
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"device {name!r}: there are {torch.cuda.device_count()} GPUs, counted from 0; choose one of them"
        )
    return device


def fast_type(device: torch.device) -> torch.dtype:
    """Return the type that large products are fastest in: bfloat16 where the hardware multiplies it, else float32.

    A processor or a GPU that only emulates bfloat16 is slower with it, so the hardware is asked.
    """
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if native else torch.float32
    told = (
        getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    )
    return torch.bfloat16 if any(ask() for ask in told if ask is not None) else torch.float32


def wait(device: torch.device) -> None:
    """Wait until a GPU has done what it was told; a clock read before that measures only the telling."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def gpus_of(device: torch.device) -> list[int]:
    """Return the numbers of the GPUs that a training on a device may use: none, one, or all for a bare ``cuda``."""
    if device.type != "cuda":
        return []
    return list(range(torch.cuda.device_count())) if device.index is None else [device.index]


def seed_generators(device: torch.device, seed: int) -> None:
    """Seed the generators of the processor and of the GPUs that a training on a device may use, and no others."""
    torch.default_generator.manual_seed(seed)
    for index in gpus_of(device):
        with torch.cuda.device(index):
            torch.cuda.manual_seed(seed)


def lowered(config: BaseModel, *names: str) -> str:
    """Return settings with their values, as in ``"batch_size (128) or max_length (64)"``."""
    return " or ".join(f"{name} ({getattr(config, name)})" for name in names)


@contextlib.contextmanager
def enough_memory(name: str, lower: str) -> Iterator[None]:
    """Turn a GPU that is out of memory into one line that says what to lower.

    Parameters
    ----------
    name : str
        Of the part.
    lower : str
        See :func:`lowered`.

    Raises
    ------
    ConfigError
        Where the memory of the GPU is too small.
    """
    try:
        yield
    except RuntimeError as fault:
        if not is_full(fault):
            raise
        raise ConfigError(f"{name}: the GPU has too little memory for this training: lower {lower}") from None


@contextlib.contextmanager
def training(seed: int, run: RunOptions, name: str, lower: str) -> Iterator[torch.device]:
    """Hold PyTorch's generators (seeded) and threads; all are given back as they were.

    Parameters
    ----------
    seed : int
    run : RunOptions
        Its device and its threads.
    name : str
        Of the part that is trained.
    lower : str
        What needs less memory where it is lower, see :func:`lowered`.

    Yields
    ------
    torch.device
        Where to train.

    Raises
    ------
    ConfigError
        For a device that this machine does not have: before any work; where the memory of a GPU is too small.
    """
    device = device_of(run)
    with enough_memory(name, lower), _TRAINING, torch.random.fork_rng(devices=gpus_of(device)):
        before = torch.get_num_threads()
        torch.set_num_threads(max(1, run.threads))
        seed_generators(device, seed)
        try:
            yield device
        finally:
            torch.set_num_threads(before)
