"""What is kept of a trained sequence model, and how it answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from fuserec.neural.architectures import body
from fuserec.neural.items import Items, ItemVectors, items_of
from fuserec.neural.sequence_model import SequenceModel, windows
from fuserec.neural.text_basis import TextBasis

if TYPE_CHECKING:
    from fuserec.data.query import TextVectors
    from fuserec.encoders.features import ItemFeatures
    from fuserec.neural.sequence_config import SequenceConfig
    from fuserec.types import Arrays, Meta, State


@dataclass(frozen=True)
class FittedSequence:
    """What a fitted sequence model answers with.

    Parameters
    ----------
    model : SequenceModel
        On the processor, in evaluation mode; its items hold no catalogue, only how text becomes a vector.
    vectors : float32 (n_items, dim)
    trained, known : bool (n_items,)
        Items with training interactions; items that have a vector (through their text at least).
    basis : TextBasis or None
    length : int
    """

    model: SequenceModel
    vectors: np.ndarray
    trained: np.ndarray
    known: np.ndarray
    basis: TextBasis | None
    length: int

    @torch.inference_mode()
    def ends(self, indptr: np.ndarray, events: np.ndarray, words: np.ndarray) -> np.ndarray:
        """Return float32 (n, dim): what is known at the end of each history (none may be empty).

        Parameters
        ----------
        indptr : int64 (n + 1,)
        events : int64 (n_events,)
            Items; from ``n_items`` on, rows of ``words``.
        words : float32 (m, dim)
        """
        inputs, lengths = windows(indptr, events, self.length)
        needed, local = np.unique(inputs, return_inverse=True)
        catalogue = needed < self.known.size
        table = np.concatenate([self.vectors[needed[catalogue]], words[needed[~catalogue] - self.known.size]])
        at = torch.from_numpy(local.reshape(inputs.shape))
        told = self.model.last(torch.from_numpy(table), at, torch.from_numpy(lengths))
        return np.asarray(told.numpy(), dtype=np.float32)

    def words(self, text: TextVectors | None, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the words of queries as if they were items': float32 (n, dim), and the queries that have any."""
        if text is None or self.basis is None or not self.model.items.reads_text:
            return np.empty((0, self.vectors.shape[1]), np.float32), np.empty(0, np.int64)
        told, heard = self.basis.of(text.lexical, text.sentence)
        with torch.inference_mode():
            vectors = self.model.items.of_text(torch.from_numpy(told)).numpy()
        return vectors, np.flatnonzero(heard & text.present)

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
        if self.basis is not None and self.model.items.reads_text:
            with torch.inference_mode():
                vectors = self.model.items.of_text(torch.from_numpy(self.basis(features)[0][before:])).numpy()
            known = self.basis(features)[1][before:]
        return replace(
            self,
            vectors=np.concatenate([self.vectors, vectors]),
            trained=np.concatenate([self.trained, np.zeros(more, dtype=bool)]),
            known=np.concatenate([self.known, known]),
        )

    def state(self) -> State:
        """Return arrays alone: nothing of the training data."""
        arrays: Arrays = {"vectors": self.vectors, "trained": self.trained, "known": self.known}
        for name, tensor in self.model.state_dict().items():
            arrays[f"model.{name}"] = tensor.numpy()
        if self.basis is not None:
            arrays |= self.basis.arrays()
        return arrays, {}


def restored_sequence(config: SequenceConfig, arrays: Arrays, meta: Meta) -> FittedSequence:
    """Rebuild what :meth:`FittedSequence.state` gave."""
    basis = TextBasis.from_arrays(arrays)
    text = None if basis is None else torch.zeros(0, basis.dim)
    model = untrained(config, items_of(kind_of(config, basis), text, torch.zeros(0, config.embedding_dim)))
    weights = {
        k.removeprefix("model."): torch.from_numpy(v) for k, v in arrays.items() if k.startswith("model.")
    }
    model.load_state_dict(weights)
    model.eval()
    vectors, trained = arrays["vectors"], arrays["trained"].astype(bool)
    return FittedSequence(model, vectors, trained, arrays["known"].astype(bool), basis, config.max_length)


def kind_of(config: SequenceConfig, basis: TextBasis | None) -> ItemVectors:
    """Return which item vectors are meant where the configuration leaves it open."""
    if basis is None:
        return "ids"
    return "sum" if config.item_vectors == "auto" else config.item_vectors


def untrained(config: SequenceConfig, items: Items) -> SequenceModel:
    """Return the model of a configuration with items and an untrained body."""
    masked = config.architecture == "masked"
    length = config.max_length + masked
    inner = body(
        config.architecture, config.embedding_dim, config.blocks, config.heads, length, config.dropout
    )
    return SequenceModel(items, inner, config.embedding_dim, masked=masked)
