"""How somebody has taken to the values that an item has: from the events before a moment, and nothing else."""

from __future__ import annotations

import numpy as np

from fuserec.numerics.jit import kernel


@kernel
def tastes_before(
    indptr: np.ndarray,
    items: np.ndarray,
    liking: np.ndarray,
    asked: np.ndarray,
    candidates: np.ndarray,
    value_indptr: np.ndarray,
    values: np.ndarray,
    n_values: int,
    damping: float,
    out: np.ndarray,
) -> None:
    """Write the tastes for candidates of every row, from the rows before it of the same user.

    Parameters
    ----------
    indptr : int64 (n_users + 1,)
        Rows of each user, oldest first.
    items : int32 (n_rows,)
    liking : float32 (n_rows,)
        How much the event says for its item; NaN says nothing.
    asked : int64 (n_rows + 1,)
        Candidates ``asked[r]:asked[r + 1]`` belong to row ``r``.
    candidates : int32 (n_candidates,)
    value_indptr, values : CSR of the values of each item
    n_values : int
    damping : float
    out : float32 (n_candidates, 2)
        Damped mean liking of the earlier events with the candidate's values, and the share of events with them (mean
        over the values); NaN for a candidate without values.
    """
    total, rated, count = np.zeros(n_values), np.zeros(n_values), np.zeros(n_values)
    for user in range(indptr.size - 1):
        for row in range(indptr[user], indptr[user + 1]):
            n = row - indptr[user]
            for place in range(asked[row], asked[row + 1]):
                _write(candidates[place], n, value_indptr, values, total, rated, count, damping, out[place])
            _add(items[row], liking[row], value_indptr, values, total, rated, count)
        for row in range(indptr[user], indptr[user + 1]):
            _clear(items[row], value_indptr, values, total, rated, count)


@kernel
def tastes_of(
    indptr: np.ndarray,
    items: np.ndarray,
    liking: np.ndarray,
    candidates: np.ndarray,
    value_indptr: np.ndarray,
    values: np.ndarray,
    n_values: int,
    damping: float,
    out: np.ndarray,
) -> None:
    """Write the tastes of whole histories for their candidates int (n, m) into out float32 (n, m, 2)."""
    total, rated, count = np.zeros(n_values), np.zeros(n_values), np.zeros(n_values)
    for query in range(indptr.size - 1):
        for row in range(indptr[query], indptr[query + 1]):
            _add(items[row], liking[row], value_indptr, values, total, rated, count)
        n = indptr[query + 1] - indptr[query]
        for column in range(candidates.shape[1]):
            _write(
                candidates[query, column],
                n,
                value_indptr,
                values,
                total,
                rated,
                count,
                damping,
                out[query, column],
            )
        for row in range(indptr[query], indptr[query + 1]):
            _clear(items[row], value_indptr, values, total, rated, count)


@kernel(inline=True)
def _add(
    item: int,
    liking: float,
    value_indptr: np.ndarray,
    values: np.ndarray,
    total: np.ndarray,
    rated: np.ndarray,
    count: np.ndarray,
) -> None:
    """Count one event."""
    for place in range(value_indptr[item], value_indptr[item + 1]):
        value = values[place]
        count[value] += 1.0
        if liking == liking:
            total[value] += liking
            rated[value] += 1.0


@kernel(inline=True)
def _clear(
    item: int,
    value_indptr: np.ndarray,
    values: np.ndarray,
    total: np.ndarray,
    rated: np.ndarray,
    count: np.ndarray,
) -> None:
    """Forget one event's values."""
    for place in range(value_indptr[item], value_indptr[item + 1]):
        value = values[place]
        total[value], rated[value], count[value] = 0.0, 0.0, 0.0


@kernel(inline=True)
def _write(
    item: int,
    n: int,
    value_indptr: np.ndarray,
    values: np.ndarray,
    total: np.ndarray,
    rated: np.ndarray,
    count: np.ndarray,
    damping: float,
    out: np.ndarray,
) -> None:
    """Write the taste for one candidate."""
    lo, hi = value_indptr[item], value_indptr[item + 1]
    if lo == hi:
        out[0], out[1] = np.nan, np.nan
        return
    liked, heard, shared = 0.0, 0.0, 0.0
    for place in range(lo, hi):
        value = values[place]
        liked += total[value]
        heard += rated[value]
        shared += count[value]
    out[0] = liked / (heard + damping)
    out[1] = shared / ((hi - lo) * (n + 1.0))
