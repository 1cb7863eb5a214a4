"""Training of a factorization machine whose user is the history so far: one pass over all users, Adagrad.

The features of an example are the events before it (each event's inputs over the square root of their number), the
columns of the query, the item, and the columns and statistics of the item. The gradient of an event's parameters is
the sum over the later examples of its user; it is gathered backwards through blocks of rows, so that a pass costs
(n + n² / BLOCK) · d for a user of n rows, not n² · d.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fuserec.numerics.jit import kernel

BLOCK = 32
"""Rows of a user after which the parameters of its earlier events take a step."""

_TINY = 1e-8


class Rows(NamedTuple):
    """What is learnt from, grouped by user, oldest first.

    Parameters
    ----------
    indptr : int64 (n_users + 1,)
    items : int32 (n_rows,)
    inputs : float32 (n_rows, n_tables)
        What an event enters later histories with.
    asked, candidates, labels : int64 (n_rows + 1,), int32 (n,), float32 (n,)
        The examples of each row.
    query_indptr, query_index, query_value : CSR by row of the query's features
    item_indptr, item_index, item_value : CSR by item of its columns
    numbers : float32 (n, n_numbers)
        Statistics of each example's item, features ``first_number`` and on.
    first_number : int
    """

    indptr: np.ndarray
    items: np.ndarray
    inputs: np.ndarray
    asked: np.ndarray
    candidates: np.ndarray
    labels: np.ndarray
    query_indptr: np.ndarray
    query_index: np.ndarray
    query_value: np.ndarray
    item_indptr: np.ndarray
    item_index: np.ndarray
    item_value: np.ndarray
    numbers: np.ndarray
    first_number: int


class Factors(NamedTuple):
    """Parameters (or the sums of their squared gradients): weights first, then factors.

    Parameters
    ----------
    offset : float64 (1,)
    item_weight, item : (n_items,), (n_items, d)
    feature_weight, feature : (n_features,), (n_features, d)
    event_weight, event : (n_tables, n_items), (n_tables, n_items, d)
    """

    offset: np.ndarray
    item_weight: np.ndarray
    item: np.ndarray
    feature_weight: np.ndarray
    feature: np.ndarray
    event_weight: np.ndarray
    event: np.ndarray


class Steps(NamedTuple):
    """How steps are taken; ``logistic`` says which loss, else half the squared error.

    ``decay`` pulls at the factors of items and events, ``column_decay`` at those of columns and statistics.
    """

    rate: float
    decay: float
    column_decay: float
    weight_decay: float
    logistic: bool


@kernel(inline=True)
def _moved(value: float, gradient: float, squares: np.ndarray, place: int, rate: float) -> float:
    """Return a parameter after one step, its squared gradient added at ``place``."""
    squares[place] += gradient * gradient
    moved: float = value - rate * gradient / np.sqrt(squares[place] + _TINY)
    return moved


@kernel(inline=True)
def _step_feature(
    weight: np.ndarray,
    factor: np.ndarray,
    weight_squares: np.ndarray,
    factor_squares: np.ndarray,
    place: int,
    x: float,
    error: float,
    total: np.ndarray,
    decay: float,
    steps: Steps,
) -> None:
    """Take a step for one feature of value x: gradients e·x and e·x·(S − x·v) (Rendle 2010, eq. 4)."""
    gradient = error * x + steps.weight_decay * weight[place]
    weight[place] = _moved(weight[place], gradient, weight_squares, place, steps.rate)
    for f in range(total.size):
        v = factor[place, f]
        slope = error * x * (total[f] - x * v) + decay * v
        factor[place, f] = _moved(v, slope, factor_squares[place], f, steps.rate)


@kernel(inline=True)
def _gather(
    weight: np.ndarray, factor: np.ndarray, place: int, x: float, total: np.ndarray, square: np.ndarray
) -> float:
    """Add one feature's x·v and x²·v² to the sums, and return x·w."""
    for f in range(total.size):
        part = x * factor[place, f]
        total[f] += part
        square[f] += part * part
    linear: float = x * weight[place]
    return linear


