"""TF-IDF over words and, in scripts written without spaces, over character n-grams."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import chain, pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator
from scipy import sparse

from fuserec.encoders.base import Arrays, State, one_line
from fuserec.encoders.function_words import telling
from fuserec.errors import ModelFormatError
from fuserec.run import RunOptions

Rows = sparse.csr_array[Any, tuple[int, int]]
"""Sparse rows, float32 (n, n_terms)."""

_BLOCK = 8192
SPACELESS = (
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
)
SPACELESS += "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
"""Han, Kana; Thai, Lao, Myanmar, Khmer. (Hangul is written with spaces.)"""


class LexicalConfig(BaseModel):
    """How words are weighed."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    ngrams: tuple[int, int] = Field(
        default=(1, 2),
        description="Shortest and longest run of characters taken as a term in scripts without spaces "
        "(Chinese, Japanese, Thai, ...).",
    )
    function_words: bool = Field(
        default=False, description="Whether words without a topic (the, of, 的) count too."
    )
    min_df: int = Field(default=1, ge=1, description="A term in fewer texts than this is left out.")
    max_df: float = Field(
        default=1.0, gt=0, le=1, description="A term in a larger share of the texts is left out."
    )
    max_features: int | None = Field(
        default=200_000,
        ge=1,
        description="Only this many terms, those in the most texts, are kept; none: all.",
    )

    @field_validator("ngrams")
    @classmethod
    def _ordered(cls, ngrams: tuple[int, int]) -> tuple[int, int]:
        if not 1 <= ngrams[0] <= ngrams[1] <= 5:
            raise ValueError(f"allowed is 1 <= shortest <= longest <= 5, got {list(ngrams)}")
        return ngrams


@cache
def _marks() -> str:
    r"""Return all combining marks of the basic plane, as the inside of a character class.

    ``\w`` does not match them, so Hindi, Thai and Arabic words would be cut at every vowel sign.
    """
    return "".join(c for c in map(chr, range(0x300, 0x10000)) if unicodedata.category(c) in ("Mn", "Mc"))


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """Return the patterns of a word (decimals stay whole), a spaceless run, and a character in one."""
    letter = f"(?:[^\\W_]|[{_marks()}])"
    word = re.compile(rf"\d+(?:[.,]\d+)+|{letter}+(?:['’]{letter}+)*")
    return word, re.compile(f"([{SPACELESS}]+)"), re.compile(f".[{_marks()}]*")


_ASCII_WORD = re.compile(r"\d+(?:[.,]\d+)+|[a-z0-9]+(?:'[a-z0-9]+)*")
_ACCENTS = re.compile(
    "(?<![\u0438\u0418])[\u0300-\u036f]+|[\u0591-\u05c7\u0640\u064b-\u065f\u0670\u00ad\u200c\u200d]+"
)
"""Latin, Greek and Cyrillic accents (not the breve of й, a letter of its own), Hebrew and Arabic vowel
points, and characters that cannot be seen. Vowel signs of other scripts are letters and stay."""


def fold(text: str) -> str:
    """Return the text without case, accents, and width: ``"Crème Ｂrûlée"`` gives ``"creme brulee"``."""
    if text.isascii():
        return text.lower()
    bare = _ACCENTS.sub("", unicodedata.normalize("NFKD", text))
    return unicodedata.normalize("NFKC", bare).casefold()


def tokenize(text: str, ngrams: tuple[int, int] = (1, 2)) -> list[str]:
    """Return the terms of a text, folded, in order.

    Parameters
    ----------
    text : str
        Any mixture of languages.
    ngrams : (int, int)
        Shortest and longest run taken from text in scripts without spaces; a character carries its vowel
        signs.

    Returns
    -------
    list of str
        Words (``"women's"`` gives ``"women"``, ``"don't"`` gives ``"dont"``, ``"3.4"`` stays whole) and
        n-grams.
    """
    if text.isascii():
        words = _ASCII_WORD.findall(text.lower())
        return [_bare(word) for word in words] if "'" in text else words
    word_pattern, spaceless, character = _patterns()
    terms: list[str] = []
    for word in word_pattern.findall(fold(text)):
        if word.isascii() or not spaceless.search(word):
            terms.append(_bare(word))
            continue
        for place, run in enumerate(spaceless.split(word)):
            if place % 2:
                terms.extend(_grams(character.findall(run), ngrams))
            elif run:
                terms.append(_bare(run))
    return terms


