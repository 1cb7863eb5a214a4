"""Tables of items and users that stay aligned with their vocabulary."""

from __future__ import annotations

import numpy as np
import polars as pl


def merged_table(old: pl.DataFrame, new: pl.DataFrame, position: np.ndarray, height: int) -> pl.DataFrame:
    """Return a table of ``height`` rows: the old rows, with the new rows written at ``position``.

    Columns that only one side has are kept; a new row's missing value (an empty text or list is one, too) never
    erases an old one. A column whose two types differ becomes text.
    """
    index = pl.int_range(height, eager=True).cast(pl.UInt32).alias("#")
    frame = pl.DataFrame({"#": index})
    old = old.with_columns(index.head(old.height))
    new = new.with_columns(pl.Series("#", position.astype(np.uint32)))
    for name in [c for c in new.columns if c != "#" and c in old.columns]:
        if old.schema[name] != new.schema[name]:
            old, new = (t.with_columns(_as_text(t[name])) for t in (old, new))
    columns = [c for c in old.columns if c != "#"] + [c for c in new.columns if c not in old.columns]
    both = frame.join(old, on="#", how="left", maintain_order="left").join(
        new, on="#", how="left", maintain_order="left", suffix="#new"
    )
    return both.select(
        pl.coalesce(_given(f"{c}#new", both.schema[c]), c, f"{c}#new").alias(c)
        if f"{c}#new" in both.columns
        else pl.col(c)
        for c in columns
    )


def _given(column: str, dtype: pl.DataType) -> pl.Expr:
    """Return a column with null for what says nothing: an item that is only named in an event has an empty title."""
    values = pl.col(column)
    if dtype == pl.String:
        return pl.when(values.str.len_bytes() > 0).then(values)
    if isinstance(dtype, pl.List):
        return pl.when(values.list.len() > 0).then(values)
    return values


def _as_text(column: pl.Series) -> pl.Series:
    """Return a column as strings (a list becomes its parts, joined)."""
    if isinstance(column.dtype, pl.List):
        return column.cast(pl.List(pl.String)).list.join(", ")
    return column.cast(pl.String)
