"""Tables of items and users: one row an id, plain texts, lists of strings, no column without content."""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from fuserec.data.check import Findings
from fuserec.data.cleaning.ids import EMPTY, TOO_LONG, coded, positions
from fuserec.data.cleaning.text import clean_lists, clean_texts, text_column

LIST_COLUMNS = ("categories", "tags")
"""Columns whose cells are lists of strings."""

STRING_COLUMNS = ("title", "description", "brand", "text", "image")
"""Columns whose cells are strings whatever they look like."""

_ORDER = ("title", "text", "description", "categories", "brand", "tags", "image")
_SEPARATORS = ("|", " > ", ";", ",")
_LONGEST_LITERAL = 100_000


@dataclass(frozen=True)
class Catalogue:
    """Items or users.

    Parameters
    ----------
    ids : polars.Series of String (n,)
        Distinct.
    table : polars.DataFrame
        Row ``i`` describes id ``i``; the id is not a column of it.
    """

    ids: pl.Series
    table: pl.DataFrame

    def extended(self, ids: pl.Series) -> Catalogue:
        """Return the catalogue with further ids, of which nothing is known, after its own."""
        if ids.len() == 0:
            return self
        blank = pl.DataFrame(
            [pl.Series(name, [None] * ids.len(), dtype=kind) for name, kind in self.table.schema.items()]
        )
        table = _filled(pl.concat([self.table, blank]))
        return Catalogue(pl.concat([self.ids, ids.alias(self.ids.name)]), table)

    def take(self, rows: np.ndarray) -> Catalogue:
        """Return some rows (a mask)."""
        mask = pl.Series(rows)
        return Catalogue(self.ids.filter(mask), self.table.filter(mask))


def empty_catalogue(id_column: str, leading: str) -> Catalogue:
    """Return a catalogue of nobody, with its one column that is always there."""
    return Catalogue(pl.Series(id_column, [], dtype=pl.String), pl.DataFrame(schema={leading: pl.String}))


def clean_catalogue(
    table: pl.DataFrame, id_column: str, leading: str, where: str, findings: Findings
) -> Catalogue:
    """Return the cleaned catalogue of a table.

    Parameters
    ----------
    table : polars.DataFrame
    id_column : str
        ``item_id`` or ``user_id``.
    leading : str
        The column of strings that is always there: ``title`` or ``text``.
    where : str
        Names the table in findings.
    findings : Findings
    """
    ids = coded(table[id_column], where, findings)
    _, first = np.unique(ids.codes, return_index=True)
    kept = np.zeros(table.height, dtype=bool)
    kept[first] = True
    kept &= ids.codes >= 0
    for bad, reason in (
        (ids.codes == EMPTY, "empty id"),
        (ids.codes == TOO_LONG, "id of more than 1,024 bytes"),
        (~kept & (ids.codes >= 0), "id listed again"),
    ):
        if bad.any():
            at = int(np.argmax(bad))
            findings.add(
                "dropped", reason, int(bad.sum()), where, f"row {at + 1}: {id_column} {table[id_column][at]}"
            )
    rows = table.filter(pl.Series(kept)) if not kept.all() else table
    columns = [_cleaned(rows[name], where, findings) for name in rows.columns if name != id_column]
    filled = {column.name: column for column in columns if column is not None}
    if leading not in filled:
        filled = {leading: pl.Series(leading, [""] * rows.height, dtype=pl.String), **filled}
    names = [name for name in _ORDER if name in filled] + [name for name in filled if name not in _ORDER]
    return Catalogue(ids.names, pl.DataFrame([filled[name] for name in names]))


def _cleaned(column: pl.Series, where: str, findings: Findings) -> pl.Series | None:
    """Return one cleaned column, or None (noted) where it holds nothing that can be used."""
    place, kind = f"{where}.{column.name}", column.dtype
    if isinstance(kind, (pl.List, pl.Array)):
        column = clean_lists(column, place, findings)
        if column.name in STRING_COLUMNS:
            column = column.list.join(" " if column.name == "description" else ", ").alias(column.name)
    elif column.name in LIST_COLUMNS:
        column = clean_lists(split_lists(text_column(column)), place, findings)
    elif kind.is_float() and column.name not in STRING_COLUMNS:
        column = _finite(column, place, findings)
    elif not (kind.is_integer() or kind == pl.Boolean) or column.name in STRING_COLUMNS:
        if kind in (pl.Binary, pl.Object):
            findings.add("noted", f"column of type {kind} is not used", 1, place)
            return None
        column = clean_texts(text_column(column), place, findings)
    if _holds_nothing(column):
        if column.name not in _ORDER:
            findings.add("noted", "column without any content is not used", 1, place)
        return None
    return column


