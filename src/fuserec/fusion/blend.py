"""The blend: a weighted sum of parts, its weights learnt on validation for the kind of query at hand.

score(q, j) = Σ_p w[c(q), p] · s_p(q, j) / k[c(q), p] · W / W_answering(q, j) + offset[c(j)]

A part that abstains is left out and the weights are renormalised: it never counts as 0, so that a strong warm part
cannot drown a cold item. Weighted hybrid of Burke 2002 ("Hybrid recommender systems: survey and experiments").
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from fuserec.data.splits import Holdout, SplitConfig, hold_out
from fuserec.encoders.reading import stored_words, with_words
from fuserec.errors import ConfigError, DataError
from fuserec.fusion.calibration import Calibration
from fuserec.fusion.cohorts import ITEM_COHORTS, QUERY_COHORTS, item_cohorts, query_cohorts
from fuserec.fusion.learning import FusionLearning, Learnt, teach, untaught
from fuserec.fusion.search import BlendWeights
from fuserec.numerics.jit import kernel
from fuserec.numerics.parallel import over_ranges
from fuserec.scorers.base import Capabilities, Evidence, Scorer, Scores

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.query import QueryBatch
    from fuserec.encoders.features import ItemFeatures
    from fuserec.run import RunOptions
    from fuserec.types import Arrays, Meta, State

log = logging.getLogger("fuserec")


class BlendConfig(FusionLearning):
    """How the fusion learns, and what `fit` holds out for it."""

    validation: SplitConfig = Field(
        default=SplitConfig(), description="What `fit` holds out to learn the weights on."
    )


class Blend(Scorer):
    """A fusion of scorers by weights per query cohort and offsets per item cohort."""

    name: ClassVar[str] = "fused"
    Config = BlendConfig
    capabilities: ClassVar[Capabilities] = Capabilities(
        answers=frozenset({"history", "text", "anyone"}), update="folded", evidence="exact"
    )
    config: BlendConfig

    def __init__(self, config: BlendConfig | None = None, parts: Mapping[str, Scorer] | None = None) -> None:
        super().__init__(config)
        self.parts: dict[str, Scorer] = dict(parts or {})
        if not self.parts:
            raise ConfigError("a fusion needs at least one part: name a scorer under [parts]")

    def _fit(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> None:
        """Fit the parts on inner train, learn the fusion on validation, refit the parts on everything.

        Where nothing can be held out (a new shop), every part gets the same weight. A deadline is a wish: parts are
        left out where it leaves no time for them, and what was begun is brought to an end.
        """
        soon = None if run.deadline is None else time.monotonic() + 0.4 * (run.deadline - time.monotonic())
        patient = replace(run, deadline=None)
        try:
            held = hold_out(train, self.config.validation, run.seed, "validation")
        except DataError as error:
            log.warning("the fusion is not learnt, all parts get the same weight: %s", error)
            self.parts = fit_parts(self.parts, train, features, patient, soon)
            self._learnt = untaught(self.parts, train, self.config, patient)
            self._set_items(train, run)
            return
        held = held_with_words(held, train, features, patient)
        self.parts = fit_parts(self.parts, held.train, features, patient, soon)
        self.parts, self._learnt = teach(self.parts, held, self.config, patient)
        self._drop_unused()
        self.parts = fit_parts(self.parts, train, features, patient)
        self._set_items(train, run)

    def taught(self, held: Holdout, run: RunOptions) -> Blend:
        """Return the fusion of its fitted parts, learnt on held-out queries; the parts are not refitted."""
        parts, learnt = teach(self.parts, held, self.config, run)
        other = type(self)(self.config, parts)
        other._learnt = learnt
        other._set_items(held.train, run)
        other._fitted = True
        return other

    def _set_items(self, train: Dataset, run: RunOptions) -> None:
        """Take what is known of the items from the data that the parts were fitted on."""
        self._cohorts = item_cohorts(train.item_counts)
        self._threads = run.threads

    def _drop_unused(self) -> None:
        """Leave out parts that no cohort gives weight and no rating needs.

        Those that answer when nothing is known of the query, or of the item but its text, always stay.
        """
        learnt = self._learnt
        last_resort = np.array(
            [bool(part.capabilities.answers & {"anyone", "text"}) for part in self.parts.values()]
        )
        used = (learnt.weights.weights > 0).any(axis=0) | (learnt.ratings > 0) | last_resort
        for name in [n for n, keep in zip(self.parts, used, strict=True) if not keep]:
            log.info("part %s brings nothing on validation and is left out", name)
        self.parts = {n: p for (n, p), keep in zip(self.parts.items(), used, strict=True) if keep}
        kept = BlendWeights(
            learnt.weights.weights[:, used], learnt.weights.constants[:, used], learnt.weights.offsets
        )
        self._learnt = Learnt(kept, learnt.calibration, learnt.ratings[used], learnt.figures)

    def score(self, q: QueryBatch, items: np.ndarray | None = None) -> Scores:
        """Return the fused score; abstains where every part does."""
        self.require_fitted()
        return self.combine({name: part.score(q, items) for name, part in self.parts.items()}, q, items)

    def combine(self, scores: Mapping[str, Scores], q: QueryBatch, items: np.ndarray | None = None) -> Scores:
        """Return the fused score of scores that the parts gave already."""
        shape = (len(q), self._cohorts.size if items is None else items.shape[-1])
        factors, pattern = self._factors(scores, q, shape)
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
        heard = np.asarray(factors.any(axis=0))
        answered = heard[:, pattern] if pattern.ndim == 1 else np.take_along_axis(heard, pattern, axis=1)
        return Scores(out, answered, np.asarray(answered.any(axis=1)))

    def _factors(
        self, scores: Mapping[str, Scores], q: QueryBatch, shape: tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return what each part's score is multiplied by.

        Returns
        -------
        factors : float32 (n_parts, n, n_patterns)
            For every query and every pattern of parts that know an item.
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
        total, answering = weights.sum(axis=1)[:, None], heard.sum(axis=0)
        lift = np.divide(total, answering, out=np.zeros_like(answering), where=answering > 0)
        factors = (heard / constants.T[:, :, None] * lift).astype(np.float32)
        return factors, pattern

    def evidence(self, q: QueryBatch, items: np.ndarray) -> list[list[list[Evidence]]]:
        """Return the rows of all parts, in units of the fused score, and an offset row where there is one."""
        self.require_fitted()
        scores = {name: part.score(q, items) for name, part in self.parts.items()}
        factors, pattern = self._factors(scores, q, items.shape)
        pattern = np.broadcast_to(pattern, items.shape)
        found = [part.evidence(q, items) for part in self.parts.values()]
        offsets = self._learnt.weights.offsets[self._cohorts[items]]
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

    def predict(self, q: QueryBatch, items: np.ndarray) -> np.ndarray:
        """Return ratings predicted by the parts that can, weighted by least squares on validation."""
        weights = {n: w for n, w in zip(self.parts, self._learnt.ratings, strict=True) if w > 0}
        if not weights:
            return super().predict(q, items)
        total = sum(weights.values())
        mean = sum(self.parts[name].predict(q, items) * np.float32(w / total) for name, w in weights.items())
        return np.asarray(mean, dtype=np.float32)

    @property
    def predicts(self) -> bool:
        """Whether any part predicts ratings."""
        return bool((self._learnt.ratings > 0).any())

    def probability(self, scores: np.ndarray) -> np.ndarray:
        """Return the calibrated probability that an item with such a score is the one taken next."""
        return self._learnt.calibration(scores)

    def weights_table(self) -> dict[str, dict[str, float]]:
        """Return weight by query cohort and part, as it is shown to people."""
        return {
            cohort: {name: round(float(w), 4) for name, w in zip(self.parts, row, strict=True)}
            for cohort, row in zip(QUERY_COHORTS, self._learnt.weights.weights, strict=True)
        }

    @property
    def learnt(self) -> Learnt:
        """What validation has taught."""
        return self._learnt

    def updated(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> Blend:
        """Return the fusion with every part updated; the weights stay."""
        other = copy(self)
        other.parts = {n: p.updated(train, features, run) for n, p in self.parts.items()}
        other._set_items(train, run)
        return other

    def without_user(self, user: int) -> Blend:
        """Return the fusion of parts without the stored row of a user; nothing is learnt anew."""
        other = copy(self)
        other.parts = {name: part.without_user(user) for name, part in self.parts.items()}
        return other

    def state(self) -> State:
        """Return the learnt numbers; the parts are persisted beside it, each with its own state."""
        learnt = self._learnt
        arrays = {
            "weights": learnt.weights.weights,
            "constants": learnt.weights.constants,
            "offsets": learnt.weights.offsets,
            "calibration.scores": learnt.calibration.scores,
            "calibration.probabilities": learnt.calibration.probabilities,
            "ratings": learnt.ratings,
            "cohorts": self._cohorts,
        }
        return arrays, {"figures": learnt.figures}

    def restored(self, arrays: Arrays, meta: Meta) -> Blend:
        """Return the fusion of fitted parts with the numbers that :meth:`state` gave."""
        other = type(self)(self.config, self.parts)
        other._restore(arrays, meta)
        other._fitted = True
        return other

    def _restore(self, arrays: Arrays, meta: Meta) -> None:
        weights = BlendWeights(arrays["weights"], arrays["constants"], arrays["offsets"])
        calibration = Calibration(arrays["calibration.scores"], arrays["calibration.probabilities"])
        self._learnt = Learnt(weights, calibration, arrays["ratings"], dict(meta["figures"]))
        self._cohorts = arrays["cohorts"]
        self._threads = 1


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


def held_with_words(held: Holdout, dataset: Dataset, features: ItemFeatures, run: RunOptions) -> Holdout:
    """Return held-out queries with the words that were stored before their moment."""
    words = stored_words(dataset, held.queries.users, held.queries.at, past_only=True)
    return replace(held, queries=with_words(held.queries, words, features, run))


def fit_parts(
    parts: Mapping[str, Scorer],
    train: Dataset,
    features: ItemFeatures,
    run: RunOptions,
    soon: float | None = None,
) -> dict[str, Scorer]:
    """Fit every part that the data allow; the others are left out with a line that says why.

    Parameters
    ----------
    parts, train, features, run
        As in :meth:`Scorer.fit`.
    soon : float, optional
        A moment of ``time.monotonic()`` after which no further part is begun.
    """
    fitted: dict[str, Scorer] = {}
    for name, part in parts.items():
        limit = part.capabilities.max_items
        if limit is not None and train.n_items > limit:
            log.warning(
                "part %s is left out: %s items, it takes %s", name, f"{train.n_items:,}", f"{limit:,}"
            )
            continue
        if soon is not None and fitted and time.monotonic() > soon:
            log.warning("part %s is left out: the budget leaves no time for it", name)
            continue
        run.check()
        run.progress(f"fitting {name}", len(fitted), len(parts))
        fitted[name] = part.fit(train, features, run)
    if not fitted:
        raise ConfigError(
            "no part of the fusion can take this catalogue: name one without a limit, e.g. cooccurrence"
        )
    run.progress("fitting", len(parts), len(parts))
    return fitted


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
