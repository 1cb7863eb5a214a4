"""A training of a second, for tests that stop it and go on; also run as a process of its own, to be killed.

``python small_training.py FOLDER waits`` tells its tenth step on stdout and goes on after a line on stdin;
``python small_training.py FOLDER dies`` kills itself in the middle of writing its third checkpoint.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np

from fuserec.run import RunOptions
from fuserec.scorers import create
from fuserec.testing.planted import dataset_of
from fuserec.testing.small import small_features

RUN = RunOptions(seed=5, threads=1)
SMALL = {
    "embedding_dim": 16,
    "text_dim": 8,
    "max_length": 6,
    "batch_size": 64,
    "epochs": 3,
    "negatives": 8,
    "learning_rate": 0.01,
}
STEPS = 39
"""Three epochs of thirteen batches: a training on :func:`walks`."""


def walks(n_items=20, n_users=60, seed=0):
    """Return people who walk a ring of items for nine steps each, with titles of a few words."""
    begins = np.random.default_rng(seed).integers(n_items, size=n_users)
    histories = [[int(begin + step) % n_items for step in range(9)] for begin in begins]
    titles = [f"word{i % 4} thing{i % 5} item{i}" for i in range(n_items)]
    return dataset_of(histories, n_items, titles=titles)


def fitted(run=RUN, data=None, **changes):
    """Return the scorer after a small training."""
    data = data or walks()
    return create("sequence", {**SMALL, **changes}).fit(data, small_features(data, RUN), run)


def state(scorer):
    """Return all that was learnt."""
    return scorer.state()[0]


class Calls:
    """Says True from its n-th call on: a caller who cancels in the middle."""

    def __init__(self, n):
        self.n, self.made = n, 0

    def __call__(self):
        self.made += 1
        return self.made >= self.n


def _waits():
    """Tell the tenth step, and wait for a line before it is taken."""
    _waits.steps = getattr(_waits, "steps", 0) + 1
    if _waits.steps == 10:
        sys.stdout.write("here\n")
        sys.stdout.flush()
        sys.stdin.readline()
    return False


def _dies_in_the_third_write():
    """Write half of the third checkpoint and be killed."""
    from fuserec.neural import training

    training.SAVE_EVERY_S = -1.0  # after every step
    whole, count = Path.write_bytes, 0

    def half(self, blob):
        nonlocal count
        count += self.name.endswith(".tmp")
        if count == 3:
            whole(self, blob[: len(blob) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(self, blob)

    Path.write_bytes = half


if __name__ == "__main__":
    from dataclasses import replace

    kept = replace(RUN, checkpoints=Path(sys.argv[1]))
    if sys.argv[2] == "dies":
        _dies_in_the_third_write()
        fitted(kept)
    else:
        fitted(replace(kept, cancel=_waits))
    sys.stdout.write("finished\n")
