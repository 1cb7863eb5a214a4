"""Updates of full rank from matrices of low rank: weights multiplied, entry by entry, by 1 plus their product.

Huang, Ko, Zhuang et al. 2025, "HiRA: Parameter-efficient Hadamard high-rank adaptation for large language models": the
rank of W * (B A) is as high as the rank of W times that of B A, though nothing but B and A is learnt. Here W is first
brought to root mean square 1, so that an update is as large as one of LoRA with the same scale and learning rate.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn
from torch.nn.utils import parametrize


class Multiplier(nn.Module):
    """From a weight W to W + scale * W / rms(W) * (B A), which is W when training begins.

    Parameters
    ----------
    weight : float (n, m)
        As it is before training.
    rank : int
    scale : float
    """

    scale: torch.Tensor

    def __init__(self, weight: torch.Tensor, rank: int, scale: float) -> None:
        super().__init__()
        rows, columns = weight.shape
        self.down = nn.Parameter(torch.empty(rank, columns, device=weight.device))
        self.up = nn.Parameter(torch.zeros(rows, rank, device=weight.device))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))
        size = weight.detach().float().square().mean().sqrt()
        self.register_buffer("scale", scale / size.clamp_min(1e-12), persistent=False)

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the weight that is used."""
        with torch.autocast(weight.device.type, enabled=False):
            changed: torch.Tensor = weight + weight * (self.scale * (self.up @ self.down)).to(weight.dtype)
        return changed


def multiply(maps: Iterable[nn.Module], rank: int, scale: float) -> None:
    """Let the weights of linear maps be multiplied, in place; they themselves are not trained."""
    for part in maps:
        weight: torch.Tensor = part.weight  # type: ignore[assignment]
        parametrize.register_parametrization(part, "weight", Multiplier(weight, rank, scale), unsafe=True)
        part.parametrizations.weight.original.requires_grad_(False)  # type: ignore[union-attr]


def fold(model: nn.Module) -> None:
    """Put the products in the place of the weights, so that nothing is left but a model of the same shape."""
    for part in list(model.modules()):
        if parametrize.is_parametrized(part, "weight"):
            parametrize.remove_parametrizations(part, "weight", leave_parametrized=True)
