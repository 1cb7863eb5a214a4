"""Tables of items and users that stay aligned with their vocabulary."""

from __future__ import annotations

import io

import numpy as np
import polars as pl


def table_bytes(table: pl.DataFrame) -> np.ndarray:
    """Return a table as the bytes of an Arrow IPC file, uint8 (n,): types are kept, nothing is executed on reading."""
    buffer = io.BytesIO()
    table.write_ipc(buffer)
    return np.frombuffer(buffer.getvalue(), dtype=np.uint8)


def table_of(data: np.ndarray) -> pl.DataFrame:
    """Return the table that :func:`table_bytes` wrote."""
    return pl.read_ipc(io.BytesIO(data.tobytes()))


def merged_table(old: pl.DataFrame, new: pl.DataFrame, position: np.ndarray, height: int) -> pl.DataFrame:
    """Return a table of ``height`` rows: the old rows, with the new rows written at ``position``.

    Columns that only one side has are kept; a new row's missing value (an empty text or list is one, too) never
    erases an old one. A column whose two types differ becomes text.
    """
    # By column, not by expression: there a column called ``*`` or ``^...$`` would be a pattern.
    old_rows = _rows(np.arange(old.height), height)
    new_rows = _rows(position, height)
    columns = []
    for name in dict.fromkeys([*old.columns, *new.columns]):
        sides = [table[name] if name in table.columns else None for table in (old, new)]
        before, after = sides
        if before is not None and after is not None and before.dtype != after.dtype:
            before, after = _as_text(before), _as_text(after)
        earlier = None if before is None else before.gather(old_rows)
        later = None if after is None else after.gather(new_rows)
        columns.append(_joined(earlier, later))
    return pl.DataFrame(columns)


def _rows(position: np.ndarray, height: int) -> pl.Series:
    """Return which row of a table stands at each place, null for none; of several the last."""
    rows = np.full(height, -1, dtype=np.int64)
    rows[position] = np.arange(position.size)
    found = pl.Series(rows)
    return found.set(found < 0, None)


def _joined(old: pl.Series | None, new: pl.Series | None) -> pl.Series:
    """Return the new values where they say something, the old ones elsewhere."""
    if old is None or new is None:
        only = new if old is None else old
        assert only is not None
        return only
    kept = new.zip_with(_given(new), old)
    return kept.zip_with(kept.is_not_null(), new)


def _given(column: pl.Series) -> pl.Series:
    """Return where a value says something: an item that is only named in an event has an empty title."""
    if column.dtype == pl.String:
        return (column.str.len_bytes() > 0).fill_null(value=False)
    if isinstance(column.dtype, pl.List):
        return (column.list.len() > 0).fill_null(value=False)
    return column.is_not_null()


def _as_text(column: pl.Series) -> pl.Series:
    """Return a column as strings (a list becomes its parts, joined)."""
    if isinstance(column.dtype, pl.List):
        return column.cast(pl.List(pl.String)).list.join(", ")
    return column.cast(pl.String)
