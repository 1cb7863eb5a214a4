"""How long an epoch of a task takes, told from a few steps of a model that is thrown away."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch

from fuserec.neural.device import wait

if TYPE_CHECKING:
    from fuserec.neural.training import Task

TRIAL_STEPS = 4
"""Steps that are timed."""


def seconds_per_epoch(task: Task) -> float:
    """Return how long an epoch would take; the model of the task is spoilt by it."""
    batches = task.batches(0)
    optimizer = torch.optim.AdamW(task.model.parameters(), fused=True)
    timed = batches[: TRIAL_STEPS + 1]
    device = next(task.model.parameters()).device
    began = time.perf_counter()
    for step, batch in enumerate(timed):
        if step == 1:  # the first one also loads and allocates
            wait(device)
            began = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        task.loss(batch).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    wait(device)
    return (time.perf_counter() - began) / max(1, len(timed) - 1) * len(batches)
