"""Texts through a backbone: with gradients in training, without to compare."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from fuserec.neural.language.backbone import by_length

if TYPE_CHECKING:
    from fuserec.neural.language.backbone import Backbone, Tokens

BUDGET = {"cpu": 4096, "cuda": 65_536}
"""Tokens of a forward pass, padding included; a step may take several. A GPU is only busy with many at once."""


def vectors_of(backbone: Backbone, rows: Sequence[Tokens], fast: torch.dtype) -> torch.Tensor:
    """Return float32 (n, dim): vectors of token rows with their gradients; rows of like length share a pass."""
    parts, places = [], []
    for which in by_length([len(ids) for ids, _ in rows], BUDGET[backbone.device.type]):
        with autocast(backbone, fast):
            parts.append(backbone(backbone.batch([rows[i] for i in which])))
        places.append(which)
    back = np.argsort(np.concatenate(places), kind="stable")
    return torch.cat(parts)[torch.from_numpy(back).to(backbone.device)]


def autocast(backbone: Backbone, fast: torch.dtype) -> torch.autocast:
    """Return the context in which large products are made in the type that they are fastest in."""
    return torch.autocast(backbone.device.type, dtype=fast, enabled=fast != torch.float32)


def unit_vectors(backbone: Backbone, texts: Sequence[str], length: int, fast: torch.dtype) -> np.ndarray:
    """Return float32 (n, dim): vectors of unit length, without gradients."""
    backbone.eval()
    with torch.inference_mode():
        made = vectors_of(backbone, backbone.tokens(texts, length=length), fast)
        return np.asarray(nn.functional.normalize(made, dim=1).cpu().numpy())
