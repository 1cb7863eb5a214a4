"""One run at every tracker of a configuration, beside the work: no tracker can slow it down or stop it."""

from __future__ import annotations

import logging
import queue
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from fuserec.tracking.base import Tracker, create
from fuserec.tracking.params import flat

if TYPE_CHECKING:
    from fuserec.run import RunOptions, Track
    from fuserec.tracking.config import TrackingConfig

log = logging.getLogger("fuserec")

PATIENCE_S = 20.0
"""How long the end of the work waits for a tracker to take its last figures."""

_UNFIT = re.compile(r"[^\w.-]+")
"""What a run's name may not hold: it becomes the name of a file."""


@contextmanager
def tracked(
    config: TrackingConfig, name: str, params: Mapping[str, Any], run: RunOptions
) -> Iterator[RunOptions]:
    """Give run options whose ``track`` goes to every tracker of the configuration too.

    Parameters
    ----------
    config : TrackingConfig
    name : str
        Of the run; the moment is added, so that runs never share one.
    params : mapping
        May be nested; what looks like a secret is hidden.
    run : RunOptions
        Its own ``track`` is called first.

    Raises
    ------
    MissingExtraError
        Where the package of a tracker is not installed: before the work begins.
    """
    if not config.to:
        yield run
        return
    now = time.time()
    moment = f"{time.strftime('%Y%m%d-%H%M%S', time.localtime(now))}-{int(now * 1000) % 1000:03d}"
    name = f"{_UNFIT.sub('-', name)[:100]}-{moment}"
    couriers = [Courier(kind, create(kind, config)) for kind in config.to]
    values = flat(params)
    for courier in couriers:
        courier.begin(name, values)
    ok = False
    try:
        yield replace(run, track=_fan_out(run.track, couriers))
        ok = True
    finally:
        for courier in couriers:
            courier.send(lambda tracker: tracker.finish(ok))
        until = time.monotonic() + PATIENCE_S
        for courier in couriers:
            courier.end(until)


def _fan_out(own: Track, couriers: list[Courier]) -> Track:
    """Return the ``track`` that tells everybody.

    A component whose steps start again, such as a training that is repeated on all the data, goes on as ``NAME.2``.
    """
    last: dict[str, int] = {}
    round_of: dict[str, int] = {}

    def track(component: str, step: int, metrics: Mapping[str, float]) -> None:
        own(component, step, metrics)
        if step < last.get(component, step):
            round_of[component] = round_of.get(component, 1) + 1
        last[component] = step
        again = f".{round_of[component]}" if component in round_of else ""
        row = {f"{component}{again}/{key}": float(value) for key, value in metrics.items()}
        for courier in couriers:
            courier.send(lambda tracker: tracker.log(row, step))

    return track


class Courier:
    """Hands what is sent to one tracker, in order, on a thread of its own; the first failure ends it with a warning.

    A tracker may wait for a network for minutes, and its client may raise anything.
    """

    def __init__(self, kind: str, tracker: Tracker) -> None:
        self._kind, self._tracker = kind, tracker
        self._post: queue.SimpleQueue[Callable[[Tracker], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._deliver, name=f"fuserec-track-{kind}", daemon=True)

    def begin(self, name: str, params: Mapping[str, str | int | float | bool]) -> None:
        """Start the thread, and the run."""
        self._thread.start()
        self.send(lambda tracker: tracker.start(name, params))

    def send(self, what: Callable[[Tracker], None]) -> None:
        """Have something done with the tracker, later."""
        self._post.put(what)

    def end(self, until: float) -> None:
        """Wait for what was sent, up to a moment of ``time.monotonic()``."""
        self._post.put(None)
        self._thread.join(max(0.0, until - time.monotonic()))
        if self._thread.is_alive():
            log.warning("tracking to %s: still busy, its last figures may be missing", self._kind)

    def _deliver(self) -> None:
        """Do what is sent until the end, or the first failure."""
        with _Contained(self._kind):
            while (what := self._post.get()) is not None:
                what(self._tracker)


class _Contained:
    """Whatever a foreign client raises ends its own tracking with one line, and nothing else."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is not None:
            said = " ".join(str(error).split())[:300]
            log.warning("tracking to %s ended: %s: %s", self._kind, type(error).__name__, said)
        return True
