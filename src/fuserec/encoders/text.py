"""Which text of an item is encoded: configured columns of the items table, joined."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from fuserec.errors import ConfigError, nearest

if TYPE_CHECKING:
    import polars as pl

DEFAULT_COLUMNS = ("title", "categories", "brand")
LAST_RESORT_COLUMNS = ("description", "tags")
"""Read where the default columns say nothing and the configuration names none: the first one of an item that has
nothing in them, both in a table that has none of them."""


class TextConfig(BaseModel):
    """Which text of an item is encoded."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    columns: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        description="Columns of items.* that are joined, in this order; each must exist. "
        "Left out: title, categories and brand, as far as they exist; of an item without any of them, "
        "its description.",
    )
    separator: str = Field(default=". ", max_length=16, description="What stands between two columns.")
    max_chars: int = Field(
        default=4000,
        ge=1,
        le=1_000_000,
        description="Characters of an item's text that are kept; the rest is cut off.",
    )


def item_text(table: pl.DataFrame, config: TextConfig | None = None) -> list[str]:
    """Return the text of every item.

    Parameters
    ----------
    table : polars.DataFrame
        The items; columns may be strings, numbers, or lists of strings (nested lists too), with nulls.
    config : TextConfig, optional
        Which columns, and how much of them.

    Returns
    -------
    list of str
        One text a row, ``""`` where an item has none. Lists are joined with ``", "``; nulls and empty values
        are skipped.

    Raises
    ------
    ConfigError
        A configured column is not in the table.
    """
    import polars as pl

    config = config or TextConfig()
    joined = [_joined(table, names, config.separator) for names in _columns(table, config) if names]
    if not joined:
        return [""] * table.height
    text = pl.coalesce(joined).str.slice(0, config.max_chars).fill_null("").alias("text")
    texts: list[str] = table.select(text)["text"].to_list()
    return texts


def _joined(table: pl.DataFrame, names: list[str], separator: str) -> pl.Expr:
    """Return the columns as one string, null where all are empty."""
    import polars as pl

    parts = [_as_text(table.schema[name], name) for name in names]
    text = pl.concat_str(parts, separator=separator, ignore_nulls=True)
    return pl.when(text.str.len_bytes() > 0).then(text)


def _columns(table: pl.DataFrame, config: TextConfig) -> list[list[str]]:
    """Return the columns that are read, and those that are where the first say nothing."""
    if config.columns is None:
        found = [name for name in DEFAULT_COLUMNS if name in table.columns]
        instead = LAST_RESORT_COLUMNS[:1] if found else LAST_RESORT_COLUMNS
        return [found, [name for name in instead if name in table.columns]]
    for name in config.columns:
        if name not in table.columns:
            raise ConfigError(
                f"text column {name!r} is not in the items table{nearest(name, table.columns)} "
                f"(columns: {', '.join(table.columns[:20])})"
            )
    return [list(config.columns)]


def _as_text(dtype: pl.DataType, name: str) -> pl.Expr:
    """Return the column as stripped strings, null where there is nothing to read."""
    import polars as pl

    column = pl.col(name)
    if isinstance(dtype, pl.Array):
        column, dtype = column.arr.to_list(), pl.List(dtype.inner)
    if isinstance(dtype, pl.List):
        while isinstance(dtype.inner, pl.List):
            column, dtype = column.list.eval(pl.element().list.explode()), dtype.inner
        element = pl.element().cast(pl.String).str.strip_chars()
        named = column.list.eval(element.filter(element.str.len_bytes() > 0))
        column = named.list.unique(maintain_order=True).list.join(", ")
    column = column.cast(pl.String).str.strip_chars()
    return pl.when(column.str.len_bytes() > 0).then(column)
