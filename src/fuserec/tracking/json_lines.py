"""A run as lines of JSON: no package needed, and any tool reads it."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fuserec.tracking.config import LINES

if TYPE_CHECKING:
    from fuserec.tracking.base import SCALAR


class JsonLines:
    """Appends to a file; each line stands on the disk before the next is begun.

    Parameters
    ----------
    path : Path
        A file that ends in ``.jsonl``, which may hold earlier runs, or a folder that gets a file for each run.
    project : str
        Stands in the first line of a run.
    """

    def __init__(self, path: Path, project: str) -> None:
        self._path, self._project = path, project

    def start(self, name: str, params: Mapping[str, SCALAR]) -> None:
        """Write the line of the parameters."""
        self._file = self._path if self._path.suffix == LINES else self._path / f"{name}{LINES}"
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._name = name
        self._write({"event": "start", "project": self._project, "params": dict(params)})

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Write a line of figures; one that is not finite becomes null."""
        values = {key: value if math.isfinite(value) else None for key, value in metrics.items()}
        self._write({"event": "metrics", "step": step, "metrics": values})

    def finish(self, ok: bool) -> None:
        """Write the last line."""
        self._write({"event": "finish", "ok": ok})

    def _write(self, row: dict[str, Any]) -> None:
        """Append one line."""
        line = json.dumps({"run": self._name, "time": round(time.time(), 3), **row}, ensure_ascii=False)
        with self._file.open("a", encoding="utf-8") as stream:
            stream.write(f"{line}\n")