def _bare(word: str) -> str:
    if "'" not in word and "’" not in word:
        return word
    word = word.replace("’", "'")
    return (word[:-2] if word.endswith("'s") else word).replace("'", "")


def _grams(characters: list[str], ngrams: tuple[int, int]) -> Iterator[str]:
    for n in range(ngrams[0], min(ngrams[1], len(characters)) + 1):
        for start in range(len(characters) - n + 1):
            yield "".join(characters[start : start + n])


class LexicalEncoder:
    """TF-IDF: a text is the words in it, rare words weighing more.

    ``w(t, d) = (1 + ln tf) · (1 + ln((1 + n) / (1 + df(t))))``, rows scaled to unit length (Salton and
    Buckley, 1988, Term-weighting approaches in automatic text retrieval; smoothed as if one more text held
    every term). The vocabulary is frozen by :meth:`fit`: words met later are passed over, so old rows stay
    valid.

    Parameters
    ----------
    terms : list of str
        The word of each column, sorted.
    idf : float32 (dim,)
        Inverse document frequency of each column.
    config : LexicalConfig
        How texts are cut and words are chosen.
    """

    def __init__(self, terms: list[str], idf: NDArray[np.float32], config: LexicalConfig) -> None:
        self.terms = terms
        self.idf = idf
        self.config = config
        self._column = {term: column for column, term in enumerate(terms)}

    @classmethod
    def fit(cls, texts: Sequence[str], run: RunOptions, config: LexicalConfig | None = None) -> Self:
        """Learn the vocabulary and its weights.

        Parameters
        ----------
        texts : sequence of str
            The items' texts; empty ones count as no document.
        run : RunOptions
            Progress and cancellation.
        config : LexicalConfig, optional
            How texts are cut and words are chosen.
        """
        config = config or LexicalConfig()
        column: defaultdict[str, int] = defaultdict()
        column.default_factory = column.__len__
        counts = _count(texts, column.__getitem__, config, run, "reading words")
        frequency = np.bincount(counts.indices, minlength=len(column))
        n_texts = int(np.count_nonzero(np.diff(counts.indptr)))
        terms = list(column)
        kept = np.flatnonzero((frequency >= config.min_df) & (frequency <= config.max_df * n_texts))
        kept = np.array(sorted(kept.tolist(), key=terms.__getitem__), dtype=np.int64)
        if config.max_features is not None and kept.size > config.max_features:
            commonest = np.argsort(-frequency[kept], kind="stable")[: config.max_features]
            kept = kept[np.sort(commonest)]
        idf = 1.0 + np.log((1.0 + n_texts) / (1.0 + frequency[kept]))
        return cls([terms[k] for k in kept], idf.astype(np.float32), config)

    @property
    def name(self) -> str:
        """The encoder's kind."""
        return "lexical"

    @property
    def dim(self) -> int:
        """Number of terms."""
        return len(self.terms)

    @property
    def fingerprint(self) -> str:
        """Name and content hash of vocabulary, weights and configuration."""
        digest = hashlib.blake2b(digest_size=16)
        for part in (
            "\0".join(self.terms).encode(),
            self.idf.tobytes(),
            self.config.model_dump_json().encode(),
        ):
            digest.update(len(part).to_bytes(8, "little") + part)
        return f"{self.name}:{digest.hexdigest()}"

    def encode(self, texts: Sequence[str], run: RunOptions) -> Rows:
        """Return TF-IDF rows in the frozen vocabulary.

        Parameters
        ----------
        texts : sequence of str
            New or old texts.
        run : RunOptions
            Progress and cancellation.

        Returns
        -------
        scipy.sparse.csr_array, float32 (len(texts), dim)
            Rows of unit length with sorted columns; a text without a known word gives an empty row.
        """
        unknown = self.dim
        known = self._column.get
        rows = _count(texts, lambda term: known(term, unknown), self.config, run, "weighing words")
        inside = rows.indices < unknown
        before = np.concatenate([[0], np.cumsum(inside)])
        indices, tf = rows.indices[inside], rows.data[inside]
        indptr = before[rows.indptr].astype(rows.indptr.dtype)
        weights = (1.0 + np.log(tf)) * self.idf[indices]
        row_of = np.repeat(np.arange(len(texts)), np.diff(indptr))
        squares = np.bincount(row_of, weights=weights.astype(np.float64) ** 2, minlength=len(texts))
        values = (weights / np.sqrt(squares)[row_of]).astype(np.float32)
        return sparse.csr_array((values, indices, indptr), shape=(len(texts), self.dim))

    def weights(self, row: Rows) -> list[tuple[str, float]]:
        """Return the words of one row with their weights, heaviest first; ties in the order of the words."""
        pairs = [(self.terms[j], float(w)) for j, w in zip(row.indices, row.data, strict=True)]
        return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))

    def shared(self, first: Rows, second: Rows) -> list[tuple[str, float]]:
        """Return the words two rows share and what each gives to their cosine, most first."""
        columns, a, b = np.intersect1d(first.indices, second.indices, assume_unique=True, return_indices=True)
        products = first.data[a].astype(np.float64) * second.data[b].astype(np.float64)
        pairs = [(self.terms[j], float(p)) for j, p in zip(columns, products, strict=True)]
        return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))

    def state(self) -> State:
        """Return vocabulary (UTF-8 bytes and offsets) and weights, and the configuration as JSON."""
        words = [term.encode() for term in self.terms]
        offsets = np.concatenate([[0], np.cumsum([len(word) for word in words], dtype=np.int64)]).astype(
            np.int64
        )
        arrays: Arrays = {
            "terms": np.frombuffer(b"".join(words), dtype=np.uint8),
            "offsets": offsets,
            "idf": self.idf,
        }
        return arrays, {"config": self.config.model_dump(mode="json"), "fingerprint": self.fingerprint}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], info: Mapping[str, Any]) -> Self:
        """Build the encoder from what :meth:`state` returned.

        Raises
        ------
        ModelFormatError
            The parts are damaged or do not belong together.
        """
        try:
            blob, offsets = arrays["terms"].astype(np.uint8).tobytes(), arrays["offsets"]
            terms = [blob[a:b].decode() for a, b in pairwise(offsets)]
            idf = np.asarray(arrays["idf"], dtype=np.float32)
            encoder = cls(terms, idf, LexicalConfig.model_validate(info["config"]))
        except (KeyError, ValueError) as fault:
            raise ModelFormatError(
                f"the lexical encoder of this model is damaged ({one_line(fault)}): fit it again"
            ) from fault
        if encoder.fingerprint != info.get("fingerprint"):
            raise ModelFormatError(
                "the lexical encoder of this model is damaged (its hash differs): fit it again"
            )
        return encoder


