"""Linear maps from one space to another: the leading directions of sparse rows, and ridge regression in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy import sparse

_EXTRA = 10
_SWEEPS = 5
"""More columns than are asked for, and power iterations: what is cut off then hardly leaks into what is kept."""


def leading_directions(matrix: sparse.csr_matrix, rank: int, rng: np.random.Generator) -> np.ndarray:
    """Return the right singular vectors of a sparse matrix (n, m) that belong to its largest singular values.

    Halko, Martinsson, Tropp 2011, "Finding structure with randomness", algorithms 4.4 and 5.1: subspace
    iteration from random columns, then the small exact decomposition.

    Parameters
    ----------
    matrix : CSR (n, m)
    rank : int
        How many; fewer come back where the matrix has fewer.
    rng : numpy Generator

    Returns
    -------
    float32 (m, ≤ rank)
        Orthonormal columns, largest singular value first.
    """
    width = min(rank + _EXTRA, *matrix.shape)
    if width == 0 or matrix.nnz == 0:
        return np.zeros((matrix.shape[1], 0), np.float32)
    turned = matrix.T.tocsr()
    rows = _spanning(matrix @ rng.normal(size=(matrix.shape[1], width)).astype(np.float32))
    for _ in range(_SWEEPS):
        rows = _spanning(matrix @ _spanning(turned @ rows))
    return np.ascontiguousarray(_spanning(turned @ rows)[:, :rank])


def _spanning(columns: np.ndarray) -> np.ndarray:
    """Return the left singular vectors float32 (n, ≤ w) of tall columns (n, w), largest singular value first.

    By the eigenvectors of their small Gram matrix: unlike QR of the tall one, that leaves nothing to the threads of a
    linear algebra library. Directions below the precision of float32 are dropped.
    """
    wide = columns.astype(np.float64)
    values, vectors = np.linalg.eigh(wide.T @ wide)
    kept = np.flatnonzero(values > 1e-10 * values[-1])[::-1]
    return np.asarray(wide @ (vectors[:, kept] / np.sqrt(values[kept])), dtype=np.float32)


@dataclass(frozen=True)
class LinearMap:
    """y = x·weights + intercept.

    Parameters
    ----------
    weights : float64 (d, f)
    intercept : float64 (f,)
    ridge : float
        The penalty that it was fitted with.
    """

    weights: np.ndarray
    intercept: np.ndarray
    ridge: float

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Return float64 (n, f) for x (n, d)."""
        return np.asarray(x @ self.weights + self.intercept)


def ridge_path(x: np.ndarray, y: np.ndarray, weights: np.ndarray, ridges: Sequence[float]) -> list[LinearMap]:
    """Return the minimiser of Σ w_i ‖y_i − x_i·B − b‖² + ridge ‖B‖² for every ridge (Hoerl and Kennard 1970).

    The intercept b is not penalised. One eigendecomposition serves all penalties.

    Parameters
    ----------
    x : float (n, d)
    y : float (n, f)
    weights : float (n,)
        At least 0, and not all of them 0.
    ridges : sequence of float
        Above 0.
    """
    w = weights.astype(np.float64) / weights.sum(dtype=np.float64) * len(weights)
    mean_x, mean_y = w @ x / w.sum(), w @ y / w.sum()
    centred = x - mean_x
    heavy = centred * w[:, None]
    values, directions = np.linalg.eigh(centred.T @ heavy)
    along = directions.T @ (heavy.T @ (y - mean_y))
    maps = []
    for ridge in ridges:
        found = directions @ (along / (np.maximum(values, 0.0) + ridge)[:, None])
        maps.append(LinearMap(found, mean_y - mean_x @ found, float(ridge)))
    return maps


def fitted_map(
    x: np.ndarray,
    y: np.ndarray,
    weights: np.ndarray,
    ridges: Sequence[float],
    held: np.ndarray,
) -> LinearMap:
    """Return the ridge regression whose penalty serves held-out rows best, fitted on all rows.

    Parameters
    ----------
    x, y, weights, ridges
        As in :func:`ridge_path`.
    held : bool (n,)
        Rows that the penalty is chosen on; where they are all or none, the middle penalty is taken.
    """
    best = sorted(ridges)[len(ridges) // 2]
    if held.any() and not held.all():
        errors = []
        for one in ridge_path(x[~held], y[~held], weights[~held], ridges):
            error = y[held] - one(x[held])
            errors.append(float(weights[held] @ np.einsum("nf,nf->n", error, error)))
        best = ridges[int(np.argmin(errors))]
    return ridge_path(x, y, weights, [best])[0]
