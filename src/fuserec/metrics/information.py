"""What lists tell: mutual information in bits, corrected for finite samples, with an interval and a null.

The unit of observation is one user. A user's values are a distribution over the codes of a variable: a group has its
whole mass on one code, a list of k items 1/k on each. So one formula serves plain labels and lists, and what is
estimated over n users is ``p(x, y) = mean of a_u(x) b_u(y)``. Items of one list are not independent observations;
counting them as such would call everything significant.

- *Correction* (Miller 1955, Note on the bias of information estimates; Madow 1948; for clusters the same expansion with
  the observed variance): the plug-in entropy is too low by about ``sum of s²(c) / p(c) / (2 n ln 2)`` over the cells c
  seen, s² the variance of a cell's mass over users. With one label a user that is (cells - 1) / (2 n ln 2), the
  classical Miller-Madow term.
- *Interval*: delta method. The plug-in is a mean of ``sum a_u b_u log2(p(x, y) / (p(x) p(y)))`` over users to first
  order, whose variance is observed; near independence that vanishes and the second order, of chi-square form, counts
  as well (Roulston 1999, Estimating the errors on measured entropy and mutual information).
- *Null*: the same estimator with the users of one variable permuted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from fuserec.errors import DataError, RequestError
from fuserec.metrics.definitions import INFINITE, Definition

FloatArray = npt.NDArray[np.float64]
Z95 = 1.959963984540054
"""Half width of a normal 95 % interval in standard errors."""

MOST_CELLS, FEW_CODES = 2**22, 64
"""Tables up to this size are counted; variables of so few codes are multiplied as dense arrays."""


@dataclass(frozen=True)
class Information:
    """An amount of information with what can be said of its sampling error.

    Attributes
    ----------
    value : float
        Corrected estimate in bits; below 0 by chance where there is nothing.
    low, high : float
        Its 95 % interval, within what is possible (at least 0).
    plug_in : float
        Without the correction.
    users : int
        Users it is made of.
    x_entropy, y_entropy : float
        Of the two variables, corrected.
    """

    value: float
    low: float
    high: float
    plug_in: float
    users: int
    x_entropy: float
    y_entropy: float

    @property
    def normalised(self) -> float:
        """Return the value over the mean of the two entropies, 0 to 1; NaN where neither variable varies.

        Source: Strehl, Ghosh (2002), Cluster ensembles, with the arithmetic mean that scikit-learn uses.
        """
        mean = (self.x_entropy + self.y_entropy) / 2
        return float(np.clip(self.value / mean, 0, 1)) if mean > 0 else float("nan")


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


def labels(codes: npt.ArrayLike, n_codes: int | None = None) -> Any:
    """Return labels int (n,) as distributions of one code each: CSR float64 (n, n_codes).

    Raises
    ------
    DataError
        For a code below 0: leave those users out first.
    """
    found = np.asarray(codes, np.int64)
    if found.ndim != 1 or (found.size and found.min() < 0):
        raise DataError("labels have to be one code of at least 0 each: leave out users without a label")
    size = int(found.max(initial=-1)) + 1 if n_codes is None else n_codes
    return sp.csr_array((np.ones(found.size), found, np.arange(found.size + 1)), shape=(found.size, size))


def distributions(counts: Any) -> Any:
    """Return counts (n, n_codes), sparse or not, as CSR float64 whose rows sum to 1; empty rows stay empty."""
    table = sp.csr_array(counts, dtype=np.float64)
    table.sum_duplicates()
    total = np.asarray(table.sum(axis=1)).ravel()
    table.data /= np.repeat(np.where(total > 0, total, 1.0), np.diff(table.indptr))
    return table


def mutual_information(x: Any, y: Any) -> Information:
    """Return I(X; Y) = sum of p(x, y) log2(p(x, y) / (p(x) p(y))) in bits, corrected, with its interval.

    Range 0 to min(H(X), H(Y)), before noise; 0 means that one says nothing of the other. Memory is that of the cells
    that occur, not of codes × codes. Source: Cover, Thomas (2006), Elements of information theory, section 2.3.

    Parameters
    ----------
    x, y : (n_users, n_codes), sparse or not
        One distribution a user and variable, made by :func:`labels` or :func:`distributions`. Users whose row is empty in
        either are left out.

    Examples
    --------
    Four users, two groups, and each group sees its own item: one bit. The correction adds (2 - 2 - 2 + 1) cells over
    2 · 4 · ln 2, taken with the sign of an entropy that is too low: 1 + 0.18034.

    >>> found = mutual_information(labels([0, 0, 1, 1]), labels([1, 1, 0, 0]))
    >>> found.plug_in, round(found.value, 5)
    (1.0, 1.18034)
    """
    a, b = _together(x, y)
    n = a.shape[0]
    if n == 0:
        nothing = float("nan")
        return Information(nothing, nothing, nothing, nothing, 0, nothing, nothing)
    joint = _joint(a, b)
    px, py = _marginal(a), _marginal(b)
    rows = np.repeat(np.arange(joint.shape[0]), np.diff(joint.indptr))
    logs = np.log2(joint.data / (px[rows] * py[joint.indices]))
    plug_in = float(np.sum(joint.data * logs))
    trace_x, trace_y = _trace(a.power(2), px), _trace(b.power(2), py)
    trace = _joint_trace(a, b, joint) - trace_x - trace_y
    unit = 2 * n * np.log(2)
    influence = np.asarray((a @ sp.csr_array((logs, joint.indices, joint.indptr), joint.shape)).multiply(b).sum(axis=1))
    cells = max(1, (np.count_nonzero(px) - 1) * (np.count_nonzero(py) - 1))
    variance = float(np.var(influence)) / n + 2 * trace**2 / cells / unit**2
    value, half = plug_in - trace / unit, Z95 * float(np.sqrt(variance))
    return Information(
        float(value),
        max(0.0, value - half),
        max(0.0, value + half),
        plug_in,
        n,
        float(_entropy(px) + trace_x / unit),
        float(_entropy(py) + trace_y / unit),
    )


def permutation_null(x: Any, y: Any, *, rng: np.random.Generator, n_permutations: int = 199) -> Null:
    """Return what :func:`mutual_information` gives where the users of ``y`` are permuted.

    Source: Good (2005), Permutation, parametric and bootstrap tests of hypotheses; p with the observed order counted
    (Phipson, Smyth 2010, Permutation p-values should never be zero).

    Examples
    --------
    Three users of each group, each group with its own item: of the 20 ways to deal out the groups two are so clear.

    >>> x, y = labels([0, 0, 0, 1, 1, 1]), labels([1, 1, 1, 0, 0, 0])
    >>> 0.05 < permutation_null(x, y, rng=np.random.default_rng(0), n_permutations=999).p < 0.15
    True
    """
    if n_permutations < 1:
        raise RequestError(f"a null needs at least 1 permutation, got {n_permutations}")
    a, b = _together(x, y)
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


def personalisation(x: Any) -> Information:
    """Return H(exposure) - mean H(list): how many bits the lists differ by, which is I(user; item shown).

    With lists of k different items, H(exposure) - log2 k: 0 where everybody sees the same list, log2(n_users) where no
    item is shown twice. Permuting users changes nothing in it, so it has no null, and lists drawn at random are as
    "personal" as fitting ones: read it beside the information between history and list. The correction is that of
    H(exposure) over users. Source: the entropy of aggregate exposure (Adomavicius, Kwon 2012, Improving aggregate
    recommendation diversity), less the entropy of a list.

    Parameters
    ----------
    x : (n_users, n_items), sparse or not
        Each list as a distribution.

    Examples
    --------
    Two lists of two items that share one: exposure 1/4, 1/2, 1/4 is 1.5 bits, a list has 1 bit. The correction adds
    the variance over users of each cell (1/16, 0, 1/16) over its mean, 1/2, over 2 · 2 · ln 2: 0.18034.

    >>> found = personalisation(distributions([[1, 1, 0], [0, 1, 1]]))
    >>> found.plug_in, round(found.value, 5)
    (0.5, 0.68034)
    """
    a = _filled(sp.csr_array(x, dtype=np.float64))
    n = a.shape[0]
    if n == 0:
        nothing = float("nan")
        return Information(nothing, nothing, nothing, nothing, 0, nothing, nothing)
    px = _marginal(a)
    logs = np.zeros_like(px)
    np.log2(px, out=logs, where=px > 0)
    rows = np.repeat(np.arange(n), np.diff(a.indptr))
    own = np.bincount(rows, weights=a.data * np.log2(a.data), minlength=n)
    influence = own - a @ logs
    unit, trace = 2 * n * np.log(2), _trace(a.power(2), px)
    plug_in = float(influence.mean())
    value = plug_in + trace / unit
    half = Z95 * float(np.sqrt(np.var(influence) / n))
    entropy = _entropy(px) + trace / unit
    return Information(
        float(value), max(0.0, value - half), float(value + half), plug_in, n, float(entropy), float(np.log2(n))
    )


class _Estimator:
    """The corrected estimate for many orders of the users of ``b``: what no order changes is made once.

    I = H(X) + H(Y) - H(X, Y), and an order changes the last alone.
    """

    def __init__(self, a: Any, b: Any) -> None:
        self._a, self._b, self._n = a, b, a.shape[0]
        px, py = _marginal(a), _marginal(b)
        self._entropies = _entropy(px) + _entropy(py)
        self._traces = _trace(a.power(2), px) + _trace(b.power(2), py)
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
        return self._entropies + float(np.sum(p * np.log2(p))) - trace / (2 * self._n * np.log(2))

    def _counted(self, order: npt.NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
        """Return sums of mass and of its squares in the cells that occur, of equal masses and labels: by counting."""
        size, each = self._b.shape[1], float(self._a.data[0])
        cell = self._a.indices.astype(np.int64) * size + self._b.indices[order][self._rows]
        counts = np.bincount(cell)
        mass = counts[counts > 0] * each
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


def _together(x: Any, y: Any) -> tuple[Any, Any]:
    """Return both as CSR over the users who have both."""
    a, b = sp.csr_array(x, dtype=np.float64), sp.csr_array(y, dtype=np.float64)
    if a.shape[0] != b.shape[0]:
        raise DataError(f"information needs the same users in both variables, got {a.shape[0]} and {b.shape[0]}")
    for one in (a, b):
        one.sum_duplicates()
        one.eliminate_zeros()
    both = (np.diff(a.indptr) > 0) & (np.diff(b.indptr) > 0)
    return (a, b) if both.all() else (a[both], b[both])


def _filled(table: Any) -> Any:
    """Return the rows that are not empty."""
    table.sum_duplicates()
    table.eliminate_zeros()
    there = np.diff(table.indptr) > 0
    return table if there.all() else table[there]


def _joint(a: Any, b: Any) -> Any:
    """Return p(x, y) of the cells that occur: CSR (n_x, n_y)."""
    joint = (a.T.tocsr() @ b).tocsr()
    joint.data /= a.shape[0]
    joint.sort_indices()
    return joint


def _marginal(a: Any) -> FloatArray:
    """Return the mean mass of each code: float64 (n_codes,)."""
    total = np.bincount(a.indices, weights=a.data, minlength=a.shape[1])
    return np.asarray(total / a.shape[0], np.float64)


def _entropy(p: FloatArray) -> float:
    """Return the entropy of a distribution in bits."""
    seen = p[p > 0]
    return float(-np.sum(seen * np.log2(seen)))


def _trace(squares: Any, p: FloatArray) -> float:
    """Return the sum over codes of the variance over users of their mass, over its mean: codes - 1 for labels."""
    seen = p > 0
    return float(np.sum(_marginal(squares)[seen] / p[seen]) - 1)


def _joint_trace(a: Any, b: Any, joint: Any) -> float:
    """Return the same over the cells of both variables."""
    squares = a.power(2).T.tocsr() @ b.power(2)
    squares.sort_indices()
    return float(np.sum(squares.data / joint.data)) / a.shape[0] - 1


DEFINITIONS: dict[str, Definition] = {
    "personalisation": Definition(
        "Personalisation",
        "How much lists differ between users, first {k}: entropy of exposure less that of one list, in bits; 0 is one "
        "list for all.",
        "neither",
        0,
        INFINITE,
        "information",
    ),
    "history_information": Definition(
        "History in list",
        "Share of information (0 to 1) that the categories of a history and of the first {k} shown have in common.",
        "neither",
        0,
        1,
        "information",
    ),
    "history_information_null": Definition(
        "History in list, by chance",
        "The same with lists dealt out to other users: its mean and central 95 %, first {k}.",
        "neither",
        0,
        1,
        "information",
    ),
    "history_information_p": Definition(
        "History in list, p",
        "Chance of as much common information where lists are dealt out at random, first {k}.",
        "neither",
        0,
        1,
        "information",
    ),
    "group_information": Definition(
        "Group in list",
        "How much an item shown within the first {k} tells of the user's group, in bits; 0 is nothing.",
        "neither",
        0,
        INFINITE,
        "information",
    ),
    "group_information_null": Definition(
        "Group in list, by chance",
        "The same with groups dealt out to other users: its mean and central 95 %, first {k}.",
        "neither",
        -INFINITE,
        INFINITE,
        "information",
    ),
    "group_information_p": Definition(
        "Group in list, p",
        "Chance of as much information on the group where groups are dealt out at random, first {k}.",
        "neither",
        0,
        1,
        "information",
    ),
}
"""What each of them means."""
