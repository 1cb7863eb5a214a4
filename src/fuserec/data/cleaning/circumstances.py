"""Further columns of interactions: short texts and numbers, kept as the circumstances of each row."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from fuserec.data.check import Findings
from fuserec.data.cleaning.text import clean_texts, text_column

PREFIX = "context."
"""Stands before the names of circumstances among the columns of cleaned events."""

MOST_COLUMNS = 32
LONGEST_NAME = 64
LONGEST_VALUE = 200
"""Characters of a circumstance; what is longer is a text, and no circumstance."""


def clean_circumstances(table: pl.DataFrame, names: Iterable[str], findings: Findings) -> list[pl.Series]:
    """Return the cleaned columns, their names prefixed; what cannot be one is named in the findings.

    Parameters
    ----------
    table : polars.DataFrame
    names : columns of it
    findings : Findings

    Returns
    -------
    list of polars.Series
        String (null where nothing stands) or Float64 (null, never NaN).
    """
    kept: list[pl.Series] = []
    unused: list[str] = []
    for name in names:
        usable = len(kept) < MOST_COLUMNS and 0 < len(name) <= LONGEST_NAME
        column = _cleaned(table[name], findings) if usable else None
        if column is None:
            unused.append(name[:LONGEST_NAME])
        else:
            kept.append(column.alias(f"{PREFIX}{name}"))
    findings.add("noted", "column that is not used", len(unused), "interactions", ", ".join(unused))
    shown = ", ".join(column.name.removeprefix(PREFIX) for column in kept)
    findings.add("noted", "column kept as context", len(kept), "interactions", shown)
    return kept


def prefixed(contexts: pl.DataFrame) -> list[pl.Series]:
    """Return the columns as they stand among cleaned events."""
    return [column.alias(f"{PREFIX}{column.name}") for column in contexts.get_columns()]


def context_columns(events: pl.DataFrame) -> list[str]:
    """Return the columns of cleaned events that are circumstances."""
    return [name for name in events.columns if name.startswith(PREFIX)]


def contexts_in(events: pl.DataFrame) -> pl.DataFrame | None:
    """Return the circumstances of cleaned events under their own names; None where there are none."""
    names = context_columns(events)
    return pl.DataFrame([events[name].alias(name.removeprefix(PREFIX)) for name in names]) if names else None


def _cleaned(column: pl.Series, findings: Findings) -> pl.Series | None:
    """Return one column, or None where it is of lists or objects or holds nothing."""
    place, kind = f"interactions.{column.name}", column.dtype
    if kind.is_nested() or kind in (pl.Object, pl.Binary):
        return None
    if kind.is_numeric():
        numbers = column.cast(pl.Float64)
        bad = (numbers.is_nan() | numbers.is_infinite()).fill_null(False)
        infinite = int(numbers.is_infinite().fill_null(False).sum())
        findings.add("mended", "number that is not finite", infinite, place, "infinity")
        out = numbers.set(bad, None) if bad.any() else numbers
    else:
        texts = clean_texts(text_column(column), place, findings)
        long = texts.str.len_chars() > LONGEST_VALUE
        if long.any():
            words = f"circumstance of more than {LONGEST_VALUE} characters, taken as unknown"
            findings.add("mended", words, int(long.sum()), place, texts.filter(long)[0][:60])
        out = texts.set(long | (texts == ""), None)
    return None if out.null_count() == out.len() else out
