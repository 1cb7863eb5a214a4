"""The contract of a tracker, and making one by its name."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from fuserec.errors import MissingExtraError

if TYPE_CHECKING:
    from fuserec.tracking.config import TrackingConfig

SCALAR = str | int | float | bool
"""What a parameter may be: nested ones are flat by then."""

_HOMES = {
    "tensorboard": ("tensorboard_events:TensorBoardEvents", "tensorboard", "tune"),
    "mlflow": ("mlflow_runs:MlflowRuns", "mlflow", "track"),
    "wandb": ("wandb_runs:WandbRuns", "wandb", "track"),
    "jsonl": ("json_lines:JsonLines", None, ""),
}
"""Kind to ``module:class``, the package that it needs, and the extra that brings it."""


class Tracker(Protocol):
    """Receives one run; its methods are called in order, from one thread, and may raise what they like."""

    def start(self, name: str, params: Mapping[str, SCALAR]) -> None:
        """Begin a run with its parameters."""

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Take figures ``component/metric`` at a step of their component."""

    def finish(self, ok: bool) -> None:
        """End the run; ``ok`` is False where the work failed or was interrupted."""


def create(kind: str, config: TrackingConfig) -> Tracker:
    """Return a tracker by its kind, or the one of a path that ends in ``.jsonl``.

    Raises
    ------
    MissingExtraError
        Where its package is not installed.
    """
    home, package, extra = _HOMES.get(kind, _HOMES["jsonl"])
    if package is not None and find_spec(package) is None:
        raise MissingExtraError(f"tracking to {kind}", extra)
    module, name = home.split(":")
    made: Tracker = getattr(import_module(f"fuserec.tracking.{module}"), name)(
        Path(config.folder) if kind in _HOMES else Path(kind), config.project
    )
    return made
