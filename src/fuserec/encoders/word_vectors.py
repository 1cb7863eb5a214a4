"""Texts as weighted means of word vectors, whether those were trained on the catalogue or read from a file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fuserec.encoders.base import State, Vectors, one_line, unit_rows
from fuserec.encoders.word_config import SifConfig
from fuserec.encoders.words import Words
from fuserec.errors import ModelFormatError, RequestError
from fuserec.run import RunOptions

_BLOCK = 8192
_TEXTS_A_COMPONENT = 10
"""Of fewer texts a common direction is no more than one of them."""


class WordVectorEncoder:
    """Smooth inverse frequency: v(text) = mean over its words of a / (a + p(w)) · v(w), less the common directions.

    Arora, Liang and Ma, 2017, A simple but tough-to-beat baseline for sentence embeddings, algorithm 1: p(w) is the
    share of a word in the catalogue's text, and the first right singular vectors of all texts' vectors are taken out.
    Rows have unit length; a text none of whose words has a vector gives a zero row. Safe to call from many threads.

    Parameters
    ----------
    kind : str
        Where the word vectors come from: ``"word2vec"``, ``"fasttext"``, ``"glove"``.
    words : Words
    table : float32 (words.n_rows, dim)
    components : float32 (k, dim)
        Orthonormal directions that are taken out.
    sif : SifConfig
    made_from : str
        Digest of texts, configuration and seed: a fit on the same needs no training.
    facts : dict
        How much of the catalogue's text has vectors.
    """

    def __init__(
        self,
        kind: str,
        words: Words,
        table: Vectors,
        components: Vectors,
        sif: SifConfig,
        made_from: str = "",
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        self.kind, self.words, self.sif, self.made_from = kind, words, sif, made_from
        self.table = np.ascontiguousarray(table, dtype=np.float32)
        self.components = np.ascontiguousarray(components, dtype=np.float32)
        self.facts: dict[str, Any] = dict(facts or {})
        self._fingerprint = self._digest()

    @classmethod
    def over(
        cls,
        kind: str,
        words: Words,
        table: Vectors,
        texts: Sequence[str],
        sif: SifConfig,
        run: RunOptions,
        made_from: str = "",
    ) -> Self:
        """Learn the common directions of a catalogue's texts, and count what of them has no vector.

        Parameters
        ----------
        kind, words, table, sif, made_from
            As of the class.
        texts : sequence of str
            Of all items.
        """
        plain = cls(kind, words, table, np.zeros((0, table.shape[1]), np.float32), sif)
        means = plain.means(texts, run)
        components = common_directions(means, sif.components)
        return cls(kind, words, table, components, sif, made_from, plain._coverage(texts, means))

    @property
    def name(self) -> str:
        """The encoder's kind."""
        return self.kind

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self.table.shape[1])

    @property
    def fingerprint(self) -> str:
        """Kind and content hash of words, vectors and configuration: equal fingerprints, equal vectors."""
        return self._fingerprint

    def encode(self, texts: Sequence[str], run: RunOptions) -> Vectors:
        """Return one vector a text.

        Parameters
        ----------
        texts : sequence of str
            Any lengths and languages.
        run : RunOptions
            Progress, cancellation.

        Returns
        -------
        float32 (len(texts), dim)
            Unit rows; a zero row for a text without a word that has a vector.
        """
        if isinstance(texts, str):
            raise RequestError("texts must be a list of texts, got one text: pass [text]")
        means = self.means(texts, run)
        common = np.asarray((means @ self.components.T) @ self.components, dtype=np.float32)
        return unit_rows(means - common)

    def means(self, texts: Sequence[str], run: RunOptions) -> Vectors:
        """Return float32 (len(texts), dim): the weighted means, the common directions still in them."""
        found = np.zeros((len(texts), self.dim), dtype=np.float32)
        for start in range(0, len(texts), _BLOCK):
            run.check()
            block = texts[start : start + _BLOCK]
            found[start : start + len(block)] = self._block(self.words.cut(block))
            run.progress("reading words", start + len(block), len(texts))
        return found

    def vectors(self, words: Sequence[str]) -> Vectors:
        """Return float32 (len(words), dim): the vectors of words, zero for those of which nothing is known."""
        return np.asarray(self.words.reading(words) @ self.table, dtype=np.float32)

    def _block(self, tokens: Sequence[Sequence[str]]) -> Vectors:
        """Return the weighted means of texts that are cut already."""
        place: dict[str, int] = {}
        indices = np.array([place.setdefault(w, len(place)) for cut in tokens for w in cut], dtype=np.int64)
        row_of = np.repeat(np.arange(len(tokens)), [len(cut) for cut in tokens])
        distinct = list(place)
        reading = self.words.reading(distinct)
        known = np.diff(reading.indptr) > 0
        weights = np.where(known, self.sif.a / (self.sif.a + self.words.frequencies(distinct)), 0.0)
        lengths = np.bincount(row_of, weights=known[indices], minlength=len(tokens))
        values = weights[indices] / np.maximum(lengths, 1.0)[row_of]
        mix = sparse.csr_matrix(
            (values.astype(np.float32), (row_of, indices)), shape=(len(tokens), len(place))
        )
        return np.asarray(mix @ (reading @ self.table), dtype=np.float32)

    def _coverage(self, texts: Sequence[str], means: Vectors) -> dict[str, Any]:
        """Return how much of the catalogue's text has vectors."""
        occurrences, unknown = 0, 0
        strange: set[str] = set()
        for cut in self.words.cut(texts):
            without = [word for word in cut if not self.words.rows(word)]
            occurrences, unknown = occurrences + len(cut), unknown + len(without)
            strange.update(without)
        said = np.array([bool(text.strip()) for text in texts], dtype=bool)
        return {
            "kind": self.kind,
            "dim": self.dim,
            "words": len(self.words.terms),
            "ngrams": len(self.words.ngrams),
            "unknown_words": len(strange),
            "unknown_share": round(unknown / max(1, occurrences), 4),
            "texts_without": int((said & ~means.any(axis=1)).sum()),
        }

    def _digest(self) -> str:
        digest = hashlib.blake2b(digest_size=16)
        arrays, info = self.words.state()
        parts = [arrays[name].tobytes() for name in sorted(arrays)]
        parts += [self.table.tobytes(), self.components.tobytes()]
        parts += [json.dumps([info, self.sif.model_dump(mode="json"), self.table.shape]).encode()]
        for part in parts:
            digest.update(len(part).to_bytes(8, "little") + part)
        return f"{self.kind}:{digest.hexdigest()}"

    def state(self) -> State:
        """Return words and vectors as arrays, and the configuration as JSON: nothing stays outside of the model."""
        arrays, words = self.words.state()
        return {**arrays, "table": self.table, "components": self.components}, {
            "kind": self.kind,
            "words": words,
            "sif": self.sif.model_dump(mode="json"),
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
            words = Words.from_state(arrays, info["words"])
            table, components = arrays["table"], arrays["components"]
            if table.ndim != 2 or table.shape[0] != words.n_rows or components.shape[1:] != table.shape[1:]:
                raise ValueError(f"table {table.shape} of {words.n_rows} rows, components {components.shape}")
            sif = SifConfig.model_validate(info["sif"])
            made = str(info["made_from"])
            encoder = cls(str(info["kind"]), words, table, components, sif, made, info["facts"])
            if encoder.fingerprint != info["fingerprint"]:
                raise ValueError("its hash differs")
        except (KeyError, TypeError, ValueError, IndexError) as fault:
            raise ModelFormatError(
                f"the word vectors of this model are damaged ({one_line(fault)}): fit it again"
            ) from fault
        return encoder


def common_directions(vectors: Vectors, wanted: int) -> Vectors:
    """Return float32 (k, dim): the first right singular vectors of the rows that are not zero, k at most ``wanted``."""
    rows = vectors[vectors.any(axis=1)].astype(np.float64)
    k = min(wanted, len(rows) // _TEXTS_A_COMPONENT, vectors.shape[1])
    _, directions = np.linalg.eigh(rows.T @ rows)
    return np.ascontiguousarray(directions[:, ::-1][:, :k].T, dtype=np.float32)
