"""Histories cut into windows, and windows into batches of equal work.

Every epoch cuts a long history at other places, so that each event is predicted once an epoch and from contexts that
change; windows of like length share a batch, so that little is filled up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

POOL = 64
"""Batches whose windows are sorted by length together."""

WIDTH = 8
"""Windows are filled up to a multiple of this: few shapes, and little is filled up."""


@dataclass(frozen=True)
class Batch:
    """Windows side by side.

    Parameters
    ----------
    inputs : int64 (b, l)
        Items, oldest first; rows shorter than ``l`` are filled up with 0 at the end.
    lengths : int64 (b,)
    targets : int64 (b, l)
        The item after each position; -1 where none is to be predicted.
    """

    inputs: np.ndarray
    lengths: np.ndarray
    targets: np.ndarray


@dataclass(frozen=True)
class Histories:
    """Items that people took, oldest first.

    Parameters
    ----------
    indptr : int64 (n + 1,)
    items : int64 (n_events,)
    """

    indptr: np.ndarray
    items: np.ndarray

    def __len__(self) -> int:
        return self.indptr.size - 1

    @property
    def lengths(self) -> np.ndarray:
        """int64 (n,)."""
        return np.diff(self.indptr)

    def epoch(self, length: int, batch_size: int, rng: np.random.Generator) -> list[Batch]:
        """Return the batches of one epoch, in random order.

        Parameters
        ----------
        length : int
            Positions of a window.
        batch_size : int
            Positions of a batch, those filled up included, at most (a single window may have more).
        rng : Generator
        """
        starts, sizes = self._cut(length, rng)
        order = rng.permutation(starts.size)
        pool = POOL * max(1, batch_size // max(1, int(sizes.mean()) if sizes.size else 1))
        widths = np.minimum(-(-sizes // WIDTH) * WIDTH, length)
        key = (np.arange(order.size) // pool) * (length + 1) + widths[order]
        order = order[np.argsort(key, kind="stable")]
        groups = _groups(widths[order], batch_size)
        batches = [
            self._batch(starts[order[lo:hi]], sizes[order[lo:hi]], int(widths[order[lo:hi]].max()))
            for lo, hi in groups
        ]
        return [batches[i] for i in rng.permutation(len(batches))]

    def _cut(self, length: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return first positions and sizes of all windows; a window of size s predicts s items from s inputs."""
        steps = self.lengths - 1  # predictions of a history
        offsets = np.where(steps > length, rng.integers(0, length, size=steps.size), 0)
        first = np.where(offsets > 0, offsets, np.minimum(steps, length))  # predictions of the first window
        more = np.maximum(-(-(steps - first) // length), 0)
        counts = np.where(steps > 0, 1 + more, 0)
        owner = np.repeat(np.arange(len(self)), counts)
        nth = np.arange(owner.size) - np.repeat(np.cumsum(counts) - counts, counts)
        begin = np.where(nth == 0, 0, first[owner] + (nth - 1) * length)
        end = np.minimum(first[owner] + nth * length, steps[owner])
        return self.indptr[owner] + begin, end - begin

    def _batch(self, starts: np.ndarray, sizes: np.ndarray, width: int) -> Batch:
        """Return some windows as a batch of a width."""
        steps = np.arange(width)[None, :]
        there = steps < sizes[:, None]
        at = np.where(there, starts[:, None] + steps, 0)
        return Batch(np.where(there, self.items[at], 0), sizes, np.where(there, self.items[at + 1], -1))


def _groups(sizes: np.ndarray, batch_size: int) -> list[tuple[int, int]]:
    """Return (first, end) of groups of neighbouring windows whose filled-up size stays within ``batch_size``."""
    groups: list[tuple[int, int]] = []
    lo, widest = 0, 0
    for i, size in enumerate(sizes.tolist()):
        widest = max(widest, size)
        if i > lo and widest * (i + 1 - lo) > batch_size:
            groups.append((lo, i))
            lo, widest = i, size
    if lo < sizes.size:
        groups.append((lo, int(sizes.size)))
    return groups


def newest(indptr: np.ndarray, items: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the newest events of each history as windows.

    Returns
    -------
    inputs : int64 (n, l)
        Oldest first, filled up with 0 at the end.
    lengths : int64 (n,)
        0 for an empty history.
    """
    lengths = np.minimum(np.diff(indptr), length)
    width = max(1, int(lengths.max(initial=0)))
    steps = np.arange(width)[None, :]
    there = steps < lengths[:, None]
    at = np.where(there, indptr[1:, None] - lengths[:, None] + steps, 0)
    filled = items if items.size else np.zeros(1, np.int64)
    return np.where(there, filled[at], 0).astype(np.int64), lengths
