"""Whitening of sentence vectors: a language model's vectors crowd in a narrow cone; this spreads them out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from fuserec.encoders.base import State, Vectors, one_line, unit_rows
from fuserec.errors import DataError, ModelFormatError

_NO_SPREAD = 1e-10
"""Mean variance (of unit rows) under which texts do not differ and there is nothing to whiten."""


class WhiteningConfig(BaseModel):
    """How far, and to how many dimensions, vectors are whitened."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    dim: int | None = Field(
        default=None, ge=1, description="Principal directions that are kept; none: all, turned back (ZCA)."
    )
    exponent: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="1 whitens fully, 0 only centres, between: relaxed; left out: more, the more texts "
        "there are, up to 0.75.",
    )
    shrinkage: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="Share of the mean variance mixed into every direction's, so that noise is not blown up.",
    )
    center: bool = Field(default=True, description="Whether the mean vector is taken away first.")


def relaxed_exponent(n_texts: int, dim: int) -> float:
    """Return how far to whiten where that is not configured: ``0.75 · n / (n + 2 dim)``.

    Full whitening with no more texts than dimensions makes any two texts equally unlike (their Gram matrix
    becomes the identity): the fewer texts there are to know the spread from, the less it may be trusted.
    """
    return 0.75 * n_texts / (n_texts + 2 * dim)


class Whitening:
    """A linear map fitted to vectors: centre, turn, divide by the spread, scale to unit length.

    ``y = (x - mean) · U · diag(λ_s^(-exponent/2)) [· Uᵀ]`` with ``λ_s = (1 - shrinkage) λ + shrinkage ·
    mean(λ)`` and U, λ the eigenvectors and eigenvalues of the covariance. Full whitening of sentence vectors:
    Su, Cao, Liu and Ou, 2021, Whitening sentence representations; turning back (ZCA): Kessy, Lewin and
    Strimmer, 2018, Optimal whitening and decorrelation; relaxed whitening for recommendation: Zhang and
    others, 2024, Are ID embeddings necessary?

    Parameters
    ----------
    mean : float32 (dim_in,)
        What is taken away first.
    matrix : float32 (dim_in, dim_out)
        What centred vectors are multiplied by.
    config : WhiteningConfig
        How it was fitted.
    """

    def __init__(
        self, mean: NDArray[np.float32], matrix: NDArray[np.float32], config: WhiteningConfig
    ) -> None:
        self.mean = mean
        self.matrix = matrix
        self.config = config

    @property
    def dim(self) -> int:
        """Length of a whitened vector."""
        return int(self.matrix.shape[1])

    @classmethod
    def fit(cls, vectors: Vectors, config: WhiteningConfig | None = None) -> Self:
        """Learn mean and map from the rows that are not zero (a zero row is an item without text).

        Where fewer than two texts differ there is no spread to divide by, and the map is the identity (its
        first ``dim`` columns), without centring.

        Parameters
        ----------
        vectors : float32 (n, dim_in)
            Fewer rows than dimensions are allowed: shrinkage keeps the inverse bounded.
        config : WhiteningConfig, optional
            How far, and to how many dimensions.

        Raises
        ------
        DataError
            A value is not finite.
        """
        config = config or WhiteningConfig()
        if not np.isfinite(vectors).all():
            raise DataError("vectors to whiten hold a value that is not finite: encode the texts again")
        rows = vectors[np.any(vectors != 0, axis=1)].astype(np.float64)
        dim_in = vectors.shape[1]
        dim_out = min(config.dim or dim_in, dim_in)
        mean = rows.mean(axis=0) if config.center and len(rows) else np.zeros(dim_in)
        centred = rows - mean
        covariance = centred.T @ centred / max(1, len(rows))
        spread = float(np.trace(covariance)) / dim_in
        if len(rows) < 2 or spread < _NO_SPREAD:
            return cls(np.zeros(dim_in, np.float32), np.eye(dim_in, dim_out, dtype=np.float32), config)
        exponent = relaxed_exponent(len(rows), dim_in) if config.exponent is None else config.exponent
        values, directions = np.linalg.eigh(covariance)
        values, directions = values[::-1], directions[:, ::-1]
        shrunk = (1 - config.shrinkage) * np.maximum(values, 0) + config.shrinkage * spread
        floor = max(spread * 1e-9, float(shrunk[0]) * 1e-12)
        scale = np.where(shrunk > floor, np.maximum(shrunk, floor), np.inf) ** (-exponent / 2)
        matrix = directions * scale
        matrix = matrix @ directions.T if config.dim is None else matrix[:, :dim_out]
        return cls(mean.astype(np.float32), matrix.astype(np.float32), config)

    def apply(self, vectors: Vectors) -> Vectors:
        """Return whitened rows of unit length; zero rows stay zero.

        Parameters
        ----------
        vectors : float32 (n, dim_in)

        Returns
        -------
        float32 (n, dim)
        """
        has_text = np.any(vectors != 0, axis=1)
        moved = np.asarray((vectors - self.mean) @ self.matrix, dtype=np.float32)
        moved[~has_text] = 0
        return unit_rows(moved)

    def state(self) -> State:
        """Return mean and map, and the configuration as JSON."""
        return {"mean": self.mean, "matrix": self.matrix}, {"config": self.config.model_dump(mode="json")}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], info: Mapping[str, Any]) -> Self:
        """Build the map from what :meth:`state` returned.

        Raises
        ------
        ModelFormatError
            The parts are damaged or do not belong together.
        """
        try:
            mean, matrix = np.asarray(arrays["mean"], np.float32), np.asarray(arrays["matrix"], np.float32)
            config = WhiteningConfig.model_validate(info["config"])
        except (KeyError, ValueError) as fault:
            raise ModelFormatError(
                f"the whitening of this model is damaged ({one_line(fault)}): fit it again"
            ) from fault
        if mean.ndim != 1 or matrix.ndim != 2 or matrix.shape[0] != mean.size:
            raise ModelFormatError(
                f"the whitening of this model is damaged (mean {mean.shape}, "
                f"matrix {matrix.shape}): fit it again"
            )
        return cls(mean, matrix, config)
