"""The information that would be found where there is none: users of one variable permuted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fuserec.errors import RequestError
from fuserec.metrics.masses import entropy, marginal, together, trace

FloatArray = npt.NDArray[np.float64]

MOST_CELLS, FEW_CODES = 2**22, 64
"""Tables up to this size are counted; variables of so few codes are multiplied as dense arrays."""


@dataclass(frozen=True)
class Null:
    """The estimator where users of one variable are permuted, so that there is nothing to find.

    Attributes
    ----------
    mean, low, high : float
        Mean and central 95 % of the permuted values, corrected as the value is.
    p : float
        One-sided p-value, (1 + permutations at least as large) / (1 + permutations).
    """

    mean: float
    low: float
    high: float
    p: float


def permutation_null(x: Any, y: Any, *, rng: np.random.Generator, n_permutations: int = 199) -> Null:
    """Return what :func:`~fuserec.metrics.information.mutual_information` gives where the users of ``y`` are permuted.

    Source: Good (2005), Permutation, parametric and bootstrap tests of hypotheses; p with the observed order counted
    (Phipson, Smyth 2010, Permutation p-values should never be zero).

    Examples
    --------
    Three users of each group, each group with its own item: of the 20 ways to deal out the groups two are so clear.

    >>> from fuserec.metrics.masses import labels
    >>> x, y = labels([0, 0, 0, 1, 1, 1]), labels([1, 1, 1, 0, 0, 0])
    >>> 0.05 < permutation_null(x, y, rng=np.random.default_rng(0), n_permutations=999).p < 0.15
    True
    """
    if n_permutations < 1:
        raise RequestError(f"a null needs at least 1 permutation, got {n_permutations}")
    a, b = together(x, y)
    n = a.shape[0]
    if n == 0:
        nothing = float("nan")
        return Null(nothing, nothing, nothing, nothing)
    estimator = _Estimator(a, b)
    observed = estimator.value(np.arange(n))
    drawn = np.array([estimator.value(rng.permutation(n)) for _ in range(n_permutations)])
    low, high = np.quantile(drawn, [0.025, 0.975])
    extreme = int(np.count_nonzero(drawn >= observed - 1e-12))
    return Null(float(drawn.mean()), float(low), float(high), (1 + extreme) / (1 + n_permutations))


class _Estimator:
    """The corrected estimate for many orders of the users of ``b``: what no order changes is made once.

    I = H(X) + H(Y) - H(X, Y), and an order changes the last alone.
    """

    def __init__(self, a: Any, b: Any) -> None:
        self._a, self._b, self._n = a, b, int(a.shape[0])
        px, py = marginal(a), marginal(b)
        self._entropies = entropy(px) + entropy(py)
        self._traces = trace(a.power(2), px) + trace(b.power(2), py)
        equal = bool((a.data == a.data[0]).all())
        named = bool((np.diff(b.indptr) == 1).all() and (b.data == 1).all())
        if equal and named and a.shape[1] * b.shape[1] <= MOST_CELLS:
            self._rows = np.repeat(np.arange(self._n), np.diff(a.indptr))
            self._cells = self._counted
        elif max(a.shape[1], b.shape[1]) <= FEW_CODES:
            self._dense = a.toarray(), b.toarray()
            self._squares = tuple(one**2 for one in self._dense)
            self._cells = self._multiplied
        else:
            self._turned = a.T.tocsr(), a.power(2).T.tocsr()
            self._cells = self._sparse

    def value(self, order: npt.NDArray[np.int64]) -> float:
        """Return the corrected estimate in bits where user u of ``a`` meets user ``order[u]`` of ``b``."""
        mass, squares = self._cells(order)
        p = mass / self._n
        trace = float(np.sum(squares / mass)) - 1 - self._traces
        joint = -float(np.sum(p * np.log2(p)))
        return float(self._entropies - joint - trace / (2 * self._n * np.log(2)))

    def _counted(self, order: npt.NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
        """Return sums of mass and of its squares in the cells that occur, of equal masses and labels: by counting."""
        size, each = self._b.shape[1], float(self._a.data[0])
        cell = self._a.indices.astype(np.int64) * size + self._b.indices[order][self._rows]
        counts = np.bincount(cell)
        mass = np.asarray(counts[counts > 0] * each, np.float64)
        return mass, mass * each

    def _multiplied(self, order: npt.NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
        """Return the same of few codes: by dense products."""
        mass = (self._dense[0].T @ self._dense[1][order]).ravel()
        squares = (self._squares[0].T @ self._squares[1][order]).ravel()
        return mass[mass > 0], squares[mass > 0]

    def _sparse(self, order: npt.NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
        """Return the same of many codes: by sparse products."""
        other = self._b[order]
        mass, squares = self._turned[0] @ other, self._turned[1] @ other.power(2)
        for one in (mass, squares):
            one.sort_indices()
        return mass.data, squares.data
