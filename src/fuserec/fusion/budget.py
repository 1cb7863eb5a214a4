"""Spending the time that is given: which parts are fitted, in what size, on how many queries the fusion learns.

What is decided is kept as sentences, so that whoever gave the time can read what became of it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from fuserec.errors import ConfigError

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.splits import Holdout
    from fuserec.encoders.features import ItemFeatures
    from fuserec.fusion.learning import FusionLearning
    from fuserec.run import RunOptions
    from fuserec.scorers.base import Scorer

log = logging.getLogger("fuserec")

COUNTING_SHARE = 0.2
"""Share of the time after which no further part is begun that is not trained: all of them are fitted twice."""

LEARNING_SHARE = 0.2
"""Share of the time that is kept for learning the fusion."""

REFIT = 1.2
"""A refit on all data takes longer than the fit on a part of them, by this factor with some to spare."""

FEWEST_QUERIES = 1000
"""Validation queries that the fusion learns on however little time there is."""

TIMED_QUERIES = 128

C = TypeVar("C", bound="FusionLearning")


@dataclass
class Spending:
    """The time of one fit, and what was decided.

    Parameters
    ----------
    until : float or None
        A moment of ``time.monotonic()``; None: all the time that it takes.
    said : list of str
        Decisions, in words.
    took : dict
        Seconds that each part took to fit on inner train.
    """

    until: float | None
    said: list[str] = field(default_factory=list)
    took: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.began = time.monotonic()

    @property
    def left(self) -> float:
        """Seconds left."""
        return float("inf") if self.until is None else self.until - time.monotonic()

    @property
    def total(self) -> float:
        """Seconds given."""
        return float("inf") if self.until is None else self.until - self.began

    def say(self, sentence: str) -> None:
        """Keep a decision."""
        log.info(sentence)
        self.said.append(sentence[0].upper() + sentence[1:] if sentence.startswith("the ") else sentence)

    def fit(
        self, parts: Mapping[str, Scorer], train: Dataset, features: ItemFeatures, run: RunOptions
    ) -> dict[str, Scorer]:
        """Fit every part that data and time allow, cheap ones first; the result has the order of ``parts``."""
        able = {name: part for name, part in parts.items() if self._takes(name, part, train)}
        quick = {name: part for name, part in able.items() if not part.capabilities.trained}
        slow = {name: part for name, part in able.items() if part.capabilities.trained}
        fitted: dict[str, Scorer] = {}
        for name, part in quick.items():
            if fitted and self.total - self.left > COUNTING_SHARE * self.total:
                self.say(f"{name} is left out: the time given is needed for what was fitted before it.")
                continue
            run.progress(f"fitting {name}", len(fitted), len(able))
            self._fit_one(name, part, fitted, train, features, run)
        for place, (name, part) in enumerate(slow.items()):
            run.progress(f"fitting {name}", len(fitted), len(able))
            sized = self._sized(name, part, len(slow) - place, train, features, run)
            if sized is not None:
                self._fit_one(name, sized, fitted, train, features, run)
        if not fitted:
            raise ConfigError(
                "no part of the fusion can take this catalogue in this time: name one without a limit, "
                "e.g. cooccurrence"
            )
        run.progress("fitting", len(able), len(able))
        return {name: fitted[name] for name in parts if name in fitted}

    def _takes(self, name: str, part: Scorer, train: Dataset) -> bool:
        """Return whether the catalogue is small enough for a part."""
        limit = part.capabilities.max_items
        if limit is None or train.n_items <= limit:
            return True
        self.say(f"{name} is left out: {train.n_items:,} items, it takes {limit:,}.")
        log.warning("part %s is left out: %s items, it takes %s", name, f"{train.n_items:,}", f"{limit:,}")
        return False

    def _fit_one(
        self,
        name: str,
        part: Scorer,
        fitted: dict[str, Scorer],
        train: Dataset,
        features: ItemFeatures,
        run: RunOptions,
    ) -> None:
        """Fit a part on the clock."""
        run.check()
        began = time.monotonic()
        fitted[name] = part.fit(train, features, run)
        self.took[name] = time.monotonic() - began

    def _sized(
        self, name: str, part: Scorer, waiting: int, train: Dataset, features: ItemFeatures, run: RunOptions
    ) -> Scorer | None:
        """Return a trained part in the size that its share of the time allows, None where that is too little."""
        if self.until is None:
            return part
        refits = REFIT * sum(self.took.values())
        share = (self.left - refits - LEARNING_SHARE * self.total) / waiting / (1.0 + REFIT)
        sized, how = part.within(max(share, 0.0), train, features, run) if share > 0 else (None, "")
        if sized is None:
            self.say(f"{name} is left out: {how or 'no time is left for it'}.")
        elif how:
            self.say(f"{name} is trained with {how}: its share of the time is {share:.0f} s.")
        return sized

    def learning(self, config: C, parts: Mapping[str, Scorer], held: Holdout) -> C:
        """Return how the fusion learns in the time that is left: on fewer queries where it has to be."""
        if self.until is None or not len(held):
            return config
        import numpy as np

        few = held.queries.take(np.arange(min(TIMED_QUERIES, len(held))))
        trials, each = 1, 0.0
        for part in parts.values():
            began = time.monotonic()
            part.score(few)
            spent = (time.monotonic() - began) / len(few)
            tries = sum(map(len, part.tunable.values())) if config.tune else 0
            each += spent * (1.0 + tries * config.tune_queries / config.max_queries)
            trials += tries
        needed = 2.0 * each * min(config.max_queries, len(held))
        allowed = self.left - REFIT * sum(self.took.values())
        if needed <= allowed:
            return config
        share = max(allowed, 0.0) / needed
        queries = max(FEWEST_QUERIES, int(share * min(config.max_queries, len(held))))
        tuned = max(100, int(share * config.tune_queries))
        self.say(f"the fusion learns on {queries:,} validation queries, as the time allows.")
        return config.model_copy(update={"max_queries": queries, "tune_queries": tuned})

    def refit(
        self, parts: Mapping[str, Scorer], train: Dataset, features: ItemFeatures, run: RunOptions
    ) -> dict[str, Scorer]:
        """Fit the parts on everything; one that there is no time for stays as it was fitted without validation."""
        fitted: dict[str, Scorer] = {}
        for name, part in parts.items():
            run.check()
            run.progress(f"fitting {name} on everything", len(fitted), len(parts))
            if self.left < self.took.get(name, 0.0) / 2:
                fitted[name] = part
                self.say(f"{name} is not refitted on the validation events: no time is left.")
                continue
            timed = replace(run, deadline=self.until) if part.capabilities.trained else run
            fitted[name] = part.fit(train, features, timed)
        run.progress("fitting", len(parts), len(parts))
        return fitted
