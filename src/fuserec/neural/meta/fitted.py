"""What is kept of a meta-learned scorer, and how it adapts and answers: plain arrays, PyTorch is not needed for it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from fuserec.neural.semantic.fitted import told_by
from fuserec.neural.text_basis import TextBasis

if TYPE_CHECKING:
    from fuserec.encoders.features import ItemFeatures
    from fuserec.types import Arrays


@dataclass(frozen=True)
class LocalHead:
    """logit = bias + t·v + a·ReLU(W v + c), of one person.

    Parameters
    ----------
    direct : float32 (d,)
        t.
    inner : float32 (h, d)
        W.
    shift : float32 (h,)
        c.
    outer : float32 (h,)
        a.
    """

    direct: np.ndarray
    inner: np.ndarray
    shift: np.ndarray
    outer: np.ndarray

    def logits(self, vectors: np.ndarray) -> np.ndarray:
        """Return float32 (n,) of items (n, d), without their biases."""
        hidden = vectors @ self.inner.T
        hidden += self.shift
        np.maximum(hidden, 0.0, out=hidden)
        out: np.ndarray = vectors @ self.direct + hidden @ self.outer
        return out

    def stepped(
        self, vectors: np.ndarray, bias: np.ndarray, labels: np.ndarray, weights: np.ndarray, rate: float
    ) -> LocalHead:
        """Return the head after one step against the gradient of Σ weight × BCE(label, σ(logit)).

        Parameters
        ----------
        vectors : float32 (n, d)
        bias, labels, weights : float32 (n,)
        rate : float
        """
        hidden = vectors @ self.inner.T + self.shift
        above = np.maximum(hidden, 0.0)
        off = (expit(bias + vectors @ self.direct + above @ self.outer) - labels) * weights * np.float32(rate)
        back = off[:, None] * np.where(hidden > 0, self.outer, np.float32(0.0))
        return LocalHead(
            self.direct - off @ vectors,
            self.inner - back.T @ vectors,
            self.shift - back.sum(axis=0),
            self.outer - off @ above,
        )


@dataclass(frozen=True)
class FittedMeta:
    """Vectors that all share, and the head from which each person's begins.

    Parameters
    ----------
    vectors : float32 (n_items, d)
    bias : float32 (n_items,)
    known : bool (n_items,)
    background : int64 (b,)
        Items that an adaptation takes for not taken.
    text_map : float32 (k, d)
        Through which text becomes a vector.
    base : float
        The bias of what is known by text alone.
    head : LocalHead
    steps : int
    rate : float
    basis : TextBasis or None
    """

    vectors: np.ndarray
    bias: np.ndarray
    known: np.ndarray
    background: np.ndarray
    text_map: np.ndarray
    base: float
    head: LocalHead
    steps: int
    rate: float
    basis: TextBasis | None

    def adapted(self, items: np.ndarray, weights: np.ndarray, said: np.ndarray | None = None) -> LocalHead:
        """Return the head after the local steps; without anything to go by, the one that all share.

        What was taken counts one in all, shared out by weight, and so does the background; a disliked item is one more
        that is not wanted.

        Parameters
        ----------
        items : int (n,)
        weights : float32 (n,)
            Signed.
        said : float32 (k,), optional
            What the words say, of unit length: an event of weight 1.
        """
        heard = weights != 0
        items, weights = items[heard], weights[heard]
        vectors, bias = self.vectors[items], self.bias[items]
        if said is not None and said.any():
            vectors = np.concatenate([vectors, (said @ self.text_map)[None, :]])
            bias, weights = np.append(bias, np.float32(self.base)), np.append(weights, np.float32(1.0))
        if not weights.size:
            return self.head
        others = self.background[~np.isin(self.background, items)]
        share = np.abs(weights) / np.abs(weights).sum()
        rest = np.full(others.size, 1.0 / max(1, others.size))
        every = np.concatenate([vectors, self.vectors[others]]).astype(np.float32)
        biases = np.concatenate([bias, self.bias[others]]).astype(np.float32)
        labels = np.concatenate([weights > 0, np.zeros(others.size, dtype=bool)]).astype(np.float32)
        counts = np.concatenate([share, rest]).astype(np.float32)
        head = self.head
        for _ in range(self.steps):
            head = head.stepped(every, biases, labels, counts, self.rate)
        return head

    def logits(self, head: LocalHead, items: np.ndarray | None = None) -> np.ndarray:
        """Return float32 (m,): of the catalogue or of items (m,)."""
        chosen = slice(None) if items is None else items
        return np.asarray(head.logits(self.vectors[chosen]) + self.bias[chosen], np.float32)

    def extended(self, features: ItemFeatures) -> FittedMeta:
        """Return the model for a catalogue that grew: later items are known by their text."""
        before = self.bias.size
        more = features.n_items - before
        if more <= 0:
            return self
        text = np.zeros((more, self.text_map.shape[0]), np.float32)
        if self.basis is not None:
            sentence = None if features.sentence is None else features.sentence[before:]
            text = told_by(self.basis, features.lexical[before:], sentence)
        return replace(
            self,
            vectors=np.concatenate([self.vectors, text @ self.text_map]).astype(np.float32),
            bias=np.concatenate([self.bias, np.full(more, self.base)]).astype(np.float32),
            known=np.concatenate([self.known, text.any(axis=1)]),
        )

    def state(self) -> Arrays:
        """Return arrays alone: nothing of the training data."""
        names = ("vectors", "bias", "known", "background", "text_map")
        arrays: Arrays = {name: getattr(self, name) for name in names}
        arrays |= {f"head.{f.name}": getattr(self.head, f.name) for f in fields(self.head)}
        arrays["base"] = np.array(self.base, np.float64)
        return arrays if self.basis is None else {**arrays, **self.basis.arrays()}

    @classmethod
    def from_state(cls, arrays: Arrays, steps: int, rate: float) -> FittedMeta:
        """Rebuild what :meth:`state` gave."""
        head = LocalHead(*(arrays[f"head.{f.name}"] for f in fields(LocalHead)))
        return cls(
            arrays["vectors"],
            arrays["bias"],
            arrays["known"].astype(bool),
            arrays["background"],
            arrays["text_map"],
            float(arrays["base"]),
            head,
            steps,
            rate,
            TextBasis.from_arrays(arrays),
        )
