"""How much oftener an item is taken under a circumstance than items are: from the events before a moment."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fuserec.numerics.jit import kernel


class Counts(NamedTuple):
    """Events by circumstance.

    Parameters
    ----------
    of_item : float32 (n_items, n_values)
        All values of all columns, one column after the other.
    of_value : float64 (n_values,)
    taken : float32 (n_items, n_columns)
        Events of the item in which the column has a value.
    known : float64 (n_columns,)
        Events in which it has.
    starts : int64 (n_columns + 1,)
        First value of each column.
    """

    of_item: np.ndarray
    of_value: np.ndarray
    taken: np.ndarray
    known: np.ndarray
    starts: np.ndarray


def no_counts(n_items: int, starts: np.ndarray) -> Counts:
    """Return the counts of nothing."""
    columns, values = starts.size - 1, int(starts[-1])
    return Counts(
        np.zeros((n_items, values), np.float32),
        np.zeros(values),
        np.zeros((n_items, columns), np.float32),
        np.zeros(columns),
        starts.astype(np.int64),
    )


@kernel(inline=True)
def _lift(counts: Counts, item: int, column: int, code: int, damping: float) -> float:
    """Return log P(value | item) / P(value), both held back; NaN without a value."""
    if code < 0:
        return np.nan
    size = counts.starts[column + 1] - counts.starts[column]
    value = counts.starts[column] + code
    usual = (counts.of_value[value] + 1.0) / (counts.known[column] + size)
    own = (counts.of_item[item, value] + damping * usual) / (counts.taken[item, column] + damping)
    lift: float = np.log(own / usual)
    return lift


@kernel
def lifts_before(
    order: np.ndarray,
    moments: np.ndarray,
    items: np.ndarray,
    codes: np.ndarray,
    asked: np.ndarray,
    candidates: np.ndarray,
    damping: float,
    counts: Counts,
    out: np.ndarray,
) -> None:
    """Write the lifts of every row's candidates, from events strictly before its moment; count all events.

    Parameters
    ----------
    order : int64 (n_rows,)
        Rows by their moment.
    moments : float64 (n_rows,)
    items : int32 (n_rows,)
    codes : int32 (n_rows, n_columns)
        Value of each column, -1 for none.
    asked, candidates : int64 (n_rows + 1,), int32 (n,)
        Candidates ``asked[r]:asked[r + 1]`` belong to row ``r``.
    damping : float
    counts : Counts
        Of nothing; holds the counts of everything afterwards.
    out : float32 (n, n_columns)
    """
    lo = 0
    while lo < order.size:
        hi = lo
        while hi < order.size and moments[order[hi]] == moments[order[lo]]:
            row = order[hi]
            for e in range(asked[row], asked[row + 1]):
                for column in range(codes.shape[1]):
                    out[e, column] = _lift(counts, candidates[e], column, codes[row, column], damping)
            hi += 1
        for place in range(lo, hi):
            row = order[place]
            for column in range(codes.shape[1]):
                if codes[row, column] >= 0:
                    value = counts.starts[column] + codes[row, column]
                    counts.of_item[items[row], value] += 1.0
                    counts.taken[items[row], column] += 1.0
                    counts.of_value[value] += 1.0
                    counts.known[column] += 1.0
        lo = hi


@kernel
def lifts_of(
    codes: np.ndarray, candidates: np.ndarray, damping: float, counts: Counts, out: np.ndarray
) -> None:
    """Write the lifts of candidates int (n, m) under the circumstances (n, n_columns) into out (n, m, n_columns)."""
    for query in range(candidates.shape[0]):
        for place in range(candidates.shape[1]):
            for column in range(codes.shape[1]):
                out[query, place, column] = _lift(
                    counts, candidates[query, place], column, codes[query, column], damping
                )
