"""The words of a catalogue, how often they occur, and which rows of a table a word is read by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fuserec.encoders.base import Arrays, State
from fuserec.encoders.lexical import tokenize

LONGEST = 64
"""Characters of a word of which n-grams are taken; what is longer is no word."""


def char_ngrams(word: str, sizes: tuple[int, int]) -> list[str]:
    """Return the runs of characters of ``<word>``, the whole left out (Bojanowski and others 2017, section 3.2).

    Examples
    --------
    >>> char_ngrams("where", (3, 3))
    ['<wh', 'whe', 'her', 'ere', 're>']
    """
    marked = f"<{word[:LONGEST]}>"
    return [
        marked[at : at + size]
        for size in range(sizes[0], min(sizes[1], len(marked) - 1) + 1)
        for at in range(len(marked) - size + 1)
    ]


@dataclass(frozen=True)
class Words:
    """Words with rows in a table; after the rows of words come those of character n-grams.

    Parameters
    ----------
    terms : tuple of str
        The commonest first.
    counts : int64 (n,)
        How often each occurs in the catalogue.
    total : int
        Occurrences of all words of the catalogue, those without a row too.
    runs : (int, int)
        Shortest and longest run taken from scripts without spaces, as in :func:`~fuserec.encoders.lexical.tokenize`.
    ngrams : tuple of str
        Character n-grams with rows of their own.
    sizes : (int, int)
        Of the n-grams.
    """

    terms: tuple[str, ...]
    counts: NDArray[np.int64]
    total: int
    runs: tuple[int, int] = (1, 2)
    ngrams: tuple[str, ...] = ()
    sizes: tuple[int, int] = (3, 6)
    _place: dict[str, int] = field(init=False, repr=False, compare=False)
    _ngram: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_place", {term: row for row, term in enumerate(self.terms)})
        start = len(self.terms)
        object.__setattr__(self, "_ngram", {gram: start + row for row, gram in enumerate(self.ngrams)})

    @classmethod
    def of(
        cls,
        tokens: Iterable[Sequence[str]],
        runs: tuple[int, int],
        min_count: int = 1,
        sizes: tuple[int, int] = (3, 6),
        max_ngrams: int = 0,
    ) -> Self:
        """Count the words of texts that are cut already.

        Parameters
        ----------
        tokens : iterable of sequences of str
        runs : (int, int)
            What they were cut by.
        min_count : int
            Words that occur less often have no row.
        sizes, max_ngrams
            Character n-grams: their lengths, and how many at most have a row.
        """
        counted = Counter(chain.from_iterable(tokens))
        kept = sorted((t for t, n in counted.items() if n >= min_count), key=lambda t: (-counted[t], t))
        counts = np.array([counted[term] for term in kept], dtype=np.int64)
        ngrams: list[str] = []
        if max_ngrams:
            within = Counter(chain.from_iterable(set(char_ngrams(term, sizes)) for term in kept))
            ngrams = sorted(within, key=lambda gram: (-within[gram], gram))[:max_ngrams]
        return cls(tuple(kept), counts, counted.total(), runs, tuple(ngrams), sizes)

    @property
    def n_rows(self) -> int:
        """Rows of the table."""
        return len(self.terms) + len(self.ngrams)

    def cut(self, texts: Sequence[str]) -> list[list[str]]:
        """Return the words of texts, as the catalogue's were cut."""
        return [tokenize(text, self.runs) for text in texts]

    def index(self, word: str) -> int:
        """Return the row of a word, -1 where it has none of its own."""
        return self._place.get(word, -1)

    def rows(self, word: str) -> list[int]:
        """Return the rows that a word is read by; none for a word of which nothing is known."""
        own = self._place.get(word)
        found = [] if own is None else [own]
        if self._ngram:
            known = (self._ngram.get(gram) for gram in char_ngrams(word, self.sizes))
            found += [row for row in known if row is not None]
        return found

    def reading(self, words: Sequence[str]) -> sparse.csr_matrix:
        """Return CSR float32 (len(words), n_rows): what the table is multiplied by, each word the mean of its rows."""
        rows = [self.rows(word) for word in words]
        lengths = np.array([len(r) for r in rows], dtype=np.int64)
        indices = np.fromiter(chain.from_iterable(rows), dtype=np.int32, count=int(lengths.sum()))
        values = np.repeat(1.0 / np.maximum(lengths, 1), lengths).astype(np.float32)
        indptr = np.concatenate([[0], np.cumsum(lengths)])
        return sparse.csr_matrix((values, indices, indptr), shape=(len(words), self.n_rows))

    def frequencies(self, words: Sequence[str]) -> NDArray[np.float64]:
        """Return float64 (n,): the share of each word in the catalogue's text, 0 for one that is not in it."""
        places = np.array([self.index(word) for word in words], dtype=np.int64)
        counts = np.concatenate([self.counts, [0]])[places]
        return np.asarray(counts / max(1, self.total), dtype=np.float64)

    def state(self) -> State:
        """Return arrays and JSON."""
        arrays: Arrays = {"counts": self.counts}
        for name, strings in (("terms", self.terms), ("ngrams", self.ngrams)):
            arrays[name], arrays[f"{name}.offsets"] = packed(strings)
        return arrays, {"total": self.total, "runs": self.runs, "sizes": self.sizes}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], info: Mapping[str, Any]) -> Self:
        """Build it from :meth:`state`."""
        terms, ngrams = (unpacked(arrays[name], arrays[f"{name}.offsets"]) for name in ("terms", "ngrams"))
        counts = np.asarray(arrays["counts"], np.int64)
        if counts.shape != (len(terms),):
            raise ValueError(f"{counts.size} counts of {len(terms)} words")
        (a, b), (c, d) = info["runs"], info["sizes"]
        return cls(terms, counts, int(info["total"]), (int(a), int(b)), ngrams, (int(c), int(d)))


def packed(strings: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return strings as UTF-8 bytes one after the other, and int64 (n + 1,) of where each begins."""
    raw = [text.encode("utf-8", "surrogatepass") for text in strings]
    offsets = np.zeros(len(raw) + 1, dtype=np.int64)
    np.cumsum([len(text) for text in raw], out=offsets[1:])
    return np.frombuffer(b"".join(raw), dtype=np.uint8), offsets


def unpacked(data: NDArray[Any], offsets: NDArray[Any]) -> tuple[str, ...]:
    """Return the strings that :func:`packed` took."""
    blob = np.asarray(data, np.uint8).tobytes()
    return tuple(blob[a:b].decode("utf-8", "surrogatepass") for a, b in pairwise(offsets.tolist()))
