"""Cross-fitting of a stacker over folds of users: what it would be worth on people it has not seen."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fuserec.fusion.search import ranked_gains
from fuserec.numerics.hashing import reseed

if TYPE_CHECKING:
    from fuserec.run import RunOptions
    from fuserec.types import Arrays

SURE = 1.0
"""A stacker has to gain so many standard errors over the blend: one that is as good brings cost only."""


class Correction(ABC):
    """What a second stage adds to the first one's score, in units of log-odds."""

    @property
    @abstractmethod
    def lowest(self) -> float:
        """A bound that all values stay above, so that what is re-scored stays above the rest."""

    @abstractmethod
    def values(self, features: np.ndarray) -> np.ndarray:
        """Return float64 (n,) of features float32 (n, n_features)."""

    @abstractmethod
    def shares(self, features: np.ndarray) -> np.ndarray:
        """Return float64 (n, n_features + 1): what each feature adds, then the rest; a row sums to its value."""

    @abstractmethod
    def arrays(self) -> Arrays:
        """Return what it is kept as."""


@dataclass(frozen=True)
class StackTable:
    """Candidates of validation queries.

    Parameters
    ----------
    indptr : int64 (n + 1,)
    features : float32 (n_candidates, n_features)
    first : float32 (n_candidates,)
        The blend's score.
    target : bool (n_candidates,)
    n_targets : int64 (n,)
        Of each query, those that are no candidates included.
    folds : int64 (n,)
    """

    indptr: np.ndarray
    features: np.ndarray
    first: np.ndarray
    target: np.ndarray
    n_targets: np.ndarray
    folds: np.ndarray

    def __len__(self) -> int:
        return self.n_targets.size

    @property
    def rows(self) -> np.ndarray:
        """int64 (n_candidates,): the query of each candidate."""
        return np.repeat(np.arange(len(self)), np.diff(self.indptr))

    @property
    def telling(self) -> np.ndarray:
        """Bool (n,): queries of which a candidate is a target and another is not."""
        hits = np.bincount(self.rows, weights=self.target, minlength=len(self))
        return (hits > 0) & (hits < np.diff(self.indptr))

    def take(self, queries: np.ndarray) -> StackTable:
        """Return some queries, by a mask (n,)."""
        kept = queries[self.rows]
        lengths = np.diff(self.indptr)[queries]
        indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return StackTable(
            indptr,
            self.features[kept],
            self.first[kept],
            self.target[kept],
            self.n_targets[queries],
            self.folds[queries],
        )

    def gains(self, scores: np.ndarray, depth: int) -> np.ndarray:
        """Return float64 (n,): NDCG of each query by scores (n_candidates,)."""
        return ranked_gains(self.indptr, scores, self.target, self.n_targets, depth)


Learner = Callable[[StackTable, float, "RunOptions"], Correction]
"""Fits on telling queries, beside the first stage's score times a slope."""


def user_folds(users: np.ndarray, hashes: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Return int64 (n,): the fold of each query, the same for all queries of a user, on every machine.

    Parameters
    ----------
    users : int32 (n,)
        -1 for somebody unknown, who is told apart by the place in the batch.
    hashes : uint64 (n_users,)
    folds, seed : int
    """
    own = np.arange(users.size, dtype=np.uint64)
    known = users >= 0
    own[known] = hashes[users[known]]
    return np.asarray((reseed(own, seed) % np.uint64(folds)).astype(np.int64))


def slope_of(table: StackTable) -> float:
    """Return the slope at which the first stage's scores are log-odds: softmax over the candidates fits best."""
    from scipy.optimize import minimize_scalar

    part = table.take(table.telling)
    if not len(part):
        return 1.0
    starts, rows = part.indptr[:-1], part.rows
    first = part.first.astype(np.float64)
    first = first - np.maximum.reduceat(first, starts)[rows]
    share = part.target / np.bincount(rows, weights=part.target)[rows]

    def surprise(log_slope: float) -> float:
        logits = np.exp(log_slope) * first
        norms = np.log(np.add.reduceat(np.exp(logits), starts))
        return float((norms[rows] - logits) @ share) / len(part)

    found = minimize_scalar(surprise, bounds=(np.log(0.1), np.log(100.0)), method="bounded")
    return float(np.exp(found.x))


def crossfitted(table: StackTable, slope: float, learner: Learner, run: RunOptions) -> np.ndarray:
    """Return float64 (n_candidates,): the correction of each candidate by a model that has not seen its user.

    Where the other folds hold nothing to learn from it is 0.
    """
    out = np.zeros(table.rows.size)
    telling = table.telling
    folds = np.unique(table.folds)
    for done, fold in enumerate(folds):
        run.check()
        run.progress("cross-fitting the stacker", done, folds.size)
        inside = table.folds == fold
        others = telling & ~inside
        if others.any():
            cells = inside[table.rows]
            out[cells] = learner(table.take(others), slope, run).values(table.features[cells])
    return out


def gained(table: StackTable, stacked: np.ndarray, depth: int) -> tuple[float, float, bool]:
    """Return NDCG of the first stage, NDCG of the stacked scores, and whether the second is surely higher."""
    before, after = table.gains(table.first, depth), table.gains(stacked, depth)
    difference = after - before
    error = difference.std() / np.sqrt(max(1, difference.size))
    return float(before.mean()), float(after.mean()), bool(difference.mean() > SURE * error)
