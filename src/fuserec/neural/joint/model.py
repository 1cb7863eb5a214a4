"""The joint model: one user vector, one item, three heads over them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from zlib import crc32

import torch
from torch import nn
from torch.nn import functional

from fuserec.neural.items import Ids
from fuserec.neural.joint.config import Head
from fuserec.neural.joint.losses import Balance
from fuserec.neural.semantic.examples import Bags
from fuserec.neural.semantic.fitted import target_scale
from fuserec.neural.sequence.config import START


@dataclass(frozen=True)
class Shape:
    """What a joint model is made of.

    Parameters
    ----------
    heads : mapping
        Head to the weight of its loss; a head of weight 0 is not there.
    hidden : int
        Width of the hidden layers of the deep head; 0 for none.
    learnt : bool
        Whether the weights of the losses are learnt.
    limit : float
        By what factor they may move.
    levels : int
        Levels of a rating that an ordinal likelihood tells apart; 0 for another likelihood.
    id_dropout : float
    seed : int
        What the starting weights are drawn by, each part by its own name: a part that is left out changes no other.
    """

    heads: Mapping[Head, float]
    hidden: int
    learnt: bool = False
    limit: float = 10.0
    levels: int = 0
    id_dropout: float = 0.0
    seed: int = 0


class Tower(nn.Module):
    """out = the sum of the blocks of x + relu(x W₁ + b) W₂: a hidden layer beside the straight way.

    Parameters
    ----------
    n_in, hidden, dim : int
        ``n_in`` is a multiple of ``dim``: its blocks of ``dim`` numbers are summed on the straight way.
    generator : torch.Generator
    """

    def __init__(self, n_in: int, hidden: int, dim: int, generator: torch.Generator) -> None:
        super().__init__()
        self.dim = dim
        first = torch.randn(n_in, hidden, generator=generator) * math.sqrt(2.0 / n_in)
        self.first = nn.Parameter(first)
        self.bias = nn.Parameter(torch.zeros(hidden))
        self.second = nn.Parameter(torch.zeros(hidden, dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return float (n, dim)."""
        straight = x.reshape(x.shape[0], -1, self.dim).sum(dim=1)
        out: torch.Tensor = straight + functional.relu(x @ self.first + self.bias) @ self.second
        return out


class JointModel(nn.Module):
    """Logits of three heads over u and an item with text features F(x_j) and an id e_j.

    u = Σ strength_i (by_item_i + t_i by_text) + z by_words + constant; F(x_j) = t_j features + common, t the whitened
    text of unit length. content: ⟨u; F⟩. deep: ⟨g(u); h(F, e)⟩ + offset. feedback: ⟨u A; F + e⟩ + offset.

    Parameters
    ----------
    text : float32 (n_items, k)
        What items' texts say, of unit length; k may be 0.
    start : float32 (n_items, d)
        Where ids begin; zero for items that are never judged.
    shape : Shape
    """

    text: torch.Tensor

    def __init__(self, text: torch.Tensor, start: torch.Tensor, shape: Shape) -> None:
        super().__init__()
        (n_items, k), d = text.shape, start.shape[1]
        self.register_buffer("text", text, persistent=False)
        self.heads = [head for head, value in shape.heads.items() if value > 0]
        # Until it has learnt better, people are what they read, and like what is written alike.
        self.by_item_table = nn.Parameter(torch.zeros(n_items, d))
        self.by_text = nn.Parameter(torch.eye(k, d))
        self.by_words = nn.Parameter(torch.eye(k, d))
        self.constant = nn.Parameter(torch.zeros(d))
        self.features = nn.Parameter(torch.eye(k, d) * target_scale(d))
        self.common = nn.Parameter(START * torch.randn(d, generator=_named(shape.seed, "common")))
        ids = bool({"deep", "feedback"} & set(self.heads))
        self.ids = Ids(start, shape.id_dropout if k else 0.0) if ids else None
        self.tower_u = self.tower_j = None
        if "deep" in self.heads:
            self.offset_deep = nn.Parameter(torch.zeros(()))
            if shape.hidden:
                self.tower_u = Tower(d, shape.hidden, d, _named(shape.seed, "tower u"))
                self.tower_j = Tower(2 * d, shape.hidden, d, _named(shape.seed, "tower j"))
            self.spread = nn.Parameter(torch.zeros(()))
            if shape.levels:
                steps = torch.zeros(shape.levels - 1)
                steps[0] = -0.5 * (shape.levels - 2)
                self.steps = nn.Parameter(steps)
        if "feedback" in self.heads:
            self.state = nn.Parameter(torch.eye(d))
            self.offset_feedback = nn.Parameter(torch.zeros(()))
        self.balance = Balance(shape.heads, shape.learnt, shape.limit)

    def users(self, bags: Bags, z: torch.Tensor | None) -> torch.Tensor:
        """Return u, float (n, d), of histories and what was said (n, k)."""
        device = self.text.device
        items, ends, values = (torch.from_numpy(a).to(device) for a in (bags.items, bags.indptr, bags.values))
        tables = (self.by_item_table, self.text) if self.text.shape[1] else (self.by_item_table,)
        summed = [
            functional.embedding_bag(
                items, table, ends, mode="sum", per_sample_weights=values, include_last_offset=True
            )
            for table in tables
        ]
        u = summed[0] + self.constant
        if len(summed) > 1:
            u = u + summed[1] @ self.by_text
        return u if z is None else u + z @ self.by_words

    def items(self, at: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return F(x), float (m, d), and ids, float (m, d), where a head reads them: of all items or those ``at``."""
        text = self.text if at is None else self.text[at]
        ids = None if self.ids is None else self.ids()
        return text @ self.features + self.common, ids if ids is None or at is None else ids[at]

    def sides(
        self, u: torch.Tensor, described: torch.Tensor, ids: torch.Tensor | None
    ) -> dict[Head, tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]]:
        """Return, by head, (what stands for people (n, d), for items (m, d), an offset): a logit is their product.

        Parameters
        ----------
        u : float (n, d)
        described : float (m, d)
            F(x) of the items.
        ids : float (m, d) or None
        """
        found: dict[Head, tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]] = {}
        if "content" in self.heads:
            found["content"] = (u, described, None)
        if "deep" in self.heads and ids is not None:
            if self.tower_u is None or self.tower_j is None:
                mine, theirs = u, described + ids
            else:
                mine, theirs = self.tower_u(u), self.tower_j(torch.cat([described, ids], dim=1))
            found["deep"] = (mine, theirs, self.offset_deep)
        if "feedback" in self.heads and ids is not None:
            found["feedback"] = (u @ self.state, described + ids, self.offset_feedback)
        return found


def _named(seed: int, part: str) -> torch.Generator:
    """Return the generator of a named part."""
    return torch.Generator().manual_seed((seed * 2_654_435_761 + crc32(part.encode())) % 2**63)
