"""Circumstances: further columns of interactions, and what the table of users says of who asks, as contexts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fuserec.errors import RequestError, nearest

if TYPE_CHECKING:
    import polars as pl

TIME_KEYS = ("hour", "weekday", "month")
"""Parts of the moment of a query that its context may name: 0 to 23 (UTC), 0 (Monday) to 6, 1 to 12."""

PROFILE = "text"
"""The column of users that is read as words, and is no circumstance."""

MOST_KEYS, LONGEST, LARGEST = 100, 1_000, 1e30
"""Limits on the context of a request: keys, characters, and the size of a number."""

_NOTHING: tuple[Any, ...] = (None, "", [])


def rows_of(table: pl.DataFrame, rows: np.ndarray) -> pl.DataFrame:
    """Return some rows of a table (indices or a mask)."""
    kept = np.flatnonzero(rows) if rows.dtype == bool else rows
    return table[kept]


def stacked_contexts(parts: Sequence[tuple[pl.DataFrame | None, int]]) -> pl.DataFrame | None:
    """Return the circumstances of all rows, one part after the other; None where no part has any.

    Parameters
    ----------
    parts : (table or None, rows)
        A column that a part lacks is null there; one that is of numbers here and of text there becomes text.
    """
    import polars as pl

    tables = [table for table, _ in parts if table is not None]
    if not tables:
        return None
    names = dict.fromkeys(name for table in tables for name in table.columns)
    columns = []
    for name in names:
        kinds = {table[name].dtype for table in tables if name in table.columns}
        kind = kinds.pop() if len(kinds) == 1 else pl.String
        pieces = [
            table[name].cast(kind)
            if table is not None and name in table.columns
            else pl.Series(name, [None] * height, dtype=kind)
            for table, height in parts
        ]
        columns.append(pl.concat(pieces))
    return pl.DataFrame(columns)


def user_columns(table: pl.DataFrame) -> list[str]:
    """Return the columns of users that describe them, other than in words."""
    return [name for name in table.columns if name != PROFILE]


def user_contexts(table: pl.DataFrame, users: np.ndarray) -> tuple[Mapping[str, Any], ...]:
    """Return what the table says of users (indices), one mapping each without what is missing; () without columns."""
    names = user_columns(table)
    if not names:
        return ()
    columns = (table[name].gather(users).to_list() for name in names)
    return tuple(_given(names, row) for row in zip(*columns, strict=True))


def user_context(table: pl.DataFrame, user: int) -> Mapping[str, Any]:
    """Return what the table says of one user; nothing for -1."""
    names = user_columns(table) if user >= 0 else []
    if not names:
        return {}
    cells = (table[name][user] for name in names)
    return _given(names, [c if c is None or isinstance(c, str | int | float) else list(c) for c in cells])


def row_contexts(table: pl.DataFrame | None, rows: np.ndarray) -> tuple[Mapping[str, Any], ...]:
    """Return the circumstances of some rows (indices), one mapping each; () where there are none."""
    if table is None:
        return ()
    names = table.columns
    columns = (table[name].gather(rows).to_list() for name in names)
    return tuple(_given(names, row) for row in zip(*columns, strict=True))


def joined(
    first: tuple[Mapping[str, Any], ...], then: tuple[Mapping[str, Any], ...]
) -> tuple[Mapping[str, Any], ...]:
    """Return the contexts of both, the later ones counting where both name a key."""
    if not first or not then:
        return first or then
    return tuple({**one, **other} for one, other in zip(first, then, strict=True))


def checked_context(context: Mapping[Any, Any]) -> dict[str, Any]:
    """Return what a caller says of the circumstances, or refuse it.

    Raises
    ------
    RequestError
        For more keys than :data:`MOST_KEYS`, a key that is no string, or a value that is no short text, finite number,
        truth value or short list of texts. None leaves a key out.
    """
    if len(context) > MOST_KEYS:
        raise RequestError(f"context: {len(context):,} keys, at most {MOST_KEYS} are taken")
    return {_key(key): _value(key, value) for key, value in context.items() if value is not None}


def _key(key: Any) -> str:
    """Return a key of a context, well formed."""
    if not isinstance(key, str) or not 0 < len(key) <= LONGEST:
        raise RequestError(f"context: {_cut(key)}: a key has to be a string of 1 to {LONGEST} characters")
    return key.encode("utf-8", "replace").decode("utf-8")


def _value(key: str, value: Any) -> Any:
    """Return a value of a context, well formed: str, int, float, bool or a list of str."""
    if isinstance(value, str):
        if len(value) > LONGEST:
            raise RequestError(
                f"context: {_cut(key)}: {len(value):,} characters, at most {LONGEST} are taken"
            )
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool | int | float) and abs(value) <= LARGEST:  # never true of NaN
        return value
    if isinstance(value, list | tuple) and len(value) <= MOST_KEYS and all(isinstance(v, str) for v in value):
        return [_value(key, part) for part in value]
    raise RequestError(
        f"context: {_cut(key)} = {_cut(value)}: give a text, a finite number, true or false, or a list of texts"
    )


def _cut(value: Any) -> str:
    """Return a value as a message repeats it."""
    return " ".join(repr(value).split())[:60]


def unknown_keys(context: Mapping[str, Any], known: Sequence[str]) -> tuple[str, ...]:
    """Return a warning for the keys that neither the data nor the time have, or nothing."""
    unknown = [key for key in context if key not in known]
    if not unknown:
        return ()
    shown = ", ".join(_cut(key) + nearest(key, known) for key in unknown[:3])
    more = ", ..." if len(unknown) > 3 else ""
    return (f"context: unknown key left out: {shown}{more} (known: {', '.join(known[:20])})",)


def _given(names: Sequence[str], cells: Sequence[Any]) -> dict[str, Any]:
    """Return the cells that hold something, by name."""
    return {name: cell for name, cell in zip(names, cells, strict=True) if cell not in _NOTHING}
