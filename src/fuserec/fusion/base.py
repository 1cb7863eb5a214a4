"""What all forms of fusion share: parts, learning on validation and refitting, ratings, probability, state."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from fuserec.data.splits import Holdout, hold_out
from fuserec.encoders.reading import stored_words, with_words
from fuserec.errors import ConfigError, DataError
from fuserec.fusion.budget import Spending
from fuserec.fusion.calibration import Calibration
from fuserec.fusion.cohorts import QUERY_COHORTS, item_cohorts
from fuserec.fusion.config import FusionConfig, Kind
from fuserec.fusion.learning import Learnt, Lesson, teach, untaught
from fuserec.fusion.search import BlendWeights
from fuserec.scorers.base import Capabilities, Scorer, Scores, chosen

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.query import QueryBatch
    from fuserec.encoders.features import ItemFeatures
    from fuserec.run import RunOptions
    from fuserec.types import Arrays, Meta, State

log = logging.getLogger("fuserec")


class Fusion(Scorer):
    """A scorer made of scorers; a form says how scores of the parts become one, and what it learns for that.

    Every form begins with what a blend of its parts learns on validation (:func:`fuserec.fusion.learning.teach`):
    tuned query-side hyperparameters, the constants that part scores are divided by, the figures of the parts.
    """

    name: ClassVar[str] = "fused"
    kind: ClassVar[Kind]
    whole: ClassVar[bool] = False
    """Whether the score of an item needs the parts' scores of the whole catalogue."""

    decisions: tuple[str, ...] = ()
    """What the fit decided about its parts, in sentences; empty for a model that was loaded."""

    when_taught: Callable[[Fusion, Holdout], None] | None = None
    """Called in a fit when validation has taught the fusion and its parts have not yet seen it."""

    Config = FusionConfig
    capabilities: ClassVar[Capabilities] = Capabilities(
        answers=frozenset({"history", "text", "anyone"}), update="folded", evidence="attributed"
    )
    config: FusionConfig

    def __init__(self, config: FusionConfig | None = None, parts: Mapping[str, Scorer] | None = None) -> None:
        config = config or FusionConfig()
        super().__init__(
            config if config.kind == self.kind else config.model_copy(update={"kind": self.kind})
        )
        self.parts: dict[str, Scorer] = dict(parts or {})
        if not self.parts:
            raise ConfigError("a fusion needs at least one part: name a scorer under [parts]")

    def _fit(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> None:
        """Fit the parts on inner train, learn the fusion on validation, refit the parts on everything.

        Where nothing can be held out (a new shop), every part gets the same weight. A deadline is a wish: parts are
        left out or made smaller where it leaves no time for them, and what was begun is brought to an end.
        """
        spending, patient = Spending(run.deadline), replace(run, deadline=None)
        try:
            held = hold_out(train, self.config.validation, run.seed, "validation")
        except DataError as error:
            log.warning("the fusion is not learnt, all parts get the same weight: %s", error)
            self.parts = spending.fit(self.parts, train, features, patient)
            self._learnt = untaught(self.parts, train, self.config, patient)
            self._set_items(train, run)
            self._learn(None, patient)
            self.decisions = (*spending.said, "Nothing could be held out: all parts get the same weight.")
            return
        held = held_with_words(held, train, features, patient)
        self.parts = spending.fit(self.parts, held.train, features, patient)
        self._teach(held, patient, spending.learning(self.config, self.parts, held))
        self._drop_unused(spending)
        if self.when_taught is not None:
            self._fitted = True  # it answers now; the refit makes its parts better
            self.when_taught(self, held)
        self.parts = spending.refit(self.parts, train, features, patient)
        self._set_items(train, run)
        self.decisions = tuple(spending.said)

    def taught(self, held: Holdout, run: RunOptions, features: ItemFeatures | None = None) -> Self:
        """Return the fusion of its fitted parts, learnt on held-out queries; the parts are not refitted.

        ``features`` are for a last stage, which is fitted here; others do without.
        """
        other = type(self)(self.config, self.parts)
        other._teach(held, run, self.config)
        other._fitted = True
        return other

    def _teach(self, held: Holdout, run: RunOptions, config: FusionConfig) -> None:
        """Learn what every form does, then what this one adds."""
        lesson = teach(self.parts, held, config, run)
        self.parts, self._learnt = lesson.parts, lesson.learnt
        self._set_items(held.train, run)
        self._learn(lesson, run)

    def _learn(self, lesson: Lesson | None, run: RunOptions) -> None:
        """Learn what this form adds; None where nothing could be held out."""

    def _set_items(self, train: Dataset, run: RunOptions) -> None:
        """Take what is known of the items from the data that the parts were fitted on."""
        self._cohorts = item_cohorts(train.item_counts)
        self._threads = run.threads

    @abstractmethod
    def _speaks(self) -> np.ndarray:
        """Return bool (n_parts,): the parts that some score hangs on."""

    def _drop_unused(self, spending: Spending) -> None:
        """Leave out parts that no score hangs on and no rating needs.

        Something always stays that answers when nothing is known of the query, and when nothing but words are.
        """
        used = self._speaks() | (self._learnt.ratings > 0)
        for told in ("anyone", "text"):
            able = np.array([told in part.capabilities.answers for part in self.parts.values()])
            if not (used & able).any():
                used |= able
        for name in [n for n, keep in zip(self.parts, used, strict=True) if not keep]:
            spending.say(f"{name} is left out: on validation it brings nothing that the others do not have.")
        self._narrow(used)

    def _narrow(self, used: np.ndarray) -> None:
        """Keep some of the parts, and what was learnt of them."""
        learnt = self._learnt
        self.parts = {n: p for (n, p), keep in zip(self.parts.items(), used, strict=True) if keep}
        kept = BlendWeights(
            learnt.weights.weights[:, used], learnt.weights.constants[:, used], learnt.weights.offsets
        )
        self._learnt = replace(learnt, weights=kept, ratings=learnt.ratings[used])

    def score(self, q: QueryBatch, items: np.ndarray | None = None) -> Scores:
        """Return the fused score; abstains where every part does."""
        self.require_fitted()
        asked = None if self.whole else items
        return self.combine({name: part.score(q, asked) for name, part in self.parts.items()}, q, items)

    @abstractmethod
    def combine(self, scores: Mapping[str, Scores], q: QueryBatch, items: np.ndarray | None = None) -> Scores:
        """Return the fused score of scores that the parts gave already.

        Parameters
        ----------
        scores : mapping
            By name of the part: of ``items``, or of the whole catalogue where the form is ``whole``.
        q : QueryBatch (n)
        items : int (m,) or (n, m), optional
            What is to be scored; the whole catalogue without it.
        """

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
            for cohort, row in zip(QUERY_COHORTS, self._shown_weights(), strict=True)
        }

    def _shown_weights(self) -> np.ndarray:
        """Return float64 (n_query_cohorts, n_parts): what stands for the weights where they are shown."""
        return self._learnt.weights.weights

    @property
    def facts(self) -> dict[str, Any]:
        """What the fit saw on validation, what it decided, and what its parts tell of theirs: JSON."""
        told = {name: part.facts for name, part in self.parts.items() if part.facts}
        found = {"validation": self._learnt.figures, "decisions": list(self.decisions)}
        return {**found, "told": told} if told else found

    @property
    def learnt(self) -> Learnt:
        """What validation has taught."""
        return self._learnt

    def updated(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> Self:
        """Return the fusion with every part updated; what was learnt on validation stays."""
        other = copy(self)
        other.parts = {n: p.updated(train, features, run) for n, p in self.parts.items()}
        other._set_items(train, run)
        return other

    def without_user(self, user: int) -> Self:
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

    def restored(self, arrays: Arrays, meta: Meta, features: ItemFeatures | None = None) -> Self:
        """Return the fusion of fitted parts with the numbers that :meth:`state` gave.

        ``features`` are for a last stage; others do without.
        """
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


def answered_where(values: np.ndarray, known: np.ndarray) -> Scores:
    """Return scores (n, m) that are answered where something is known; a query is where any of its items is."""
    return Scores(values.astype(np.float32, copy=False), known, np.asarray(known.any(axis=1)))


def taken(scores: Scores, items: np.ndarray | None) -> Scores:
    """Return scores of the whole catalogue for ``items`` None, (m,) or (n, m)."""
    if items is None:
        return scores
    mask = scores.items[items] if scores.items.ndim == 1 else chosen(scores.items, items)
    return Scores(np.ascontiguousarray(chosen(scores.values, items)), mask, scores.queries)


def held_with_words(held: Holdout, dataset: Dataset, features: ItemFeatures, run: RunOptions) -> Holdout:
    """Return held-out queries with the words that were stored before their moment."""
    words = stored_words(dataset, held.queries.users, held.queries.at, past_only=True)
    return replace(held, queries=with_words(held.queries, words, features, run))


def fit_parts(
    parts: Mapping[str, Scorer],
    train: Dataset,
    features: ItemFeatures,
    run: RunOptions,
) -> dict[str, Scorer]:
    """Fit every part that the data allow, in all the time that it takes; see :meth:`Spending.fit`."""
    return Spending(None).fit(parts, train, features, run)
