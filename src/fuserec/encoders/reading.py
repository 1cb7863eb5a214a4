"""The words of a query: what is asked for now, what was searched for lately, and what a profile says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from fuserec.data.query import QueryBatch, TextVectors

if TYPE_CHECKING:
    import polars as pl

    from fuserec.data.dataset import Dataset
    from fuserec.encoders.features import ItemFeatures
    from fuserec.run import RunOptions

REQUEST_WEIGHT = 1.0
SEARCH_WEIGHT = 0.7
"""Weight of the newest search; each older one counts this much less again."""

PROFILE_WEIGHT = 0.4
MAX_SEARCHES = 8


@dataclass(frozen=True)
class Words:
    """The texts of one query.

    Parameters
    ----------
    request : str
        What is asked for now.
    searches : sequence of str
        Earlier searches, oldest first.
    profile : str
        What is known of the person in words.
    """

    request: str = ""
    searches: Sequence[str] = ()
    profile: str = ""

    def weighted(self) -> list[tuple[str, float]]:
        """Return the texts with their weights, empty ones left out."""
        recent = [text for text in self.searches if text.strip()][-MAX_SEARCHES:]
        rows = [(self.request, REQUEST_WEIGHT), (self.profile, PROFILE_WEIGHT)]
        rows += [(text, SEARCH_WEIGHT ** (age + 1)) for age, text in enumerate(reversed(recent))]
        return [(text, weight) for text, weight in rows if text.strip()]

    def joined(self) -> str:
        """Return the texts as one, what weighs most first."""
        return ". ".join(text.strip() for text, _ in sorted(self.weighted(), key=lambda row: -row[1]))


def with_words(q: QueryBatch, words: Sequence[Words], features: ItemFeatures, run: RunOptions) -> QueryBatch:
    """Return the queries with text vectors: the weighted sum of their texts' vectors, scaled to unit length."""
    weighted = [w.weighted() for w in words]
    texts = list(dict.fromkeys(text for rows in weighted for text, _ in rows))
    if not texts:
        return q
    place = {text: column for column, text in enumerate(texts)}
    read = features.read(texts, run)
    rows = np.repeat(np.arange(len(q)), [len(r) for r in weighted])
    columns = np.array([place[text] for r in weighted for text, _ in r], dtype=np.int64)
    values = np.array([weight for r in weighted for _, weight in r], dtype=np.float32)
    mix = sparse.csr_matrix((values, (rows, columns)), shape=(len(q), len(texts)))
    lexical = sparse.csr_matrix(mix @ read.lexical, dtype=np.float32)
    norms = np.sqrt(np.asarray(lexical.multiply(lexical).sum(axis=1)).ravel())
    lexical = sparse.csr_matrix(sparse.diags_array(_inverse(norms)) @ lexical, dtype=np.float32)
    sentence = None
    if read.sentence is not None:
        mixed = np.asarray(mix @ read.sentence, dtype=np.float32)
        sentence = mixed * _inverse(np.linalg.norm(mixed, axis=1))[:, None].astype(np.float32)
    present = np.array([bool(r) for r in weighted], dtype=bool)
    return replace(q, text=TextVectors(lexical, sentence, present, tuple(w.joined() for w in words)))


def _inverse(norms: np.ndarray) -> np.ndarray:
    """Return 1 / norm, 0 for 0."""
    inverse: np.ndarray = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)
    return inverse


def stored_words(dataset: Dataset, users: np.ndarray, at: np.ndarray, *, past_only: bool) -> list[Words]:
    """Return the stored profile and searches of users, up to the moment of each query.

    Parameters
    ----------
    dataset : Dataset
    users : int (n,)
        Indices; -1 has no words.
    at : float64 (n,)
        Searches after this moment are left out; NaN is no limit.
    past_only : bool
        Leave out searches of that very moment and without a time too: in an evaluation they might come from after
        the target.
    """
    table, known = dataset.searches, users >= 0
    profiles = iter(_profiles(dataset, users[known]))
    starts, ends = np.zeros((2, users.size), dtype=np.int64)
    starts[known], ends[known] = dataset.search_indptr[users[known]], dataset.search_indptr[users[known] + 1]
    words = []
    for lo, hi, moment, stored in zip(
        starts.tolist(), ends.tolist(), at.tolist(), known.tolist(), strict=True
    ):
        rows = [r for r in range(lo, hi) if _is_past(float(table.time[r]), moment, past_only)]
        words.append(Words(searches=[table.text[r] for r in rows], profile=next(profiles) if stored else ""))
    return words


def _profiles(dataset: Dataset, users: np.ndarray) -> list[str]:
    """Return what users (n,) say of themselves: profile text, then declared interests."""
    if not users.size:  # nobody known: the usual request
        return []
    table = dataset.user_table
    said: list[list[str]] = [[] for _ in users]
    if "text" in table.columns:
        for parts, text in zip(said, _cells(table["text"], users), strict=True):
            parts.extend([text] if text else [])
    if "tags" in table.columns:
        for parts, tags in zip(said, _cells(table["tags"], users), strict=True):
            parts.extend([", ".join(tags)] if isinstance(tags, list) and tags else [])
    return [". ".join(parts) for parts in said]


def _cells(column: pl.Series, rows: np.ndarray) -> list[Any]:
    """Return some cells of a column; one alone, as for a request, is picked without a plan of the whole."""
    if rows.size > 1:
        return column.gather(rows).to_list()
    cell = column[int(rows[0])]
    return [cell if cell is None or isinstance(cell, str) else list(cell)]


def _is_past(time: float, moment: float, past_only: bool) -> bool:
    """Return whether a search counts at a moment."""
    if np.isnan(time) or np.isnan(moment):
        return not past_only
    return time < moment if past_only else time <= moment
