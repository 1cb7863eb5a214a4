"""What a piece of work costs: wall-clock seconds, and how far the memory of the process rose."""

from __future__ import annotations

import os
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

INTERVAL_S = 0.01
"""Resident memory is looked at this often."""


@dataclass(frozen=True)
class Cost:
    """What one piece of work took.

    Parameters
    ----------
    seconds : float
        Wall-clock time.
    peak_mb : float or None
        Highest resident memory during it, less that at its start; None where the system does not tell.
    """

    seconds: float
    peak_mb: float | None


class Meter:
    """Measures the work inside a ``with`` block; ``cost`` holds the result afterwards.

    A thread samples resident memory. The kernel's own high-water mark counts as well where the block raised
    it, so that a short peak between two samples is missed only where an earlier piece of work went higher.
    (Tracing every allocation would slow the work down several times, and would not see compiled code.) Memory
    that an earlier block has freed but the process still holds is not counted again.
    """

    cost: Cost

    def __enter__(self) -> Self:
        self._start_mark = _high_water()
        self._start = self._highest = _resident()
        self._done = threading.Event()
        self._sampler = threading.Thread(target=self._sample, name="fuserec-memory", daemon=True)
        self._sampler.start()
        self._began = time.perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        seconds = time.perf_counter() - self._began
        self._done.set()
        self._sampler.join()
        mark = _high_water()
        if mark > self._start_mark:
            self._highest = max(self._highest, mark)
        known = self._start > 0
        self.cost = Cost(seconds, (self._highest - self._start) / 2**20 if known else None)

    def _sample(self) -> None:
        """Keep the highest resident memory until the block ends."""
        while self._start > 0:
            self._highest = max(self._highest, _resident())
            if self._done.wait(INTERVAL_S):
                return


def _resident() -> int:
    """Return the bytes of resident memory, 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _high_water() -> int:
    """Return the highest resident memory of the process so far in bytes, 0 where the system does not tell."""
    try:
        import resource
    except ImportError:  # not on every system
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
