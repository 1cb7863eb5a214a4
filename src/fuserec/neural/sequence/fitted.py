"""What is kept of a trained sequence model, and how it answers: arrays and numpy, no PyTorch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from fuserec.neural import plain
from fuserec.neural.sequence.config import START, SequenceConfig
from fuserec.neural.text_basis import TextBasis
from fuserec.neural.windows import newest

if TYPE_CHECKING:
    from fuserec.data.query import TextVectors
    from fuserec.encoders.features import ItemFeatures
    from fuserec.types import Arrays, State


@dataclass(frozen=True)
class FittedSequence:
    """What a fitted sequence model answers with.

    Parameters
    ----------
    config : SequenceConfig
    weights : mapping of float32 arrays
        Of the body (``body.``), of what maps text (``items.``), and ``mask``, by their names in the trained model.
    vectors : float32 (n_items, dim)
    trained, known : bool (n_items,)
        Items with training interactions; items that have a vector (through their text at least).
    basis : TextBasis or None
    """

    config: SequenceConfig
    weights: Mapping[str, np.ndarray]
    vectors: np.ndarray
    trained: np.ndarray
    known: np.ndarray
    basis: TextBasis | None

    @property
    def reads_text(self) -> bool:
        """Whether a text alone has a vector."""
        return self.basis is not None and self.config.item_vectors not in ("ids", "initialised")

    def ends(self, indptr: np.ndarray, events: np.ndarray, words: np.ndarray) -> np.ndarray:
        """Return float32 (n, dim): what is known at the end of each history (none may be empty).

        Parameters
        ----------
        indptr : int64 (n + 1,)
        events : int64 (n_events,)
            Items; from ``n_items`` on, rows of ``words``.
        words : float32 (m, dim)
        """
        inputs, lengths = newest(indptr, events, self.config.max_length)
        x = self.vectors[np.minimum(inputs, self.known.size - 1)]
        said = inputs >= self.known.size
        x[said] = words[inputs[said] - self.known.size]
        if self.config.architecture == "masked":
            x = np.concatenate([x, np.zeros_like(x[:, :1])], axis=1)
            x[np.arange(len(x)), lengths] = self.weights["mask"]
            lengths = lengths + 1
        x = x * np.float32(math.sqrt(x.shape[-1]))
        body = plain.under(self.weights, "body.")
        if self.config.architecture == "gru":
            return plain.gru(body, x, lengths)
        if self.config.architecture == "cnn":
            return plain.cnn(body, x, lengths)
        causal = self.config.architecture == "transformer"
        return plain.transformer(body, x, lengths, self.config.heads, causal=causal)

    def of_text(self, told: np.ndarray) -> np.ndarray:
        """Return float32 (n, dim): vectors of items of which only the text (n, text_dim) is known."""
        if self.config.item_vectors == "union":
            kept = min(told.shape[1], self.config.embedding_dim // 2)
            bare = np.zeros((len(told), self.config.embedding_dim - kept), np.float32)
            return np.concatenate([told[:, :kept] * np.float32(START), bare], axis=1)
        alone = self.config.item_vectors in ("text", "experts")
        return plain.mapped(plain.under(self.weights, "items." if alone else "items.text."), told)

    def words(self, text: TextVectors | None) -> tuple[np.ndarray, np.ndarray]:
        """Return the words of queries as if they were items': float32 (n, dim), and the queries that have any."""
        if text is None or self.basis is None or not self.reads_text:
            return np.empty((0, self.vectors.shape[1]), np.float32), np.empty(0, np.int64)
        told, heard = self.basis.of(text.lexical, text.sentence)
        return self.of_text(told), np.flatnonzero(heard & text.present)

    def probabilities(self, ends: np.ndarray, power: float) -> np.ndarray:
        """Return float32 (n, n_items): softmax over the trained items, to a power; others on the same scale."""
        scores = ends @ self.vectors.T
        visible = scores if self.trained.all() else scores[:, self.trained]
        top = visible.max(axis=1, keepdims=True)
        total = np.exp(visible - top).sum(axis=1, keepdims=True)
        scores -= top + np.log(total)
        scores *= np.float32(power)
        np.clip(scores, -60.0, 20.0, out=scores)
        out: np.ndarray = np.exp(scores, out=scores)
        return out

    def extended(self, features: ItemFeatures) -> FittedSequence:
        """Return the model for a catalogue that grew: later items are known by their text."""
        before = self.known.size
        more = features.n_items - before
        if more == 0:
            return self
        vectors = np.zeros((more, self.vectors.shape[1]), np.float32)
        known = np.zeros(more, dtype=bool)
        if self.basis is not None and self.reads_text:
            told, heard = self.basis(features)
            vectors, known = self.of_text(told[before:]), heard[before:]
        return replace(
            self,
            vectors=np.concatenate([self.vectors, vectors]),
            trained=np.concatenate([self.trained, np.zeros(more, dtype=bool)]),
            known=np.concatenate([self.known, known]),
        )

    def state(self) -> State:
        """Return arrays alone: nothing of the training data."""
        arrays: Arrays = {"vectors": self.vectors, "trained": self.trained, "known": self.known}
        arrays |= {f"model.{name}": array for name, array in self.weights.items()}
        if self.basis is not None:
            arrays |= self.basis.arrays()
        return arrays, {}

    @classmethod
    def from_state(cls, config: SequenceConfig, arrays: Arrays) -> FittedSequence:
        """Rebuild what :meth:`state` gave."""
        return cls(
            config,
            plain.under(arrays, "model."),
            arrays["vectors"],
            arrays["trained"].astype(bool),
            arrays["known"].astype(bool),
            TextBasis.from_arrays(arrays),
        )
