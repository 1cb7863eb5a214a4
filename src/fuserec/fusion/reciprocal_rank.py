"""Reciprocal rank fusion (Cormack, Clarke, Buettcher 2009): what many parts rank high comes first, whatever they score.

score(q, j) = Σ_p w[c(q), p] / (constant + rank_p(q, j))

Ranks are those among the whole catalogue less the query's own history, before any filter, so that filters do not change
scores; ties share their mean rank. A part that abstains on an item leaves no term: what few parts know stands lower.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fuserec.fusion.base import answered_where, taken
from fuserec.fusion.cohorts import query_cohorts
from fuserec.fusion.config import Kind
from fuserec.fusion.merits import MeritFusion
from fuserec.fusion.shares import shared_out
from fuserec.numerics.orders import competing_ranks
from fuserec.scorers.base import Evidence, Scores

if TYPE_CHECKING:
    from fuserec.data.query import QueryBatch


class ReciprocalRank(MeritFusion):
    """A fusion by ranks: no scale of scores has to be learnt. Evidence shares each part's term among its rows."""

    kind: ClassVar[Kind] = "reciprocal_rank"
    whole: ClassVar[bool] = True

    def _speaks(self) -> np.ndarray:
        return np.ones(len(self.parts), dtype=bool)

    def _shown_weights(self) -> np.ndarray:
        """Return float64 (n_query_cohorts, n_parts): w, each row summing to 1."""
        equal = self.config.reciprocal_rank.weights == "equal"
        weights = np.ones_like(self._merits) if equal else self._merits
        return np.asarray(weights / weights.sum(axis=1, keepdims=True))

    def combine(self, scores: Mapping[str, Scores], q: QueryBatch, items: np.ndarray | None = None) -> Scores:
        """Return the sum of the parts' terms."""
        return taken(self._summed(self._terms(scores, q), scores), items)

    def _summed(self, terms: list[np.ndarray], scores: Mapping[str, Scores]) -> Scores:
        """Return the sum of terms, answered where a part is."""
        total = np.zeros(terms[0].shape, np.float64)
        for term in terms:
            total += term
        known = np.zeros(total.shape, dtype=bool)
        for name in self.parts:
            known |= scores[name].answered
        return answered_where(total, known)

    def _terms(self, scores: Mapping[str, Scores], q: QueryBatch) -> list[np.ndarray]:
        """Return float32 (n, n_items) a part: its weight over constant + rank, 0 where it abstains."""
        weights = self._shown_weights()[query_cohorts(q)].astype(np.float32)
        constant = np.float32(self.config.reciprocal_rank.constant)
        competing = np.ones((len(q), self._cohorts.size), dtype=bool)
        competing[q.rows, q.items] = False
        terms = []
        for p, name in enumerate(self.parts):
            part = scores[name]
            ranks = competing_ranks(part.values, part.answered, competing, self._threads)
            terms.append(weights[:, p, None] / (constant + ranks))
        return terms

    def evidence(self, q: QueryBatch, items: np.ndarray) -> list[list[list[Evidence]]]:
        """Return each part's term, shared among the rows of its own evidence."""
        self.require_fitted()
        terms = self._terms({name: part.score(q) for name, part in self.parts.items()}, q)
        amounts = [np.take_along_axis(term, items.astype(np.int64), axis=1) for term in terms]
        found = [part.evidence(q, items) for part in self.parts.values()]
        return [
            [
                [
                    row
                    for p, name in enumerate(self.parts)
                    for row in shared_out(name, found[p][query][column], float(amounts[p][query, column]))
                ]
                for column in range(items.shape[1])
            ]
            for query in range(len(q))
        ]
