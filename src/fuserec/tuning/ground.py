"""Where hyperparameters are judged: validation queries held out of what is left without the test part.

The test part of a split is taken away first, and nothing here sees it: parts fit on the inner training data, and are
asked for the validation targets, as in an evaluation with the same split and seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from fuserec.data.splits import split as split_data
from fuserec.features import item_features
from fuserec.fusion.base import held_with_words
from fuserec.metrics.ranking import target_ranks
from fuserec.numerics.ranks import tied_ranks

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.splits import Holdout, SplitConfig
    from fuserec.encoders.features import FeatureConfig, ItemFeatures
    from fuserec.run import RunOptions
    from fuserec.scorers.base import Scorer
    from fuserec.tuning.objective import Objective

LOOKS = 4
"""Values that are seen of a trial at most: on an eighth, a quarter, half and all of the queries."""

FEWEST = 50
"""Queries of the first look."""


@dataclass(frozen=True)
class Ground:
    """The data of a tuning.

    Parameters
    ----------
    features : ItemFeatures
    held : Holdout
        Validation queries in random order, so that the first of them are a sample of all.
    looks : tuple of int
        How many queries each look takes; the last is all of them.
    objective : Objective
    """

    features: ItemFeatures
    held: Holdout
    looks: tuple[int, ...]
    objective: Objective

    @classmethod
    def prepare(
        cls,
        dataset: Dataset,
        features: FeatureConfig,
        split: SplitConfig,
        objective: Objective,
        queries: int,
        run: RunOptions,
    ) -> Self:
        """Take the test part away, hold out validation, read the items, and draw the queries.

        Raises
        ------
        DataError
            Where nothing can be held out.
        """
        held = split_data(dataset, split, run.seed).validation
        order = run.rng("tuning.queries").permutation(len(held))[:queries]
        read = item_features(held.train, features, run)
        held = held_with_words(held.take(order), held.train, read, run)
        return cls(read, held, looks(len(held)), objective)

    def fit(self, part: Scorer, run: RunOptions) -> Scorer:
        """Return the part fitted on the inner training data."""
        return part.fit(self.held.train, self.features, run)

    def value(self, part: Scorer, run: RunOptions, look: Callable[[int, float], None] | None = None) -> float:
        """Return the objective of a fitted part: its mean over the queries that have a target.

        Parameters
        ----------
        part : Scorer
        run : RunOptions
        look : callable, optional
            Is told ``(look, value so far)`` after each; what it raises ends the measuring.
        """
        found: list[np.ndarray] = []
        seen = 0
        for place, until in enumerate(self.looks):
            found.append(self._values(part, seen, until, run))
            seen = until
            if look is not None:
                look(place, float(np.nanmean(np.concatenate(found))))
        return float(np.nanmean(np.concatenate(found)))

    def _values(self, part: Scorer, start: int, stop: int, run: RunOptions) -> np.ndarray:
        """Return float64 (stop - start,): the objective of some queries, scored in chunks."""
        chunk = max(1, run.memory_mb * 2**20 // (8 * max(1, self.held.train.n_items)))
        found = []
        for lo in range(start, stop, chunk):
            run.check()
            piece = self.held.take(np.arange(lo, min(lo + chunk, stop)))
            scores = part.score(piece.queries)
            visible = np.where(scores.answered, scores.values, np.float32(-np.inf))
            targets = (piece.indptr, piece.items)
            ranks, tied, candidates = tied_ranks(visible, piece.queries.seen(), targets, run.threads)
            ranks = np.where(np.isfinite(visible[piece.rows, piece.items]), ranks, np.inf)
            found.append(self.objective.values(target_ranks(piece.indptr, ranks, candidates, tied)))
        return np.concatenate(found)


def looks(queries: int) -> tuple[int, ...]:
    """Return how many queries each look takes: each twice as many as the one before."""
    found = [queries]
    while len(found) < LOOKS and found[0] // 2 >= FEWEST:
        found.insert(0, found[0] // 2)
    return tuple(found)


def quiet(run: RunOptions) -> RunOptions:
    """Return the options without progress: the trials are counted instead."""
    return replace(run, progress=lambda label, done, total: None)
