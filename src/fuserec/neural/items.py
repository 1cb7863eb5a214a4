"""Vectors of items in a neural model: trainable ids, frozen text, or both.

Every form is a module whose call gives float (n_items, dim) for the whole catalogue. The part that belongs to ids is
zero for an item without training interactions, so that a new item is its text.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import torch
from torch import nn

from fuserec.neural.sequence.config import START

ItemVectors = Literal["auto", "ids", "initialised", "text", "experts", "union", "sum", "sum_experts"]


class Items(nn.Module, ABC):
    """Vectors of a catalogue: what its text says, what its ids have learnt, or both."""

    reads_text: ClassVar[bool] = True
    """Whether vectors come from text too, so that an item needs no interactions to have one."""

    @abstractmethod
    def of_text(self, text: torch.Tensor) -> torch.Tensor:
        """Return float (n, dim): the vectors of items of which only the text (n, text_dim) is known."""


class Ids(Items):
    """A trainable vector an item.

    Parameters
    ----------
    start : float32 (n_items, dim)
        Where training begins.
    hidden : float
        Share of the items whose vector is zero in a step of training: what stands beside it learns to do without
        (Volkovs, Yu, Poutanen 2017, "DropoutNet").
    """

    reads_text: ClassVar[bool] = False

    def __init__(self, start: torch.Tensor, hidden: float = 0.0) -> None:
        super().__init__()
        self.table = nn.Parameter(start)
        self.hidden = hidden

    def forward(self) -> torch.Tensor:
        """Return float (n_items, dim)."""
        if not self.training or self.hidden == 0.0:
            return self.table
        shown = torch.rand(self.table.shape[0], 1, device=self.table.device) >= self.hidden
        return self.table * shown

    def of_text(self, text: torch.Tensor) -> torch.Tensor:
        """Return zeros: ids know nothing of a text."""
        return text.new_zeros(text.shape[0], self.table.shape[1])


class Text(Items):
    """Frozen text through one trainable linear map."""

    text: torch.Tensor

    def __init__(self, text: torch.Tensor, dim: int) -> None:
        super().__init__()
        self.register_buffer("text", text, persistent=False)
        self.map = nn.Linear(text.shape[1], dim, bias=False)
        nn.init.normal_(self.map.weight, std=(text.shape[1] * dim) ** -0.5)

    def forward(self) -> torch.Tensor:
        """Return float (n_items, dim)."""
        return self.of_text(self.text)

    def of_text(self, text: torch.Tensor) -> torch.Tensor:
        """Return float (n, dim)."""
        out: torch.Tensor = self.map(text)
        return out


class Experts(Items):
    """Frozen text through a mixture of experts: Σ_k gate_k(text) · W_k (text − b_k).

    Hou et al. 2022, "Towards universal sequence representation learning for recommender systems", eq. 2 and 3.
    """

    text: torch.Tensor

    def __init__(self, text: torch.Tensor, dim: int, experts: int = 8) -> None:
        super().__init__()
        self.register_buffer("text", text, persistent=False)
        self.gate = nn.Linear(text.shape[1], experts)
        self.shift = nn.Parameter(torch.zeros(experts, text.shape[1]))
        self.maps = nn.Parameter(torch.randn(experts, text.shape[1], dim) * (text.shape[1] * dim) ** -0.5)

    def forward(self) -> torch.Tensor:
        """Return float (n_items, dim)."""
        return self.of_text(self.text)

    def of_text(self, text: torch.Tensor) -> torch.Tensor:
        """Return float (n, dim)."""
        gates = torch.softmax(self.gate(text), dim=1)
        out = text.new_zeros(text.shape[0], self.maps.shape[2])
        for k in range(self.maps.shape[0]):
            out = out + gates[:, k : k + 1] * ((text - self.shift[k]) @ self.maps[k])
        return out


class Union(Items):
    """Text in the first dimensions, trainable ids in the others (Hu et al. 2025, "AlphaFuse").

    The text's directions are ordered by variance; those kept are standardised and frozen, and ids are learnt where
    the text says least.
    """

    text: torch.Tensor

    def __init__(self, text: torch.Tensor, start: torch.Tensor, scale: float, hidden: float) -> None:
        super().__init__()
        self.register_buffer("text", text * scale, persistent=False)
        self.scale = scale
        self.ids = Ids(start, hidden)

    def forward(self) -> torch.Tensor:
        """Return float (n_items, text_dim + id dim)."""
        return torch.cat([self.text, self.ids()], dim=1)

    def of_text(self, text: torch.Tensor) -> torch.Tensor:
        """Return float (n, text_dim + id dim)."""
        kept = text[:, : self.text.shape[1]]
        return torch.cat([kept * self.scale, self.ids.of_text(text)], dim=1)


class Sum(Items):
    """What the text says plus a trainable vector an item."""

    def __init__(self, text: Items, start: torch.Tensor, hidden: float) -> None:
        super().__init__()
        self.text = text
        self.ids = Ids(start, hidden)

    def forward(self) -> torch.Tensor:
        """Return float (n_items, dim)."""
        out: torch.Tensor = self.text() + self.ids()
        return out

    def of_text(self, text: torch.Tensor) -> torch.Tensor:
        """Return float (n, dim)."""
        return self.text.of_text(text)


def items_of(kind: ItemVectors, text: torch.Tensor | None, start: torch.Tensor, hidden: float = 0.0) -> Items:
    """Return the untrained vectors of a catalogue.

    Parameters
    ----------
    kind : str
        See :class:`fuserec.neural.sequence.config.SequenceConfig`; without text every kind is ``ids``.
    text : float32 (n_items, text_dim) or None
        Whitened, the most telling direction first.
    start : float32 (n_items, dim)
        Where trainable ids begin: small numbers, zero for an item without training interactions.
    hidden : float
        Share of ids hidden in a step.
    """
    if text is None or kind == "ids":
        return Ids(start)
    dim = start.shape[1]
    if kind == "initialised":
        begin = start.clone()
        known = start.any(dim=1)
        shared = min(dim, text.shape[1])
        begin[known, :shared] = text[known, :shared] * START
        return Ids(begin)
    if kind == "union":
        kept = min(text.shape[1], dim // 2)
        return Union(text[:, :kept], start[:, kept:].contiguous(), START, hidden)
    if kind in ("text", "sum"):
        told: Items = Text(text, dim)
    else:
        told = Experts(text, dim)
    return told if kind in ("text", "experts") else Sum(told, start, hidden)
