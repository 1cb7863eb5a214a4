"""Mixed (Burke 2002): the lists of the parts side by side, presented as one list without repeats.

score(q, j) = 1 / place(q, j)

The parts take turns in the order of their NDCG on validation, each with the best item of its own list that has no place
yet, over the whole catalogue of the query and before any filter. What a part puts last, all alike, is not on its list.
Items on nobody's list follow, then those of the query's own history.
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
from fuserec.numerics.orders import interleaved
from fuserec.scorers.base import Evidence, Scores

if TYPE_CHECKING:
    from fuserec.data.query import QueryBatch


class Mixed(MeritFusion):
    """A list in which every part has its turn. Evidence is that of the part whose turn an item was."""

    kind: ClassVar[Kind] = "mixed"
    whole: ClassVar[bool] = True

    def _speaks(self) -> np.ndarray:
        return np.ones(len(self.parts), dtype=bool)

    def _shown_weights(self) -> np.ndarray:
        """Return float64 (n_query_cohorts, n_parts): the share of turns."""
        turns = np.ones_like(self._merits) if self.config.mixed.turns == "equal" else self._merits
        return np.asarray(turns / turns.sum(axis=1, keepdims=True))

    def combine(self, scores: Mapping[str, Scores], q: QueryBatch, items: np.ndarray | None = None) -> Scores:
        """Return one over the place in the list."""
        place, _ = self._places(scores, q)
        known = place > 0
        values = np.divide(np.float32(1), place, out=np.zeros(place.shape, np.float32), where=known)
        return taken(answered_where(values, known), items)

    def _places(self, scores: Mapping[str, Scores], q: QueryBatch) -> tuple[np.ndarray, np.ndarray]:
        """Return int32 (n, n_items): the place of every item, and the part whose turn it was."""
        cohorts = query_cohorts(q)
        last = np.zeros((len(q), self._cohorts.size), dtype=bool)
        last[q.rows, q.items] = True
        return interleaved(
            np.stack([scores[name].values for name in self.parts]),
            np.stack([scores[name].answered for name in self.parts]),
            self._orders()[cohorts],
            self._shown_weights()[cohorts],
            last,
            self._ties,
            self._threads,
        )

    def evidence(self, q: QueryBatch, items: np.ndarray) -> list[list[list[Evidence]]]:
        """Return one over the place, shared among the rows of the part whose turn it was."""
        self.require_fitted()
        whole = items.astype(np.int64)
        place, source = self._places({name: part.score(q) for name, part in self.parts.items()}, q)
        place, source = (np.take_along_axis(found, whole, axis=1) for found in (place, source))
        found = [part.evidence(q, items) for part in self.parts.values()]
        names = list(self.parts)
        return [
            [
                shared_out(names[p], found[p][query][column], 1.0 / int(place[query, column]))
                if p >= 0
                else []
                for column, p in enumerate(source[query])
            ]
            for query in range(len(q))
        ]
