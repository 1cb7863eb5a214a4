"""Semantic ids: an item as a few digits, alike for items that are alike, by residual k-means over their vectors.

The first digit is the nearest of some centroids, the next one the nearest to what is left, and so on (residual vector
quantisation: Juang, Gray 1982, "Multiple stage vector quantization for speech coding"; as ids of items: Rajput et al.
2023, "Recommender systems with generative retrieval"). Items that share all of these digits collide; one digit more
tells them apart, so that each code belongs to exactly one item.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from pydantic import Field
from scipy import sparse

from fuserec.numerics.kmeans import kmeans, nearest_centroids
from fuserec.numerics.linear_map import leading_directions
from fuserec.numerics.similar import unit_rows
from fuserec.settings import Settings

if TYPE_CHECKING:
    from fuserec.types import Arrays, Meta, State

NO_CODE = -1
"""The digits of an item of which nothing is known."""

WORDS_DIM = 128
"""Directions that TF-IDF rows are reduced to, where no language model has read the texts."""


class CodesConfig(Settings):
    """Prefixes of semantic ids as tags of the items."""

    levels: int = Field(
        default=0,
        ge=0,
        le=5,
        description="Digits of an item's semantic id whose prefixes become tags (`code:12`, `code:12-7` with two); "
        "0: none.",
    )
    codebook_size: int = Field(
        default=256, ge=2, le=256, description="Values of a digit, at most; small catalogues have fewer."
    )


def codebook_size(n_items: int, most: int) -> int:
    """Return how many values a digit takes in a catalogue: about 2 √n, a power of two, so that two digits tell much."""
    return int(min(most, 2 ** np.ceil(np.log2(max(2.0, 2.0 * np.sqrt(n_items))))))


@dataclass(frozen=True)
class SemanticIds:
    """Codes of a catalogue, and what gives later items theirs.

    A vector is [text | behaviour], blocks of unit length times the root of their shares. What has one block only is
    compared in that block alone.

    Parameters
    ----------
    codebooks : tuple of float32 (k_l, d)
        One a level.
    text_dim : int
        The first columns of a vector: its text.
    words : float32 (n_terms, text_dim) or None
        What TF-IDF rows are multiplied by; None where the language model's vectors are read.
    text_scale : float
        Length of a text block.
    digits : int32 (n_items, levels + 1)
        The last one numbers items that share all others, in the order of the catalogue; ``NO_CODE`` where an item has
        neither text nor behaviour.
    """

    codebooks: tuple[np.ndarray, ...]
    text_dim: int
    words: np.ndarray | None
    text_scale: float
    digits: np.ndarray

    @classmethod
    def fit(
        cls,
        lexical: sparse.csr_matrix,
        sentence: np.ndarray | None,
        levels: int,
        size: int,
        rng: np.random.Generator,
        behaviour: np.ndarray | None = None,
        share: float = 0.0,
    ) -> Self:
        """Learn codebooks from all items, and code them.

        Parameters
        ----------
        lexical : CSR float32 (n_items, n_terms)
        sentence : float32 (n_items, dim) or None
        levels : int
            Digits before the one that tells collided items apart.
        size : int
            Values of a digit; see :func:`codebook_size`.
        rng : Generator
        behaviour : float32 (n_items, k), optional
            Vectors made of interactions; a zero row where there are none.
        share : float
            Of behaviour in a vector.
        """
        words = None if sentence is not None else leading_directions(lexical, WORDS_DIM, rng)
        text_dim = sentence.shape[1] if words is None and sentence is not None else _width(words)
        heeds = behaviour is not None and share > 0
        blank = cls(
            (), text_dim, words, float(np.sqrt(1.0 - share)) if heeds else 1.0, np.empty((0, 0), np.int32)
        )
        blocks = [blank._text(lexical, sentence)]
        if behaviour is not None and heeds:
            blocks.append(unit_rows(behaviour) * np.float32(np.sqrt(share)))
        vectors = np.concatenate(blocks, axis=1)
        there = np.stack([block.any(axis=1) for block in blocks], axis=1)
        whole, some = there.all(axis=1), there.any(axis=1)
        taught = vectors[whole if 2 * whole.sum() >= some.sum() else some]
        books = []
        for _ in range(levels if len(taught) else 0):
            books.append(kmeans(taught, size, rng))
            taught = taught - books[-1][nearest_centroids(taught, books[-1])]
        if not books:
            return replace(blank, digits=np.full((len(vectors), levels + 1), NO_CODE, np.int32))
        made = replace(blank, codebooks=tuple(books))
        return replace(made, digits=_told_apart(made._coded(vectors)))

    @property
    def n_items(self) -> int:
        """Items in the catalogue."""
        return len(self.digits)

    @property
    def coded(self) -> np.ndarray:
        """Bool (n_items,): items that have a code."""
        return np.asarray(self.digits[:, 0] != NO_CODE)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Values of each digit; of the last one: those in use."""
        return (*(len(book) for book in self.codebooks), int(self.digits[:, -1].max(initial=0)) + 1)

    @property
    def collisions(self) -> int:
        """Items whose code another item had already: items less distinct codes, before the last digit."""
        return int((self.digits[:, -1] > 0).sum())

    @property
    def facts(self) -> dict[str, Any]:
        """What there is to know of the codes: JSON."""
        coded = int(self.coded.sum())
        return {
            "codes": coded,
            "code_sizes": list(self.sizes),
            "code_collisions": self.collisions,
            "code_collision_share": round(self.collisions / max(1, coded), 6),
        }

    def decoded(self, digits: np.ndarray) -> np.ndarray:
        """Return int64 (m,): the item of each code int (m, levels + 1); -1 where no item has it."""
        keys, items = self._index
        wanted = np.asarray(digits, dtype=np.int64)
        found = np.full(len(wanted), -1, np.int64)
        sizes = np.asarray(self.sizes)
        allowed = ((wanted >= 0) & (wanted < sizes)).all(axis=1)
        if keys.size and allowed.any():
            asked = _keys(wanted[allowed], self.sizes)
            at = np.minimum(np.searchsorted(keys, asked), keys.size - 1)
            found[allowed] = np.where(keys[at] == asked, items[at], -1)
        return found

    @cached_property
    def _index(self) -> tuple[np.ndarray, np.ndarray]:
        """Keys of all codes, ascending, and their items."""
        items = np.flatnonzero(self.coded)
        keys = _keys(self.digits[items], self.sizes)
        order = np.argsort(keys, kind="stable")
        return keys[order], items[order]

    def of_text(self, lexical: sparse.csr_matrix, sentence: np.ndarray | None) -> np.ndarray:
        """Return int32 (n, levels): digits that texts have; ``NO_CODE`` where a text says nothing."""
        if not self.codebooks:
            return np.full((lexical.shape[0], self.digits.shape[1] - 1), NO_CODE, np.int32)
        return self._coded(self._text(lexical, sentence))

    def extended(self, lexical: sparse.csr_matrix, sentence: np.ndarray | None) -> Self:
        """Return the ids of a catalogue that grew: later items get theirs from their text, earlier ones keep theirs."""
        before = self.n_items
        if lexical.shape[0] <= before:
            return self
        later = None if sentence is None else sentence[before:]
        fresh = self.of_text(lexical[before:], later)
        return replace(self, digits=_told_apart(np.concatenate([self.digits[:, :-1], fresh])))

    def prefixes(self) -> tuple[sparse.csr_matrix, tuple[str, ...]]:
        """Return CSR float32 (n_items, n_tags): 1 where an item's code begins so, and names like ``code:12-7``."""
        rows = np.flatnonzero(self.coded)
        columns: list[np.ndarray] = []
        names: list[str] = []
        for length in range(1, len(self.codebooks) + 1):
            kinds, which = np.unique(self.digits[rows, :length], axis=0, return_inverse=True)
            columns.append(len(names) + which.ravel())
            names += ["code:" + "-".join(map(str, kind)) for kind in kinds.tolist()]
        across = np.stack(columns, axis=1) if columns else np.empty((rows.size, 0), np.int64)
        places = (np.repeat(rows, across.shape[1]), across.ravel())
        ones = np.ones(across.size, np.float32)
        return sparse.csr_matrix((ones, places), shape=(self.n_items, len(names))), tuple(names)

    def state(self) -> State:
        """Return arrays and JSON."""
        arrays: Arrays = {f"book.{level}": book for level, book in enumerate(self.codebooks)}
        arrays["digits"] = self.digits
        if self.words is not None:
            arrays["words"] = self.words
        return arrays, {
            "levels": len(self.codebooks),
            "text_dim": self.text_dim,
            "text_scale": self.text_scale,
        }

    @classmethod
    def from_state(cls, arrays: Arrays, meta: Meta) -> Self:
        """Rebuild from :meth:`state`."""
        books = tuple(arrays[f"book.{level}"] for level in range(meta["levels"]))
        shape = (int(meta["text_dim"]), arrays.get("words"), float(meta["text_scale"]))
        return cls(books, *shape, arrays["digits"])

    def _text(self, lexical: sparse.csr_matrix, sentence: np.ndarray | None) -> np.ndarray:
        """Return float32 (n, text_dim): text blocks of one length; zero where a text says nothing."""
        if self.words is not None:
            read = np.asarray(lexical @ self.words, dtype=np.float32)
        elif sentence is not None:
            read = sentence
        else:
            read = np.zeros((lexical.shape[0], self.text_dim), np.float32)
        return np.asarray(unit_rows(read) * np.float32(self.text_scale), dtype=np.float32)

    def _coded(self, vectors: np.ndarray) -> np.ndarray:
        """Return int32 (n, levels): nearest centroids of vectors (or of texts alone), by the blocks that are there."""
        found = np.full((len(vectors), len(self.codebooks)), NO_CODE, np.int32)
        text = vectors[:, : self.text_dim].any(axis=1)
        acted = vectors[:, self.text_dim :].any(axis=1)
        width = self.codebooks[0].shape[1]
        spans = (
            (text & ~acted, slice(0, self.text_dim)),
            (~text & acted, slice(self.text_dim, width)),
            (text & acted, slice(0, width)),
        )
        for here, span in spans:
            if not here.any():
                continue  # texts alone have no columns of behaviour
            left = vectors[here][:, span]
            for level, book in enumerate(self.codebooks):
                centroids = np.ascontiguousarray(book[:, span])
                digit = nearest_centroids(left, centroids)
                left = left - centroids[digit]
                found[here, level] = digit
        return found


def _width(words: np.ndarray | None) -> int:
    """Return the numbers that words become."""
    return 0 if words is None else int(words.shape[1])


def _keys(digits: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    """Return int64 (n,): one number a code, ascending as codes do."""
    keys = np.zeros(len(digits), np.int64)
    for level, size in enumerate(sizes):
        keys = keys * size + digits[:, level]
    return keys


def _told_apart(digits: np.ndarray) -> np.ndarray:
    """Return int32 (n, levels + 1): codes with one digit more, the number of earlier items that have the same."""
    coded = np.flatnonzero(digits[:, 0] != NO_CODE)
    last = np.full(len(digits), NO_CODE, np.int32)
    if coded.size:
        order = coded[np.lexsort(digits[coded].T[::-1])]  # stable: the order of the catalogue among equals
        fresh = np.concatenate([[True], (digits[order[1:]] != digits[order[:-1]]).any(axis=1)])
        starts = np.flatnonzero(fresh)
        last[order] = np.arange(order.size) - np.repeat(starts, np.diff([*starts, order.size]))
    return np.concatenate([digits, last[:, None]], axis=1).astype(np.int32)
