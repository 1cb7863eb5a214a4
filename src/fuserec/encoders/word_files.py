"""Word vectors from files: GloVe's text format, Word2Vec's text and binary formats, plain or packed.

GloVe: a line a word, ``the 0.418 0.24968 ...``. Word2Vec and fastText's ``.vec``: the same after a line ``words
dimensions``. Binary: that line, then for each word its UTF-8 bytes, a space, and little-endian float32 numbers.
A file is read once from beginning to end; only vectors that are kept are parsed and held.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from fuserec.data.packed import reading
from fuserec.encoders.base import Vectors
from fuserec.encoders.lexical import fold, tokenize
from fuserec.encoders.word_config import GloveConfig
from fuserec.encoders.words import Words
from fuserec.errors import DataError
from fuserec.run import RunOptions

MOST_WORDS = 50_000_000
MOST_DIM = 4096
LONGEST_LINE = 1 << 20
LONGEST_WORD = 4096
_EVERY = 4096
"""Words after which progress is told."""

Row = tuple[bytes, int, bytes]
"""A word, its number in the file from 1 on, and its vector, not yet parsed."""


def read_words(
    config: GloveConfig, path: Path, texts: Sequence[str], runs: tuple[int, int], run: RunOptions
) -> tuple[Words, Vectors]:
    """Read the vectors of a catalogue's words, and of the first other words of the file.

    Words are folded as texts are (case, accents); of those that become alike the first one in the file counts.

    Parameters
    ----------
    config : GloveConfig
    path : Path
    texts : sequence of str
        Of all items.
    runs : (int, int)
        Shortest and longest run taken from scripts without spaces.
    run : RunOptions
        Progress, cancellation.

    Returns
    -------
    words : Words
        Counted in the catalogue; words that are not in it have the count 0.
    table : float32 (words.n_rows, dim)

    Raises
    ------
    DataError
        Where the file is missing, damaged or absurd, or holds no word of the catalogue.
    """
    catalogue = Words.of([tokenize(text, runs) for text in texts], runs)
    path, kept, others = path.expanduser(), dict[str, np.ndarray](), 0
    with reading(path) as file:
        opened = VectorFile(file, path, config.format)
        for raw, number, vector in opened:
            if number % _EVERY == 0:
                run.check()
                run.progress("reading word vectors", number, opened.n_words)
            word = _folded(raw)
            if word is None or word in kept:
                continue
            own = catalogue.index(word) >= 0
            if own or (others < config.query_words and tokenize(word, runs) == [word]):
                kept[word] = opened.parsed(number, vector)
                others += not own
    counts = np.array([_count(catalogue, word) for word in kept], dtype=np.int64)
    if not counts.any():
        raise DataError(
            f"{path}: holds none of the {len(catalogue.terms):,} words of the catalogue: name a file of its language"
        )
    return Words(tuple(kept), counts, catalogue.total, runs), np.stack(list(kept.values()))


def _folded(raw: bytes) -> str | None:
    """Return a word as texts are read; None for bytes that are no UTF-8, as some files hold between others."""
    try:
        return fold(raw.decode("utf-8"))
    except UnicodeDecodeError:
        return None


def _count(words: Words, word: str) -> int:
    """Return how often a word occurs in the catalogue."""
    row = words.index(word)
    return int(words.counts[row]) if row >= 0 else 0


class VectorFile:
    """The rows of an opened file, one by one.

    Parameters
    ----------
    file : io.BufferedReader
        At its beginning.
    path : Path
        Named in errors.
    kind : {"auto", "text", "binary"}
    """

    def __init__(self, file: io.BufferedReader, path: Path, kind: str = "auto") -> None:
        self._file, self._path = file, path
        first = self._line(1)
        if not first.strip():
            raise self._fault("begins with an empty line; is it a file of word vectors?")
        header = _header(first)
        self.n_words, self.dim = header or (0, len(first.split()) - 1)
        self._counted = header is not None
        self._first = b"" if header else first
        if self.n_words > MOST_WORDS or not 1 <= self.dim <= MOST_DIM:
            raise self._fault(
                f"says {self.n_words:,} words of {self.dim:,} numbers; allowed are {MOST_WORDS:,} words of 1 to "
                f"{MOST_DIM:,}; is it a file of word vectors?"
            )
        self._binary = kind == "binary" or (kind == "auto" and self._counted and not _reads_as_text(file))
        if self._binary and not self._counted:
            raise self._fault("begins without a line of two whole numbers, which a binary file has")

    def __iter__(self) -> Iterator[Row]:
        """Yield the rows; raise DataError where the file is not what its beginning says."""
        number = 0
        for row in self._binary_rows() if self._binary else self._text_rows():
            number = row[1]
            yield row
        if self._counted and number != self.n_words:
            raise self._fault(
                f"holds {number:,} words and says {self.n_words:,}: it is cut short, or another file; fetch it again"
            )

    def parsed(self, number: int, vector: bytes) -> np.ndarray:
        """Return float32 (dim,): the numbers of a row.

        Raises
        ------
        DataError
            Where one is no number, or not finite.
        """
        if self._binary:
            values = np.frombuffer(vector, dtype="<f4").astype(np.float32)
        else:
            try:
                with np.errstate(over="ignore"):
                    values = np.array([float(part) for part in vector.split()], dtype=np.float32)
            except ValueError as fault:
                raise self._fault(f"word {number:,}: {str(fault)[:80]}") from None
        if values.size != self.dim or not np.isfinite(values).all():
            raise self._fault(f"word {number:,}: its vector holds a value that is not a finite number")
        return values

    def _text_rows(self) -> Iterator[Row]:
        number, line = 1, self._first or self._line(2)
        while line:
            parts = line.rstrip().rsplit(None, self.dim)
            if len(parts) <= self.dim:
                raise self._fault(
                    f"word {number:,}: has {max(0, len(parts) - 1):,} numbers, the first line tells of {self.dim:,}"
                )
            yield parts[0], number, line.rstrip()[len(parts[0]) :]
            line = self._line(number + 1)
            number += 1

    def _binary_rows(self) -> Iterator[Row]:
        for number in range(1, self.n_words + 1):
            word = self._word(number)
            vector = self._file.read(4 * self.dim)
            if len(vector) < 4 * self.dim:
                raise self._short(number)
            yield word.lstrip(b"\n"), number, vector
        if self._file.read(LONGEST_WORD).strip():
            raise self._fault(f"goes on after the {self.n_words:,} words that it says it holds")

    def _word(self, number: int) -> bytes:
        """Return the bytes up to the next space."""
        word = b""
        while len(word) <= LONGEST_WORD:
            ahead = self._file.peek(1)
            if not ahead:
                raise self._short(number)
            at = ahead.find(b" ")
            word += self._file.read(len(ahead) if at < 0 else at + 1)
            if at >= 0:
                return word[:-1]
        raise self._fault(
            f"word {number:,}: is longer than {LONGEST_WORD:,} bytes; is it a file of word vectors?"
        )

    def _line(self, number: int) -> bytes:
        """Return the next line; empty at the end."""
        line = self._file.readline(LONGEST_LINE)
        if len(line) == LONGEST_LINE:
            raise self._fault(f"line {number:,}: is longer than a mebibyte; is it a file of word vectors?")
        return line

    def _short(self, number: int) -> DataError:
        return self._fault(f"is cut short at word {number:,} of {self.n_words:,}; fetch it again")

    def _fault(self, what: str) -> DataError:
        return DataError(f"{self._path}: {what}")


def _header(line: bytes) -> tuple[int, int] | None:
    """Return words and dimensions where a line is two whole numbers."""
    parts = line.split()
    if len(parts) != 2 or not all(part.isdigit() and len(part) < 19 for part in parts):
        return None
    return int(parts[0]), int(parts[1])


def _reads_as_text(file: io.BufferedReader) -> bool:
    """Return whether a word and numbers in digits come next."""
    ahead = file.peek(4096)[:4096].split(b"\n")[0]
    numbers = ahead.split()[1:-1] or ahead.split()[1:]  # the last one may be cut
    try:
        return bool(numbers) and all(np.isreal(float(number)) for number in numbers)
    except ValueError:
        return False
