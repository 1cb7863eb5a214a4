"""Bodies of sequence models, one file each: item vectors of a window in, one vector a position out."""

from __future__ import annotations

from typing import Literal, Protocol

import torch

Architecture = Literal["transformer", "masked", "gru", "cnn"]


class Body(Protocol):
    """What every architecture does."""

    def __call__(self, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Return float (b, l, d): what is known after each position.

        Parameters
        ----------
        x : float (b, l, d)
            Vectors of the items, oldest first; rows shorter than ``l`` are filled up at the end.
        lengths : int64 (b,)
        """


def body(
    architecture: Architecture, dim: int, blocks: int, heads: int, length: int, dropout: float
) -> torch.nn.Module:
    """Return an untrained body by name."""
    if architecture == "gru":
        from fuserec.neural.architectures.gru import Recurrent

        return Recurrent(dim, blocks, dropout)
    if architecture == "cnn":
        from fuserec.neural.architectures.cnn import Convolutional

        return Convolutional(dim, blocks, dropout)
    from fuserec.neural.architectures.transformer import Transformer

    return Transformer(dim, blocks, heads, length, dropout, causal=architecture == "transformer")
