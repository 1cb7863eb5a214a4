"""A model that reads items by the digits of their ids and generates the next id digit by digit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from fuserec.neural.generative.trie import Trie
from fuserec.neural.items import Items
from fuserec.neural.sequence.config import START
from fuserec.neural.sequence.model import SequenceModel


class Table(nn.Module):
    """Trainable rows, small at first."""

    def __init__(self, rows: int, dim: int) -> None:
        super().__init__()
        self.table = nn.Parameter(START * torch.randn(rows, dim))

    def forward(self) -> torch.Tensor:
        """Return float (rows, dim)."""
        return self.table


class CodedItems(Items):
    """An item is the sum of its digits' vectors, plus what its text and its own vector say.

    Parameters
    ----------
    codes : int64 (n_items, levels)
        -1 where an item has none: its vector is what stands beside.
    sizes : tuple of int
        Values of each digit.
    beside : Items or None
    dim : int
    """

    codes: torch.Tensor

    def __init__(self, codes: torch.Tensor, sizes: tuple[int, ...], beside: Items | None, dim: int) -> None:
        super().__init__()
        self.register_buffer("codes", codes, persistent=False)
        self.digits = nn.ModuleList(Table(size, dim) for size in sizes)
        self.beside = beside
        self.dim = dim

    def forward(self) -> torch.Tensor:
        """Return float (n_items, dim)."""
        places = self.codes.clamp(min=0)
        parts = [functional.embedding(places[:, k], one()) for k, one in enumerate(self.digits)]
        out = torch.stack(parts).sum(dim=0) * (self.codes[:, :1] >= 0)
        return out if self.beside is None else out + self.beside()

    def of_text(self, text: torch.Tensor) -> torch.Tensor:
        """Return float (n, dim): what is beside the digits of an item of which only the text is known."""
        if self.beside is None:
            return text.new_zeros(text.shape[0], self.dim)
        return self.beside.of_text(text)


class Going(nn.Module):
    """One gated step from what was read and generated so far to what comes next."""

    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.widen = nn.Linear(dim, 4 * dim)
        self.narrow = nn.Linear(2 * dim, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return float (m, d)."""
        gate, value = self.widen(self.norm(x)).chunk(2, dim=-1)
        out: torch.Tensor = x + self.dropout(self.narrow(functional.silu(gate) * value))
        return out


class Decoder(nn.Module):
    """The logits of a digit after those before it.

    s_l = h + Σ_{j<l} P_j[c_j], a gated step from the second digit on, and for each digit that some item goes on with
    s_l·U_l[c] + b[node], plus (R_l s_l)·V[node] where prefixes have numbers of their own.

    Parameters
    ----------
    dim : int
    sizes : tuple of int
        Values of each digit.
    starts : list of float32 (n_children,)
        Where the bias of each node begins.
    own : int
        Numbers that a node has of its own.
    dropout : float
    """

    def __init__(
        self, dim: int, sizes: tuple[int, ...], starts: list[np.ndarray], own: int, dropout: float
    ) -> None:
        super().__init__()
        self.own = own
        self.out = nn.ModuleList(Table(size, dim) for size in sizes)
        self.prefix = nn.ModuleList(Table(size, dim) for size in sizes[:-1])
        self.going = nn.ModuleList(Going(dim, dropout) for _ in sizes[1:])
        self.bias = nn.ParameterList(torch.from_numpy(start.astype(np.float32)) for start in starts)
        self.turn = nn.ModuleList(nn.Linear(dim, own, bias=False) for _ in sizes if own)
        self.nodes = nn.ModuleList(Table(start.size, own) for start in starts if own)

    def state(self, level: int, h: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        """Return float (m, d): what is known before the digit of a level, from h (m, d) and the codes so far."""
        if level == 0:
            return h
        for j in range(level):
            h = h + functional.embedding(codes[:, j], self.prefix[j]())
        out: torch.Tensor = self.going[level - 1](h)
        return out

    def logits(
        self, level: int, state: torch.Tensor, children: torch.Tensor, digits: torch.Tensor
    ) -> torch.Tensor:
        """Return float32 (m, c): the logits of branches.

        Parameters
        ----------
        state : float (m, d)
        children : int64 (m, c) or (1, c)
            Nodes, padded with anything; one row where all of them go on from the same prefix.
        digits : like children
            Their digits.
        """
        turned = self.turn[level](state) if self.own else None
        if len(children) == 1:  # one prefix for all: nothing is gathered row by row
            found = functional.linear(
                state, self.out[level]()[digits[0]], self.bias[level][children[0]]
            ).float()
            if turned is not None:
                found = found + functional.linear(turned, self.nodes[level]()[children[0]]).float()
            return found
        found = functional.linear(state, self.out[level]()).float().gather(1, digits)
        found = found + functional.embedding(children, self.bias[level][:, None])[:, :, 0]
        if turned is not None:
            mine = functional.embedding(children, self.nodes[level]().to(turned.dtype))
            found = found + (mine @ turned[:, :, None])[:, :, 0].float()
        return found


@dataclass(frozen=True)
class Branches:
    """The trie as tensors, for training: what each prefix may go on with.

    Parameters
    ----------
    children : tuple of int64 (n_nodes, c)
        For each level, padded with 0.
    digits : tuple of int64 (n_nodes, c)
    there : tuple of bool (n_nodes, c)
        Children that lead to an item with training interactions: nothing else is learnt to be wrong.
    parents, places : int64 (n_items, levels)
        Each item's node above a level, and where its own is among the children; 0 where it has none.
    """

    children: tuple[torch.Tensor, ...]
    digits: tuple[torch.Tensor, ...]
    there: tuple[torch.Tensor, ...]
    parents: torch.Tensor
    places: torch.Tensor

    @classmethod
    def of(cls, trie: Trie, counts: np.ndarray, device: torch.device) -> Branches:
        """Build for items with so many interactions each, int (n_items,)."""
        taken = counts[trie.leaves] > 0
        children, digits, there = [], [], []
        parents, places = (np.zeros((counts.size, trie.depth), np.int64) for _ in range(2))
        above = np.zeros(trie.leaves.size, np.int64)
        for level in range(trie.depth):
            first, own = trie.edges[level][:-1], trie.paths[:, level]
            sizes = np.diff(trie.edges[level])
            across = np.arange(int(sizes.max(initial=1)))
            filled = across[None, :] < sizes[:, None]
            child = np.where(filled, first[:, None] + across, 0)
            alive = np.bincount(own[taken], minlength=trie.digits[level].size) > 0
            children.append(torch.from_numpy(child).to(device))
            digits.append(torch.from_numpy(trie.digits[level][child]).to(device))
            there.append(torch.from_numpy(filled & alive[child]).to(device))
            parents[trie.leaves, level] = above
            places[trie.leaves, level] = own - first[above]
            above = own
        both = (torch.from_numpy(array).to(device) for array in (parents, places))
        return cls(tuple(children), tuple(digits), tuple(there), *both)


def node_counts(trie: Trie, counts: np.ndarray) -> list[np.ndarray]:
    """Return float64 (n_children,) a level: the interactions of all items below each node."""
    return [
        np.bincount(trie.paths[:, level], counts[trie.leaves], minlength=trie.digits[level].size)
        for level in range(trie.depth)
    ]


class Generator(nn.Module):
    """A causal transformer over coded items, and a decoder of ids.

    Parameters
    ----------
    reader : SequenceModel
    decoder : Decoder
    """

    def __init__(self, reader: SequenceModel, decoder: Decoder) -> None:
        super().__init__()
        self.reader = reader
        self.decoder = decoder
