"""Filters on item columns: which items a request allows at all."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fuserec.errors import RequestError, nearest

if TYPE_CHECKING:
    import polars as pl

Filters = Mapping[str, Any]
"""Column to a value, a list of values (any of them), or ``{operator: value}`` with =, !=, <, <=, >, >=."""

OPERATORS = (">=", "<=", "!=", ">", "<", "=")


def parse_filter(text: str) -> tuple[str, Any]:
    """Return (column, condition) of a condition written as ``year>=1990``, ``brand=OPI`` or ``categories!=Games``."""
    match = re.match(r"^\s*([^<>=!]+?)\s*(>=|<=|!=|=|>|<)\s*(.*?)\s*$", text)
    if not match:
        raise RequestError(f"filter {text!r}: write COLUMN OPERATOR VALUE, e.g. year>=1990 (operators: {' '.join(OPERATORS)})")
    column, operator, value = match.groups()
    return column, {operator: value}


def allowed_items(table: pl.DataFrame, filters: Filters) -> np.ndarray:
    """Return bool (n_items,): the items for which every filter holds.

    Raises
    ------
    RequestError
        For an unknown column or operator, or a value that cannot be compared with the column.
    """
    mask = np.ones(table.height, dtype=bool)
    for column, condition in filters.items():
        if column not in table.columns:
            raise RequestError(
                f"filter: items have no column {column!r}{nearest(column, table.columns)} "
                f"(columns: {', '.join(table.columns)})"
            )
        if isinstance(condition, Mapping):
            for operator, value in condition.items():
                mask &= _holds(table[column], str(operator), value)
        elif isinstance(condition, list | tuple | set):
            mask &= np.logical_or.reduce([_holds(table[column], "=", value) for value in condition], axis=0)
        else:
            mask &= _holds(table[column], "=", condition)
    return mask


def _holds(column: pl.Series, operator: str, value: Any) -> np.ndarray:
    """Return where one condition holds; a missing value never does, except for ``!=``."""
    import polars as pl

    if operator not in OPERATORS:
        raise RequestError(f"filter on {column.name!r}: unknown operator {operator!r} (known: {' '.join(OPERATORS)})")
    if isinstance(column.dtype, pl.List):
        has = column.cast(pl.List(pl.String)).list.contains(str(value)).fill_null(value=False).to_numpy()
        if operator not in ("=", "!="):
            raise RequestError(f"filter on {column.name!r}: a list column takes = or !=, got {operator!r}")
        return np.asarray(has if operator == "=" else ~has)
    if column.dtype.is_numeric():
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise RequestError(f"filter on {column.name!r}: {value!r} is not a number") from None
        return _compared(column.cast(pl.Float64), operator, number)
    return _compared(column.cast(pl.String), operator, str(value))


def _compared(column: pl.Series, operator: str, value: float | str) -> np.ndarray:
    """Compare a column with a value of its own type."""
    results = {
        "=": lambda: column == value,
        "!=": lambda: column != value,
        "<": lambda: column < value,
        "<=": lambda: column <= value,
        ">": lambda: column > value,
        ">=": lambda: column >= value,
    }
    return np.asarray(results[operator]().fill_null(value=operator == "!=").to_numpy())
