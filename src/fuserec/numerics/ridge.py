"""Many small ridge regressions, one a row of a sparse matrix: the half step of alternating least squares.

Row ``r`` with observations ``(column c, target t)`` is given the vector ``x`` that minimises

    Σ (t − f_c·x)² + Σ_a ridge_a(n) (x_a − centre_a)²,    ridge_a(n) = fixed_a + growing_a · √n,

n being its number of observations. With ``nonnegative`` the minimum is taken over x ≥ 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fuserec.numerics.jit import kernel
from fuserec.numerics.parallel import over_ranges

Floats: TypeAlias = NDArray[np.float32]
Ints: TypeAlias = NDArray[np.int32]
Offsets: TypeAlias = NDArray[np.int64]

_PASSES = 500  # sweeps of coordinate descent; a tenth of them is seldom needed
_TOLERANCE = 1e-7  # a sweep that moves no coordinate by more, relative to the largest one, is the last
_BLOCK = 1 << 22  # float32 numbers of a gathered block of candidate factors


@dataclass(frozen=True)
class Ridge:
    """What the regressions are held back by.

    Parameters
    ----------
    fixed, growing : float32 (f,)
        The ridge of coordinate a is ``fixed[a] + growing[a] · √n``; it has to be above zero.
    centre : float32 (f,)
        What each coordinate is pulled towards; a row without observations is given it.
    nonnegative : bool
        Coordinates stay at or above zero.
    """

    fixed: Floats
    growing: Floats
    centre: Floats
    nonnegative: bool = False

    def of(self, n: int) -> NDArray[np.float64]:
        """Return float64 (f,): the ridge of a row with ``n`` observations."""
        return np.asarray(self.fixed.astype(np.float64) + self.growing.astype(np.float64) * np.sqrt(n))


def solve_rows(
    starts: Offsets, columns: Ints, targets: Floats, features: Floats, ridge: Ridge, *, threads: int = 1
) -> Floats:
    """Return float32 (n, f): the solution of every row, the same for any number of threads.

    Parameters
    ----------
    starts, columns, targets : int64 (n + 1,), int32, float32
        The rows as in a CSR matrix; columns are rows of ``features``.
    features : float32 (m, f)
    ridge : Ridge
    threads : int
        Threads over the rows.
    """
    n = len(starts) - 1
    out = np.empty((n, features.shape[1]), np.float32)
    starts = np.ascontiguousarray(starts, np.int64)
    columns, targets = np.ascontiguousarray(columns, np.int32), np.ascontiguousarray(targets, np.float32)
    features = np.ascontiguousarray(features, np.float32)

    def work(lo: int, hi: int) -> None:
        _solve_rows(
            starts,
            columns,
            targets,
            features,
            ridge.fixed,
            ridge.growing,
            ridge.centre,
            ridge.nonnegative,
            lo,
            hi,
            out,
        )

    over_ranges(work, n, threads, pieces_per_thread=16)
    return out


def influence(
    features: Floats, ridge: Ridge, solution: Floats
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return how far each observation of one row moves its solution, all others held.

    With the free coordinates F (all of them without ``nonnegative``), x_F = centre_F + Σ_i influence[i]_F ·
    (t_i − f_iF·centre_F), and the other coordinates are zero.

    Parameters
    ----------
    features : float32 (n, f)
        Of the row's observations.
    ridge : Ridge
    solution : float32 (f,)
        From :func:`solve_rows`: it says which coordinates are free.

    Returns
    -------
    influence float64 (n, f), free bool (f,)
    """
    free = solution > 0 if ridge.nonnegative else np.ones(solution.size, dtype=bool)
    x = features[:, free].astype(np.float64)
    moved = np.zeros(features.shape, np.float64)
    if free.any() and len(x):
        moved[:, free] = np.linalg.solve(x.T @ x + np.diag(ridge.of(len(x))[free]), x.T).T
    return moved, free


