"""A cascade (Burke 2002): the best part ranks, and each next one only breaks the ties of those before it.

Let the active parts of a query be those that answer it, in the order of their NDCG on validation for its cohort,
and x_p(q, j) = levels · s_p(q, j) / k[c(q), p] the step that part p sees item j on: k is about its tenth best score, so
that the tenth best item stands on step ``levels``. The first active part that knows j, the one at place g, judges it;
the next ``stages`` − 1 parts break the ties that rounding to whole steps leaves:

score(q, j) = [ round(x_g) − g·D + Σ_i clip(round(x_{g+i}), 0, 2·levels) / B^i ] / levels,  i = 1 ... stages − 1

with B = 2·levels + 1, so that all ties together are less than one step, round(x_g) clipped to ±16·levels, and
D = 32·levels + 2, so that an item which an earlier part knows stands above all that it does not. The last of the
stages is not rounded, and a part that does not know the item brings nothing to the tie.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fuserec.fusion.base import answered_where
from fuserec.fusion.cohorts import query_cohorts
from fuserec.fusion.config import Kind
from fuserec.fusion.merits import MeritFusion
from fuserec.fusion.shares import shared_out
from fuserec.scorers.base import Evidence, Scores

if TYPE_CHECKING:
    from fuserec.data.query import QueryBatch

FIRST = 16
"""The first part's scores count up to so many times its tenth best."""

TIES = 2
"""A later part's up to so many times."""

Term = tuple[int, np.ndarray, np.ndarray, np.ndarray]
"""(part, rows int64 (r,), what it adds float64 (r, m), how far an item falls that earlier ones do not know (r, m))."""


class Cascade(MeritFusion):
    """A fusion in which the best part decides as far as it can. Evidence shares each part's term among its rows."""

    kind: ClassVar[Kind] = "cascade"

    def _speaks(self) -> np.ndarray:
        """Return bool (n_parts,): the parts that some cohort has among its stages."""
        return np.asarray((self._shown_weights() > 0).any(axis=0))

    def _shown_weights(self) -> np.ndarray:
        """Return float64 (n_query_cohorts, n_parts): how many steps of the first part one of each stage is worth."""
        orders, config = self._orders(), self.config.cascade
        shown = np.zeros_like(self._merits)
        for stage in range(min(config.stages, len(self.parts))):
            worth = float(TIES * config.levels + 1) ** -stage
            np.put_along_axis(shown, orders[:, stage : stage + 1], worth, axis=1)
        return shown

    def combine(self, scores: Mapping[str, Scores], q: QueryBatch, items: np.ndarray | None = None) -> Scores:
        """Return the steps of the first part, with ties broken by the next."""
        known = np.zeros((len(q), self._cohorts.size if items is None else items.shape[-1]), dtype=bool)
        for name in self.parts:
            known |= scores[name].answered
        values = np.zeros(known.shape, np.float64)
        for _, rows, added, fall in self._terms(scores, q):
            values[rows] += added - fall
        return answered_where(values, known)

    def _terms(self, scores: Mapping[str, Scores], q: QueryBatch) -> Iterator[Term]:
        """Yield what each part adds, for all queries of the same cohort and the same active parts."""
        parts = [scores[name] for name in self.parts]
        cohorts = query_cohorts(q)
        hears = np.stack([part.queries for part in parts], axis=1)
        kinds, kind_of = np.unique(np.column_stack([cohorts, hears]), axis=0, return_inverse=True)
        for kind, row in enumerate(kinds):
            rows = np.flatnonzero(kind_of.ravel() == kind)
            active = [int(p) for p in self._orders()[int(row[0])] if row[1 + p]]
            judge = np.full((rows.size, parts[0].values.shape[1]), -1)
            for place, p in enumerate(active):
                knows = parts[p].answered[rows]
                judge[(judge < 0) & knows] = place
                steps = (
                    parts[p].values[rows].astype(np.float64) / self._learnt.weights.constants[int(row[0]), p]
                )
                yield p, rows, *self._added(steps, place - judge, knows & (judge >= 0), place)

    def _added(
        self, steps: np.ndarray, stage: np.ndarray, knows: np.ndarray, place: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return what a part at a place adds at its stage of each item, and the fall where it is the first to know."""
        levels, stages = self.config.cascade.levels, self.config.cascade.stages
        fine = levels * steps
        steps = np.where(stage < stages - 1, np.round(fine), fine)
        first = np.clip(steps, -FIRST * levels, FIRST * levels)
        base = TIES * levels + 1
        tie = np.clip(steps, 0, TIES * levels) / float(base) ** np.clip(stage, 0, stages)
        added = np.where(stage == 0, first, np.where(stage < stages, tie, 0.0))
        fall = np.where(knows & (stage == 0), place * (2.0 * FIRST * levels + 2.0), 0.0)
        return np.where(knows, added, 0.0) / levels, fall / levels

    def evidence(self, q: QueryBatch, items: np.ndarray) -> list[list[list[Evidence]]]:
        """Return each stage's term, shared among the rows of the part, and the fall as an offset."""
        self.require_fitted()
        scores = {name: part.score(q, items) for name, part in self.parts.items()}
        found = [part.evidence(q, items) for part in self.parts.values()]
        names = list(self.parts)
        out: list[list[list[Evidence]]] = [[[] for _ in range(items.shape[1])] for _ in range(len(q))]
        for p, rows, added, fall in self._terms(scores, q):
            for at, query in enumerate(rows):
                for column in range(items.shape[1]):
                    cell = out[query][column]
                    cell += shared_out(names[p], found[p][query][column], float(added[at, column]))
                    if fall[at, column]:
                        cell.append(Evidence(self.name, "offset", "late", -float(fall[at, column]), "exact"))
        return out
