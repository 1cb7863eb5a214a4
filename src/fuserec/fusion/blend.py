"""The blend: a weighted sum of parts, its weights learnt on validation for the kind of query at hand.

score(q, j) = Σ_p w[c(q), p] · s_p(q, j) / k[c(q), p] · W / W_answering(q, j) + offset[c(j)]

A part that abstains is left out and the weights are renormalised: it never counts as 0, so that a strong warm part
cannot drown a cold item. An item that only parts without weight know stands behind those that others know, in the
order that these parts give: validation has not borne them out, but without a score it could not be found at all.
Weighted hybrid of Burke 2002 ("Hybrid recommender systems: survey and experiments").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fuserec.fusion.base import Fusion
from fuserec.fusion.cohorts import ITEM_COHORTS, query_cohorts
from fuserec.fusion.config import FusionConfig, Kind
from fuserec.numerics.jit import kernel
from fuserec.numerics.parallel import over_ranges
from fuserec.scorers.base import Capabilities, Evidence, Scores

if TYPE_CHECKING:
    from fuserec.data.query import QueryBatch

BlendConfig = FusionConfig
"""The name it had while the blend was the only form."""


BEHIND = 10.0
"""So far below stands an item that only parts without weight know; 1 is about the tenth best score of a part."""


class Blend(Fusion):
    """A fusion of scorers by weights per query cohort and offsets per item cohort."""

    kind: ClassVar[Kind] = "blend"
    capabilities: ClassVar[Capabilities] = Capabilities(
        answers=frozenset({"history", "text", "anyone"}), update="folded", evidence="exact"
    )

    def _speaks(self) -> np.ndarray:
        """Return bool (n_parts,): the parts that some cohort gives weight."""
        return np.asarray((self._learnt.weights.weights > 0).any(axis=0))

    def combine(self, scores: Mapping[str, Scores], q: QueryBatch, items: np.ndarray | None = None) -> Scores:
        """Return the fused score of scores that the parts gave already."""
        shape = (len(q), self._cohorts.size if items is None else items.shape[-1])
        factors, behind, pattern = self._factors(scores, q, shape)
        cohorts = self._cohorts if items is None else self._cohorts[items]
        offsets = self._learnt.weights.offsets[cohorts].astype(np.float32)
        out = np.empty(shape, np.float32)
        stacked = [np.ascontiguousarray(scores[name].values) for name in self.parts]
        coded, added = np.broadcast_to(pattern, shape), np.broadcast_to(offsets, shape)

        def work(lo: int, hi: int) -> None:
            _blend_start(added, out, lo, hi)
            for p, values in enumerate(stacked):
                _blend_add(values, factors[p], coded, out, lo, hi)

        over_ranges(work, len(q), self._threads if out.size > 200_000 else 1)
        if behind.any():
            np.subtract(out, BEHIND, out=out, where=_spread(behind, pattern))
        answered = _spread(np.asarray(factors.any(axis=0)), pattern)
        return Scores(out, answered, np.asarray(answered.any(axis=1)))

    def _factors(
        self, scores: Mapping[str, Scores], q: QueryBatch, shape: tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return what each part's score is multiplied by.

        Returns
        -------
        factors : float32 (n_parts, n, n_patterns)
            For every query and every pattern of parts that know an item.
        behind : bool (n, n_patterns)
            Where all of these parts are without weight.
        pattern : int64 (m,) or (n, m)
            The pattern of each item.
        """
        cohorts = query_cohorts(q)
        weights, constants = self._learnt.weights.weights[cohorts], self._learnt.weights.constants[cohorts]
        codes, pattern = _patterns([scores[name].items for name in self.parts])
        knows = (codes[None, :] >> np.arange(len(self.parts))[:, None]) & 1
        hears = np.stack([scores[name].queries for name in self.parts])
        lost = ~((weights.T > 0) & hears).any(axis=0)  # only parts without weight can answer: then they do
        weights = np.where(lost[:, None], hears.T / np.maximum(hears.sum(axis=0), 1)[:, None], weights)
        heard = weights.T[:, :, None] * knows[:, None, :] * hears[:, :, None]
        able = (knows[:, None, :] & hears[:, :, None]).astype(weights.dtype)
        behind = ~heard.any(axis=0) & able.any(axis=0)
        heard = np.where(behind, able, heard)
        total, answering = weights.sum(axis=1)[:, None], heard.sum(axis=0)
        lift = np.divide(total, answering, out=np.zeros_like(answering), where=answering > 0)
        factors = (heard / constants.T[:, :, None] * lift).astype(np.float32)
        return factors, behind, pattern

    def evidence(self, q: QueryBatch, items: np.ndarray) -> list[list[list[Evidence]]]:
        """Return the rows of all parts, in units of the fused score, and an offset row where there is one."""
        self.require_fitted()
        scores = {name: part.score(q, items) for name, part in self.parts.items()}
        factors, behind, pattern = self._factors(scores, q, items.shape)
        pattern = np.broadcast_to(pattern, items.shape)
        found = [part.evidence(q, items) for part in self.parts.values()]
        offsets = self._learnt.weights.offsets[self._cohorts[items]] - BEHIND * _spread(behind, pattern)
        out: list[list[list[Evidence]]] = []
        for query in range(len(q)):
            rows = [
                self._cell(found, factors[:, query, pattern[query, c]], query, c)
                for c in range(items.shape[1])
            ]
            for column, item in enumerate(items[query]):
                if offsets[query, column]:
                    cohort = ITEM_COHORTS[int(self._cohorts[item])]
                    rows[column].append(
                        Evidence(self.name, "offset", cohort, float(offsets[query, column]), "exact")
                    )
            out.append(rows)
        return out

    def _cell(
        self, found: list[list[list[list[Evidence]]]], factors: np.ndarray, query: int, column: int
    ) -> list[Evidence]:
        """Return the rows of one score, each multiplied by its part's factor."""
        return [
            Evidence(name, row.kind, row.key, row.contribution * float(factors[p]), row.method)
            for p, name in enumerate(self.parts)
            if factors[p]
            for row in found[p][query][column]
        ]


def _spread(table: np.ndarray, pattern: np.ndarray) -> np.ndarray:
    """Return table (n, n_patterns) by items: (n, m) for the pattern (m,) or (n, m) of each."""
    return table[:, pattern] if pattern.ndim == 1 else np.take_along_axis(table, pattern, axis=1)


def _patterns(known: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct sets of parts that know an item, as bits (n_patterns,), and the pattern of each item.

    Up to sixteen parts are counted rather than sorted: that is linear in the catalogue, with every request.
    """
    code = sum(items.astype(np.int64) << p for p, items in enumerate(known))
    assert isinstance(code, np.ndarray)
    if len(known) > 16:
        codes, pattern = np.unique(code, return_inverse=True)
        return codes, pattern.reshape(code.shape)
    there = np.bincount(code.ravel(), minlength=1) > 0
    return np.flatnonzero(there), (np.cumsum(there) - 1)[code]


@kernel
def _blend_start(offsets: np.ndarray, out: np.ndarray, lo: int, hi: int) -> None:
    """Write the offsets into rows [lo, hi)."""
    for r in range(lo, hi):
        for j in range(out.shape[1]):
            out[r, j] = offsets[r, j]


@kernel
def _blend_add(
    values: np.ndarray, factors: np.ndarray, pattern: np.ndarray, out: np.ndarray, lo: int, hi: int
) -> None:
    """Add one part's scores × its factor to rows [lo, hi)."""
    for r in range(lo, hi):
        for j in range(out.shape[1]):
            out[r, j] += values[r, j] * factors[r, pattern[r, j]]
