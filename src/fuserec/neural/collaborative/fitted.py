"""What is kept of neural collaborative filtering, and how it answers: plain arrays, PyTorch is not needed for it.

The first layer of the network is linear in the user, in the item and in their product, so that each is mapped once;
what is left for a pair is one small layer. The catalogue is scored exactly, a tile of items at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from fuserec.neural.semantic.fitted import told_by
from fuserec.neural.text_basis import TextBasis

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fuserec.data.query import TextVectors
    from fuserec.encoders.features import ItemFeatures
    from fuserec.types import Arrays

TILE = 2048
"""Items of which the hidden layer is held at a time: it stays near the processor."""


@dataclass(frozen=True)
class Head:
    """From p, q (for the product) and u, m (for the network) to a logit.

    logit = Σ_d product_d p_d q_d + out · ReLU(W₂ ReLU(W_u u + W_m m + by_dot p·q + c₁) + c₂)

    Parameters
    ----------
    product : float32 (d,)
        1 in every place for a plain dot; zeros where there is only a network.
    layers : mapping of float32, or None
        ``user`` (h₁, e), ``item`` (h₁, e), ``dot`` (h₁,), ``shift`` (h₁,), ``second`` (h₂, h₁), ``second_shift`` (h₂,),
        ``out`` (h₂,); None without a network.
    """

    product: np.ndarray
    layers: Mapping[str, np.ndarray] | None

    @property
    def dim(self) -> int:
        """Numbers of a vector that enter the product."""
        return self.product.size

    def first(self, targets: np.ndarray) -> np.ndarray | None:
        """Return float32 (n, h₁): what items say to the first layer."""
        if self.layers is None:
            return None
        out: np.ndarray = targets[:, self.dim :] @ self.layers["item"].T
        return out

    def logits(self, user: np.ndarray, targets: np.ndarray, first: np.ndarray | None) -> np.ndarray:
        """Return float32 (n,): one user (d + e,) with items (n, d + e); ``first`` from :meth:`first`."""
        p, q = user[: self.dim], targets[:, : self.dim]
        out = q @ (p * self.product)
        if self.layers is None or first is None:
            return np.asarray(out, np.float32)
        layers = self.layers
        told = layers["user"] @ user[self.dim :] + layers["shift"]
        reads_dot = bool(layers["dot"].any())
        for lo in range(0, len(targets), TILE):
            here = slice(lo, lo + TILE)
            hidden = first[here] + told
            if reads_dot:
                hidden += (q[here] @ p)[:, None] * layers["dot"]
            np.maximum(hidden, 0.0, out=hidden)
            second = hidden @ layers["second"].T
            second += layers["second_shift"]
            np.maximum(second, 0.0, out=second)
            out[here] += second @ layers["out"]
        return np.asarray(out, np.float32)


@dataclass(frozen=True)
class FittedNCF:
    """logit(u, j) = bias_j + head(u, target_j), u = Σ strength · read_i + z words.

    Parameters
    ----------
    read, target : float32 (n_items, d + e)
    bias : float32 (n_items,)
    known : bool (n_items,)
        Items that can be judged: taken in training, or with text.
    words, read_map, target_map : float32 (k, d + e)
        How the words of a query are read, and through what the text of an item enters ``read`` and ``target``.
    bias_map : float32 (k,)
    base : float
        The bias of an item of which only the text is known, before its text.
    head : Head
    basis : TextBasis or None
    """

    read: np.ndarray
    target: np.ndarray
    bias: np.ndarray
    known: np.ndarray
    words: np.ndarray
    read_map: np.ndarray
    target_map: np.ndarray
    bias_map: np.ndarray
    base: float
    head: Head
    basis: TextBasis | None

    @cached_property
    def _first(self) -> np.ndarray | None:
        """float32 (n_items, h₁): what items say to the first layer."""
        return self.head.first(self.target)

    def said(self, text: TextVectors | None, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Return z · words float32 (n, d + e) of the words of n queries, and bool (n,): who said anything known."""
        if text is None or self.basis is None:
            return np.zeros((n, self.read.shape[1]), np.float32), np.zeros(n, dtype=bool)
        z = told_by(self.basis, text.lexical, text.sentence) * text.present[:, None]
        return np.asarray(z @ self.words, np.float32), np.asarray(z.any(axis=1))

    def logits(self, users: np.ndarray, items: np.ndarray | None = None) -> np.ndarray:
        """Return float32 (n, m): logits of users (n, d + e) for the catalogue, for items (m,), or (n, m)."""
        target, bias, first = self.target, self.bias, self._first
        width = bias.size if items is None else items.shape[-1]
        out = np.empty((len(users), width), np.float32)
        if items is not None and items.ndim == 1:
            target, bias, first = target[items], bias[items], None if first is None else first[items]
        if self.head.layers is None and (items is None or items.ndim == 1):
            return np.asarray((users * self.head.product) @ target.T + bias, np.float32)
        for row, user in enumerate(users):
            if items is not None and items.ndim == 2:
                own = items[row]
                given = self.target[own], None if self._first is None else self._first[own]
                out[row] = self.head.logits(user, *given) + self.bias[own]
            else:
                out[row] = self.head.logits(user, target, first) + bias
        return out

    def extended(self, features: ItemFeatures) -> FittedNCF:
        """Return the model for a catalogue that grew: later items are known by their text."""
        before = self.bias.size
        more = features.n_items - before
        if more <= 0:
            return self
        text = np.zeros((more, self.words.shape[0]), np.float32)
        if self.basis is not None:
            sentence = None if features.sentence is None else features.sentence[before:]
            text = told_by(self.basis, features.lexical[before:], sentence)
        return replace(
            self,
            read=np.concatenate([self.read, text @ self.read_map]).astype(np.float32),
            target=np.concatenate([self.target, text @ self.target_map]).astype(np.float32),
            bias=np.concatenate([self.bias, text @ self.bias_map + self.base]).astype(np.float32),
            known=np.concatenate([self.known, text.any(axis=1)]),
        )

    def state(self) -> Arrays:
        """Return arrays alone: nothing of the training data."""
        names = ("read", "target", "bias", "known", "words", "read_map", "target_map", "bias_map")
        arrays: Arrays = {name: getattr(self, name) for name in names}
        arrays |= {"base": np.array(self.base, np.float64), "head.product": self.head.product}
        arrays |= {f"layers.{name}": array for name, array in (self.head.layers or {}).items()}
        return arrays if self.basis is None else {**arrays, **self.basis.arrays()}

    @classmethod
    def from_state(cls, arrays: Arrays) -> FittedNCF:
        """Rebuild what :meth:`state` gave."""
        layers = {
            name.removeprefix("layers."): array
            for name, array in arrays.items()
            if name.startswith("layers.")
        }
        return cls(
            arrays["read"],
            arrays["target"],
            arrays["bias"],
            arrays["known"].astype(bool),
            arrays["words"],
            arrays["read_map"],
            arrays["target_map"],
            arrays["bias_map"],
            float(arrays["base"]),
            Head(arrays["head.product"], layers or None),
            TextBasis.from_arrays(arrays),
        )
