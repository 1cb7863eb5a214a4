"""Self-attention over a window: causal (each position sees what came before it) or in both directions.

Kang, McAuley 2018, "Self-attentive sequential recommendation"; Sun et al. 2019, "BERT4Rec". The blocks are those of
their stronger successors: normalised before each step, a gated feed-forward layer (Shazeer 2020, "GLU variants"), and
positions counted from the newest event, so that the last one always means the same.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    """One layer: attention, then a gated feed-forward step, each added to what came in."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention, self.norm_forward = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.mix = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        self.widen = nn.Linear(dim, 4 * dim)
        self.narrow = nn.Linear(2 * dim, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None, causal: bool) -> torch.Tensor:
        """Return float (b, l, d)."""
        b, length, dim = x.shape
        q, k, v = self.mix(self.norm_attention(x)).view(b, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)
        x = x + self.dropout(self.out(seen.transpose(1, 2).reshape(b, length, dim)))
        gate, value = self.widen(self.norm_forward(x)).chunk(2, dim=-1)
        out: torch.Tensor = x + self.dropout(self.narrow(functional.silu(gate) * value))
        return out


class Transformer(nn.Module):
    """Layers of self-attention over windows of at most ``length`` events."""

    def __init__(
        self, dim: int, blocks: int, heads: int, length: int, dropout: float, *, causal: bool
    ) -> None:
        super().__init__()
        self.causal = causal
        self.positions = nn.Embedding(length, dim)
        nn.init.normal_(self.positions.weight, std=0.02)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(dim, heads, dropout) for _ in range(blocks))
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Return float (b, l, d)."""
        steps = torch.arange(x.shape[1], device=x.device)
        ages = (lengths[:, None] - 1 - steps[None, :]).clamp(min=0)
        x = self.dropout(x + self.positions(ages))
        mask = None
        if not self.causal:  # what fills a row up is not looked at; causal attention never reaches it
            mask = (steps[None, :] < lengths[:, None])[:, None, None, :]
        for block in self.blocks:
            x = block(x, mask, self.causal)
        out: torch.Tensor = self.norm(x)
        return out
