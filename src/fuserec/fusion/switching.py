"""Switching (Burke 2002): one part answers, the one that is best for the kind of query at hand.

score(q, j) = s_p(q, j) / k[c(q), p], p the first part in the order of c(q) that answers q and knows j

The order of a query cohort is that of the parts' NDCG on validation, shrunk to that of all queries where the cohort has
few; where words are all that a query has, parts that read words come first unless validation says otherwise. Part
scores are divided by the constants of the blend, so that an item which the chosen part does not know (a new one) can
be placed by the next part that does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fuserec.fusion.base import answered_where
from fuserec.fusion.cohorts import query_cohorts
from fuserec.fusion.config import Kind
from fuserec.fusion.merits import MeritFusion
from fuserec.scorers.base import Capabilities, Evidence, Scores

if TYPE_CHECKING:
    from fuserec.data.query import QueryBatch


class Switching(MeritFusion):
    """A fusion in which one part at a time speaks; its evidence is that part's own."""

    kind: ClassVar[Kind] = "switching"
    capabilities: ClassVar[Capabilities] = Capabilities(
        answers=frozenset({"history", "text", "anyone"}), update="folded", evidence="exact"
    )

    def _speaks(self) -> np.ndarray:
        """Return bool (n_parts,): the parts that some cohort is switched to."""
        return np.isin(np.arange(len(self.parts)), self._orders()[:, 0])

    def _shown_weights(self) -> np.ndarray:
        """Return float64 (n_query_cohorts, n_parts): 1 for the part that a cohort is switched to."""
        return np.asarray(np.eye(len(self.parts))[self._orders()[:, 0]])

    def combine(self, scores: Mapping[str, Scores], q: QueryBatch, items: np.ndarray | None = None) -> Scores:
        """Return the score of the part that speaks, query by query and item by item."""
        speaker, divisors = self._switched(scores, q)
        values = np.zeros(speaker.shape, np.float32)
        for p, name in enumerate(self.parts):
            part = scores[name].values / divisors[:, p, None]
            np.copyto(values, part, where=speaker == p)
        known = speaker >= 0
        return answered_where(values, known)

    def _switched(self, scores: Mapping[str, Scores], q: QueryBatch) -> tuple[np.ndarray, np.ndarray]:
        """Return int8 (n, m) the part that speaks, -1 where none does, and float32 (n, n_parts) the divisors."""
        cohorts = query_cohorts(q)
        answered = [scores[name].answered for name in self.parts]
        speaker = np.full(answered[0].shape, -1, np.int8)
        for cohort in np.unique(cohorts):
            rows = np.flatnonzero(cohorts == cohort)
            own = speaker[rows]
            for p in self._orders()[cohort]:
                own[(own < 0) & answered[p][rows]] = p
            speaker[rows] = own
        return speaker, self._learnt.weights.constants[cohorts].astype(np.float32)

    def evidence(self, q: QueryBatch, items: np.ndarray) -> list[list[list[Evidence]]]:
        """Return the rows of the part that speaks, in units of the fused score."""
        self.require_fitted()
        speaker, divisors = self._switched({n: part.score(q, items) for n, part in self.parts.items()}, q)
        found = [part.evidence(q, items) for part in self.parts.values()]
        names = list(self.parts)
        return [
            [
                [
                    Evidence(
                        names[p], row.kind, row.key, row.contribution / float(divisors[query, p]), row.method
                    )
                    for row in (found[p][query][column] if p >= 0 else ())
                ]
                for column, p in enumerate(speaker[query])
            ]
            for query in range(len(q))
        ]