@kernel(inline=True)
def _step_event(
    table: int,
    item: int,
    a: float,
    linear: float,
    curve: float,
    later: int,
    slopes: np.ndarray,
    at: Factors,
    squares: Factors,
    steps: Steps,
) -> None:
    """Take a step for the parameters of one event, for its ``later`` examples together."""
    w = at.event_weight[table, item]
    gradient = a * linear + later * steps.weight_decay * w
    at.event_weight[table, item] = _moved(w, gradient, squares.event_weight[table], item, steps.rate)
    for f in range(slopes.size):
        v = at.event[table, item, f]
        slope = a * slopes[f] - a * a * curve * v + later * steps.decay * v
        at.event[table, item, f] = _moved(v, slope, squares.event[table, item], f, steps.rate)


class Work(NamedTuple):
    """Room for the sums of one block: of the past, of one question and one example, and of each row's errors."""

    past: np.ndarray
    past_square: np.ndarray
    asked: np.ndarray
    asked_square: np.ndarray
    total: np.ndarray
    square: np.ndarray
    slopes: np.ndarray
    linears: np.ndarray
    curves: np.ndarray
    gathered: np.ndarray


@kernel(inline=True)
def _learn(
    e: int,
    row: int,
    item: int,
    error: float,
    rows: Rows,
    at: Factors,
    squares: Factors,
    steps: Steps,
    total: np.ndarray,
) -> None:
    """Take a step for all features of one example but its events."""
    w, v, w2, v2 = at.feature_weight, at.feature, squares.feature_weight, squares.feature
    at.offset[0] = _moved(at.offset[0], error, squares.offset, 0, steps.rate)
    _step_feature(
        at.item_weight,
        at.item,
        squares.item_weight,
        squares.item,
        item,
        1.0,
        error,
        total,
        steps.decay,
        steps,
    )
    for p in range(rows.item_indptr[item], rows.item_indptr[item + 1]):
        _step_feature(
            w, v, w2, v2, rows.item_index[p], rows.item_value[p], error, total, steps.column_decay, steps
        )
    for p in range(rows.numbers.shape[1]):
        _step_feature(
            w, v, w2, v2, rows.first_number + p, rows.numbers[e, p], error, total, steps.column_decay, steps
        )
    for p in range(rows.query_indptr[row], rows.query_indptr[row + 1]):
        _step_feature(
            w, v, w2, v2, rows.query_index[p], rows.query_value[p], error, total, steps.column_decay, steps
        )


@kernel(inline=True)
def _example(
    e: int,
    row: int,
    rows: Rows,
    at: Factors,
    squares: Factors,
    steps: Steps,
    linear: float,
    work: Work,
) -> tuple[float, float]:
    """Predict one example and take a step for all of its features but the events; return (error, loss)."""
    item = rows.candidates[e]
    total, square = work.total, work.square
    total[:] = work.asked
    square[:] = work.asked_square
    linear += _gather(at.item_weight, at.item, item, 1.0, total, square)
    for p in range(rows.item_indptr[item], rows.item_indptr[item + 1]):
        linear += _gather(
            at.feature_weight, at.feature, rows.item_index[p], rows.item_value[p], total, square
        )
    for p in range(rows.numbers.shape[1]):
        place = rows.first_number + p
        linear += _gather(at.feature_weight, at.feature, place, rows.numbers[e, p], total, square)
    value = at.offset[0] + linear
    for f in range(total.size):
        value += 0.5 * (total[f] * total[f] - square[f])
    label = rows.labels[e]
    if steps.logistic:
        error = 1.0 / (1.0 + np.exp(-value)) - label
        loss = np.log1p(np.exp(-abs(value))) + max(value, 0.0) - label * value
    else:
        error = value - label
        loss = 0.5 * error * error
    _learn(e, row, item, error, rows, at, squares, steps, total)
    return error, loss


