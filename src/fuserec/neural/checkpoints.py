"""Checkpoints of a training: what is needed to go on as if nothing had happened, in one safetensors file.

The name of the file holds a key of data, configuration and seed, so that another training never takes it up.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from fuserec.errors import DataError

log = logging.getLogger("fuserec")

FORMAT = 1


def key_of(**facts: Any) -> str:
    """Return sixteen hexadecimal digits that change with any of the facts."""
    text = json.dumps({"format": FORMAT, "torch": torch.__version__, **facts}, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode("utf-8"), digest_size=8).hexdigest()


class Checkpoint:
    """The file of one training.

    Parameters
    ----------
    folder : Path or None
        Where checkpoints lie; None keeps none.
    name : str
        Of the part.
    key : str
        Of data, configuration and seed; see :func:`key_of`.
    """

    def __init__(self, folder: Path | None, name: str, key: str) -> None:
        self.path = None if folder is None else folder / f"{name}-{key}.safetensors"

    def save(
        self,
        tensors: Mapping[str, torch.Tensor],
        facts: Mapping[str, Any],
    ) -> None:
        """Write beside and rename, so that a kill at any moment leaves a whole checkpoint.

        Raises
        ------
        DataError
            Where it cannot be written.
        """
        if self.path is None:
            return
        from safetensors.torch import save

        blob = save(
            {k: v.detach().cpu().contiguous() for k, v in tensors.items()}, {"facts": json.dumps(facts)}
        )
        beside = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            beside.write_bytes(blob)
            beside.replace(self.path)
        except OSError as error:
            with contextlib.suppress(OSError):  # where the folder is a file, for one
                beside.unlink()
            raise DataError(
                f"{self.path}: the checkpoint cannot be written ({error.strerror}); free some space, or name "
                "another folder"
            ) from None

    def load(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
        """Return tensors and facts, or None where there is no checkpoint that can be read."""
        if self.path is None or not self.path.exists():
            return None
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.path, "pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
                facts = json.loads((file.metadata() or {})["facts"])
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            log.warning("%s: the checkpoint cannot be read (%s), the training starts anew", self.path, error)
            return None
        return tensors, facts
