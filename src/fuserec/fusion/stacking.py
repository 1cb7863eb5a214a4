"""Stacking: a second stage re-scores the best of the blend (Wolpert 1992), and is used where it proves better.

score(q, j) = blend(q, j) + [r(q, j) − lowest] / slope   for the blend's best ``depth`` items, blend(q, j) for the rest

r is a correction learnt on validation, in log-odds, on top of slope · blend(q, j); the slope is the one at which
the blend is a softmax over the candidates. Since ``lowest`` bounds r from below for every item and query, what is
re-scored stays above the rest, and scores of different queries stay as comparable as the blend's are. The candidates
are the best of the whole catalogue less the query's own history, before any filter: filters do not change scores.

The stacker is judged cross-fitted over folds of user hashes, beside the blend on the same queries. Both stand on the
same first stage, so what that has seen of a fold favours neither.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fuserec.fusion.base import taken
from fuserec.fusion.blend import Blend
from fuserec.fusion.calibration import Calibration
from fuserec.fusion.cohorts import query_cohorts
from fuserec.fusion.crossfit import Correction, StackTable, crossfitted, gained, slope_of, user_folds
from fuserec.fusion.judging import pieces
from fuserec.fusion.merits import BLEND_FIGURE
from fuserec.fusion.search import FEW
from fuserec.fusion.stack_features import Candidates, candidates, columns
from fuserec.numerics.hashing import reseed
from fuserec.numerics.topk import top_k
from fuserec.scorers.base import Capabilities, Evidence, EvidenceMethod, Scores

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.query import QueryBatch
    from fuserec.data.splits import Holdout
    from fuserec.encoders.features import ItemFeatures
    from fuserec.fusion.learning import Lesson
    from fuserec.run import RunOptions
    from fuserec.types import Arrays, Meta, State

log = logging.getLogger("fuserec")

STACK_FIGURE = "stacked, cross-fitted"
"""What NDCG of the stacker stands under among the figures, whether it is used or not."""

PREFIX = "stack."


class Stacker(Blend):
    """A blend whose best items are re-scored by what :meth:`_learner` fits."""

    whole: ClassVar[bool] = True
    method: ClassVar[EvidenceMethod]
    """What rows of the correction are marked with."""

    capabilities: ClassVar[Capabilities] = Capabilities(
        answers=frozenset({"history", "text", "anyone"}), update="folded", evidence="attributed"
    )
    _correction: Correction | None
    _slope: float

    @abstractmethod
    def _learner(self, table: StackTable, slope: float, run: RunOptions) -> Correction:
        """Fit a correction on telling queries."""

    @abstractmethod
    def _read(self, arrays: Arrays) -> Correction:
        """Return the correction that was kept as arrays."""

    def _require(self) -> None:
        """Refuse to begin where a library is missing."""

    def _fit(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> None:
        self._require()
        super()._fit(train, features, run)

    @property
    def stacked(self) -> bool:
        """Whether the second stage is used; else the blend stands as it is."""
        return self._correction is not None

    def _speaks(self) -> np.ndarray:
        """Return bool (n_parts,): all parts where a second stage reads their scores."""
        return np.ones(len(self.parts), dtype=bool) if self.stacked else super()._speaks()

    def _set_items(self, train: Dataset, run: RunOptions) -> None:
        super()._set_items(train, run)
        self._popularity = np.log1p(train.item_counts).astype(np.float32)
        self._ties = reseed(train.items.hashes, run.seed)

    def _learn(self, lesson: Lesson | None, run: RunOptions) -> None:
        """Fit the second stage on the whole table, and keep it where its cross-fitted twin beats the blend."""
        self._require()
        self._correction, self._slope = None, 1.0
        if lesson is None:
            return
        settings, depth = self.config.stack, self.config.depth
        table = self._table(lesson.sample, run)
        telling = int(table.telling.sum())
        if telling < (FEW if settings.if_better else settings.folds):
            log.warning("the fusion is not stacked: only %s validation queries tell anything", telling)
            return
        slope = slope_of(table)
        raw = crossfitted(table, slope, self._learner, run)
        before, after, better = gained(table, slope * table.first + raw, depth)
        figures = {**lesson.learnt.figures, BLEND_FIGURE: before, STACK_FIGURE: after}
        self._learnt = replace(self._learnt, figures=figures)
        if settings.if_better and not better:
            log.info("the blend is used without %s: NDCG %.4f, stacked %.4f", self.kind, before, after)
            return
        self._correction = self._learner(table.take(table.telling), slope, run)
        self._slope = slope
        seen = table.first + (raw - self._correction.lowest) / slope
        calibration = Calibration.fit(seen, table.target)
        self._learnt = replace(self._learnt, calibration=calibration, figures=figures | {"fused": after})

    def _table(self, sample: Holdout, run: RunOptions) -> StackTable:
        """Return the candidates of the held-out queries with their features."""
        settings = self.config.stack
        kept = run.rng("stacker").permutation(len(sample))[: settings.max_queries]
        sample = sample.take(np.sort(kept))
        found, counts = [], []
        for piece in pieces(sample, len(self.parts)):
            run.check()
            scores = {name: part.score(piece.queries) for name, part in self.parts.items()}
            pool = self._candidates(super().combine(scores, piece.queries), scores, piece.queries)
            wanted = np.zeros((len(piece), self._cohorts.size), dtype=bool)
            wanted[piece.rows, piece.items] = True
            found.append((pool.features, pool.first, wanted[pool.rows, pool.items]))
            counts.append(np.bincount(pool.rows, minlength=len(piece)))
        features, first, target = (np.concatenate(column) for column in zip(*found, strict=True))
        indptr = np.concatenate([[0], np.cumsum(np.concatenate(counts))]).astype(np.int64)
        users, hashes = sample.queries.users, sample.train.users.hashes
        folds = user_folds(users, hashes, settings.folds, run.seed)
        return StackTable(indptr, features, first, target, np.diff(sample.indptr), folds)

    def _candidates(self, first: Scores, scores: Mapping[str, Scores], q: QueryBatch) -> Candidates:
        """Return the blend's best items of the whole catalogue, less the query's own history."""
        visible = np.where(first.answered, first.values, np.float32(-np.inf))
        depth = self.config.stack.depth
        pool = top_k(visible, depth, exclude=q.seen(), ties=self._ties, threads=self._threads)[0]
        own = {name: scores[name] for name in self.parts}
        constants = self._learnt.weights.constants[query_cohorts(q)]
        return candidates(pool, first, own, constants, q, self._cohorts, self._popularity)

    def combine(self, scores: Mapping[str, Scores], q: QueryBatch, items: np.ndarray | None = None) -> Scores:
        """Return the blend's score, corrected for its best items."""
        first = super().combine(scores, q)
        if self._correction is not None:
            pool = self._candidates(first, scores, q)
            added = (self._correction.values(pool.features) - self._correction.lowest) / self._slope
            first.values[pool.rows, pool.items] += added.astype(np.float32)
        return taken(first, items)

    def evidence(self, q: QueryBatch, items: np.ndarray) -> list[list[list[Evidence]]]:
        """Return the rows of the blend, and what each part, popularity and the query add to the correction."""
        out = super().evidence(q, items)
        if self._correction is None:
            return out
        scores = {name: part.score(q) for name, part in self.parts.items()}
        pool = self._candidates(Blend.combine(self, scores, q), scores, q)
        place = np.full((len(q), self._cohorts.size), -1)
        place[pool.rows, pool.items] = np.arange(pool.rows.size)
        asked = np.take_along_axis(place, items.astype(np.int64), axis=1)
        rows, cells = np.nonzero(asked >= 0)
        shares = self._correction.shares(pool.features[asked[rows, cells]]) / self._slope
        raised = -self._correction.lowest / self._slope
        for row, cell, share in zip(rows, cells, shares, strict=True):
            out[row][cell] += self._rows(share, raised)
        return out

    def _rows(self, share: np.ndarray, raised: float) -> list[Evidence]:
        """Return one row a part, and those of what is no part."""
        amounts: dict[tuple[str, str, str | None], float] = {}
        named = columns(self.parts, self.name)
        for column, amount in zip(named, share[:-1], strict=True):
            amounts[column] = amounts.get(column, 0.0) + float(amount)
        rows = [
            Evidence(column.scorer, column.kind, column.key, amounts[column], self.method)
            for column in dict.fromkeys(named)
            if amounts[column]
        ]
        base = float(share[-1]) + raised
        return [*rows, Evidence(self.name, "offset", "re-scored", base, "exact")] if base else rows

    def state(self) -> State:
        """Return the learnt numbers, and the second stage where it is used."""
        arrays, meta = super().state()
        arrays |= {"popularity": self._popularity, "ties": self._ties}
        if self._correction is not None:
            arrays |= {f"{PREFIX}{name}": array for name, array in self._correction.arrays().items()}
        return arrays, {**meta, "slope": self._slope, "stacked": self.stacked}

    def _restore(self, arrays: Arrays, meta: Meta) -> None:
        super()._restore(arrays, meta)
        self._popularity, self._ties = arrays["popularity"], arrays["ties"]
        self._slope = float(meta["slope"])
        own = {n.removeprefix(PREFIX): array for n, array in arrays.items() if n.startswith(PREFIX)}
        self._correction = self._read(own) if meta["stacked"] else None