def _terms(text: str, config: LexicalConfig) -> list[str]:
    """Return the terms of a text that are weighed."""
    terms = tokenize(text, config.ngrams)
    return terms if config.function_words else telling(terms)


def _count(texts: Sequence[str], column: Any, config: LexicalConfig, run: RunOptions, label: str) -> Rows:
    """Return how often each term occurs: float32 (n, largest column + 1), columns sorted."""
    blocks: list[NDArray[np.int32]] = []
    lengths = np.zeros(len(texts), dtype=np.int64)
    for start in range(0, len(texts), _BLOCK):
        run.check()
        tokens = [_terms(text, config) for text in texts[start : start + _BLOCK]]
        lengths[start : start + len(tokens)] = [len(t) for t in tokens]
        blocks.append(np.fromiter(map(column, chain.from_iterable(tokens)), dtype=np.int32))
        run.progress(label, start + len(tokens), len(texts))
    indices = np.concatenate(blocks) if blocks else np.zeros(0, dtype=np.int32)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    indptr = indptr.astype(np.int32 if indices.size < np.iinfo(np.int32).max else np.int64)
    width = int(indices.max()) + 1 if indices.size else 0
    rows = sparse.csr_array(
        (np.ones(indices.size, dtype=np.float32), indices, indptr), shape=(len(texts), width)
    )
    rows.sum_duplicates()
    return rows
