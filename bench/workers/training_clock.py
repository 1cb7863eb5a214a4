"""What both sides of the training benchmark share: the sizes, the fixed histories, and a clock at each step.

The clock hangs on PyTorch's own hook behind every step of every optimizer, so that it ticks at the same place whatever
loop drives the training. The first step, with all that is set up in it, is not counted.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from torch.optim.optimizer import register_optimizer_step_post_hook

DIM, BLOCKS, HEADS, LENGTH, BATCH, RATE, DROPOUT = 64, 2, 1, 50, 128, 0.001, 0.2


def histories(path: str) -> np.ndarray:
    """Return int (n_users, LENGTH + 1) item numbers, oldest first: every batch has BATCH histories of LENGTH steps."""
    rows = np.load(Path(path))["histories"]
    assert rows.shape[1] == LENGTH + 1
    assert rows.shape[0] % BATCH == 0
    return rows


@contextlib.contextmanager
def ticking() -> Iterator[list[float]]:
    """Give a list that receives the moment behind each step of an optimizer."""
    ticks: list[float] = []
    hook = register_optimizer_step_post_hook(
        lambda optimizer, args, kwargs: ticks.append(time.perf_counter())
    )
    try:
        yield ticks
    finally:
        hook.remove()


def told(ticks: list[float], batches: int) -> dict[str, float]:
    """Return the seconds of a batch: mean and median over all but the first.

    Raises
    ------
    RuntimeError
        Where the training did not take one step a batch: the two sides would not do the same work.
    """
    if len(ticks) != batches:
        raise RuntimeError(f"{len(ticks)} steps were taken, {batches} batches were given")
    each = np.diff(ticks).tolist()
    return {
        "batch_s": statistics.fmean(each),
        "batch_median_s": statistics.median(each),
        "batches": float(len(each)),
    }
