"""Biased SVD: ratings as a mean, two biases and a product of factors, predicted in their own scale."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from fuserec.scorers.factors import FactorConfig, RatingFactors

if TYPE_CHECKING:
    from fuserec.numerics.ridge import Ridge


class BiasedSVDConfig(FactorConfig):
    """Hyperparameters of biased SVD."""

    embedding_dim: int = Field(default=32, ge=1, le=512, description="Factors beside the bias.")
    iterations: int = Field(default=10, ge=1, description="Rounds of alternating least squares.")
    regularization: float = Field(
        default=1.5, gt=0, description="λ; the factors of a row with n ratings are held back by λ·√n."
    )
    damping: float = Field(
        default=5.0, gt=0, description="Ratings of average kind that a bias is weighed against."
    )


class BiasedSVD(RatingFactors):
    """r̂ = μ + b_u + b_i + p_u·q_i (Koren, Bell, Volinsky 2009, "Matrix factorization techniques", eq. 4).

    Bias and factors of a row are solved together, in closed form (alternating least squares), so the fit has
    no learning rate; b_u and p_u are solved from the ratings in the query the same way. The ridge grows with
    √n, half way between their plain one and the one of Zhou et al. 2008 (λ·n).
    """

    name: ClassVar[str] = "svd"
    Config = BiasedSVDConfig
    config: BiasedSVDConfig

    def reading(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return [1, factors], which meets the other side's [bias, factors], and the offset μ + bias."""
        features = vectors.copy()
        features[:, 0] = 1.0
        return features, np.float32(self._mean) + vectors[:, 0]

    def ridge(self) -> Ridge:
        """Return a fixed ridge for the bias and a growing one for the factors."""
        from fuserec.numerics.ridge import Ridge

        fixed = np.zeros(self.config.embedding_dim + 1, np.float32)
        growing = np.full_like(fixed, self.config.regularization)
        fixed[0], growing[0] = self.config.damping, 0.0
        return Ridge(fixed, growing, np.zeros_like(fixed))

    def start(self, uniform: np.ndarray) -> np.ndarray:
        """Return vectors without bias and with small factors of either sign."""
        vectors = np.zeros((uniform.shape[0], uniform.shape[1] + 1), np.float32)
        vectors[:, 1:] = uniform - np.float32(0.5)
        return vectors