def split_lists(texts: pl.Series) -> pl.Series:
    """Return lists of strings from cells such as ``a|b``, ``a;b``, ``a,b`` or ``["a", "b"]``.

    The separator is the column's: the first of ``|``, ``>`` between spaces, ``;`` and ``,`` that is in it.
    """
    texts = texts.fill_null("")
    written = texts.str.contains(r"^\s*\[.*\]\s*$")
    plain = texts.filter(~written)
    separator = next((s for s in _SEPARATORS if plain.str.contains(s, literal=True).any()), ",")
    lists = texts.str.split(separator)
    if not written.any():
        return lists
    parsed = pl.Series([_literal_list(text) for text in texts.filter(written)], dtype=pl.List(pl.String))
    frame = pl.DataFrame({"row": written.arg_true(), "parsed": parsed})
    both = pl.DataFrame({"row": pl.arange(texts.len(), eager=True, dtype=pl.UInt32), "lists": lists})
    both = both.join(
        frame.with_columns(pl.col("row").cast(pl.UInt32)), on="row", how="left", maintain_order="left"
    )
    return both.select(pl.coalesce("parsed", "lists").alias(texts.name))[texts.name]


def aligned(table: pl.DataFrame, old: pl.Series, new: pl.Series) -> pl.DataFrame:
    """Return a table of ``old`` ids in the order of ``new`` ids, with blank rows for those it lacks."""
    place = positions(new, old)
    frame = table.with_columns(pl.int_range(table.height, dtype=pl.Int32).alias("\x1fplace"))
    wanted = pl.DataFrame({"\x1fplace": place})
    joined = wanted.join(frame, on="\x1fplace", how="left", maintain_order="left").drop("\x1fplace")
    return _filled(joined)


def _filled(table: pl.DataFrame) -> pl.DataFrame:
    """Return a table with "" and [] in place of null.

    By column, not by expression: there a column called ``*`` or ``^...$`` would be a pattern.
    """
    columns = table.get_columns()
    for place, column in enumerate(columns):
        if column.dtype == pl.String:
            columns[place] = column.fill_null("")
        elif isinstance(column.dtype, pl.List):
            columns[place] = column.fill_null(pl.Series([[]], dtype=column.dtype))
    return pl.DataFrame(columns)


def _literal_list(text: str) -> list[str]:
    """Return the strings of a list written as JSON or Python; a cell that is neither is split at commas."""
    from fuserec.data.json_lines import flattened

    value: object = None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        if len(text) <= _LONGEST_LITERAL:
            try:
                value = ast.literal_eval(text.strip())  # literals only: nothing in the text is executed
            except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
                value = None
    return flattened(value) if isinstance(value, list) else text.strip(" []").split(",")


def _finite(column: pl.Series, where: str, findings: Findings) -> pl.Series:
    """Return a column of floats with null in place of NaN and infinity."""
    bad = (column.is_nan() | column.is_infinite()).fill_null(False)
    infinite = column.is_infinite().fill_null(False)
    findings.add("mended", "number that is not finite", int(infinite.sum()), where, "infinity")
    return column.set(bad, None) if bad.any() else column


def _holds_nothing(column: pl.Series) -> bool:
    """Return whether no cell is filled."""
    if column.dtype == pl.String:
        return not (column.fill_null("") != "").any()
    if isinstance(column.dtype, pl.List):
        return not (column.list.len().fill_null(0) > 0).any()
    return column.null_count() == column.len()


def without_text(
    table: pl.DataFrame, names: Sequence[str] = ("title", "description", "categories", "brand", "tags")
) -> int:
    """Return how many rows have no words at all in the columns that are read as text."""
    bare = np.ones(table.height, dtype=bool)
    for name in names:
        if name in table.columns:
            column = table[name]
            filled = (
                column.list.len() > 0 if isinstance(column.dtype, pl.List) else column.cast(pl.String) != ""
            )
            bare &= ~filled.fill_null(False).to_numpy()
    return int(bare.sum())
