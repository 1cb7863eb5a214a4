"""Signals that ask a process to end wait until a step is whole, so that a checkpoint can be made of it."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator

ASKS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """The signals that have come since, and what they did before."""

    def __init__(self) -> None:
        self.came: list[int] = []
        found = {int(number): signal.getsignal(number) for number in ASKS}
        self.before = {number: handler for number, handler in found.items() if handler != signal.SIG_IGN}

    def heed(self) -> None:
        """Give the handlers back, and do what the first signal would have done at once."""
        number = self.came[0]
        self.came.clear()  # where the handler lets the work go on, it is not stopped once more
        self.restore()
        handler = self.before[number]
        if callable(handler):
            handler(number, None)
        elif handler == signal.SIG_DFL:
            os.kill(os.getpid(), number)

    def restore(self) -> None:
        """Give the handlers back."""
        for number, handler in self.before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def held_back(wanted: bool) -> Iterator[Stop | None]:
    """Hold signals back until the end, where that is wanted and possible (only the main thread may).

    Parameters
    ----------
    wanted : bool
        Whether a stop should leave a checkpoint.
    """
    if not wanted or threading.current_thread() is not threading.main_thread():
        yield None
        return
    stop = Stop()
    if any(handler is None for handler in stop.before.values()):  # not ours to replace
        yield None
        return
    for number in stop.before:
        signal.signal(number, lambda number, frame: stop.came.append(number))
    try:
        yield stop
    finally:
        stop.restore()
    if stop.came:  # after the last step that asked
        stop.heed()
