"""Runs in Weights & Biases; ``WANDB_MODE=offline`` (and whatever else its client reads) is honoured."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fuserec.tracking.base import SCALAR

log = logging.getLogger("fuserec")


class WandbRuns:
    """Writes a run of a project, without anything of the machine, the code or the console.

    Parameters
    ----------
    folder : Path
        Offline runs lie in its folder ``wandb``.
    project : str
    """

    def __init__(self, folder: Path, project: str) -> None:
        self._folder, self._project = folder, project

    def start(self, name: str, params: Mapping[str, SCALAR]) -> None:
        """Begin the run with its parameters.

        Where nobody is logged in the run is kept offline, since asking for a key would stop the work.
        """
        import wandb

        self._folder.mkdir(parents=True, exist_ok=True)
        mode = None
        if not os.environ.get("WANDB_MODE") and not wandb.login(prompt=False, verify=False):
            log.warning("wandb: nobody is logged in, the run is kept offline in %s", self._folder / "wandb")
            mode = "offline"
        settings = wandb.Settings(
            silent=True,
            console="off",
            disable_git=True,
            disable_code=True,
            save_code=False,
            x_disable_meta=True,
            x_disable_machine_info=True,
            x_disable_stats=True,
        )
        self._run: Any = wandb.init(
            project=self._project,
            name=name,
            dir=str(self._folder),
            config=dict(params),
            mode=mode,
            reinit="create_new",
            settings=settings,
        )
        self._known: set[str] = set()

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Log figures; each component counts its own steps, where one count for all would have to rise."""
        row: dict[str, float] = {}
        for key, value in metrics.items():
            component = key.partition("/")[0]
            axis = f"{component}/step"
            if component not in self._known:
                self._known.add(component)
                self._run.define_metric(f"{component}/*", step_metric=axis)
            row |= {key: value, axis: step}
        self._run.log(row)

    def finish(self, ok: bool) -> None:
        """End the run."""
        self._run.finish(exit_code=0 if ok else 1)
