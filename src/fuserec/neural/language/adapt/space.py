"""Where vectors are compared while an encoder is trained: as they are, or whitened as a fitted model uses them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from fuserec.encoders.whitening import Whitening
from fuserec.neural.language.adapt.forward import vectors_of

if TYPE_CHECKING:
    from fuserec.neural.language.backbone import Backbone, Tokens

SAMPLE = 20_000
"""Texts that the map is fitted on, at most."""


class Space:
    """The map from an encoder's vectors to unit vectors whose products are compared.

    The vectors of a language model lie in a narrow cone, and a model whitens them before it uses them. A training that
    compares them as they are spends itself on opening the cone, which whitening does anyway; one that compares them
    whitened learns what whitening cannot give. The map is that of the vectors before training and stays as it is.

    Parameters
    ----------
    whitening : Whitening, optional
    device : torch.device
    """

    def __init__(self, whitening: Whitening | None, device: torch.device) -> None:
        self._map = None
        if whitening is not None:
            self._map = tuple(torch.from_numpy(a).to(device) for a in (whitening.mean, whitening.matrix))

    @classmethod
    def before(cls, backbone: Backbone, rows: Sequence[Tokens], fast: torch.dtype, seed: int) -> Space:
        """Return the whitened space of an encoder's vectors as they are now.

        Parameters
        ----------
        backbone : Backbone
        rows : sequence of Tokens
            Of the catalogue's texts; of more than :data:`SAMPLE` some are drawn.
        fast : torch.dtype
        seed : int
        """
        drawn = np.sort(np.random.default_rng([seed, 7]).permutation(len(rows))[:SAMPLE])
        with torch.inference_mode():
            made = nn.functional.normalize(vectors_of(backbone.eval(), [rows[i] for i in drawn], fast), dim=1)
        return cls(Whitening.fit(made.cpu().numpy()), backbone.device)

    def compared(self, made: torch.Tensor) -> torch.Tensor:
        """Return unit vectors (n, dim) in which texts are compared, with gradients."""
        unit = nn.functional.normalize(made, dim=1)
        if self._map is None:
            return unit
        mean, matrix = self._map
        return nn.functional.normalize((unit - mean) @ matrix, dim=1)
