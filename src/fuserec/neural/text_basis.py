"""Text of items as a few whitened dimensions: what a neural model gets to read.

Principal components of the language-model vectors (and of TF-IDF rows, by truncated SVD), each scaled to unit variance
over the items, ordered by how much of the text they tell apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from fuserec.encoders.features import ItemFeatures
    from fuserec.types import Arrays

Reads = Literal["sentence", "words", "both"]

MIN_ROWS = 8
"""Texts below which nothing can be told of their spread."""


@dataclass(frozen=True)
class TextBasis:
    """A linear map from the content features of items to ``dim`` whitened numbers.

    Parameters
    ----------
    words : float32 (n_terms, k) or None
        What TF-IDF rows are multiplied by first.
    sentence_dim : int
        Numbers of the language model's vectors; 0 where they are not read.
    mean : float32 (d_in,)
    matrix : float32 (d_in, dim)
    """

    words: np.ndarray | None
    sentence_dim: int
    mean: np.ndarray
    matrix: np.ndarray

    @classmethod
    def fit(
        cls, features: ItemFeatures, dim: int, reads: Reads, rng: np.random.Generator
    ) -> TextBasis | None:
        """Learn the map from all items with text; None where there is too little of it."""
        rows = np.flatnonzero(features.has_text)
        sentence = 0 if features.sentence is None or reads == "words" else features.sentence.shape[1]
        if rows.size < MIN_ROWS:
            return None
        words = None
        if reads != "sentence" or not sentence:
            words = _directions(features.lexical[rows], dim, rng)
        basis = cls(words, sentence, np.empty(0, np.float32), np.empty((0, 0), np.float32))
        raw = basis._raw(features.lexical, features.sentence)[rows].astype(np.float64)
        mean = raw.mean(axis=0)
        values, vectors = np.linalg.eigh((raw - mean).T @ (raw - mean) / rows.size)
        order = np.argsort(values)[::-1][:dim]
        kept = order[values[order] > 1e-6 * values[order[0]]]
        if not kept.size:
            return None
        matrix = vectors[:, kept] / np.sqrt(values[kept])
        return cls(words, sentence, mean.astype(np.float32), np.ascontiguousarray(matrix, dtype=np.float32))

    @property
    def dim(self) -> int:
        """Numbers an item."""
        return int(self.matrix.shape[1])

    def __call__(self, features: ItemFeatures) -> tuple[np.ndarray, np.ndarray]:
        """Return :meth:`of` of all items."""
        return self.of(features.lexical, features.sentence)

    def of(self, lexical: sparse.csr_matrix, sentence: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Return what texts say.

        Returns
        -------
        told : float32 (n, dim)
            Unit variance over the items in each direction; zero where a text says nothing.
        heard : bool (n,)
            Whether it says anything.
        """
        raw = self._raw(lexical, sentence)
        heard = np.asarray(raw.any(axis=1))
        told = (raw - self.mean) @ self.matrix
        told[~heard] = 0.0
        return np.asarray(told, dtype=np.float32), heard

    def _raw(self, lexical: sparse.csr_matrix, sentence: np.ndarray | None) -> np.ndarray:
        """Return float32 (n, d_in): each kind of vectors with mean square length 1 over the items.

        A text that the language model has not read has zeros there.
        """
        parts = []
        if self.sentence_dim:
            unread = np.zeros((lexical.shape[0], self.sentence_dim), np.float32)
            parts.append(unread if sentence is None else sentence)
        if self.words is not None:
            parts.append(np.asarray(lexical @ self.words, dtype=np.float32))
        return np.concatenate(parts, axis=1)

    def arrays(self) -> Arrays:
        """Return the arrays that persist it."""
        kept: Arrays = {
            "text.mean": self.mean,
            "text.matrix": self.matrix,
            "text.sentence": np.array([self.sentence_dim]),
        }
        return kept if self.words is None else {**kept, "text.words": self.words}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> TextBasis | None:
        """Rebuild from :meth:`arrays`."""
        if "text.matrix" not in arrays:
            return None
        sentence = int(arrays["text.sentence"][0])
        return cls(arrays.get("text.words"), sentence, arrays["text.mean"], arrays["text.matrix"])


def _directions(lexical: sparse.csr_matrix, dim: int, rng: np.random.Generator) -> np.ndarray:
    """Return float32 (n_terms, k): leading right singular vectors of TF-IDF rows (Deerwester et al. 1990).

    They are scaled so that the rows' images have mean square length 1.
    """
    from scipy.sparse.linalg import svds

    k = min(dim, *(side - 1 for side in lexical.shape))
    if k < 1:
        return np.zeros((lexical.shape[1], 1), np.float32)
    _, _, right = svds(lexical.astype(np.float64), k=k, v0=rng.standard_normal(min(lexical.shape)))
    found = right[::-1].T
    length = np.sqrt(np.mean(np.square(lexical @ found).sum(axis=1)))
    return np.ascontiguousarray(found / max(length, 1e-12), dtype=np.float32)
