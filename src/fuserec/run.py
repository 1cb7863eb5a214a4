"""How a piece of work is to be run: seed, threads, memory, time, progress. Never what is computed."""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from fuserec.errors import FuseRecError

Progress = Callable[[str, int, int], None]
"""Called as ``progress(label, done, total)``; ``total`` is 0 where it is not known."""


Track = Callable[[str, int, Mapping[str, float]], None]
"""Called as ``track(component, step, metrics)``, e.g. ``track("sequence", epoch, {"loss": 0.7, "ndcg@10": 0.05})``."""


def _silent(label: str, done: int, total: int) -> None:
    """Report nothing."""


def _untracked(component: str, step: int, metrics: Mapping[str, float]) -> None:
    """Keep nothing."""


def _cores() -> int:
    """Return the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class DeadlineExceededError(FuseRecError):
    """The time given to a piece of work ran out."""


class CancelledError(FuseRecError):
    """The caller cancelled a piece of work."""


@dataclass(frozen=True)
class RunOptions:
    """Options shared by every long piece of work.

    Parameters
    ----------
    seed : int
        Root of all randomness; each component spawns its own generator by name.
    device : str
        ``"cpu"``, ``"cuda"``, ``"cuda:1"`` (the second GPU), or ``"auto"``.
    threads : int
        Worker threads; results do not depend on it beyond float32 rounding.
    memory_mb : int
        What one chunk of scores may take.
    deadline : float or None
        A moment of ``time.monotonic()`` after which work stops.
    progress : callable
        Receives ``(label, done, total)``.
    cancel : callable
        Returns True when the caller wants the work to stop.
    checkpoints : Path or None
        Folder in which long trainings keep what they need to go on after a stop; None keeps nothing.
    track : callable
        Receives ``(component, step, metrics)``: figures of a training as it goes on. What it raises ends the work.
    """

    seed: int = 0
    device: str = "cpu"
    threads: int = field(default_factory=_cores)
    memory_mb: int = 512
    deadline: float | None = None
    progress: Progress = _silent
    cancel: Callable[[], bool] = lambda: False
    checkpoints: Path | None = None
    track: Track = _untracked

    def rng(self, component: str) -> np.random.Generator:
        """Return the generator of a named component: equal seed and name, equal numbers."""
        return np.random.default_rng(np.random.SeedSequence([self.seed, zlib.crc32(component.encode())]))

    def check(self) -> None:
        """Stop with a clear error when the deadline has passed or the caller cancelled."""
        if self.cancel():
            raise CancelledError("the work was cancelled")
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise DeadlineExceededError(
                "the time given has run out: raise the budget, or leave out the slowest scorer"
            )

    def with_seed(self, seed: int) -> RunOptions:
        """Return the same options with another seed."""
        return replace(self, seed=seed)
