"""NMF: ratings above the lowest one as a product of factors that are nowhere negative."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from fuserec.scorers.factors import FactorConfig, RatingFactors

if TYPE_CHECKING:
    from fuserec.numerics.ridge import Ridge


class NMFConfig(FactorConfig):
    """Hyperparameters of NMF."""

    embedding_dim: int = Field(default=16, ge=1, le=512, description="Non-negative factors.")
    iterations: int = Field(default=10, ge=1, description="Rounds of alternating non-negative least squares.")
    regularization: float = Field(
        default=1.3,
        gt=0,
        description="λ; a row with n ratings is held by λ·√n to the vector that predicts the mean.",
    )


class NMF(RatingFactors):
    """r̂ = low + p_u·q_i with p, q ≥ 0 (Lee, Seung 2001, "Algorithms for non-negative matrix factorization").

    Their squared error, over the observed ratings only. Each row's non-negative least squares is solved by
    coordinate descent rather than by their multiplicative step, which creeps and cannot leave zero (Kim, Park
    2008, alternating non-negative least squares). The ridge pulls to a constant vector c with c·c = μ − low
    instead of to zero: a row with few ratings predicts the mean, not the lowest rating.
    """

    name: ClassVar[str] = "nmf"
    Config = NMFConfig
    config: NMFConfig

    @property
    def _level(self) -> float:
        """Every coordinate of the vector that predicts the mean with itself."""
        return float(np.sqrt(max(self._mean - self._scale[0], 0.0) / self.config.embedding_dim))

    def reading(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the vectors themselves, and the lowest rating as the offset."""
        return vectors, np.full(vectors.shape[0], self._scale[0], np.float32)

    def ridge(self) -> Ridge:
        """Return a growing ridge around the constant vector."""
        from fuserec.numerics.ridge import Ridge

        growing = np.full(self.config.embedding_dim, self.config.regularization, np.float32)
        return Ridge(np.zeros_like(growing), growing, np.full_like(growing, self._level), nonnegative=True)

    def start(self, uniform: np.ndarray) -> np.ndarray:
        """Return vectors scattered around the constant one."""
        return (np.float32(2.0 * self._level) * uniform).astype(np.float32)
