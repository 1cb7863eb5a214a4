"""The language model that judges pairs: one encoder, its heads, and the three ways in which both texts are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from fuserec.neural.language.backbone import Backbone, Tokens, by_length
from fuserec.neural.language.heads import head_class
from fuserec.neural.language.heads.base import Head, Labels, Perceptron, Similarity

if TYPE_CHECKING:
    from fuserec.neural.language.pairs.config import Form, LanguagePairConfig


@dataclass(frozen=True)
class Read:
    """What was read of pairs.

    Parameters
    ----------
    pair : float (n_pairs, width)
        [h] of a joint encoding, else [h_u, h_i, h_u * h_i].
    user : float (n_users, dim) or None
        People alone, where some head asks for them.
    """

    pair: torch.Tensor
    user: torch.Tensor | None


class PairModel(nn.Module):
    """M(d_u, d_i).

    Parameters
    ----------
    backbone : Backbone
    labels : mapping
        By name of the head.
    config : LanguagePairConfig

    ``fast`` is the type that products of the language model are made in; heads and losses are float32.
    """

    def __init__(self, backbone: Backbone, labels: Mapping[str, Labels], config: LanguagePairConfig) -> None:
        super().__init__()
        self.backbone = backbone
        self.form: Form = config.form
        self.budget = config.batch_tokens
        self.limits = (config.user_length, config.item_length)
        self.joint = joint_of(backbone)
        dim = backbone.dim
        width = dim if config.form == "cross" else 3 * dim
        self.heads = nn.ModuleDict()
        for name, told in labels.items():
            cls = head_class(name)
            if config.form == "bi" and name == "match":
                body: nn.Module = Similarity(dim, config.similarity == "cosine", config.temperature)
            else:
                body = Perceptron(
                    dim if cls.reads == "user" else width, config.head_dim, told.values.shape[1]
                )
            self.heads[name] = cls(body)
        self.still = not any(p.requires_grad for p in backbone.parameters())
        self.fast = torch.float32

    def head(self, name: str) -> Head:
        """Return a head."""
        found = self.heads[name]
        assert isinstance(found, Head)
        return found

    @property
    def asks_users(self) -> bool:
        """Whether some head reads people alone."""
        return any(isinstance(head, Head) and head.reads == "user" for head in self.heads.values())

    def encode(self, rows: Sequence[Tokens]) -> torch.Tensor:
        """Return float (n, dim): vectors of token rows; rows of like length are run together."""
        found, order = [], []
        mixed = torch.autocast(self.backbone.device.type, torch.bfloat16, enabled=self.fast == torch.bfloat16)
        with mixed, torch.set_grad_enabled(torch.is_grad_enabled() and not self.still):
            for which in by_length([len(ids) for ids, _ in rows], self.budget):
                found.append(self.backbone(self.backbone.batch([rows[i] for i in which])))
                order.append(which)
        place = np.argsort(np.concatenate(order))
        return torch.cat(found)[torch.from_numpy(place).to(found[0].device)]

    def users(self, texts: Sequence[str]) -> torch.Tensor:
        """Return float (n, dim): people alone."""
        return self.encode(self.backbone.tokens(texts, length=self.limits[0]))

    def read(self, users: Sequence[str], of: np.ndarray, items: Sequence[str]) -> Read:
        """Read pairs.

        Parameters
        ----------
        users : sequence of str (n_users)
        of : int64 (n_pairs,)
            The person of each pair.
        items : sequence of str (n_pairs)
        """
        if self.form == "cross":
            firsts = [users[int(u)] for u in of]
            rows = self.backbone.tokens(
                firsts, [self.joint + text for text in items], length=sum(self.limits)
            )
            return Read(self.encode(rows), self.users(users) if self.asks_users else None)
        u = self.users(users)
        v = self.items(items)
        return Read(paired(u[torch.from_numpy(of).to(u.device)], v), u)

    def items(self, texts: Sequence[str]) -> torch.Tensor:
        """Return float (n, dim): items alone; equal texts are read once."""
        place = {text: at for at, text in enumerate(dict.fromkeys(texts))}
        v = self.encode(self.backbone.tokens(list(place), length=self.limits[1]))
        return v[torch.tensor([place[text] for text in texts], device=v.device)]

    def forward(self, users: Sequence[str], of: np.ndarray, items: Sequence[str], head: str) -> torch.Tensor:
        """Return float (n_pairs, columns): what a head says of pairs."""
        out: torch.Tensor = self.head(head)(self.read(users, of, items).pair)
        return out


def paired(u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Return float (n, 3 dim): both vectors and their product."""
    return torch.cat([u, v, u * v], dim=1)


def joint_of(backbone: Backbone) -> str:
    """Return what has to stand between two texts: nothing where the tokenizer parts them by tokens of its own."""
    return "" if backbone.tokenizer.num_special_tokens_to_add(pair=True) >= 2 else "\n"
