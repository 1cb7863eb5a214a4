"""The information that would be found where there is none: users of one variable permuted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fuserec.errors import RequestError
from fuserec.metrics.masses import entropy, marginal, together, trace
from fuserec.numerics.joint import Table, joint_mass

FloatArray = npt.NDArray[np.float64]

MOST_CELLS = 2**22
"""Tables up to this size are held whole."""


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
        if a.shape[1] * b.shape[1] <= MOST_CELLS:
            self._tables = _parts(a), _parts(b)
            self._room = np.empty((2, a.shape[1], b.shape[1]))
            self._cells = self._held
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

    def _held(self, order: npt.NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
        """Return sums of mass and of its squares in the cells that occur: in whole tables."""
        mass, squares = self._room
        joint_mass(*self._tables, order.astype(np.int64, copy=False), mass, squares)
        there = mass > 0
        return mass[there], squares[there]

    def _sparse(self, order: npt.NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
        """Return the same of many codes: by sparse products."""
        other = self._b[order]
        mass, squares = self._turned[0] @ other, self._turned[1] @ other.power(2)
        for one in (mass, squares):
            one.sort_indices()
        return mass.data, squares.data


def _parts(table: Any) -> Table:
    """Return the arrays of a CSR array as kernels take them."""
    return (
        table.indptr.astype(np.int64),
        table.indices.astype(np.int32),
        np.ascontiguousarray(table.data, np.float64),
    )
