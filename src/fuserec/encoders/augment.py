"""Variants of the text of rare items: words left out, words replaced; an item's vector is then the mean of theirs.

Wei and Zou 2019, "EDA: easy data augmentation techniques for boosting performance on text classification tasks": few
people have said by their choices what a rare item is like, so its vector must not hang on single words of its title.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from scipy import sparse

from fuserec.encoders.lexical import SPACELESS, LexicalEncoder, fold
from fuserec.encoders.noise import WORD
from fuserec.errors import ConfigError
from fuserec.numerics.hashing import hash_text, reseed
from fuserec.numerics.linear_map import leading_directions
from fuserec.numerics.similar import Kept, dense_neighbours, unit_rows

if TYPE_CHECKING:
    from fuserec.run import RunOptions

MAX_MB = 16
"""The largest file of synonyms that is read."""

_MOST_WORDS = 20_000
"""So many of the catalogue's words, the commonest, are looked at for nearest words."""

_DIM = 64
_LEAST_TEXTS = 3
_LEAST_SIMILARITY = 0.5
"""A word in fewer texts is too rare to know its company by; words less alike than that replace nothing."""


class AugmentConfig(BaseModel):
    """How the text of rare items is varied."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    variants: int = Field(
        default=0,
        ge=0,
        le=64,
        description="Variants of the text of a rare item; its vector is the mean of the text's and theirs. 0: none.",
    )
    rare: int = Field(default=5, ge=1, description="An item with fewer interactions than this is rare.")
    dropout: float = Field(
        default=0.15, ge=0, lt=1, description="Share of the words that a variant leaves out."
    )
    replacement: float = Field(
        default=0.15,
        ge=0,
        le=1,
        description="Share of the words that have synonyms and get one of them instead.",
    )
    nearest: int = Field(
        default=3,
        ge=0,
        le=50,
        description="As synonyms serve also the words that keep the most similar company in the catalogue's own text, "
        "this many at most; 0: none do.",
    )
    synonyms: Path | dict[str, tuple[str, ...]] | None = Field(
        default=None,
        description="A table of words to what may stand for them, or a text file: words that may stand for each "
        "other on one line, divided by commas.",
    )


@dataclass(frozen=True)
class Variation:
    """What texts are varied by, learnt once: it stays when the catalogue grows, as the vocabulary does.

    Parameters
    ----------
    config : AugmentConfig
    synonyms : mapping
        Folded word to what may stand for it.
    seed : int
    """

    config: AugmentConfig
    synonyms: Mapping[str, tuple[str, ...]]
    seed: int

    @classmethod
    def fit(
        cls, lexical: sparse.csr_matrix, terms: Sequence[str], config: AugmentConfig, run: RunOptions
    ) -> Variation:
        """Read the synonyms, and learn nearest words.

        Parameters
        ----------
        lexical : CSR (n_items, n_terms)
            Which words stand in which text.
        terms : sequence of str
            The word of each column.

        Raises
        ------
        ConfigError
            For a file that cannot be read, or is not as it has to be.
        """
        known = nearest_words(lexical, terms, config.nearest, run) if config.nearest else {}
        return cls(config, {**known, **_given(config.synonyms)}, run.seed)

    def variants(self, text: str, identity: int) -> list[str]:
        """Return the variants of a text: they depend on it, on what it belongs to and on the seed, on nothing else.

        Parameters
        ----------
        text : str
        identity : int
            Hash of the item's id.
        """
        mixed = reseed(np.array([identity, hash_text(text)], np.uint64), self.seed)
        rng = np.random.default_rng(mixed.tolist())
        return [self._varied(text, rng) for _ in range(self.config.variants)]

    def _varied(self, text: str, rng: np.random.Generator) -> str:
        """Return a text with some of its words left out or replaced; one word stays at least."""
        found = list(self._pattern.finditer(text))
        if not found:
            return text
        dropped = rng.random(len(found)) < self.config.dropout
        if dropped.all():
            dropped[rng.integers(len(found))] = False
        replaced = rng.random(len(found)) < self.config.replacement
        pieces, end = [], 0
        for place, match in enumerate(found):
            pieces.append(text[end : match.start()])
            end = match.end()
            if not dropped[place]:
                others = self.synonyms.get(fold(match[0]), ()) if replaced[place] else ()
                pieces.append(others[int(rng.integers(len(others)))] if others else match[0])
        return " ".join("".join([*pieces, text[end:]]).split())

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        """What is one word: also what synonyms are given for, if it has spaces or is Chinese."""
        long = sorted((w for w in self.synonyms if not WORD.fullmatch(w)), key=lambda w: (-len(w), w))
        return re.compile("|".join([*map(_bounded, long), WORD.pattern]), re.IGNORECASE)

    def state(self) -> dict[str, Any]:
        """Return everything as JSON; the configuration is kept by the features."""
        return {"seed": self.seed, "synonyms": {word: list(others) for word, others in self.synonyms.items()}}

    @classmethod
    def from_state(cls, config: AugmentConfig, info: Mapping[str, Any]) -> Variation:
        """Rebuild from :meth:`state`."""
        table = {str(word): tuple(map(str, others)) for word, others in info["synonyms"].items()}
        return cls(config, table, int(info["seed"]))


@dataclass(frozen=True)
class Varied:
    """Vectors of texts and of their variants, joined.

    Parameters
    ----------
    rows : int64 (m,)
        Items whose vectors are means.
    texts : list of str
        All variants of the first item, then those of the second, and so on.
    """

    rows: np.ndarray
    texts: list[str]

    @classmethod
    def of(cls, texts: Sequence[str], counts: np.ndarray, hashes: np.ndarray, variation: Variation) -> Varied:
        """Return the variants of the texts of rare items.

        Parameters
        ----------
        texts : sequence of str (n_items,)
        counts : int (n_items,)
            Interactions of each item.
        hashes : uint64 (n_items,)
            Hash of each item's id.
        variation : Variation
        """
        written = np.array([bool(text) for text in texts], dtype=bool)
        rows = np.flatnonzero(written & (counts < variation.config.rare))
        varied = [
            variant for row in rows.tolist() for variant in variation.variants(texts[row], int(hashes[row]))
        ]
        return cls(rows, varied)

    def words(
        self, lexical: sparse.csr_matrix, encoder: LexicalEncoder, run: RunOptions
    ) -> sparse.csr_matrix:
        """Return TF-IDF rows (n_items, n_terms) with those of the rare items averaged, of unit length."""
        if not self.rows.size:
            return lexical
        n = len(self.texts) // self.rows.size
        theirs = sparse.csr_matrix(encoder.encode(self.texts, run))
        groups = np.arange(len(self.texts)) // n
        ones = np.ones(len(self.texts), np.float32)
        total = sparse.csr_matrix((ones, (groups, np.arange(len(self.texts)))), dtype=np.float32) @ theirs
        mean = unit_rows(sparse.csr_matrix(total + lexical[self.rows]))
        order = np.arange(lexical.shape[0])
        order[self.rows] = lexical.shape[0] + np.arange(self.rows.size)
        joined = sparse.csr_matrix(sparse.vstack([lexical, mean]), dtype=np.float32)[order]
        joined.sort_indices()
        return joined

    def sentences(self, vectors: np.ndarray, theirs: np.ndarray) -> np.ndarray:
        """Return sentence vectors float32 (n_items, dim) with those of the rare items averaged, of unit length.

        What the language model cannot read stays without a vector.
        """
        if not self.rows.size:
            return vectors
        own = vectors[self.rows]
        total = theirs.reshape(self.rows.size, -1, vectors.shape[1]).sum(axis=1) + own
        out = vectors.copy()
        out[self.rows] = unit_rows(np.where(own.any(axis=1, keepdims=True), total, 0.0).astype(np.float32))
        return out


def _bounded(word: str) -> str:
    """Return the pattern of a word of several: where it begins or ends in a letter of a spaced script, a word does."""
    left, right = (re.match(rf"(?![{SPACELESS}])\w", edge) for edge in (word[0], word[-1]))
    return (r"\b" if left else "") + re.escape(word) + (r"\b" if right else "")


def nearest_words(
    lexical: sparse.csr_matrix, terms: Sequence[str], k: int, run: RunOptions
) -> dict[str, tuple[str, ...]]:
    """Return for the words of a catalogue those that keep the most similar company.

    Positive pointwise mutual information of words in one text, reduced by a truncated decomposition (Levy and
    Goldberg 2014, "Neural word embedding as implicit matrix factorization"), compared by the cosine.

    Parameters
    ----------
    lexical : CSR (n_items, n_terms)
    terms : sequence of str
    k : int
        How many, at most.
    """
    texts = np.bincount(lexical.indices, minlength=len(terms))
    spaced = np.array([not re.search(f"[{SPACELESS}]", term) for term in terms], dtype=bool)
    common = np.flatnonzero(
        (texts >= _LEAST_TEXTS) & spaced
    )  # n-grams keep the company of what they are cut from
    if common.size > _MOST_WORDS:
        common = np.sort(common[np.argsort(-texts[common], kind="stable")[:_MOST_WORDS]])
    if common.size < 2:
        return {}
    present = sparse.csr_matrix(lexical[:, common])
    present.data = np.ones(present.nnz, np.float32)
    together = (present.T @ present).tocsr()
    together.setdiag(0.0)
    together.eliminate_zeros()
    totals = np.asarray(together.sum(axis=1)).ravel()
    rows = np.repeat(np.arange(common.size), np.diff(together.indptr))
    expected = totals[rows] * totals[together.indices] / max(float(totals.sum()), 1.0)
    together.data = np.maximum(np.log(together.data / expected), 0.0).astype(np.float32)
    together.eliminate_zeros()
    directions = leading_directions(together, _DIM, run.rng("nearest words"))
    places = unit_rows(np.asarray(together @ directions, np.float32))
    ties = np.array([hash_text(terms[t]) for t in common.tolist()], np.uint64)
    near = dense_neighbours(places, Kept(k, _LEAST_SIMILARITY, 1.0), ties, run)
    found = {}
    for place, word in enumerate(common.tolist()):
        span = slice(near.indptr[place], near.indptr[place + 1])
        best = near.indices[span][np.argsort(-near.data[span], kind="stable")]
        if best.size:
            found[terms[word]] = tuple(terms[int(common[other])] for other in best)
    return found


def _given(synonyms: Path | Mapping[str, Sequence[str]] | None) -> dict[str, tuple[str, ...]]:
    """Return the synonyms that the configuration gives, words folded."""
    if synonyms is None:
        return {}
    if isinstance(synonyms, Path):
        return _read(synonyms)
    table = {
        fold(word).strip(): tuple(o.strip() for o in others if o.strip()) for word, others in synonyms.items()
    }
    empty = next((word for word, others in table.items() if not word or not others), None)
    if empty is not None:
        raise ConfigError(
            f'[features.augment] synonyms: {empty!r} needs words that may stand for it: word = ["other"]'
        )
    return table


def _read(path: Path) -> dict[str, tuple[str, ...]]:
    """Read a file with words that may stand for each other on one line."""
    try:
        if path.stat().st_size > MAX_MB * 2**20:
            raise ConfigError(
                f"[features.augment] synonyms {path}: larger than {MAX_MB} MB; keep the words in use"
            )
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigError(f"[features.augment] synonyms {path}: cannot be read ({reason})") from None
    table: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(lines, 1):
        words = [word.strip() for word in line.split(",") if word.strip()]
        if not words or words[0].startswith("#"):
            continue
        if len(words) < 2:
            raise ConfigError(
                f"[features.augment] synonyms {path}, line {number}: {words[0][:60]!r} stands alone; "
                "write words that may stand for each other on one line, divided by commas"
            )
        for word in words:
            others = tuple(other for other in words if other != word)
            table[fold(word)] = tuple(dict.fromkeys((*table.get(fold(word), ()), *others)))
    return table
