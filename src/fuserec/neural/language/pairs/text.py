"""d_u and d_i: who asks and what is offered, as texts that people wrote; never ids dressed up as words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from fuserec.encoders.text import TextConfig, item_text

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.query import QueryBatch
    from fuserec.types import Arrays

SEPARATOR = ". "
Source = Literal["either", "both", "history"]

Count = Callable[[Sequence[str]], np.ndarray]
"""Returns int64 (n,): tokens of each text."""


@dataclass(frozen=True)
class Descriptions:
    """Texts of a catalogue, and how a history is told by them.

    Parameters
    ----------
    texts : tuple of str
        d_i of each item; empty where it has none.
    titles : tuple of str
        How a history names it: its title, or its text where it has no title.
    lengths : int64 (n_items,)
        Tokens of each title, with what parts it from the next one.
    budget : int
        Tokens of a history.
    source : {"either", "both", "history"}
        Whether the words of a query are read before its history, instead of it, or not at all.
    """

    texts: tuple[str, ...]
    titles: tuple[str, ...]
    lengths: np.ndarray
    budget: int
    source: Source

    @classmethod
    def of(cls, data: Dataset, config: TextConfig, count: Count, budget: int, source: Source) -> Descriptions:
        """Read the item table."""
        texts = tuple(item_text(data.item_table, config))
        named = (
            data.item_table["title"].to_list() if "title" in data.item_table.columns else [None] * len(texts)
        )
        titles = tuple((title or "").strip() or text for title, text in zip(named, texts, strict=True))
        return cls(texts, titles, count(titles) + 1, budget, source)

    @property
    def known(self) -> np.ndarray:
        """Bool (n_items,): items that have a text."""
        return np.array([bool(text) for text in self.texts], dtype=bool)

    def history(self, newest_first: Sequence[int] | np.ndarray) -> str:
        """Return the titles of items, as many as fit whole; the first one always."""
        told: list[str] = []
        used = 0
        for item in newest_first:
            title = self.titles[item]
            if not title:
                continue
            used += int(self.lengths[item])
            if told and used > self.budget:
                break
            told.append(title)
        return SEPARATOR.join(told)

    def user(self, words: str, newest_first: Sequence[int] | np.ndarray) -> str:
        """Return d_u of what somebody says and has liked."""
        words = "" if self.source == "history" else words
        if words and self.source == "either":
            return words
        history = self.history(newest_first)
        return SEPARATOR.join(part for part in (words, history) if part)

    def queries(self, q: QueryBatch) -> list[str]:
        """Return d_u of every query; empty where nothing is known."""
        liked = np.flatnonzero((q.weights > 0) & (q.items < len(self.titles)))
        rows = np.searchsorted(q.rows[liked], np.arange(len(q) + 1))
        items = q.items[liked]
        said = q.text.words if q.text is not None and q.text.words else ("",) * len(q)
        return [self.user(said[r], items[rows[r] : rows[r + 1]][::-1]) for r in range(len(q))]

    def extended(self, data: Dataset, config: TextConfig, count: Count) -> Descriptions:
        """Return the descriptions of a dataset that grew."""
        return self.of(data, config, count, self.budget, self.source)

    def arrays(self) -> Arrays:
        """Return the texts as bytes: titles only where they differ from the texts."""
        own = tuple("" if a == b else a for a, b in zip(self.titles, self.texts, strict=True))
        return {"texts": packed(self.texts), "titles": packed(own), "lengths": self.lengths}

    @classmethod
    def from_arrays(cls, arrays: Arrays, budget: int, source: Source) -> Descriptions:
        """Rebuild from :meth:`arrays`."""
        texts = unpacked(arrays["texts"])
        titles = tuple(a or b for a, b in zip(unpacked(arrays["titles"]), texts, strict=True))
        return cls(texts, titles, arrays["lengths"], budget, source)


def packed(texts: Sequence[str]) -> np.ndarray:
    """Return texts as one array of bytes: the number of texts, the length of each, then all of them (UTF-8)."""
    raw = [text.encode("utf-8", "surrogatepass") for text in texts]
    lengths = np.array([len(raw), *map(len, raw)], dtype="<i8")
    return np.frombuffer(lengths.tobytes() + b"".join(raw), dtype=np.uint8).copy()


def unpacked(array: np.ndarray) -> tuple[str, ...]:
    """Return the texts that :func:`packed` was given."""
    data = array.tobytes()
    n = int(np.frombuffer(data, dtype="<i8", count=1)[0])
    lengths = np.frombuffer(data, dtype="<i8", count=n + 1)[1:]
    ends = 8 * (n + 1) + np.cumsum(lengths)
    return tuple(
        data[int(end - size) : int(end)].decode("utf-8", "surrogatepass")
        for end, size in zip(ends, lengths, strict=True)
    )
