"""An adapted model as an encoder without a folder, also where its parts fit into none (adapters, prompts)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fuserec.encoders.base import Vectors
from fuserec.encoders.sentence import SentenceConfig, SentenceEncoder
from fuserec.neural.device import fast_type
from fuserec.neural.language.adapt.forward import unit_vectors

if TYPE_CHECKING:
    from fuserec.neural.language.adapt.adaptation import Adapted
    from fuserec.run import RunOptions


class LiveEncoder(SentenceEncoder):
    """Runs an :class:`~fuserec.neural.language.adapt.Adapted` on PyTorch as it lies in memory.

    For measuring, not for a model folder: nothing of it is on disk.

    Parameters
    ----------
    adapted : Adapted
    """

    def __init__(self, adapted: Adapted) -> None:
        method = adapted.facts["config"]["tuning"]["method"]
        super().__init__(SentenceConfig(model=f"{adapted.facts['base']['name']} after {method}"))
        self.adapted = adapted

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self.adapted.backbone.dim

    @property
    def megabytes(self) -> float:
        """Size of the weights, what the method added included."""
        weights = self.adapted.backbone.parameters()
        return sum(each.numel() * each.element_size() for each in weights) / 1e6

    @property
    def fingerprint(self) -> str:
        """Of what it was made from: base, method, data, seed."""
        told = {name: self.adapted.facts[name] for name in ("base", "config", "seed", "seen")}
        digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:32]
        return f"{self.name}:{digest}:live"

    @property
    def tuning(self) -> dict[str, Any]:
        """What the training was and found."""
        return self.adapted.facts

    def load(self, run: RunOptions) -> LiveEncoder:
        """Return itself: everything is in memory."""
        return self

    def encode(self, texts: Sequence[str], run: RunOptions) -> Vectors:
        """Return float32 (len(texts), dim), unit rows; zero rows for empty texts."""
        backbone = self.adapted.backbone
        kept = [row for row, text in enumerate(texts) if text.strip()]
        vectors = np.zeros((len(texts), backbone.dim), np.float32)
        if kept:
            run.check()
            read = [self.adapted.prompt + texts[row] for row in kept]
            vectors[kept] = unit_vectors(backbone, read, backbone.max_length, fast_type(backbone.device))
        return vectors
