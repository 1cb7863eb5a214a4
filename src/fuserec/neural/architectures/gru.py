"""Gated recurrent units over a window (Hidasi et al. 2016, "Session-based recommendations with RNNs")."""

from __future__ import annotations

import torch
from torch import nn


class Recurrent(nn.Module):
    """Layers of gated recurrent units, added to what came in."""

    def __init__(self, dim: int, blocks: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.cells = nn.GRU(
            dim, dim, num_layers=blocks, batch_first=True, dropout=dropout if blocks > 1 else 0.0
        )
        self.project = nn.Linear(dim, dim)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Return float (b, l, d); what fills a row up comes after its last event and changes nothing before."""
        states, _ = self.cells(self.dropout(x))
        out: torch.Tensor = self.norm(self.project(self.dropout(states)))
        return out
