"""A game between weights of evidence and weights of groups, whose value is the loss of the worst group."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

STEPS = 2
"""Newton steps of the learner a round."""


@dataclass(frozen=True)
class Game:
    """Lists with the items that were taken, and the group of each list.

    Parameters
    ----------
    evidence : float32 (n, m, f)
        Of each candidate.
    there : bool (n, m)
    taken : float64 (n, m)
        A row sums to 1: equal shares of the items that were taken.
    group : int (n,)
        0 to n_groups - 1.
    n_groups : int
    """

    evidence: np.ndarray
    there: np.ndarray
    taken: np.ndarray
    group: np.ndarray
    n_groups: int

    def take(self, rows: np.ndarray) -> Game:
        """Return some of the lists."""
        return Game(self.evidence[rows], self.there[rows], self.taken[rows], self.group[rows], self.n_groups)

    def chances(self, weights: np.ndarray) -> np.ndarray:
        """Return softmax of the weighed evidence, float64 (n, m)."""
        values = np.where(self.there, self.evidence @ weights.astype(np.float32), -np.inf).astype(np.float64)
        raised = np.exp(values - values.max(axis=1, keepdims=True))
        return np.asarray(raised / raised.sum(axis=1, keepdims=True))

    def losses(self, weights: np.ndarray) -> np.ndarray:
        """Return the mean -log chance of what was taken by group, float64 (n_groups,), 0 for an empty group."""
        logs = np.log(np.maximum(self.chances(weights), 1e-300))
        each = -np.sum(self.taken * logs, axis=1)
        sizes = np.bincount(self.group, minlength=self.n_groups)
        sums = np.bincount(self.group, weights=each, minlength=self.n_groups)
        return np.asarray(sums / np.maximum(1, sizes))

    def improved(
        self, weights: np.ndarray, mixture: np.ndarray, towards: np.ndarray, regularization: float
    ) -> np.ndarray:
        """Return the weights after one Newton step on the groups' losses mixed as ``mixture`` says.

        The loss has a ridge, regularization / 2 · |weights - towards|².
        """
        sizes = np.maximum(1, np.bincount(self.group, minlength=self.n_groups))
        worth = (mixture / sizes)[self.group]
        p = self.chances(weights)
        mean = np.einsum("nm,nmf->nf", p, self.evidence)
        wanted = np.einsum("nm,nmf->nf", self.taken, self.evidence)
        gradient = worth @ (mean - wanted) + regularization * (weights - towards)
        second = np.einsum("nm,nmf,nmg->fg", p * worth[:, None], self.evidence, self.evidence, optimize=True)
        hessian = second - (mean * worth[:, None]).T @ mean + regularization * np.eye(weights.size)
        return np.asarray(weights - np.linalg.solve(hessian, gradient))


def hedged(
    game: Game, start: np.ndarray, rounds: int, rate: float, regularization: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean weights over the rounds, and the mean mixture of groups that they were learnt for.

    Each round the group player multiplies the weight of every group by exp(rate · its loss), so that those worse off
    count more (Hedge: Freund and Schapire 1997, "A decision-theoretic generalization of on-line learning and an
    application to boosting"); the learner then takes Newton steps on the mixture. The losses are convex in the weights,
    so that the means approach the weights whose worst group is best off (Freund and Schapire 1999, "Adaptive game
    playing using multiplicative weights"; as training: Sagawa et al. 2020, "Distributionally robust neural networks").

    Parameters
    ----------
    game : Game
    start : float64 (f,)
        Weights to begin with; the ridge pulls towards them.
    rounds : int
    rate : float
    regularization : float
    """
    weights, total = start.astype(np.float64), np.zeros(start.size)
    present = np.bincount(game.group, minlength=game.n_groups) > 0
    log_mixture, mixtures = np.zeros(game.n_groups), np.zeros(game.n_groups)
    for _ in range(rounds):
        raised = np.where(present, np.exp(log_mixture - log_mixture[present].max()), 0.0)
        mixture = raised / raised.sum()
        for _ in range(STEPS):
            weights = game.improved(weights, mixture, start, regularization)
        log_mixture = log_mixture + rate * game.losses(weights)
        total += weights
        mixtures += mixture
    return total / rounds, mixtures / rounds


def worst_ndcg(game: Game, weights: np.ndarray, k: int = 10) -> np.ndarray:
    """Return NDCG@k of the lists in the order of the weighed evidence, mean by group: float64 (n_groups,)."""
    values = np.where(game.there, game.evidence @ weights.astype(np.float32), -np.inf)
    order = np.argsort(-values, axis=1, kind="stable")[:, :k]
    hits = np.take_along_axis(game.taken > 0, order, axis=1)
    discount = 1.0 / np.log2(np.arange(2, hits.shape[1] + 2))
    ideal = np.cumsum(discount)[np.minimum(hits.shape[1], (game.taken > 0).sum(axis=1)) - 1]
    each = hits @ discount / ideal
    sizes = np.bincount(game.group, minlength=game.n_groups)
    sums = np.bincount(game.group, weights=each, minlength=game.n_groups)
    return np.where(sizes > 0, sums / np.maximum(1, sizes), np.nan)
