"""The losses of joint training, and how they are weighed. Logits go in, never probabilities: nothing overflows.

A cross-entropy is positive, zero for a certain and right answer, and its gradient by a logit is σ − r times a weight:
a positive is pushed up, a negative down.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional

from fuserec.neural.joint.config import Head

SPREAD_LIMIT = 4.0
"""The logarithm of a rating's standard deviation stays within ± this."""


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return −[r log σ(l) + (1 − r) log(1 − σ(l))] of each logit: r = 1, σ = .8 and r = 0, σ = .2 both cost .223."""
    return functional.softplus(logits) - labels * logits


def weighted_mean(losses: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Return Σ w ℓ / Σ w: the mean over P where all pairs count alike; 0 where none counts."""
    return (weights * losses).sum() / weights.sum().clamp_min(1e-12)


def gaussian(predicted: torch.Tensor, spread: torch.Tensor, ratings: torch.Tensor) -> torch.Tensor:
    """Return −log N(r; predicted, exp(spread)²) of standardised ratings."""
    s = spread.clamp(-SPREAD_LIMIT, SPREAD_LIMIT)
    return 0.5 * ((ratings - predicted) * torch.exp(-s)).square() + s + 0.5 * math.log(2 * math.pi)


def ordinal(predicted: torch.Tensor, thresholds: torch.Tensor, levels: torch.Tensor) -> torch.Tensor:
    """Return −log P(level): σ(θ_level − predicted) − σ(θ_{level−1} − predicted) (McCullagh 1980, proportional odds).

    Parameters
    ----------
    predicted : float (n,)
    thresholds : float (k − 1,)
        Ascending; θ below the first is −∞, above the last +∞.
    levels : int64 (n,)
        0 to k − 1.
    """
    ends = torch.cat([thresholds.new_full((1,), -1e4), thresholds, thresholds.new_full((1,), 1e4)])
    high, low = ends[levels + 1] - predicted, ends[levels] - predicted
    # log(σ(high) − σ(low)) = log σ(high) + log σ(−low) + log(1 − e^{low − high}), exact where both are far out
    return functional.softplus(-high) + functional.softplus(low) - torch.log(-torch.expm1(low - high))


def ascending(steps: torch.Tensor) -> torch.Tensor:
    """Return ascending thresholds float (k,): the first as it is, each later one above it by e^step."""
    return torch.cumsum(torch.cat([steps[:1], steps[1:].exp()]), dim=0)


def inverse_propensity(propensity: torch.Tensor, clip: float) -> torch.Tensor:
    """Return min(1 / p, clip) of each logged action; 1 where p is not known (NaN)."""
    return torch.nan_to_num(1.0 / propensity, nan=1.0).clamp_max(clip)


def feedback(
    logits: torch.Tensor,
    rewards: torch.Tensor,
    propensity: torch.Tensor,
    clip: float,
    *,
    self_normalized: bool = False,
) -> torch.Tensor:
    """Return L_S = −(1/|P|) Σ w [r log q + (1 − r) log(1 − q)], w = min(1 / propensity, clip).

    What was shown more often stands in the log more often than it should: 1 / propensity makes up for it, so that the
    expectation is that of a log in which everything was shown (Horvitz, Thompson 1952; for recommendations Schnabel et
    al. 2016, "Recommendations as treatments"). Cut and self-normalised weights (Swaminathan, Joachims 2015, "The
    self-normalized estimator for counterfactual learning") vary less and are somewhat biased.
    """
    weights = inverse_propensity(propensity, clip)
    losses = cross_entropy(logits, rewards)
    return weighted_mean(losses, weights) if self_normalized else (weights * losses).mean()


def policy_gradient(
    log_pi: torch.Tensor, rewards: torch.Tensor, logged: torch.Tensor, clip: float, top_k: int = 1
) -> torch.Tensor:
    """Return −(1/|P|) Σ w λ_K r log π(j | s): REINFORCE, corrected for who chose (Chen et al. 2019).

    "Top-K off-policy correction for a REINFORCE recommender system": w = min(π / β, clip), λ_K = K (1 − π)^(K−1), both
    without a gradient of their own.

    Parameters
    ----------
    log_pi : float (n,)
        Of the logged actions.
    rewards : float (n,)
    logged : float (n,)
        β: how probable the action was for whoever logged it.
    clip : float
    top_k : int
        K.
    """
    pi = log_pi.detach().exp()
    weights = (pi / logged).clamp_max(clip) * top_k * (1.0 - pi).clamp_min(0.0) ** (top_k - 1)
    return -(weights * rewards * log_pi).mean()


class Balance(nn.Module):
    """Weights of the losses: fixed, or learnt beside the model.

    Learnt, L = Σ λ_k (e^{−s_k} L_k + s_k / 2), the homoscedastic uncertainty of Kendall, Gal, Cipolla 2018 ("Multi-task
    learning using uncertainty to weigh losses for scene geometry and semantics", s = log σ²): a loss that stays high is
    trusted less, and the charge keeps its weight from vanishing. Beyond that |s| stays below log(limit) smoothly.

    Parameters
    ----------
    lambdas : mapping
        A loss of weight 0 has no part here: it is not computed at all.
    learnt : bool
    limit : float
        No weight gets further from its λ than by this factor.
    """

    def __init__(self, lambdas: Mapping[Head, float], learnt: bool, limit: float) -> None:
        super().__init__()
        self.lambdas = {head: float(value) for head, value in lambdas.items() if value > 0}
        self.bound = math.log(limit)
        self.free = nn.Parameter(torch.zeros(len(self.lambdas))) if learnt else None

    def _s(self) -> torch.Tensor | None:
        """Return s of every loss, float (n_losses,)."""
        return None if self.free is None else self.bound * torch.tanh(self.free / self.bound)

    def forward(self, losses: Mapping[Head, torch.Tensor]) -> torch.Tensor:
        """Return the whole objective."""
        s = self._s()
        total = next(iter(losses.values())).new_zeros(())
        for place, (head, value) in enumerate(self.lambdas.items()):
            term = losses[head] if s is None else torch.exp(-s[place]) * losses[head] + 0.5 * s[place]
            total = total + value * term
        return total

    @torch.no_grad()
    def weights(self) -> dict[Head, float]:
        """Return the weight that each loss has now: positive and finite."""
        s = self._s()
        scale = [1.0] * len(self.lambdas) if s is None else torch.exp(-s).tolist()
        return {
            head: value * factor for (head, value), factor in zip(self.lambdas.items(), scale, strict=True)
        }
