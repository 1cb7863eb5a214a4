"""Scores to probabilities: isotonic regression on validation (Zadrozny and Elkan 2002), kept as a few knots."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BINS = 60


@dataclass(frozen=True)
class Calibration:
    """A monotone, piecewise linear map from fused score to the probability that the item is the one taken next.

    Parameters
    ----------
    scores : float64 (n_knots,)
        Increasing.
    probabilities : float64 (n_knots,)
        Non-decreasing, in [0, 1].
    """

    scores: np.ndarray
    probabilities: np.ndarray

    @classmethod
    def fit(cls, scores: np.ndarray, taken: np.ndarray) -> Calibration:
        """Fit on scored candidates (n,) and whether each was what the person took (n,)."""
        if scores.size == 0:
            return cls(np.zeros(1), np.zeros(1))
        from scipy.optimize import isotonic_regression

        order = np.argsort(scores, kind="stable")
        scores, taken = scores[order].astype(np.float64), taken[order].astype(np.float64)
        edges = _edges(scores, taken)
        weights = np.diff(edges)
        centres = np.add.reduceat(scores, edges[:-1]) / weights
        rates = np.add.reduceat(taken, edges[:-1]) / weights
        return cls(centres, np.clip(isotonic_regression(rates, weights=weights).x, 0.0, 1.0))

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Return the probability of each score; beyond the knots the nearest one's."""
        return np.asarray(np.interp(scores, self.scores, self.probabilities))


def _edges(scores: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """Return bin edges into the sorted scores: equal shares of the positives, so that high scores are resolved."""
    cumulated = np.cumsum(taken + taken.mean() / 4 + 1e-12)
    wanted = np.linspace(0, cumulated[-1], BINS + 1)[1:-1]
    inner = np.searchsorted(cumulated, wanted)
    inner = inner[np.concatenate([[True], scores[inner[1:]] > scores[inner[:-1]]])] if inner.size else inner
    return np.unique(np.concatenate([[0], inner, [scores.size]])).astype(np.int64)
