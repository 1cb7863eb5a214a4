"""Columns of tables and contexts as features: numbers, and one indicator for each frequent value.

What a column holds is learnt once, from the training data. A value that was rare then, or never seen, has no
indicator: it says nothing, as a missing one does.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np
import polars as pl
from scipy import sparse

NUMERIC_SHARE = 0.95
"""A column of text is one of numbers where at least this share of its values can be read as such."""

BINS = 10
"""Intervals of equally many values that a number falls into, for models that do not split numbers themselves."""

Kind = Literal["number", "category"]
Cells = pl.Series | Sequence[Any]


@dataclass(frozen=True)
class Column:
    """What was learnt of one column.

    Parameters
    ----------
    name : str
    kind : {"number", "category"}
    values : tuple of str
        Of a category: those with an indicator, the most frequent first.
    edges : tuple of float
        Of a number: where intervals end, ascending.
    """

    name: str
    kind: Kind
    values: tuple[str, ...] = ()
    edges: tuple[float, ...] = ()

    @cached_property
    def place(self) -> dict[str, int]:
        """The position of each value."""
        return {value: code for code, value in enumerate(self.values)}


@dataclass(frozen=True)
class Encoded:
    """``n`` rows as features.

    Parameters
    ----------
    numbers : float32 (n, n_numbers)
        NaN where there is none.
    indicators : CSR float32 (n, n_indicators)
        1 where a value is present.
    """

    numbers: np.ndarray
    indicators: sparse.csr_matrix

    def take(self, rows: np.ndarray) -> Encoded:
        """Return some rows."""
        return Encoded(self.numbers[rows], self.indicators[rows])


@dataclass(frozen=True)
class ColumnEncoder:
    """The columns of one table, or of a context, as features."""

    columns: tuple[Column, ...] = ()

    @classmethod
    def learn(cls, cells: Mapping[str, Cells], least: int, most: int, categories: Sequence[str] = ()) -> Self:
        """Learn what columns hold.

        Parameters
        ----------
        cells : mapping
            Name to a column of any type; those without a frequent value or with equal numbers only are left out.
        least : int
            A value of a category needs so many rows.
        most : int
            Values of a category, at most.
        categories : sequence of str
            Columns that are none of numbers, whatever they look like.
        """
        found = (_learnt(name, column, least, most, name in categories) for name, column in cells.items())
        return cls(tuple(column for column in found if column is not None))

    @property
    def numbers(self) -> list[Column]:
        """The columns of numbers."""
        return [column for column in self.columns if column.kind == "number"]

    @property
    def categories(self) -> list[Column]:
        """The columns of categories."""
        return [column for column in self.columns if column.kind == "category"]

    @cached_property
    def indicator_names(self) -> list[tuple[str, str]]:
        """(column, value) of each indicator."""
        return [(column.name, value) for column in self.categories for value in column.values]

    @cached_property
    def spans(self) -> dict[str, tuple[int, int]]:
        """First indicator of each column of categories, and the one after its last."""
        ends = np.cumsum([0, *(len(column.values) for column in self.categories)]).tolist()
        return {c.name: (lo, hi) for c, lo, hi in zip(self.categories, ends[:-1], ends[1:], strict=True)}

    def encode(self, cells: Mapping[str, Cells], n: int) -> Encoded:
        """Return the features of ``n`` rows, given by column; columns that are not given are missing."""
        numbers = np.full((n, len(self.numbers)), np.nan, np.float32)
        for place, column in enumerate(self.numbers):
            if column.name in cells:
                numbers[:, place] = _numbers(cells[column.name])
        rows, codes = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for column in self.categories:
            if column.name in cells:
                row, code = _codes(cells[column.name], column)
                rows.append(row)
                codes.append(code + self.spans[column.name][0])
        row, code = np.concatenate(rows), np.concatenate(codes)
        shape = (n, len(self.indicator_names))
        indicators = sparse.csr_matrix((np.ones(row.size, np.float32), (row, code)), shape=shape)
        indicators.sum_duplicates()
        indicators.data[:] = 1.0
        return Encoded(numbers, indicators)

    def encode_contexts(self, contexts: Sequence[Mapping[str, Any]], n: int) -> Encoded:
        """Return the features of ``n`` contexts, or of nothing known where there are none."""
        names = [column.name for column in self.columns] if contexts else []
        return self.encode({name: [context.get(name) for context in contexts] for name in names}, n)

    @property
    def coded(self) -> list[tuple[str, int]]:
        """(name, number of values or intervals) of each column, in the order of :meth:`codes`."""
        categories = [(column.name, len(column.values)) for column in self.categories]
        return categories + [(column.name, len(column.edges) + 1) for column in self.numbers]

    def codes(self, rows: Encoded) -> np.ndarray:
        """Return int32 (n, n_columns): the value or interval of each column, of a list its first; -1 for none."""
        n = rows.numbers.shape[0]
        out = np.full((n, len(self.columns)), -1, np.int32)
        for place, (lo, hi) in enumerate(self.spans.values()):
            part = rows.indicators[:, lo:hi]
            there = np.flatnonzero(np.diff(part.indptr) > 0)
            out[there, place] = part.indices[part.indptr[there]]
        for place, column in enumerate(self.numbers, start=len(self.spans)):
            numbers = rows.numbers[:, place - len(self.spans)]
            there = np.flatnonzero(np.isfinite(numbers))
            out[there, place] = np.searchsorted(column.edges, numbers[there], side="right")
        return out

    @cached_property
    def bin_names(self) -> list[tuple[str, str]]:
        """(column, interval) of each interval of numbers."""
        return [
            (c.name, _interval(c.edges, place)) for c in self.numbers for place in range(len(c.edges) + 1)
        ]

    def bins(self, numbers: np.ndarray) -> sparse.csr_matrix:
        """Return CSR float32 (n, n_bins): 1 at the interval that each number (n, n_numbers) falls into."""
        rows, codes, start = [np.empty(0, np.int64)], [np.empty(0, np.int64)], 0
        for place, column in enumerate(self.numbers):
            there = np.flatnonzero(np.isfinite(numbers[:, place]))
            rows.append(there)
            codes.append(start + np.searchsorted(column.edges, numbers[there, place], side="right"))
            start += len(column.edges) + 1
        row, code = np.concatenate(rows), np.concatenate(codes)
        return sparse.csr_matrix((np.ones(row.size, np.float32), (row, code)), shape=(len(numbers), start))

    def state(self) -> list[dict[str, Any]]:
        """Return what was learnt, as JSON."""
        return [asdict(column) for column in self.columns]

    @classmethod
    def from_state(cls, state: Iterable[Mapping[str, Any]]) -> Self:
        """Rebuild from :meth:`state`."""
        return cls(tuple(Column(c["name"], c["kind"], tuple(c["values"]), tuple(c["edges"])) for c in state))


def number_column(name: str, edges: Sequence[float]) -> Column:
    """Return a column of numbers with given intervals."""
    return Column(name, "number", (), tuple(float(edge) for edge in edges))


def spoken(value: Any) -> str:
    """Return a value of a category as text: whole floats as integers, truth values in lower case."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _learnt(name: str, cells: Cells, least: int, most: int, category: bool) -> Column | None:
    """Return what a column holds, or None where it holds nothing that can be learnt from."""
    if not category:
        numbers = _as_numbers(cells)
        if numbers is not None:
            distinct = np.unique(numbers)
            return number_column(name, _edges(numbers, distinct)) if distinct.size > 1 else None
    counts = Counter(value for cell in _list(cells) for value in dict.fromkeys(_parts(cell)))
    frequent = [(value, count) for value, count in counts.items() if count >= least]
    kept = sorted(frequent, key=lambda pair: (-pair[1], pair[0]))[:most]
    return Column(name, "category", tuple(value for value, _ in kept)) if kept else None