@kernel(inline=True)
def _events(lo: int, hi: int, rows: Rows, at: Factors, work: Work) -> float:
    """Add the events ``lo:hi`` to the past; return what they add to its linear part."""
    linear = 0.0
    for j in range(lo, hi):
        for h in range(rows.inputs.shape[1]):
            linear += _gather(
                at.event_weight[h], at.event[h], rows.items[j], rows.inputs[j, h], work.past, work.past_square
            )
    return linear


@kernel(inline=True)
def _forward(
    first: int, lo: int, hi: int, rows: Rows, at: Factors, squares: Factors, steps: Steps, work: Work
) -> float:
    """Predict and learn the examples of rows ``lo:hi``, keep their errors for the events; return their loss."""
    d, losses = work.total.size, 0.0
    work.past[:] = 0.0
    work.past_square[:] = 0.0
    past_linear = _events(first, lo, rows, at, work)
    for t in range(lo, hi):
        z = 1.0 / np.sqrt(t - first) if t > first else 0.0
        linear = z * past_linear
        for f in range(d):
            work.asked[f] = z * work.past[f]
            work.asked_square[f] = z * z * work.past_square[f]
        for p in range(rows.query_indptr[t], rows.query_indptr[t + 1]):
            place, x = rows.query_index[p], rows.query_value[p]
            linear += _gather(at.feature_weight, at.feature, place, x, work.asked, work.asked_square)
        work.linears[t - lo], work.curves[t - lo] = 0.0, 0.0
        work.gathered[t - lo, :] = 0.0
        for e in range(rows.asked[t], rows.asked[t + 1]):
            error, loss = _example(e, t, rows, at, squares, steps, linear, work)
            losses += loss
            work.linears[t - lo] += error * z
            work.curves[t - lo] += error * z * z
            for f in range(d):
                work.gathered[t - lo, f] += error * z * work.total[f]
        past_linear += _events(t, t + 1, rows, at, work)
    return losses


@kernel(inline=True)
def _backward(
    first: int, lo: int, hi: int, rows: Rows, at: Factors, squares: Factors, steps: Steps, work: Work
) -> None:
    """Take a step for the events of rows ``first:hi``, each for the errors of the rows ``lo:hi`` after it."""
    gradient, curve, later = 0.0, 0.0, 0
    work.slopes[:] = 0.0
    for t in range(hi - 1, first - 1, -1):
        for h in range(rows.inputs.shape[1]):
            a = rows.inputs[t, h]
            if a != 0.0 and later > 0:
                _step_event(h, rows.items[t], a, gradient, curve, later, work.slopes, at, squares, steps)
        if t >= lo:
            later += rows.asked[t + 1] - rows.asked[t]
            gradient += work.linears[t - lo]
            curve += work.curves[t - lo]
            for f in range(work.slopes.size):
                work.slopes[f] += work.gathered[t - lo, f]


@kernel
def one_pass(users: np.ndarray, rows: Rows, at: Factors, squares: Factors, steps: Steps) -> float:
    """Take a step for every example of some users, in their order; return the sum of the losses.

    Parameters
    ----------
    users : int64 (n,)
    rows : Rows
    at, squares : Factors
        Parameters and the sums of their squared gradients; both are written to.
    steps : Steps
    """
    d = at.item.shape[1]
    work = Work(
        np.zeros(d),
        np.zeros(d),
        np.zeros(d),
        np.zeros(d),
        np.zeros(d),
        np.zeros(d),
        np.zeros(d),
        np.zeros(BLOCK),
        np.zeros(BLOCK),
        np.zeros((BLOCK, d)),
    )
    losses = 0.0
    for u in users:
        first, end = rows.indptr[u], rows.indptr[u + 1]
        for lo in range(first, end, BLOCK):
            hi = min(lo + BLOCK, end)
            if rows.asked[hi] > rows.asked[lo]:
                losses += _forward(first, lo, hi, rows, at, squares, steps, work)
                _backward(first, lo, hi, rows, at, squares, steps, work)
    return losses
