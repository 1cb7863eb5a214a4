"""What is kept of a trained generator, and how it answers: arrays and numpy, no PyTorch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from fuserec.encoders.codes import SemanticIds
from fuserec.neural import plain
from fuserec.neural.generative.trie import Step, Trie, beam_search
from fuserec.neural.text_basis import TextBasis
from fuserec.neural.windows import newest

if TYPE_CHECKING:
    from scipy import sparse

    from fuserec.data.query import TextVectors
    from fuserec.encoders.features import ItemFeatures
    from fuserec.neural.generative.config import GenerativeConfig
    from fuserec.types import Arrays, Meta, State

CHUNK = 64
"""Histories answered at a time: their branches stay near the processor."""


@dataclass(frozen=True)
class FittedGenerative:
    """What a fitted generator answers with.

    Parameters
    ----------
    config : GenerativeConfig
    weights : mapping of float32 arrays
        Of the body (``body.``), of the digits that are read (``digits.``), of what maps text (``text.``) and of the
        decoder (``decoder.``).
    vectors : float32 (n_items, dim)
        What items of a history are read as.
    ids : SemanticIds
    basis : TextBasis or None
        How text beside the digits is read.
    """

    config: GenerativeConfig
    weights: Mapping[str, np.ndarray]
    vectors: np.ndarray
    ids: SemanticIds
    basis: TextBasis | None

    @property
    def known(self) -> np.ndarray:
        """Bool (n_items,): items with a code: they are read and generated."""
        return self.ids.coded

    @cached_property
    def trie(self) -> Trie:
        """The ids of the catalogue."""
        return Trie.of(self.ids.digits)

    @cached_property
    def _body(self) -> dict[str, np.ndarray]:
        return plain.under(self.weights, "body.")

    @cached_property
    def _decoder(self) -> dict[str, np.ndarray]:
        return plain.under(self.weights, "decoder.")

    def ends(self, indptr: np.ndarray, events: np.ndarray, words: np.ndarray) -> np.ndarray:
        """Return float32 (n, dim): what is known at the end of each history (none may be empty).

        Parameters
        ----------
        indptr : int64 (n + 1,)
        events : int64 (n_events,)
            Items; from ``n_items`` on, rows of ``words``.
        words : float32 (m, dim)
        """
        if indptr.size == 1:
            return np.empty((0, self.vectors.shape[1]), np.float32)
        inputs, lengths = newest(indptr, events, self.config.max_length)
        n_items = self.known.size
        x = self.vectors[np.minimum(inputs, n_items - 1)]
        said = inputs >= n_items
        if said.any():
            x[said] = words[inputs[said] - n_items]
        x = x * np.float32(math.sqrt(x.shape[-1]))
        return plain.transformer(self._body, x, lengths, self.config.heads, causal=True)

    def beam(self, ends: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (rows, items, logarithms of probabilities) of the ids that a beam reaches from ``ends`` (n, dim)."""
        found = []
        for lo in range(0, len(ends), CHUNK):
            part = ends[lo : lo + CHUNK]
            rows, items, logs = beam_search(self.trie, len(part), width, self._step_from(part))
            found.append((rows + lo, items, logs))
        if not found:
            return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)
        rows, items, logs = (np.concatenate(column) for column in zip(*found, strict=True))
        return rows, items, logs

    def _step_from(self, ends: np.ndarray) -> Step:
        """Return the step of a beam search from some ends."""
        weights = self._decoder

        def step(
            level: int, queries: np.ndarray, nodes: np.ndarray, owner: np.ndarray, children: np.ndarray
        ) -> np.ndarray:
            state = self._state(level, ends[queries], nodes)
            digits = self.trie.digits[level][children]
            out = weights[f"out.{level}.table"]
            found = (state @ out.T)[owner, digits] + weights[f"bias.{level}"][children]
            if f"turn.{level}.weight" in weights:
                turned = state @ weights[f"turn.{level}.weight"].T
                mine = weights[f"nodes.{level}.table"][children]
                found += np.einsum("ek,ek->e", turned[owner], mine)
            return np.asarray(found, np.float32)

        return step

    def _state(self, level: int, h: np.ndarray, nodes: np.ndarray) -> np.ndarray:
        """Return float32 (m, dim): what is known before the digit of a level, at some nodes."""
        if level == 0:
            return h
        weights, name = self._decoder, f"going.{level - 1}"
        s = h + self._prefixes[level][nodes]
        gate, value = np.split(
            plain.linear(weights, f"{name}.widen", plain.norm(weights, f"{name}.norm", s)), 2, axis=-1
        )
        moved: np.ndarray = s + plain.linear(weights, f"{name}.narrow", gate * expit(gate) * value)
        return moved

    @cached_property
    def _prefixes(self) -> list[np.ndarray]:
        """float32 (n_nodes, dim) a level: the sum of the vectors of the digits on the way to each node."""
        sums = [np.zeros((1, self.vectors.shape[1]), np.float32)]
        for level in range(self.trie.depth - 1):
            above = np.repeat(np.arange(len(sums[-1])), np.diff(self.trie.edges[level]))
            table = self._decoder[f"prefix.{level}.table"]
            sums.append(sums[-1][above] + table[self.trie.digits[level]])
        return sums

    def read(self, lexical: sparse.csr_matrix, sentence: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Return what texts are read as: float32 (n, dim), and bool (n,): those that say anything."""
        digits = self.ids.of_text(lexical, sentence)
        heard = digits[:, 0] >= 0
        out = np.zeros((len(digits), self.vectors.shape[1]), np.float32)
        for level in range(digits.shape[1]):
            out[heard] += self.weights[f"digits.{level}.table"][digits[heard, level]]
        if self.basis is not None:
            out += plain.linear(
                plain.under(self.weights, "text."), "map", self.basis.of(lexical, sentence)[0]
            )
        return out, heard

    def words(self, text: TextVectors | None) -> tuple[np.ndarray, np.ndarray]:
        """Return the words of queries as if they were items': float32 (n, dim), and the queries that have any."""
        if text is None:
            return np.empty((0, self.vectors.shape[1]), np.float32), np.empty(0, np.int64)
        told, heard = self.read(text.lexical, text.sentence)
        return told, np.flatnonzero(heard & text.present)

    def extended(self, features: ItemFeatures) -> FittedGenerative:
        """Return the model for a catalogue that grew: later items get a code of their own by their text."""
        before = self.known.size
        if features.n_items <= before:
            return self
        ids = self.ids.extended(features.lexical, features.sentence)
        later = None if features.sentence is None else features.sentence[before:]
        told, heard = self.read(features.lexical[before:], later)
        grown = replace(self, vectors=np.concatenate([self.vectors, told * heard[:, None]]), ids=ids)
        return replace(grown, weights=self._regrown(grown.trie))

    def _regrown(self, grown: Trie) -> dict[str, np.ndarray]:
        """Return the weights for a trie with more branches: what training never saw has zeros."""
        weights = dict(self.weights)
        for level, place in enumerate(self.trie.moved(grown)):
            n_nodes, n_digits = grown.digits[level].size, int(grown.digits[level].max(initial=-1)) + 1
            for name in (f"decoder.bias.{level}", f"decoder.nodes.{level}.table"):
                if name in weights:
                    old = weights[name]
                    weights[name] = np.zeros((n_nodes, *old.shape[1:]), np.float32)
                    weights[name][place] = old
            for name in (f"decoder.out.{level}.table", f"decoder.prefix.{level}.table"):
                if name in weights and len(weights[name]) < n_digits:
                    fresh = np.zeros((n_digits - len(weights[name]), weights[name].shape[1]), np.float32)
                    weights[name] = np.concatenate([weights[name], fresh])
        return weights

    def state(self) -> State:
        """Return arrays and JSON: nothing of the training data."""
        arrays, meta = self.ids.state()
        arrays = {f"ids.{name}": array for name, array in arrays.items()} | {"vectors": self.vectors}
        arrays |= {f"model.{name}": array for name, array in self.weights.items()}
        if self.basis is not None:
            arrays |= self.basis.arrays()
        return arrays, {"ids": meta}

    @classmethod
    def from_state(cls, config: GenerativeConfig, arrays: Arrays, meta: Meta) -> FittedGenerative:
        """Rebuild what :meth:`state` gave."""
        ids = SemanticIds.from_state(plain.under(arrays, "ids."), meta["ids"])
        weights = plain.under(arrays, "model.")
        return cls(config, weights, arrays["vectors"], ids, TextBasis.from_arrays(arrays))
