"""Runs in MLflow: on the server that ``MLFLOW_TRACKING_URI`` names, else in an SQLite file of the folder."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fuserec.tracking.base import SCALAR

PARAMS_AT_ONCE = 100
LONGEST = 6000
"""Characters of a parameter that MLflow takes."""

_REFUSED = re.compile(r"[^\w\-. /]")


class MlflowRuns:
    """Writes a run of an experiment through the client, so that no global state of MLflow is touched.

    Parameters
    ----------
    folder : Path
        Holds ``mlflow.db`` (``mlflow ui --backend-store-uri sqlite:///FOLDER/mlflow.db``) where no server is named.
    project : str
        The experiment.
    """

    def __init__(self, folder: Path, project: str) -> None:
        self._folder, self._project = folder, project

    def start(self, name: str, params: Mapping[str, SCALAR]) -> None:
        """Create the experiment where there is none, and the run, with its parameters."""
        from mlflow.entities import Param
        from mlflow.tracking import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.WARNING)  # it tells of its database's tables
        uri = os.environ.get("MLFLOW_TRACKING_URI")
        artifacts = None
        if not uri:
            self._folder.mkdir(parents=True, exist_ok=True)
            uri = f"sqlite:///{(self._folder / 'mlflow.db').resolve()}"
            artifacts = (self._folder / "mlflow-artifacts").resolve().as_uri()
        self._client: Any = MlflowClient(uri)
        found = self._client.get_experiment_by_name(self._project)
        experiment = (
            self._client.create_experiment(self._project, artifacts) if found is None else found.experiment_id
        )
        self._run: str = self._client.create_run(experiment, run_name=name).info.run_id
        rows = [Param(accepted(key), str(value)[:LONGEST]) for key, value in params.items()]
        for piece in _pieces(rows, PARAMS_AT_ONCE):
            self._client.log_batch(self._run, params=piece)

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Log figures; ``@`` in their names becomes ``_at_``."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        rows = [Metric(accepted(key), value, now, step) for key, value in metrics.items()]
        for piece in _pieces(rows, PARAMS_AT_ONCE):
            self._client.log_batch(self._run, metrics=piece)

    def finish(self, ok: bool) -> None:
        """Say how the run ended."""
        self._client.set_terminated(self._run, "FINISHED" if ok else "FAILED")


def accepted(key: str) -> str:
    """Return a name that MLflow takes."""
    return _REFUSED.sub("_", key.replace("@", "_at_"))[:250]


def _pieces(rows: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Yield pieces of at most a size."""
    for lo in range(0, len(rows), size):
        yield rows[lo : lo + size]