def _as_numbers(cells: Cells) -> np.ndarray | None:
    """Return the numbers of a column of numbers, float32 without missing ones; None for a column of categories."""
    if isinstance(cells, pl.Series):
        if cells.dtype.is_nested() or cells.dtype == pl.Boolean:
            return None
        filled = cells.len() - cells.null_count()
        if cells.dtype == pl.String:
            filled = int((cells.fill_null("") != "").sum())
    else:
        if any(isinstance(cell, list | tuple | bool) for cell in cells):
            return None
        filled = sum(cell is not None and cell != "" for cell in cells)
    numbers = _numbers(cells)
    numbers = numbers[np.isfinite(numbers)]
    return numbers if numbers.size and numbers.size >= NUMERIC_SHARE * filled else None


def _edges(numbers: np.ndarray, distinct: np.ndarray) -> list[float]:
    """Return where intervals end: between few distinct values, else at quantiles."""
    if distinct.size <= BINS:
        middle: list[float] = ((distinct[1:].astype(np.float64) + distinct[:-1]) / 2).tolist()
        return middle
    quantiles = np.quantile(numbers.astype(np.float64), np.arange(1, BINS) / BINS)
    edges: list[float] = np.unique(quantiles).tolist()
    return edges


def _numbers(cells: Cells) -> np.ndarray:
    """Return float32 (n,): a column as numbers, NaN where it holds none."""
    if isinstance(cells, pl.Series):
        if cells.dtype.is_nested():
            return np.full(cells.len(), np.nan, np.float32)
        column = cells.str.strip_chars() if cells.dtype == pl.String else cells
        with np.errstate(over="ignore"):
            found = column.cast(pl.Float64, strict=False).to_numpy().astype(np.float32)
        return np.where(np.isfinite(found), found, np.float32(np.nan))
    return np.array([_number(cell) for cell in cells], np.float32)


def _number(cell: Any) -> float:
    """Return one value as a number, NaN where it is none."""
    if isinstance(cell, list | tuple) or cell is None:
        return math.nan
    try:
        value = float(cell)
    except (ValueError, OverflowError):
        return math.nan
    return value if abs(value) <= float(np.finfo(np.float32).max) else math.nan


def _codes(cells: Cells, column: Column) -> tuple[np.ndarray, np.ndarray]:
    """Return (row, code) of every value that has an indicator; int64."""
    place = column.place
    if isinstance(cells, pl.Series) and cells.dtype == pl.String:
        known = pl.Series(list(column.values), dtype=pl.String)
        found = cells.replace_strict(known, pl.Series(range(known.len())), default=-1, return_dtype=pl.Int64)
        codes = found.to_numpy()
        rows = np.flatnonzero(codes >= 0)
        return rows, codes[rows].astype(np.int64)
    pairs = [
        (row, place[value])
        for row, cell in enumerate(_list(cells))
        for value in _parts(cell)
        if value in place
    ]
    both = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def _list(cells: Cells) -> Sequence[Any]:
    """Return a column as Python values."""
    return cells.to_list() if isinstance(cells, pl.Series) else cells


def _parts(cell: Any) -> list[str]:
    """Return the values of one cell: those of a list, one, or none."""
    if cell is None or cell == "":
        return []
    return [spoken(part) for part in (cell if isinstance(cell, list | tuple) else [cell])]


def _interval(edges: Sequence[float], place: int) -> str:
    """Return an interval in words."""
    if place == 0:
        return f"< {edges[0]:g}"
    return f">= {edges[-1]:g}" if place == len(edges) else f"{edges[place - 1]:g} to {edges[place]:g}"
