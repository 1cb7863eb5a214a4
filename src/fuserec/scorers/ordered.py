"""OrderedScorer, the base of models that read a history in its order: what is read, and what each event did to a score.

A scorer of this family fits a model (:class:`ReadingModel`) and says what it scores after a history
(:meth:`OrderedScorer._values`). Words before the history, abstention, evidence and later items follow.
"""

from __future__ import annotations

from abc import abstractmethod
from copy import copy
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from fuserec.scorers.attribution import attributed
from fuserec.scorers.base import Evidence, EvidenceKind, Scorer, Scores, chosen, known

if TYPE_CHECKING:
    from typing import Protocol

    from fuserec.data.dataset import Dataset
    from fuserec.data.query import QueryBatch, TextVectors
    from fuserec.encoders.features import ItemFeatures
    from fuserec.run import RunOptions
    from fuserec.settings import Settings

    class ReadingModel(Protocol):
        """What a fitted model knows."""

        @property
        def known(self) -> np.ndarray:
            """Bool (n_items,): items that are read and scored."""

        def words(self, text: TextVectors | None) -> tuple[np.ndarray, np.ndarray]:
            """Return the words of queries as if they were items': float32 (n, dim), and the queries that have any."""

        def extended(self, features: ItemFeatures) -> Any:
            """Return the model for a catalogue that grew."""


class OrderedScorer(Scorer):
    """A scorer over a model that reads the newest ``max_length`` events of positive weight, oldest first.

    The words of a query are read as if they were an item's, before the history. It abstains on items that its model
    does not know, and where there is nothing to read.
    """

    _model: Any
    """A :class:`ReadingModel`."""

    config: Settings

    @abstractmethod
    def _values(self, indptr: np.ndarray, events: np.ndarray, words: np.ndarray) -> np.ndarray:
        """Return float32 (n, n_items): scores of the whole catalogue after each history; 0 after an empty one."""

    @property
    def _newest(self) -> int:
        """Events that are read, at most."""
        length: int = self.config.max_length  # type: ignore[attr-defined]
        return length

    def _read(self, q: QueryBatch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return what is read: (indptr (n + 1,), events, vectors of words (n, d)).

        An event at or above the size of the catalogue stands for the words of a query; it comes before all items.
        """
        model: ReadingModel = self._model
        n_items = model.known.size
        kept = (q.weights > 0) & (q.items < n_items)
        kept[kept] = model.known[q.items[kept]]
        words, said = model.words(q.text)
        rows = np.concatenate([said, q.rows[kept]])
        events = np.concatenate([n_items + said, q.items[kept].astype(np.int64)])
        order = np.argsort(rows, kind="stable")
        counts = np.bincount(rows, minlength=len(q))
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), events[order], words

    def score(self, q: QueryBatch, items: np.ndarray | None = None) -> Scores:
        """Return the scores of the catalogue or the candidates."""
        self.require_fitted()
        indptr, events, words = self._read(q)
        values = self._values(indptr, events, words)
        return Scores(chosen(values, items), known(self._model.known, items), np.diff(indptr) > 0)

    def evidence(self, q: QueryBatch, items: np.ndarray) -> list[list[list[Evidence]]]:
        """Return a row for every event: what the score loses when the event is left out; a residual is the rest."""
        scores = self.score(q, items).values
        indptr, events, words = self._read(q)
        found: list[list[list[Evidence]]] = []
        for query in range(len(q)):
            mine = events[indptr[query] : indptr[query + 1]][-self._newest :]
            lost = scores[query] - self._without_each(mine, words)[:, items[query]]
            sources = [self._source(int(event)) for event in mine]
            found.append(
                [
                    attributed(
                        self.name, ((*s, v) for s, v in zip(sources, lost[:, c].tolist(), strict=True)), score
                    )
                    for c, score in enumerate(scores[query].tolist())
                ]
            )
        return found

    def _source(self, event: int) -> tuple[EvidenceKind, int | None]:
        """Return what an event is: an item of the history, or the words of the query."""
        return ("item", event) if event < self._model.known.size else ("text", None)

    def _without_each(self, events: np.ndarray, words: np.ndarray) -> np.ndarray:
        """Return float32 (n_events, n_items): scores after the history without each of its events."""
        size = events.size
        shorter = np.broadcast_to(events, (size, size))[~np.eye(size, dtype=bool)]
        indptr = (np.arange(size + 1) * (size - 1)).astype(np.int64)
        return self._values(indptr, shorter, words)

    def updated(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> Self:
        """Return the scorer with items added since, known by their text; what it has learnt stays as it is."""
        other = copy(self)
        other._model = self._model.extended(features)
        return other
