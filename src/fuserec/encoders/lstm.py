"""A trained LSTM over words, run in NumPy: what an LSTM encoder is once fitted (training: ``neural.text_lstm``)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fuserec.encoders.base import State, Vectors, one_line, unit_rows
from fuserec.encoders.word_config import LstmConfig
from fuserec.encoders.words import Words
from fuserec.errors import ModelFormatError, RequestError
from fuserec.run import RunOptions

_BATCH = 256
GATES = ("input", "forget", "cell", "output")
"""Blocks of the rows of a direction's matrices, in PyTorch's order."""


class LstmEncoder:
    """Words to vectors, an LSTM over them from one end or both, pooled to one vector of unit length.

    i, f, o = σ(W x_t + U h_{t−1} + b), g = tanh(…), c_t = f c_{t−1} + i g, h_t = o tanh c_t (Hochreiter, Schmidhuber
    1997, "Long short-term memory", with the forget gate of Gers, Schmidhuber, Cummins 2000). x_t is the mean of the
    rows of a word and its character n-grams; words of which nothing is known are left out. A text without any gives a
    zero row. Safe to call from many threads.

    Parameters
    ----------
    words : Words
    weights : dict of float32 arrays
        ``table`` (words.n_rows, e), and for each direction ``forward.``/``backward.``: ``x`` (4h, e), ``h`` (4h, h),
        ``b`` (4h,).
    config : LstmConfig
    made_from : str
        Digest of texts, configuration and seed: a fit on the same needs no training.
    facts : dict
        How it was trained, and what of the catalogue it cannot read.
    """

    kind = "lstm"

    def __init__(
        self,
        words: Words,
        weights: Mapping[str, NDArray[Any]],
        config: LstmConfig,
        made_from: str = "",
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        self.words, self.config, self.made_from = words, config, made_from
        self.weights = {name: np.ascontiguousarray(w, dtype=np.float32) for name, w in weights.items()}
        self.facts: dict[str, Any] = dict(facts or {})
        self._directions = ("forward", "backward") if config.bidirectional else ("forward",)
        for name, shape in self._shapes().items():
            if self.weights[name].shape != shape:
                raise ValueError(f"{name} is {self.weights[name].shape}, not {shape}")
        self._fingerprint = self._digest()

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        e, h = self.config.embedding_dim, self.config.hidden_dim
        shapes: dict[str, tuple[int, ...]] = {"table": (self.words.n_rows, e)}
        for side in self._directions:
            shapes |= {f"{side}.x": (4 * h, e), f"{side}.h": (4 * h, h), f"{side}.b": (4 * h,)}
        return shapes

    @property
    def name(self) -> str:
        """The encoder's kind."""
        return self.kind

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self.config.hidden_dim * len(self._directions)

    @property
    def fingerprint(self) -> str:
        """Kind and content hash of words, weights and configuration: equal fingerprints, equal vectors."""
        return self._fingerprint

    def encode(self, texts: Sequence[str], run: RunOptions) -> Vectors:
        """Return one vector a text.

        Parameters
        ----------
        texts : sequence of str
            Any lengths and languages; what is beyond ``max_length`` words is not read.
        run : RunOptions
            Progress, cancellation.

        Returns
        -------
        float32 (len(texts), dim)
            Unit rows; a zero row for a text without a word that is known.
        """
        if isinstance(texts, str):
            raise RequestError("texts must be a list of texts, got one text: pass [text]")
        rows, place = numbered(self.words.cut(texts), self.words, self.config.max_length)
        inputs = np.asarray(self.words.reading(list(place)) @ self.weights["table"], dtype=np.float32)
        lengths = np.array([len(row) for row in rows], dtype=np.int64)
        found = np.zeros((len(texts), self.dim), dtype=np.float32)
        order = np.argsort(lengths, kind="stable")
        order = order[lengths[order] > 0]
        for start in range(0, order.size, _BATCH):
            run.check()
            which = order[start : start + _BATCH]
            found[which] = self._pooled(inputs, [rows[i] for i in which], lengths[which])
            run.progress("reading words", start + which.size, order.size)
        return unit_rows(found)

    def _pooled(self, inputs: Vectors, rows: Sequence[Sequence[int]], lengths: NDArray[np.int64]) -> Vectors:
        """Return float32 (n, dim): the pooled states of some texts."""
        longest = int(lengths.max())
        x = np.zeros((len(rows), longest, inputs.shape[1]), np.float32)
        for row, words in enumerate(rows):
            x[row, : len(words)] = inputs[list(words)]
        there = np.arange(longest) < lengths[:, None]
        sides = [self._states(x, there, side) for side in self._directions]
        if self.config.pooling == "last":
            ends = [sides[0][np.arange(len(rows)), lengths - 1], *(side[:, 0] for side in sides[1:])]
            return np.concatenate(ends, axis=1)
        states = np.concatenate(sides, axis=2)
        if self.config.pooling == "max":
            return np.asarray(np.where(there[:, :, None], states, -np.inf).max(axis=1), np.float32)
        states *= there[:, :, None]
        return np.asarray(states.sum(axis=1) / lengths[:, None], np.float32)

    def _states(self, x: Vectors, there: NDArray[np.bool_], side: str) -> Vectors:
        """Return float32 (n, length, h): the state at each word, read from one end; where no word is it is kept."""
        n, length, _ = x.shape
        size = self.config.hidden_dim
        fed = x @ self.weights[f"{side}.x"].T + self.weights[f"{side}.b"]
        u = self.weights[f"{side}.h"].T
        h, c = np.zeros((2, n, size), np.float32)
        states = np.empty((n, length, size), np.float32)
        for at in range(length) if side == "forward" else reversed(range(length)):
            i, f, g, o = np.split(fed[:, at] + h @ u, len(GATES), axis=1)
            later = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
            now = there[:, at, None]
            h = np.where(now, _sigmoid(o) * np.tanh(later), h)
            c = np.where(now, later, c)
            states[:, at] = h
        return states

    def _digest(self) -> str:
        digest = hashlib.blake2b(digest_size=16)
        arrays, info = self.words.state()
        parts = [arrays[name].tobytes() for name in sorted(arrays)]
        parts += [self.weights[name].tobytes() for name in sorted(self.weights)]
        parts += [json.dumps([info, self.config.model_dump(mode="json")]).encode()]
        for part in parts:
            digest.update(len(part).to_bytes(8, "little") + part)
        return f"{self.kind}:{digest.hexdigest()}"

    def state(self) -> State:
        """Return words and weights as arrays, and the configuration as JSON: nothing stays outside of the model."""
        arrays, words = self.words.state()
        return {**arrays, **{f"weights.{name}": w for name, w in self.weights.items()}}, {
            "kind": self.kind,
            "words": words,
            "config": self.config.model_dump(mode="json"),
            "made_from": self.made_from,
            "facts": self.facts,
            "fingerprint": self.fingerprint,
        }

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], info: Mapping[str, Any]) -> Self:
        """Build the encoder from :meth:`state`.

        Raises
        ------
        ModelFormatError
            The parts are damaged or do not belong together.
        """
        try:
            words, prefix = Words.from_state(arrays, info["words"]), "weights."
            weights = {k.removeprefix(prefix): w for k, w in arrays.items() if k.startswith(prefix)}
            config = LstmConfig.model_validate(info["config"])
            encoder = cls(words, weights, config, str(info["made_from"]), info["facts"])
            if encoder.fingerprint != info["fingerprint"]:
                raise ValueError("its hash differs")
        except (KeyError, TypeError, ValueError, IndexError) as fault:
            raise ModelFormatError(
                f"the LSTM of this model is damaged ({one_line(fault)}): fit it again"
            ) from fault
        return encoder


def numbered(
    tokens: Sequence[Sequence[str]], words: Words, longest: int
) -> tuple[list[list[int]], dict[str, int]]:
    """Return texts as numbers of words of which something is known, and those words with their numbers."""
    place: dict[str, int] = {}
    strange: set[str] = set()
    rows = []
    for cut in tokens:
        known = []
        for word in cut:
            if word in strange:
                continue
            if word not in place and not words.rows(word):
                strange.add(word)
                continue
            known.append(place.setdefault(word, len(place)))
            if len(known) == longest:
                break
        rows.append(known)
    return rows, place


def _sigmoid(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return 1 / (1 + exp(−x)), without overflow."""
    return np.asarray(0.5 * np.tanh(0.5 * x) + 0.5, dtype=np.float32)
