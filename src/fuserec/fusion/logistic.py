"""A logistic stacker: whether a candidate is taken, by a linear function of all scores and of item and query.

P(taken) = σ(slope · blend(q, j) + b + β · x), x standardised and held within ±:data:`REACH`; b and β minimise the mean
surprise a taken item plus regularization / 2 · |β|², so that without evidence the blend stays as it is. Pointwise, over
the candidates of all queries. Being linear, it says exactly what each feature adds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fuserec.fusion.config import Kind
from fuserec.fusion.crossfit import Correction, StackTable
from fuserec.fusion.stacking import Stacker
from fuserec.scorers.base import EvidenceMethod

if TYPE_CHECKING:
    from fuserec.run import RunOptions
    from fuserec.types import Arrays

REACH = 5.0
"""Standard deviations beyond which a feature says no more: so the sum has a lower bound."""

MARGIN = 0.01
"""Between the lowest value and what is not re-scored."""
ITERATIONS = 100


class Linear(Correction):
    """β · x of standardised features.

    Parameters
    ----------
    beta, mean, scale : float64 (n_features,)
    """

    def __init__(self, beta: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> None:
        self.beta, self.mean, self.scale = beta, mean, scale

    @property
    def lowest(self) -> float:
        """What features at their worst would say, and a margin."""
        return -REACH * float(np.abs(self.beta).sum()) - MARGIN

    def values(self, features: np.ndarray) -> np.ndarray:
        """Return the sum of all shares."""
        return np.asarray(self.shares(features).sum(axis=1))

    def shares(self, features: np.ndarray) -> np.ndarray:
        """Return β x of every feature, and 0."""
        terms = standardised(features, self.mean, self.scale) * self.beta
        return np.concatenate([terms, np.zeros((len(terms), 1))], axis=1)

    def arrays(self) -> Arrays:
        """Return the three vectors."""
        return {"beta": self.beta, "mean": self.mean, "scale": self.scale}


def standardised(features: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return float64 (n, n_features) within ±REACH."""
    return np.asarray(np.clip((features.astype(np.float64) - mean) / scale, -REACH, REACH))


class Logistic(Stacker):
    """A blend whose best items are re-scored by a regularised logistic regression."""

    kind: ClassVar[Kind] = "logistic"
    method: ClassVar[EvidenceMethod] = "scorer"

    def _learner(self, table: StackTable, slope: float, run: RunOptions) -> Correction:
        """Minimise by L-BFGS (Liu and Nocedal 1989)."""
        from scipy.optimize import minimize

        mean = table.features.mean(axis=0, dtype=np.float64)
        scale = table.features.std(axis=0, dtype=np.float64)
        scale[scale == 0] = 1.0
        x = standardised(table.features, mean, scale).astype(np.float32)
        start, taken = slope * table.first.astype(np.float64), table.target
        weight, strength = 1.0 / max(1, int(taken.sum())), self.config.stack.regularization

        def surprise(parameters: np.ndarray) -> tuple[float, np.ndarray]:
            run.check()
            beta = parameters[1:]
            logits = start + parameters[0] + x @ beta.astype(np.float32)
            loss = float(np.logaddexp(0.0, np.where(taken, -logits, logits)).sum())
            wrong = 1.0 / (1.0 + np.exp(-np.clip(logits, -500, 500))) - taken
            slopes = (wrong.astype(np.float32) @ x).astype(np.float64)
            gradient = weight * np.concatenate([[wrong.sum()], slopes]) + strength * np.append(0.0, beta)
            return weight * loss + 0.5 * strength * float(beta @ beta), gradient

        begin = np.zeros(1 + x.shape[1])
        begin[0] = np.log(max(taken.mean(), 1e-9)) - float(start.mean())
        found = minimize(surprise, begin, jac=True, method="L-BFGS-B", options={"maxiter": ITERATIONS})
        return Linear(found.x[1:], mean, scale)

    def _read(self, arrays: Arrays) -> Correction:
        return Linear(arrays["beta"], arrays["mean"], arrays["scale"])