def factor_products(users: Floats, factors: Floats, items: NDArray[np.integer] | None) -> Floats:
    """Return float32 (n, m): users (n, f) times the factors of all items, or of ``items`` (m,) or (n, m)."""
    if items is None or items.ndim == 1:
        return np.asarray(users @ (factors if items is None else factors[items]).T, np.float32)
    out = np.empty(items.shape, np.float32)
    step = max(1, _BLOCK // max(1, items.shape[1] * factors.shape[1]))
    for lo in range(0, len(items), step):
        hi = lo + step
        np.einsum("nf,nmf->nm", users[lo:hi], factors[items[lo:hi]], out=out[lo:hi])
    return out


@kernel(reassociate=True)
def _normal_equations(
    columns: Ints, targets: Floats, features: Floats, centre: Floats, gram: Floats, right: Floats
) -> None:
    """Fill the lower triangle of the Gram matrix and the right-hand side, targets relative to the centre."""
    f, n = features.shape[1], len(columns)
    gram[:] = 0
    right[:] = 0
    for p in range(n):
        x, error = features[columns[p]], targets[p]
        for a in range(f):
            error -= x[a] * centre[a]
        for a in range(f):
            right[a] += error * x[a]
    p = 0
    # Four observations at a time: the running sums are loaded and stored a quarter as often.
    while p + 4 <= n:
        x, y = features[columns[p]], features[columns[p + 1]]
        z, w = features[columns[p + 2]], features[columns[p + 3]]
        for a in range(f):
            xa, ya, za, wa = x[a], y[a], z[a], w[a]
            row = gram[a]
            for b in range(a + 1):
                row[b] += (xa * x[b] + ya * y[b]) + (za * z[b] + wa * w[b])
        p += 4
    while p < n:
        x = features[columns[p]]
        for a in range(f):
            xa, row = x[a], gram[a]
            for b in range(a + 1):
                row[b] += xa * x[b]
        p += 1


@kernel
def _cholesky_solve(a: NDArray[np.float64], x: NDArray[np.float64]) -> None:
    """Solve A·x = b in place, A symmetric positive definite given by its lower triangle, b given in x."""
    f = len(x)
    for i in range(f):
        for j in range(i + 1):
            total = a[i, j]
            for k in range(j):
                total -= a[i, k] * a[j, k]
            a[i, j] = np.sqrt(total) if i == j else total / a[j, j]
    for i in range(f):
        total = x[i]
        for k in range(i):
            total -= a[i, k] * x[k]
        x[i] = total / a[i, i]
    for i in range(f - 1, -1, -1):
        total = x[i]
        for k in range(i + 1, f):
            total -= a[k, i] * x[k]
        x[i] = total / a[i, i]


@kernel
def _descend(
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    floor: Floats,
    x: NDArray[np.float64],
    gradient: NDArray[np.float64],
) -> None:
    """Minimise ½ xᵀAx − bᵀx over x ≥ floor by coordinate descent (Franc, Hlaváč, Navara 2005), from x = 0."""
    f = len(x)
    for i in range(f):
        for j in range(i):
            a[j, i] = a[i, j]
        x[i] = 0.0
        gradient[i] = -b[i]
    for _ in range(_PASSES):
        moved, largest = 0.0, 1e-12
        for i in range(f):
            value = max(x[i] - gradient[i] / a[i, i], np.float64(floor[i]))
            step = value - x[i]
            if step != 0.0:
                x[i] = value
                for j in range(f):
                    gradient[j] += step * a[i, j]
            moved, largest = max(moved, abs(step)), max(largest, abs(value))
        if moved <= _TOLERANCE * largest:
            break


@kernel
def _solve_rows(
    starts: Offsets,
    columns: Ints,
    targets: Floats,
    features: Floats,
    fixed: Floats,
    growing: Floats,
    centre: Floats,
    nonnegative: bool,
    lo: int,
    hi: int,
    out: Floats,
) -> None:
    """Solve the rows lo to hi."""
    f = features.shape[1]
    gram, right = np.empty((f, f), np.float32), np.empty(f, np.float32)
    a, b = np.empty((f, f), np.float64), np.empty(f, np.float64)
    x, gradient = np.empty(f, np.float64), np.empty(f, np.float64)
    floor = -centre
    for r in range(lo, hi):
        n = starts[r + 1] - starts[r]
        if n == 0:
            out[r] = centre
            continue
        part = slice(starts[r], starts[r + 1])
        _normal_equations(columns[part], targets[part], features, centre, gram, right)
        root = np.sqrt(np.float64(n))
        for i in range(f):
            b[i] = right[i]
            for j in range(i):
                a[i, j] = gram[i, j]
            a[i, i] = gram[i, i] + (fixed[i] + growing[i] * root)
        if nonnegative:
            _descend(a, b, floor, x, gradient)
            for i in range(f):
                out[r, i] = centre[i] + x[i] if x[i] > floor[i] else np.float32(0)
        else:
            _cholesky_solve(a, b)
            for i in range(f):
                out[r, i] = centre[i] + b[i]
