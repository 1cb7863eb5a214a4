"""Who asks, and for what: one query in the caller's words, and a batch of them as ragged ordered arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse


@dataclass(frozen=True)
class Event:
    """One thing a person did: an item, or (for a search) a text."""

    item: str | None = None
    kind: str = "interaction"
    rating: float | None = None
    seconds: float | None = None
    time: float | None = None
    text: str | None = None


@dataclass(frozen=True)
class Query:
    """One request in the caller's own ids.

    Parameters
    ----------
    user : str, optional
        A user whose stored history is used; further events of ``history`` come after it.
    history : sequence of item ids or Events
        Oldest first.
    text : str, optional
        What is wanted, or who asks, in words.
    context : mapping
        Device, place, time of day: whatever context-aware scorers know.
    at : float, optional
        The moment of the request, unix seconds; the newest event where it is not given. No scorer reads the clock.
    """

    user: str | None = None
    history: Sequence[str | Event] = ()
    text: str | None = None
    context: Mapping[str, Any] = field(default_factory=dict)
    at: float | None = None


@dataclass(frozen=True)
class TextVectors:
    """The words of each query, read by every encoder once.

    Parameters
    ----------
    lexical : CSR float32 (n, n_terms)
    sentence : float32 (n, dim) or None
    present : bool (n,)
        Whether a query has any text.
    words : tuple of str
        The words themselves, one text a query, for scorers that read them with a language model of their own; empty
        where only vectors are known.
    """

    lexical: sparse.csr_matrix
    sentence: np.ndarray | None
    present: np.ndarray
    words: tuple[str, ...] = ()

    def take(self, rows: np.ndarray) -> TextVectors:
        """Return the vectors of some queries."""
        sentence = None if self.sentence is None else self.sentence[rows]
        words = tuple(self.words[int(r)] for r in rows) if self.words else ()
        return TextVectors(self.lexical[rows], sentence, self.present[rows], words)


@dataclass(frozen=True)
class QueryBatch:
    """``n`` queries as ragged ordered arrays; row ``q`` holds events ``indptr[q]:indptr[q + 1]``, oldest first.

    Parameters
    ----------
    indptr : int64 (n + 1,)
    items : int32 (n_events,)
        Item indices.
    weights : float32 (n_events,)
        Signed weights, as the Dataset computes them.
    ratings : float32 (n_events,)
        NaN where there is none.
    ages : float32 (n_events,)
        Days before the moment of the query; NaN without time.
    users : int32 (n,)
        The row of a known user, -1 for anybody else. Neighbour scorers leave that row out; nothing else may look.
    at : float64 (n,)
        Moment of each query in unix seconds; NaN without time.
    text : TextVectors or None
    contexts : tuple of mappings
        One a query, or empty.
    """

    indptr: np.ndarray
    items: np.ndarray
    weights: np.ndarray
    ratings: np.ndarray
    ages: np.ndarray
    users: np.ndarray
    at: np.ndarray
    text: TextVectors | None = None
    contexts: tuple[Mapping[str, Any], ...] = ()

    def __len__(self) -> int:
        return self.indptr.size - 1

    @cached_property
    def lengths(self) -> np.ndarray:
        """int64 (n,): events a query."""
        return np.diff(self.indptr)

    @cached_property
    def rows(self) -> np.ndarray:
        """int64 (n_events,): the query of each event."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @cached_property
    def steps(self) -> np.ndarray:
        """int64 (n_events,): how many events of the query are newer (0 for the newest)."""
        ends = np.repeat(self.indptr[1:], self.lengths)
        return ends - 1 - np.arange(self.items.size)

    @property
    def has_text(self) -> np.ndarray:
        """Bool (n,): whether each query carries words."""
        return np.zeros(len(self), dtype=bool) if self.text is None else self.text.present

    def csr(self, values: np.ndarray, n_items: int) -> sparse.csr_matrix:
        """Return CSR float32 (n, n_items) of one value an event; repeated items are summed."""
        matrix = sparse.csr_matrix(
            (values.astype(np.float32), self.items, self.indptr), shape=(len(self), n_items), copy=True
        )
        matrix.sum_duplicates()
        return matrix

    def seen(self) -> tuple[np.ndarray, np.ndarray]:
        """Return (indptr, items): each query's history items, sorted within the query (repeats stay)."""
        order = np.lexsort((self.items, self.rows))
        return self.indptr, self.items[order]

    def padded(self, length: int) -> np.ndarray:
        """Return int32 (n, length): the newest items right-aligned, -1 before them."""
        out = np.full((len(self), length), -1, dtype=np.int32)
        steps = self.steps
        kept = steps < length
        out[self.rows[kept], length - 1 - steps[kept]] = self.items[kept]
        return out

    def take(self, rows: np.ndarray | Sequence[int]) -> QueryBatch:
        """Return the batch of some queries, in that order."""
        rows = np.asarray(rows, dtype=np.int64)
        lengths = self.lengths[rows]
        indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        source = np.arange(int(indptr[-1])) + np.repeat(self.indptr[rows] - indptr[:-1], lengths)
        return QueryBatch(
            indptr,
            self.items[source],
            self.weights[source],
            self.ratings[source],
            self.ages[source],
            self.users[rows],
            self.at[rows],
            None if self.text is None else self.text.take(rows),
            tuple(self.contexts[int(r)] for r in rows) if self.contexts else (),
        )

    def with_weights(self, weights: np.ndarray) -> QueryBatch:
        """Return the same queries with other weights: the counterfactual that evidence is checked by."""
        return replace(self, weights=weights.astype(np.float32))

    @classmethod
    def of_histories(
        cls, histories: Sequence[Sequence[int] | np.ndarray], users: np.ndarray | None = None
    ) -> QueryBatch:
        """Build from item indices alone: weight 1, no rating, no time."""
        lengths = np.array([len(h) for h in histories], dtype=np.int64)
        indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        items = np.concatenate([np.asarray(h, dtype=np.int32) for h in histories] or [np.empty(0, np.int32)])
        n, total = len(histories), int(indptr[-1])
        nan = np.full(total, np.nan, dtype=np.float32)
        who = np.full(n, -1, dtype=np.int32) if users is None else users.astype(np.int32)
        return cls(
            indptr,
            items.astype(np.int32),
            np.ones(total, np.float32),
            nan,
            nan.copy(),
            who,
            np.full(n, np.nan),
        )
