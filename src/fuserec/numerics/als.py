"""Implicit alternating least squares (Hu, Koren, Volinsky 2008), by relaxed gradients in whitened factors.

Minimised is the sum over all users and items of ``c (p - u.v)^2``, with p = 1 and a given confidence c where
there is an interaction, p = 0 and c = 1 where there is none, plus ``regularization (|U|^2 + |V|^2)``.

With V fixed the row u solves ``(P + sum (c - 1) v v') u = sum c v``, where ``P = V'V + regularization I`` is
the same for all rows. Three things make a sweep cheap:

* With the Cholesky factor of P the variables are changed so that P becomes the identity. The product with P
  that conjugate gradients (Takacs, Pilaszy, Tikk 2011) need at every step disappears, and the system that
  remains is so well conditioned that one step from the last sweep's solution is enough.
* That step is over-relaxed (Young 1954): a point beyond a minimum on a line, at less than twice the distance,
  is still lower than the start, so the objective falls in every sweep, and falls about twice as fast. The
  first and the last sweep go to the minimum itself.
* No linear algebra library is called whose threads would compete with those over the rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fuserec.errors import ConfigError
from fuserec.numerics.arrays import Csr, Doubles, Floats, Hashes, Ints, Real, Rows
from fuserec.numerics.jit import kernel
from fuserec.numerics.parallel import over_ranges
from fuserec.numerics.sparse import csr_parts

if TYPE_CHECKING:
    from collections.abc import Callable


_RELAXATION = 1.5  # best of 1.0 to 1.9 over confidences of 1 to 41 together with the scale of the start
_PIECES = 32  # rows are always cut into as many pieces, so that sums do not depend on the threads
_EXACT_STEPS = 64  # a query is solved until nothing is left; whitened systems take 5 to 15 steps
_SCALE = 0.3  # of the random factors at the start: smaller ones leave slow directions behind


class Whitening(NamedTuple):
    """One side's factors in variables in which ``V'V + regularization I`` is the identity.

    Attributes
    ----------
    factors : float32 (m, f)
        The changed factors.
    lower, inverse : float32 (f, f)
        The Cholesky factor, which changes a solution's variables, and its inverse, which changes them back.
    """

    factors: Floats
    lower: Floats
    inverse: Floats


@kernel
def _random_rows(seeds: Hashes, scale: Real, rows: Floats) -> None:
    """Fill each row with numbers in [0, scale) made of its seed alone (SplitMix64, Steele et al. 2014)."""
    for r in range(len(seeds)):
        state = seeds[r]
        for c in range(rows.shape[1]):
            state += np.uint64(0x9E3779B97F4A7C15)
            z = state
            z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            z ^= z >> np.uint64(31)
            rows[r, c] = np.float32(scale * (np.float64(z >> np.uint64(11)) / 9007199254740992.0))


@kernel(reassociate=True)
def _dot(a: Floats, b: Floats) -> Real:
    """Return the inner product."""
    total = np.float32(0)
    for f in range(len(a)):
        total += a[f] * b[f]
    return total


@kernel(reassociate=True)
def _row_times(row: Floats, matrix: Floats, out: Floats) -> None:
    """Write ``row @ matrix``."""
    out[:] = 0
    width, a = matrix.shape[1], 0
    while a + 4 <= len(row):
        for f in range(width):
            out[f] += (row[a] * matrix[a, f] + row[a + 1] * matrix[a + 1, f]) + (
                row[a + 2] * matrix[a + 2, f] + row[a + 3] * matrix[a + 3, f]
            )
        a += 4
    while a < len(row):
        for f in range(width):
            out[f] += row[a] * matrix[a, f]
        a += 1


@kernel(reassociate=True)
def _add_gram(rows: Floats, lo: int, hi: int, total: Floats) -> None:
    """Add the inner products of the columns over the rows lo to hi."""
    width, r = rows.shape[1], lo
    while r + 4 <= hi:
        p, q, s, t = rows[r], rows[r + 1], rows[r + 2], rows[r + 3]
        for a in range(width):
            line = total[a]
            for f in range(width):
                line[f] += (p[a] * p[f] + q[a] * q[f]) + (s[a] * s[f] + t[a] * t[f])
        r += 4
    while r < hi:
        p = rows[r]
        for a in range(width):
            for f in range(width):
                total[a, f] += p[a] * p[f]
        r += 1


@kernel(reassociate=True)
def _factorise(gram: Doubles, lower: Doubles, inverse: Doubles) -> bool:
    """Write the Cholesky factor and its inverse; False where the matrix is not positive definite."""
    n = len(gram)
    for i in range(n):
        for j in range(i + 1):
            value = gram[i, j]
            for c in range(j):
                value -= lower[i, c] * lower[j, c]
            if i == j:
                if not value > 0:
                    return False
                lower[i, i] = np.sqrt(value)
            else:
                lower[i, j] = value / lower[j, j]
    for i in range(n):
        for c in range(i):  # row i of the inverse from the rows above it
            for j in range(c + 1):
                inverse[i, j] -= lower[i, c] * inverse[c, j]
        inverse[i, i] = 1
        for j in range(i + 1):
            inverse[i, j] /= lower[i, i]
    return True


@kernel(reassociate=True)
def _add_items(
    items: Ints, weights: Floats, shift: Real, slope: Real, factors: Floats, point: Floats, total: Floats
) -> None:
    """Add ``(shift c + slope (c - 1) (v.point)) v`` to ``total`` for the items of a row with weights c."""
    width, n, p, one = len(point), len(items), 0, np.float32(1)
    # Four items at a time: the point and the total are loaded and stored a quarter as often.
    while p + 4 <= n:
        a, b = factors[np.uint32(items[p])], factors[np.uint32(items[p + 1])]
        c, d = factors[np.uint32(items[p + 2])], factors[np.uint32(items[p + 3])]
        dot_a, dot_b, dot_c, dot_d = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
        for f in range(width):
            dot_a += a[f] * point[f]
            dot_b += b[f] * point[f]
            dot_c += c[f] * point[f]
            dot_d += d[f] * point[f]
        w_a, w_b, w_c, w_d = weights[p], weights[p + 1], weights[p + 2], weights[p + 3]
        dot_a = shift * w_a + slope * (w_a - one) * dot_a
        dot_b = shift * w_b + slope * (w_b - one) * dot_b
        dot_c = shift * w_c + slope * (w_c - one) * dot_c
        dot_d = shift * w_d + slope * (w_d - one) * dot_d
        for f in range(width):
            total[f] += (dot_a * a[f] + dot_b * b[f]) + (dot_c * c[f] + dot_d * d[f])
        p += 4
    while p < n:
        a = factors[np.uint32(items[p])]
        dot_a = shift * weights[p] + slope * (weights[p] - one) * _dot(a, point)
        for f in range(width):
            total[f] += dot_a * a[f]
        p += 1


@kernel(reassociate=True)
def _solve_rows(
    rows: Rows,
    white: Whitening,
    steps: int,
    relaxation: Real,
    lo: int,
    hi: int,
    solution: Floats,
) -> None:
    """Improve the rows lo to hi of a solution by conjugate gradients, until float32 has no more to gain."""
    starts, items, weights = rows
    width = solution.shape[1]
    x, image = np.empty(width, np.float32), np.empty(width, np.float32)
    residual, direction = np.empty(width, np.float32), np.empty(width, np.float32)
    zero, one, beyond = np.float32(0), np.float32(1), np.float32(relaxation)
    for r in range(lo, hi):
        liked, confidence = items[starts[r] : starts[r + 1]], weights[starts[r] : starts[r + 1]]
        _row_times(solution[r], white.lower, x)
        for f in range(width):
            residual[f] = -x[f]
        _add_items(liked, confidence, one, -one, white.factors, x, residual)
        direction[:] = residual
        error = _dot(residual, residual)
        enough = np.float32(1e-12) * (error + _dot(x, x))
        for step in range(steps):
            if not error > enough:
                break
            image[:] = direction
            _add_items(liked, confidence, zero, one, white.factors, direction, image)
            length = error / _dot(direction, image)
            for f in range(width):
                x[f] += beyond * length * direction[f]
                residual[f] -= length * image[f]
            if step + 1 < steps:
                previous, error = error, _dot(residual, residual)
                bend = error / previous
                for f in range(width):
                    direction[f] = residual[f] + bend * direction[f]
        _row_times(x, white.inverse, solution[r])


def _over_pieces(work: Callable[[int, int, int], None], n: int, threads: int) -> None:
    """Call ``work(piece, lo, hi)`` for the pieces of n rows, which are the same for any number of threads."""

    def run(first: int, last: int) -> None:
        for piece in range(first, last):
            work(piece, n * piece // _PIECES, n * (piece + 1) // _PIECES)

    over_ranges(run, _PIECES, threads, pieces_per_thread=_PIECES)


def whiten(factors: Floats, regularization: float, threads: int = 1) -> Whitening:
    """Change the variables of one side's factors; what :func:`fold_in` takes.

    Parameters
    ----------
    factors : float32 (m, f)
        Item factors, to solve for users.
    regularization : float
        As in :func:`als_fit`.
    threads : int
        The result does not depend on it.
    """
    n, width = factors.shape
    factors = np.ascontiguousarray(factors, np.float32)
    sums = np.zeros((_PIECES, width, width), np.float32)
    _over_pieces(lambda piece, lo, hi: _add_gram(factors, lo, hi, sums[piece]), n, threads)
    gram = sums.sum(axis=0, dtype=np.float64)
    gram[np.diag_indices(width)] += regularization
    lower, inverse = np.zeros((width, width)), np.zeros((width, width))
    if not _factorise(gram, lower, inverse):
        raise ConfigError(f"ALS: factors are not finite, or regularization ({regularization}) is not above 0")
    white = Whitening(np.empty_like(factors), lower.astype(np.float32), inverse.astype(np.float32))
    change = np.ascontiguousarray(white.inverse.T)
    _over_pieces(lambda _, lo, hi: _change_rows(factors, change, lo, hi, white.factors), n, threads)
    return white


@kernel
def _change_rows(rows: Floats, matrix: Floats, lo: int, hi: int, out: Floats) -> None:
    """Write ``rows @ matrix`` for the rows lo to hi."""
    for r in range(lo, hi):
        _row_times(rows[r], matrix, out[r])


def _solve(
    rows: Rows,
    white: Whitening,
    solution: Floats,
    steps: int,
    relaxation: Real,
    threads: int,
) -> None:
    """Improve all rows of a solution in place."""
    _over_pieces(
        lambda _, lo, hi: _solve_rows(rows, white, steps, relaxation, lo, hi, solution),
        len(solution),
        threads,
    )


def als_fit(
    confidences: Csr,
    factors: int,
    *,
    iterations: int = 15,
    regularization: float = 0.05,
    item_seeds: Hashes,
    threads: int = 1,
    steps: int = 1,
    after: Callable[[int], None] | None = None,
) -> tuple[Floats, Floats]:
    """Factorise a matrix of confidences.

    Parameters
    ----------
    confidences : CSR (n, m)
        Confidence of each interaction, such as ``1 + alpha r``; at least 0. Absent pairs have confidence 1.
    factors : int
        Columns of the factors.
    iterations : int
        Sweeps over both sides.
    regularization : float
        Above 0; weight of the squared factors.
    item_seeds : uint64 (m,)
        One per item, a hash of its id: where its factors start does not depend on its place. Users
        start at 0.
    threads : int
        The result does not depend on it.
    steps : int
        Conjugate gradient steps per row and sweep.
    after : callable, optional
        Called with the number of finished iterations; may raise to stop.

    Returns
    -------
    U float32 (n, factors), V float32 (m, factors)
    """
    if factors < 1 or iterations < 1 or not regularization > 0:
        raise ConfigError(
            "ALS: factors and iterations must be at least 1 and regularization above 0, got "
            f"{factors}, {iterations} and {regularization}"
        )
    by_user, by_item = csr_parts(confidences), csr_parts(confidences.T.tocsr())
    n, m = confidences.shape
    users, items = np.zeros((n, factors), np.float32), np.empty((m, factors), np.float32)
    _random_rows(np.ascontiguousarray(item_seeds, np.uint64), _SCALE, items)
    for iteration in range(iterations):
        relaxation = _RELAXATION if 0 < iteration < iterations - 1 else 1.0
        _solve(by_user, whiten(items, regularization, threads), users, steps, relaxation, threads)
        _solve(by_item, whiten(users, regularization, threads), items, steps, relaxation, threads)
        if after is not None:
            after(iteration + 1)
    return users, items


def fold_in(histories: Csr, white: Whitening, *, threads: int = 1) -> Floats:
    """Return the factors that minimise the objective for given histories, the other side being fixed.

    Parameters
    ----------
    histories : CSR (q, m)
        Confidences as in :func:`als_fit`; an empty row gives zeros.
    white : Whitening
        From :func:`whiten` of the item factors.
    threads : int
        The result does not depend on it.

    Returns
    -------
    float32 (q, f)
    """
    solution = np.zeros((histories.shape[0], white.lower.shape[0]), np.float32)
    _solve(
        csr_parts(histories), white, solution, _EXACT_STEPS, 1.0, threads if len(solution) > _PIECES else 1
    )
    return solution


@kernel
def _observed(rows: Rows, users: Floats, items: Floats) -> Real:
    """Return the part of the objective in which observed pairs differ from unobserved ones."""
    starts, columns, weights = rows
    total = 0.0
    for r in range(len(users)):
        for p in range(starts[r], starts[r + 1]):
            score = np.float64(_dot(users[r], items[columns[p]]))
            total += weights[p] * (1.0 - score) ** 2 - score * score
    return total


def objective(confidences: Csr, users: Floats, items: Floats, regularization: float) -> Real:
    """Return what :func:`als_fit` minimises.

    Parameters
    ----------
    confidences : CSR (n, m); users : float32 (n, f); items : float32 (m, f); regularization : float
        As in :func:`als_fit`.
    """
    u, v = users.astype(np.float64), items.astype(np.float64)
    everything = float(np.sum((u.T @ u) * (v.T @ v)))
    observed = float(_observed(csr_parts(confidences), users, items))
    return everything + observed + regularization * float(np.sum(u * u) + np.sum(v * v))
