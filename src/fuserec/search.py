"""Search: BM25 over all text of an item and the language model's vectors, joined by reciprocal rank."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from fuserec.answers import Answer, RecommendedItem
from fuserec.encoders.function_words import telling
from fuserec.encoders.lexical import tokenize
from fuserec.encoders.text import TextConfig, item_text
from fuserec.errors import RequestError
from fuserec.filters import Filters, allowed_items
from fuserec.numerics.topk import top_k
from fuserec.requests import list_length, query_of, resolve, well_formed
from fuserec.run import RunOptions

if TYPE_CHECKING:
    from fuserec.data.query import TextVectors
    from fuserec.encoders.features import ItemFeatures
    from fuserec.fitted import Fitted

FIELDS = ("title", "categories", "brand", "tags", "description")
POOL = 200
"""Best items of each list that are joined."""

RANK_CONSTANT = 60.0
"""Cormack, Clarke, Büttcher 2009, "Reciprocal rank fusion outperforms Condorcet": score = Σ 1 / (60 + rank)."""

PERSONAL = 0.5
"""Weight of a user's own ranking beside the two lists of a search."""


class SearchIndex:
    """BM25 (Robertson and Zaragoza 2009) over words and, for scripts without spaces, character n-grams."""

    def __init__(self, table: pl.DataFrame) -> None:
        import bm25s

        logging.getLogger("bm25s").setLevel(logging.WARNING)
        present = tuple(field for field in FIELDS if field in table.columns)
        tokens = [telling(tokenize(text)) for text in item_text(table, TextConfig(columns=present))]
        self._size = table.height
        self._bm25 = None
        if any(tokens):
            self._bm25 = bm25s.BM25()
            self._bm25.index(tokens, show_progress=False)

    def scores(self, text: str) -> np.ndarray:
        """Return float32 (n_items,): BM25 of every item for a query text; 0 where no word is shared."""
        words = telling(tokenize(text))
        if self._bm25 is None or not words:
            return np.zeros(self._size, dtype=np.float32)
        return np.asarray(self._bm25.get_scores(words), dtype=np.float32)


def joined_ranks(lists: list[tuple[np.ndarray, float]], allowed: np.ndarray, ties: np.ndarray) -> np.ndarray:
    """Return float32 (n_items,): Σ weight / (60 + rank) over lists of scores (n_items,), 0 for what is in none.

    Only positive scores of allowed items take part, the best :data:`POOL` of each list.
    """
    total = np.zeros(allowed.size, dtype=np.float32)
    for scores, weight in lists:
        visible = np.where(allowed & (scores > 0), scores, np.float32(-np.inf))[None, :].astype(np.float32)
        items, _, counts = top_k(visible, POOL, ties=ties)
        found = items[0, : counts[0]]
        total[found] += weight / (RANK_CONSTANT + 1.0 + np.arange(found.size))
    return total


def vector_scores(read: TextVectors, features: ItemFeatures) -> np.ndarray:
    """Return float32 (n_items,): cosine of the query's sentence vector with every item, or with its words."""
    if read.sentence is not None and features.sentence is not None:
        return np.asarray(features.sentence @ read.sentence[0], dtype=np.float32)
    return np.asarray((read.lexical[[0]] @ features.lexical.T).toarray()[0], dtype=np.float32)


def found(model: Fitted, text: str, k: int, user: str | None, filters: Filters | None) -> Answer:
    """Return the items that a text finds: by its words, by its meaning, and by a named user's taste.

    Raises
    ------
    RequestError
        For an empty text, k < 1, or an unknown column.
    """
    text, k = well_formed(text, "search: the text"), list_length(k, model.dataset)
    if not text.strip():
        raise RequestError("search: the text is empty; give a few words")
    request = resolve(query_of(user, (), text), model.dataset)
    read = model.features.read([text], RunOptions(threads=1))
    table = model.dataset.item_table
    allowed = np.ones(table.height, dtype=bool) if filters is None else allowed_items(table, filters)
    allowed = allowed & ~model.never_shown(request)
    lists = [(model.search_index.scores(text), 1.0), (vector_scores(read, model.features), 1.0)]
    joined = joined_ranks(lists, allowed, model.ties)
    if user is not None and request.user >= 0:
        mine = model.fused.score(model.dataset.queries(np.array([request.user]))).values[0]
        hit = joined > 0
        shifted = mine - mine[hit].min() + 1e-6 if hit.any() else mine
        joined = joined + joined_ranks([(np.where(hit, shifted, 0.0), PERSONAL)], hit, model.ties)
    visible = np.where(joined > 0, joined, np.float32(-np.inf))[None, :].astype(np.float32)
    items, values, counts = top_k(visible, k, ties=model.ties)
    best = zip(items[0, : counts[0]].tolist(), values[0, : counts[0]].tolist(), strict=True)
    hits = tuple(
        RecommendedItem(model.dataset.items[item], model.titles[item], place + 1, value, 0.0)
        for place, (item, value) in enumerate(best)
    )
    return Answer(request.shown, request.known, hits, request.warnings, model.note)
