"""A last stage: a scorer too slow for the whole catalogue re-scores the best items of a fusion, of whatever form.

score(q, j) = fused(q, j) + weight · [z(q, j) + CUT] / slope   for the best ``depth`` items, fused(q, j) for the rest

z = (r(q, j) − centre) / spread, cut to ±CUT, r what the last stage says of query and item together, centre and
spread constants; where it abstains z is 0. The candidates are the best of the whole catalogue less the query's own
history, before any filter: filters do not change scores. As of a stacker (:mod:`fuserec.fusion.stacking`),
the slope makes the fusion's score log-odds, what is re-scored stays above the rest, and the weight is learnt on
validation, 0 among its values; it is used where it beats the fusion by a standard error, cross-fitted over folds of
users.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from fuserec.errors import ConfigError
from fuserec.fusion.base import Fusion, taken
from fuserec.fusion.calibration import Calibration
from fuserec.fusion.crossfit import Correction, StackTable, crossfitted, gained, slope_of, user_folds
from fuserec.fusion.judging import pieces
from fuserec.fusion.search import FEW
from fuserec.numerics.hashing import reseed
from fuserec.numerics.topk import top_k
from fuserec.scorers import create, scorer_class
from fuserec.scorers.base import Evidence, Scorer, Scores

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.query import QueryBatch
    from fuserec.data.splits import Holdout
    from fuserec.encoders.features import ItemFeatures
    from fuserec.fusion.learning import Lesson
    from fuserec.run import RunOptions
    from fuserec.types import Arrays, Meta, State

log = logging.getLogger("fuserec")

WITHOUT_FIGURE, WITH_FIGURE = "without the last stage", "with the last stage, cross-fitted"
"""What NDCG stands under among the figures, on the queries that the last stage was tried on."""

WEIGHTS = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0)
"""Values of the weight that are tried, in log-odds a spread."""

CUT = 4.0
TIMED = 20
"""Requests that are timed one by one."""

PREFIX, JUDGE = "last.", "last.judge."


@dataclass(frozen=True)
class Weighed(Correction):
    """weight · z of one feature, r; not a number where the last stage abstains."""

    weight: float
    centre: float
    spread: float

    @property
    def lowest(self) -> float:
        """−weight · CUT."""
        return -self.weight * CUT

    def values(self, features: np.ndarray) -> np.ndarray:
        """Return float64 (n,) of r float32 (n, 1)."""
        z = (features[:, 0].astype(np.float64) - self.centre) / self.spread
        return np.asarray(self.weight * np.clip(np.nan_to_num(z, nan=0.0), -CUT, CUT))

    def shares(self, features: np.ndarray) -> np.ndarray:
        """Return float64 (n, 2): the value, and nothing beside it."""
        values = self.values(features)
        return np.stack([values, np.zeros_like(values)], axis=1)

    def arrays(self) -> Arrays:
        """Return weight, centre and spread."""
        return {"weighed": np.array([self.weight, self.centre, self.spread])}

    @classmethod
    def fit(cls, table: StackTable, slope: float, depth: int) -> Weighed:
        """Return the weight of the highest NDCG, the smallest of equal ones."""
        said = table.features[:, 0].astype(np.float64)
        said = said[np.isfinite(said)]
        scale = (float(said.mean()), float(said.std()) or 1.0) if said.size else (0.0, 1.0)
        trials = [cls(weight, *scale) for weight in WEIGHTS]
        figures = [
            table.gains(slope * table.first + one.values(table.features), depth).mean() for one in trials
        ]
        return trials[int(np.argmax(figures))]


class Rescored(Fusion):
    """What a form of fusion gains by a last stage; :func:`rescored` joins the two."""

    whole: ClassVar[bool] = True
    _judge: Scorer | None = None
    _weighed: Weighed
    _slope: float = 1.0
    _first_ties: np.ndarray
    _reading: ItemFeatures | None = None
    _until: float | None = None
    _told: dict[str, Any]

    def _fit(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> None:
        self._reading, self._until = features, run.deadline
        super()._fit(train, features, run)
        if self._judge is not None and self.config.last_stage.refit:
            run.progress("fitting the last stage on everything", 0, 1)
            self._judge = self._blank().fit(train, features, replace(run, deadline=None))
        self._reading = None
        self.decisions = (*self.decisions, str(self._told["said"]))

    def taught(self, held: Holdout, run: RunOptions, features: ItemFeatures | None = None) -> Self:
        """Return the fusion of its fitted parts, learnt on held-out queries; the last stage is fitted on their rest."""
        other = type(self)(self.config, self.parts)
        other._reading = features
        other._teach(held, run, self.config)
        other._reading, other._fitted = None, True
        return other

    def _set_items(self, train: Dataset, run: RunOptions) -> None:
        super()._set_items(train, run)
        self._first_ties = reseed(train.items.hashes, run.seed)

    def _blank(self) -> Scorer:
        """Return the last stage, unfitted."""
        return last_scorer(self.config.last_stage.scorer or {}).for_candidates()

    def _learn(self, lesson: Lesson | None, run: RunOptions) -> None:
        """Learn what the form does, then whether the last stage brings anything."""
        super()._learn(lesson, run)
        settings = self.config.last_stage
        self._judge, self._slope = None, 1.0
        self._told = {"scorer": self._blank().name, "depth": settings.depth, "weight": 0.0}
        if lesson is None:
            self._say("nothing could be held out to try it on")
            return
        if self._reading is None:
            raise ConfigError(
                "[fusion.last_stage]: pass the item features to taught(): the last stage is fitted there"
            )
        judge = self._sized(lesson.sample.train, run)
        if judge is None:
            return
        kept = run.rng("last stage").permutation(len(lesson.sample))[: settings.max_queries]
        sample = lesson.sample.take(np.sort(kept))
        fitted = judge.fit(sample.train, self._reading, run)
        self._told["ms_per_request"] = self._milliseconds(fitted, sample)
        table = self._last_table(fitted, sample, run)
        if int(table.telling.sum()) < (FEW if settings.if_better else settings.folds):
            self._say(f"only {int(table.telling.sum())} validation queries tell anything")
            return
        self._weigh(fitted, table, run)

    def _sized(self, train: Dataset, run: RunOptions) -> Scorer | None:
        """Return the unfitted last stage in the size that the time allows."""
        judge = self._blank()
        if self._until is None:
            return judge
        assert self._reading is not None
        seconds = 0.5 * (self._until - time.monotonic())
        sized, how = (
            judge.within(seconds, train, self._reading, run) if seconds > 0 else (None, "no time is left")
        )
        if sized is None:
            self._say(how)
        return sized

    def _weigh(self, fitted: Scorer, table: StackTable, run: RunOptions) -> None:
        """Choose the weight, and keep the last stage where its cross-fitted twin beats the fusion."""
        depth, slope = self.config.depth, slope_of(table)

        def learner(part: StackTable, steepness: float, _: RunOptions) -> Correction:
            return Weighed.fit(part, steepness, depth)

        raw = crossfitted(table, slope, learner, run)
        before, after, better = gained(table, slope * table.first + raw, depth)
        figures = {**self._learnt.figures, WITHOUT_FIGURE: before, WITH_FIGURE: after}
        self._learnt = replace(self._learnt, figures=figures)
        weighed = Weighed.fit(table.take(table.telling), slope, depth)
        told = f"NDCG@{depth} is {before:.4f} without it, {after:.4f} with it"
        measured = f"{told}, cross-fitted on {len(table):,} queries"
        if not weighed.weight or (self.config.last_stage.if_better and not better):
            self._say(measured)
            return
        self._judge, self._weighed, self._slope = fitted, weighed, slope
        seen = table.first + (raw - weighed.lowest) / slope
        calibration = Calibration.fit(seen, table.target)
        self._learnt = replace(self._learnt, calibration=calibration, figures=figures | {"fused": after})
        self._told["weight"] = weighed.weight
        self._told["said"] = (
            f"The last stage ({self._told['scorer']}) re-scores the best {self.config.last_stage.depth} with weight "
            f"{weighed.weight:g}: {measured}; it takes {self._told['ms_per_request']:.0f} ms a request."
        )

    def _say(self, why: str) -> None:
        """Keep why the last stage is not used."""
        self._told["said"] = f"The last stage ({self._told['scorer']}) is not used: {why}."
        log.info(self._told["said"])

    def _last_table(self, judge: Scorer, sample: Holdout, run: RunOptions) -> StackTable:
        """Return the candidates of held-out queries, and what the last stage says of them."""
        found, counts = [], []
        for piece in pieces(sample, len(self.parts)):
            run.check()
            first = self._first({n: p.score(piece.queries) for n, p in self.parts.items()}, piece.queries)
            rows, items = self._pool(first, piece.queries)
            wanted = np.zeros((len(piece), self._cohorts.size), dtype=bool)
            wanted[piece.rows, piece.items] = True
            said = self._says(judge, piece.queries, rows, items)
            found.append((said, first.values[rows, items], wanted[rows, items]))
            counts.append(np.bincount(rows, minlength=len(piece)))
        features, values, target = (np.concatenate(column) for column in zip(*found, strict=True))
        indptr = np.concatenate([[0], np.cumsum(np.concatenate(counts))]).astype(np.int64)
        users, hashes = sample.queries.users, sample.train.users.hashes
        folds = user_folds(users, hashes, self.config.last_stage.folds, run.seed)
        return StackTable(indptr, features, values, target, np.diff(sample.indptr), folds)

    def _first(self, scores: Mapping[str, Scores], q: QueryBatch) -> Scores:
        """Return the scores of the whole catalogue by the form alone."""
        return super().combine(scores, q)  # type: ignore[safe-super]

    def _pool(self, first: Scores, q: QueryBatch) -> tuple[np.ndarray, np.ndarray]:
        """Return (rows, items) of the form's best items of each query, less its own history, best first."""
        visible = np.where(first.answered, first.values, np.float32(-np.inf))
        depth = self.config.last_stage.depth
        pool = top_k(visible, depth, exclude=q.seen(), ties=self._first_ties, threads=self._threads)[0]
        rows, places = np.nonzero(pool >= 0)
        return rows, pool[rows, places]

    def _says(self, judge: Scorer, q: QueryBatch, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Return float32 (n_candidates, 1): what the last stage says of each candidate, NaN where it abstains."""
        counts = np.bincount(rows, minlength=len(q))
        wide = np.zeros((len(q), int(counts.max(initial=0))), np.int32)
        places = np.arange(rows.size) - np.repeat(np.cumsum(counts) - counts, counts)
        wide[rows, places] = items
        told = judge.score(q, wide)
        return np.asarray(np.where(told.answered, told.values, np.float32(np.nan))[rows, places][:, None])

    def _milliseconds(self, judge: Scorer, sample: Holdout) -> float:
        """Return the median time that the last stage takes for one request, once it is warm."""
        took = []
        for row in range(min(TIMED, len(sample))):
            q = sample.queries.take([row])
            first = self._first({name: part.score(q) for name, part in self.parts.items()}, q)
            rows, items = self._pool(first, q)
            began = time.perf_counter()
            self._says(judge, q, rows, items)
            took.append(1000.0 * (time.perf_counter() - began))
        return round(float(np.median(took[1:] or took or [0.0])), 2)

    @property
    def last_stage(self) -> Scorer | None:
        """The fitted scorer of the last stage; None where it is not used."""
        return self._judge

    def combine(self, scores: Mapping[str, Scores], q: QueryBatch, items: np.ndarray | None = None) -> Scores:
        """Return the form's score, its best items re-scored."""
        first = self._first(scores, q)
        if self._judge is None or not len(q):
            return taken(first, items)
        rows, candidates = self._pool(first, q)
        values = first.values.copy()
        said = self._weighed.values(self._says(self._judge, q, rows, candidates))
        values[rows, candidates] += ((said - self._weighed.lowest) / self._slope).astype(np.float32)
        return taken(replace(first, values=values), items)

    def evidence(self, q: QueryBatch, items: np.ndarray) -> list[list[list[Evidence]]]:
        """Return the rows of the form, what the last stage adds, and by how much all that it re-scores is raised."""
        out = super().evidence(q, items)
        if self._judge is None or not len(q):
            return out
        first = self._first({name: part.score(q) for name, part in self.parts.items()}, q)
        rows, candidates = self._pool(first, q)
        said = self._weighed.values(self._says(self._judge, q, rows, candidates)) / self._slope
        place = np.full((len(q), self._cohorts.size), -1)
        place[rows, candidates] = np.arange(rows.size)
        asked = np.take_along_axis(place, items.astype(np.int64), axis=1)
        raised = -self._weighed.lowest / self._slope
        for row, cell in zip(*np.nonzero(asked >= 0), strict=True):
            amount = float(said[asked[row, cell]])
            out[row][cell] += [
                Evidence(self.name, "scorer", "last stage", amount, "attributed"),
                Evidence(self.name, "offset", "last stage", raised, "exact"),
            ]
        return out

    @property
    def facts(self) -> dict[str, Any]:
        """What the fit saw on validation, what it decided, and what the last stage brings and takes."""
        return {**super().facts, "last_stage": dict(self._told)}

    def updated(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> Self:
        """Return the fusion with every part and the last stage updated."""
        other = super().updated(train, features, run)
        if self._judge is not None:
            other._judge = self._judge.updated(train, features, run)
        return other

    def without_user(self, user: int) -> Self:
        """Return the fusion, parts and last stage without the stored row of a user."""
        other = super().without_user(user)
        if self._judge is not None:
            other._judge = self._judge.without_user(user)
        return other

    def state(self) -> State:
        """Return what the form has learnt, and the last stage where it is used."""
        arrays, meta = super().state()
        arrays[f"{PREFIX}ties"] = self._first_ties
        told: Meta = {"facts": {name: self._told[name] for name in ("scorer", "depth", "weight")}}
        if self._judge is not None:
            own, judged = self._judge.state()
            arrays |= {f"{JUDGE}{name}": array for name, array in own.items()}
            arrays |= {f"{PREFIX}{name}": array for name, array in self._weighed.arrays().items()}
            told |= {
                "judge": judged,
                "slope": self._slope,
                "config": self._judge.config.model_dump(mode="json"),
            }
        return arrays, {**meta, "last_stage": told}

    def restored(self, arrays: Arrays, meta: Meta, features: ItemFeatures | None = None) -> Self:
        """Return the fusion of fitted parts with the numbers that :meth:`state` gave, and its last stage."""
        form = {name: array for name, array in arrays.items() if not name.startswith(PREFIX)}
        other = super().restored(form, meta, features)
        told = meta["last_stage"]
        other._told, other._first_ties = dict(told["facts"]), arrays[f"{PREFIX}ties"]
        if "judge" in told:
            cls = scorer_class(str(told["facts"]["scorer"]))
            settings = cls.Config.parse(told["config"], "model.json [fusion.last_stage]")
            own = {n.removeprefix(JUDGE): array for n, array in arrays.items() if n.startswith(JUDGE)}
            other._judge = cls.from_state(settings, own, told["judge"], features)  # type: ignore[arg-type]
            other._weighed, other._slope = Weighed(*arrays[f"{PREFIX}weighed"].tolist()), float(told["slope"])
        return other


def last_scorer(table: Mapping[str, Any]) -> Scorer:
    """Return the unfitted scorer of a part's table: ``scorer`` names it, the rest are its hyperparameters."""
    values = dict(table)
    name = values.pop("scorer", "language_pair")
    if not isinstance(name, str):
        raise ConfigError(f"[fusion.last_stage.scorer]: scorer = {name!r} has to be the name of a scorer")
    return create(name, values, "[fusion.last_stage.scorer]")


@cache
def rescored(form: type[Fusion]) -> type[Fusion]:
    """Return a form of fusion with a last stage."""
    able = replace(form.capabilities, evidence="attributed", trained=True)
    made: type[Fusion] = type(f"Rescored{form.__name__}", (Rescored, form), {"capabilities": able})
    return made
