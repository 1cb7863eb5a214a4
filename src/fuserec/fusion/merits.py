"""Forms that go by how good each part is alone: its NDCG on validation, per kind of query."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fuserec.fusion.base import Fusion
from fuserec.fusion.cohorts import ITEM_COHORTS, QUERY_COHORTS
from fuserec.fusion.judging import judged
from fuserec.fusion.search import FLOOR, SHRINK, WORDS_ALONE, Objective
from fuserec.numerics.hashing import reseed

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.fusion.learning import Lesson
    from fuserec.run import RunOptions
    from fuserec.scorers.base import Scorer
    from fuserec.types import Arrays, Meta, State

BLEND_FIGURE = "blend of the same parts"
"""What NDCG of the blend stands under among the figures of another form."""


def merits(lesson: Lesson, depth: int, threads: int) -> np.ndarray:
    """Return float64 (n_query_cohorts, n_parts): NDCG of each part alone on validation.

    A cohort's figure is shrunk to that of all queries, half of it from :data:`SHRINK` queries on. Where words are all
    that a query has and validation holds few of such queries, parts that read words stand above the others.
    """
    table = lesson.table
    objective = Objective(table, lesson.item_cohorts, depth, threads)
    zero, everyone = np.zeros(len(ITEM_COHORTS)), np.arange(len(table))
    gains = np.stack([objective.gains(unit, zero, everyone) for unit in np.eye(len(table.names))], axis=1)
    overall = gains.mean(axis=0)
    rows = np.tile(overall, (len(QUERY_COHORTS), 1))
    for cohort in range(len(QUERY_COHORTS)):
        own = gains[table.cohorts == cohort]
        rows[cohort] = (own.sum(axis=0) + SHRINK * overall) / (len(own) + SHRINK)
    few = int((table.cohorts == WORDS_ALONE).sum()) < SHRINK
    return _words_first(_floored(rows), list(lesson.parts.values()), few)


def _floored(rows: np.ndarray) -> np.ndarray:
    """Return figures of which none is nothing: a part that never hit may still be the only one that answers."""
    best = rows.max(axis=1, keepdims=True)
    return np.where(best > 0, np.maximum(rows, FLOOR * best), 1.0)


def _words_first(rows: np.ndarray, parts: list[Scorer], few: bool) -> np.ndarray:
    """Return the figures with those of parts that read words above the others where words are all there is."""
    reads = np.array(["text" in part.capabilities.answers for part in parts])
    if few:
        rows[WORDS_ALONE] = rows[WORDS_ALONE] + np.where(reads, rows[WORDS_ALONE].max(), 0.0)
    return rows


class MeritFusion(Fusion):
    """Base of the forms that weigh or order the parts by :func:`merits`."""

    _merits: np.ndarray
    """float64 (n_query_cohorts, n_parts)"""

    def _learn(self, lesson: Lesson | None, run: RunOptions) -> None:
        """Learn the merits of the parts, and judge what the form makes of them."""
        if lesson is None:
            rows = np.ones((len(QUERY_COHORTS), len(self.parts)))
            self._merits = _words_first(rows, list(self.parts.values()), few=True)
            return
        self._merits = merits(lesson, self.config.depth, run.threads)
        ties = reseed(lesson.sample.train.items.hashes, run.seed)
        reached, calibration = judged(self, lesson.sample, ties, run)
        figures = dict(lesson.learnt.figures)
        figures |= {BLEND_FIGURE: figures["fused"], "fused": reached}
        self._learnt = replace(lesson.learnt, calibration=calibration, figures=figures)

    def _orders(self) -> np.ndarray:
        """Return int64 (n_query_cohorts, n_parts): the parts, best first; equal ones as they are configured."""
        return np.argsort(-self._merits, axis=1, kind="stable")

    def _narrow(self, used: np.ndarray) -> None:
        super()._narrow(used)
        self._merits = self._merits[:, used]

    def _set_items(self, train: Dataset, run: RunOptions) -> None:
        super()._set_items(train, run)
        self._ties = reseed(train.items.hashes, run.seed)

    def state(self) -> State:
        """Return the learnt numbers, the merits and the order of ties."""
        arrays, meta = super().state()
        return {**arrays, "merits": self._merits, "ties": self._ties}, meta

    def _restore(self, arrays: Arrays, meta: Meta) -> None:
        super()._restore(arrays, meta)
        self._merits, self._ties = arrays["merits"], arrays["ties"]
