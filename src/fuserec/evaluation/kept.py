"""Rounds that are done, kept on disk: a stopped evaluation of folds or windows goes on after the last whole one."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np

from fuserec.errors import DataError
from fuserec.evaluation.rounds import Round

log = logging.getLogger("fuserec")

FORMAT = 1


class KeptRounds:
    """The files of one evaluation, a safetensors file a round.

    Parameters
    ----------
    folder : Path or None
        Where they lie, as checkpoints of trainings do; None keeps none.
    facts : JSON
        Data, configurations, split and seed: another evaluation never takes these rounds up.
    """

    def __init__(self, folder: Path | None, **facts: Any) -> None:
        text = json.dumps({"format": FORMAT, **facts}, sort_keys=True, default=str)
        self._folder, self._key = folder, hashlib.blake2b(text.encode("utf-8"), digest_size=8).hexdigest()

    def _path(self, number: int) -> Path | None:
        """Return the file of a round."""
        return None if self._folder is None else self._folder / f"round-{self._key}-{number}.safetensors"

    def save(self, number: int, one: Round) -> None:
        """Write beside and rename, so that a kill at any moment leaves whole rounds.

        Raises
        ------
        DataError
            Where it cannot be written.
        """
        path = self._path(number)
        if path is None:
            return
        from safetensors.numpy import save

        arrays: dict[str, np.ndarray] = {"users": one.users}
        names: list[tuple[str, str]] = []
        for model, table in one.columns.items():
            for name, column in table.items():
                arrays[str(len(names))] = np.ascontiguousarray(column, np.float64)
                names.append((model, name))
        facts = {
            "name": one.name,
            "columns": names,
            "whole": one.whole,
            "costs": one.costs,
            "about": one.about,
        }
        beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            beside.write_bytes(save(arrays, {"facts": json.dumps(facts)}))
            beside.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                beside.unlink()
            raise DataError(
                f"{path}: what is done cannot be kept ({error.strerror}); free some space, or name another folder"
            ) from None

    def load(self, number: int) -> Round | None:
        """Return a round, or None where there is none that can be read."""
        path = self._path(number)
        if path is None or not path.exists():
            return None
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, "np") as file:
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
                facts = json.loads((file.metadata() or {})["facts"])
            columns: dict[str, dict[str, np.ndarray]] = {}
            for place, (model, name) in enumerate(facts["columns"]):
                columns.setdefault(model, {})[name] = arrays[str(place)]
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            log.warning("%s: the round cannot be read (%s) and is done anew", path, error)
            return None
        return Round(facts["name"], arrays["users"], columns, facts["whole"], facts["costs"], facts["about"])
