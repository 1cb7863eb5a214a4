"""Dilated causal convolutions over a window: NextItNet.

Yuan et al. 2019, "A simple convolutional generative network for next item recommendation".
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

WIDTH = 3
"""Positions that a convolution joins; dilation doubles with each layer."""


class Layer(nn.Module):
    """A gated causal convolution, added to what came in."""

    def __init__(self, dim: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.past = (WIDTH - 1) * dilation
        self.norm = nn.LayerNorm(dim)
        self.join = nn.Conv1d(dim, 2 * dim, WIDTH, dilation=dilation)
        self.out = nn.Linear(dim, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return float (b, l, d): each position sees itself and what came before it."""
        before = functional.pad(self.norm(x).transpose(1, 2), (self.past, 0))
        out: torch.Tensor = x + self.dropout(
            self.out(functional.glu(self.join(before), dim=1).transpose(1, 2))
        )
        return out


class Convolutional(nn.Module):
    """Two layers a block, their dilations doubling."""

    def __init__(self, dim: int, blocks: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(Layer(dim, 2**depth, dropout) for depth in range(2 * blocks))
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Return float (b, l, d)."""
        x = self.dropout(x)
        for layer in self.layers:
            x = layer(x)
        out: torch.Tensor = self.norm(x)
        return out
