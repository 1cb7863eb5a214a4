"""Filters on item columns: which items a request allows at all."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fuserec.errors import RequestError, nearest

if TYPE_CHECKING:
    import polars as pl

Filters = Mapping[str, Any]
"""Column to a value, a list of values (any of them), or ``{operator: value}`` with =, !=, <, <=, >, >=.

A list under an operator is several conditions, all of which have to hold.
"""

OPERATORS = (">=", "<=", "!=", ">", "<", "=")


def parse_filters(texts: Iterable[str]) -> dict[str, dict[str, list[str]]]:
    """Return the filters that conditions written as ``year>=1990`` make together: all have to hold.

    Raises
    ------
    RequestError
        For a condition that is not COLUMN OPERATOR VALUE.
    """
    filters: dict[str, dict[str, list[str]]] = {}
    for text in texts:
        column, operator, value = _condition(text)
        filters.setdefault(column, {}).setdefault(operator, []).append(value)
    return filters


def _condition(text: str) -> tuple[str, str, str]:
    """Return column, operator and value of ``year>=1990``, ``brand=OPI`` or ``categories!=Games``."""
    match = re.fullmatch(r"([^<>=!]+)(>=|<=|!=|=|>|<)(.*)", text, re.DOTALL)  # nothing here backtracks
    if not match or not match[1].strip():
        raise RequestError(
            f"filter {text!r}: write COLUMN OPERATOR VALUE, e.g. year>=1990 (operators: {' '.join(OPERATORS)})"
        )
    return match[1].strip(), match[2], match[3].strip()


def allowed_items(table: pl.DataFrame, filters: Filters) -> np.ndarray:
    """Return bool (n_items,): the items for which every filter holds.

    Raises
    ------
    RequestError
        For an unknown column or operator, or a value that cannot be compared with the column.
    """
    mask = np.ones(table.height, dtype=bool)
    if not isinstance(filters, Mapping) or not all(isinstance(column, str) for column in filters):
        raise RequestError(
            'filters: has to be a mapping of columns to conditions, e.g. {"year": {">=": 1990}}, '
            f"not {' '.join(repr(filters).split())[:60]}"
        )
    for column, condition in filters.items():
        if column not in table.columns:
            raise RequestError(
                f"filter: items have no column {column!r}{nearest(column, table.columns)} "
                f"(columns: {', '.join(table.columns)})"
            )
        if isinstance(condition, Mapping):
            for operator, value in condition.items():
                for one in value if isinstance(value, list | tuple | set) else [value]:
                    mask &= _holds(table[column], str(operator), one)
        elif isinstance(condition, list | tuple | set):
            any_of = np.zeros(table.height, dtype=bool)
            for value in condition:
                any_of |= _holds(table[column], "=", value)
            mask &= any_of
        else:
            mask &= _holds(table[column], "=", condition)
    return mask


def _holds(column: pl.Series, operator: str, value: Any) -> np.ndarray:
    """Return where one condition holds; a missing value never does, except for ``!=``."""
    import polars as pl

    if operator not in OPERATORS:
        raise RequestError(
            f"filter on {column.name!r}: unknown operator {operator!r} (known: {' '.join(OPERATORS)})"
        )
    if isinstance(column.dtype, pl.List):
        has = column.cast(pl.List(pl.String)).list.contains(str(value)).fill_null(value=False).to_numpy()
        if operator not in ("=", "!="):
            raise RequestError(f"filter on {column.name!r}: a list column takes = or !=, got {operator!r}")
        return np.asarray(has if operator == "=" else ~has)
    if column.dtype.is_numeric():
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            number = float("nan")
        if np.isnan(number):
            raise RequestError(f"filter on {column.name!r}: {value!r} is not a number")
        return _compared(column.cast(pl.Float64).fill_nan(None), operator, number)
    if column.dtype == pl.Boolean:  # True, "True" and "true" are one
        value = str(value).lower()
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
