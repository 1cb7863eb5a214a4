"""Content: items like those of the history, and items that the query's own words ask for.

Three spaces are joined: words (TF-IDF), sentence vectors of a language model, and tags. An item has content the
moment it is added, so this scorer answers for items nobody has ever taken and for people who only wrote a sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field
from scipy import sparse

from fuserec.numerics.hashing import reseed
from fuserec.numerics.similar import Kept, dense_neighbours, sparse_neighbours
from fuserec.scorers.base import Capabilities, Evidence, Scores, chosen, known
from fuserec.scorers.history import HistoryScorer, SparseMap, decayed
from fuserec.settings import Settings

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.query import QueryBatch
    from fuserec.encoders.features import ItemFeatures
    from fuserec.run import RunOptions
    from fuserec.types import Arrays, Meta, State

SPACES = ("lexical", "sentence", "tags")


class ContentConfig(Settings):
    """Hyperparameters of content."""

    sentence_share: float = Field(
        default=0.5, ge=0, le=1, description="Share of the language-model vectors; words get the rest."
    )
    text_sentence_share: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="The same where the query's own words are compared; it is not tuned.",
    )
    tag_weight: float = Field(
        default=0.0, ge=0, description="Weight of tag similarity beside words and vectors."
    )
    tag_similarity: Literal["jaccard", "cosine"] = Field(
        default="jaccard", description="How tag sets are compared."
    )
    sharpness: float = Field(default=2.0, gt=0, description="Similarities are raised to this power.")
    min_similarity: float = Field(
        default=0.05, ge=0, lt=1, description="Similarities below this count as none."
    )
    n_neighbors: int = Field(
        default=100, ge=1, description="Most similar items kept for each item and space."
    )
    recency: float = Field(
        default=0.7, gt=0, le=1, description="An event this many steps back enters × recency^steps."
    )
    text_weight: float = Field(
        default=1.0, ge=0, description="Weight of the query's own words beside its history."
    )


class Content(HistoryScorer):
    """score = x·M + t·V with M(i, j) = Σ over spaces of share × similarity(i, j)^sharpness and t the query's text.

    Cosine on words and sentence vectors; Jaccard |A∩B| / |A∪B| or cosine on tags. An item without text abstains.
    """

    name: ClassVar[str] = "content"
    Config = ContentConfig
    capabilities: ClassVar[Capabilities] = Capabilities(
        answers=frozenset({"history", "text"}), evidence="exact"
    )
    tunable: ClassVar[Mapping[str, tuple[float, ...]]] = {
        "sentence_share": (0.15, 0.3, 0.5, 0.7, 0.85),
        "recency": (1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5),
    }
    config: ContentConfig

    def _fit(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> None:
        config = self.config
        kept = Kept(config.n_neighbors, config.min_similarity, config.sharpness)
        ties = reseed(train.items.hashes, run.seed)
        self._threads = run.threads
        self._items = features.has_text.copy()
        if config.tag_weight > 0:
            self._items |= np.diff(features.tags.indptr) > 0
        self._spaces = {"lexical": sparse_neighbours(features.lexical, "cosine", kept, ties, run)}
        if features.sentence is not None:
            self._spaces["sentence"] = dense_neighbours(features.sentence, kept, ties, run)
        if config.tag_weight > 0:
            self._spaces["tags"] = sparse_neighbours(features.tags, config.tag_similarity, kept, ties, run)
        self._attach(features)

    def _attach(self, features: ItemFeatures) -> None:
        self._lexical, self._sentence = features.lexical, features.sentence
        self._terms = features.lexical_encoder.terms
        self._map = self._joined()

    def _shares(self) -> dict[str, float]:
        """Return the weight of each space between items; without sentence vectors words get all of it."""
        sentence = self.config.sentence_share if "sentence" in self._spaces else 0.0
        return {"lexical": 1.0 - sentence, "sentence": sentence, "tags": self.config.tag_weight}

    def _text_shares(self, q: QueryBatch, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return float32 (n,) twice: the weights of words and of the sentence where a query's own words are compared.

        A text that the language model cannot read (a zero vector) speaks through its words alone.
        """
        assert q.text is not None
        read = np.zeros(rows.size, dtype=bool)
        if q.text.sentence is not None and self._sentence is not None:
            read = q.text.sentence[rows].any(axis=1)
        sentence = np.where(read, self.config.text_sentence_share, 0.0)
        weight = self.config.text_weight
        return ((1.0 - sentence) * weight).astype(np.float32), (sentence * weight).astype(np.float32)

    def _joined(self) -> SparseMap:
        """Return M: the spaces, each by its share."""
        shares = self._shares()
        words = np.full(self._items.size, shares["lexical"], dtype=np.float32)
        if "sentence" in self._spaces:  # of an item that the language model cannot read, words say everything
            words[np.diff(self._spaces["sentence"].indptr) == 0] = 1.0
        total = sparse.csr_matrix(sparse.diags_array(words) @ self._spaces["lexical"], dtype=np.float32)
        for space in [name for name in self._spaces if name != "lexical"]:
            total = total + self._spaces[space] * np.float32(shares[space])
        total.eliminate_zeros()  # a space without a share says nothing
        total.sort_indices()
        return SparseMap(sparse.csr_matrix(total, dtype=np.float32))

    def retuned(self, **changes: float) -> Content:
        """Return the fitted scorer with other values of ``tunable`` hyperparameters."""
        other = super().retuned(**changes)
        if "sentence_share" in changes:
            other._map = other._joined()
        return other

    def updated(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> Content:
        """Return the scorer for a dataset that grew: only new items or texts change what is alike."""
        if features.lexical is self._lexical and features.sentence is self._sentence:
            return self
        return super().updated(train, features, run)

    def inputs(self, q: QueryBatch) -> np.ndarray:
        """Return float32 (n_events,): weight × recency^steps."""
        return decayed(q, self.config.recency)

    def score(self, q: QueryBatch, items: np.ndarray | None = None) -> Scores:
        """Return similarity to the history plus similarity to the query's words."""
        scores = super().score(q)
        values, queries = scores.values, scores.queries
        read = self._reads(q)
        if read.any():
            rows = np.flatnonzero(read)
            values[rows] += self._text_scores(q, rows)
            queries = queries | read
        return Scores(chosen(values, items), known(self._items, items), queries)

    def _reads(self, q: QueryBatch) -> np.ndarray:
        """Return bool (n,): queries whose words say something; words that nobody knows say nothing."""
        if q.text is None or self.config.text_weight == 0:
            return np.zeros(len(q), dtype=bool)
        words, sentence = self._text_shares(q, np.arange(len(q)))
        heard = (np.diff(q.text.lexical.indptr) > 0) & (words > 0)
        return q.text.present & (heard | (sentence > 0))

    def _text_scores(self, q: QueryBatch, rows: np.ndarray) -> np.ndarray:
        """Return float32 (len(rows), n_items): the words' part of the score."""
        assert q.text is not None
        words, sentence = self._text_shares(q, rows)
        out: np.ndarray = (q.text.lexical[rows] @ self._lexical.T).toarray().astype(np.float32)
        out *= words[:, None]
        if q.text.sentence is not None and self._sentence is not None and sentence.any():
            out += np.maximum(q.text.sentence[rows] @ self._sentence.T, 0.0) * sentence[:, None]
        return out

    def evidence(self, q: QueryBatch, items: np.ndarray) -> list[list[list[Evidence]]]:
        """Return exact rows: history items, words that query and item share, and the sentence as a whole."""
        rows = super().evidence(q, items)
        for query in np.flatnonzero(self._reads(q)):
            for column, item in enumerate(items[query]):
                rows[query][column] += self._text_rows(q, int(query), int(item))
        return rows

    def _text_rows(self, q: QueryBatch, query: int, item: int) -> list[Evidence]:
        """Return the rows of the query's own words for one item."""
        assert q.text is not None
        words, sentence = (float(share[0]) for share in self._text_shares(q, np.array([query])))
        shared = q.text.lexical[[query]].multiply(self._lexical[[item]]).tocoo()
        out = [
            Evidence(self.name, "word", self._terms[int(term)], float(value) * words, "exact")
            for term, value in zip(shared.col, shared.data, strict=True)
        ]
        if q.text.sentence is not None and self._sentence is not None and sentence > 0:
            cosine = max(float(q.text.sentence[query] @ self._sentence[item]), 0.0)
            out.append(Evidence(self.name, "text", None, cosine * sentence, "exact"))
        return [row for row in out if row.contribution]

    def state(self) -> State:
        """Return the neighbours in each space; the vectors themselves belong to ItemFeatures."""
        arrays: Arrays = {"items": self._items}
        for space, matrix in self._spaces.items():
            arrays |= {f"{space}.{key}": value for key, value in SparseMap(matrix).state().items()}
        return arrays, {"spaces": list(self._spaces)}

    def _restore(self, arrays: Arrays, meta: Meta) -> None:
        self._items = arrays["items"].astype(bool)
        size = self._items.size
        self._spaces = {}
        for space in meta["spaces"]:
            parts = (arrays[f"{space}.m.{part}"] for part in ("values", "indices", "indptr"))
            self._spaces[space] = sparse.csr_matrix(tuple(parts), shape=(size, size))
