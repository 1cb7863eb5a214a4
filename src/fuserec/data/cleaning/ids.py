"""Ids: to strings, to codes; empty and overlong ones are told apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from fuserec.data.check import Findings
from fuserec.errors import DataError

LONGEST_ID = 1_024
"""Bytes of UTF-8 an id may have."""

EMPTY, TOO_LONG = -1, -2
"""Codes of ids that are none."""

_CONTROL = r"[\x00-\x1f\x7f-\x9f]"
_EDGE = " \u00a0\u200b\u2060\ufeff"


@dataclass(frozen=True)
class Coded:
    """A column of ids as codes.

    Parameters
    ----------
    codes : int32 (n,)
        Position in ``names``; :data:`EMPTY` or :data:`TOO_LONG`.
    names : polars.Series of String
        Distinct ids by first appearance.
    """

    codes: np.ndarray
    names: pl.Series


def id_strings(column: pl.Series, where: str) -> pl.Series:
    """Return a column of ids as strings: whole numbers without a fraction, null as "".

    Raises
    ------
    DataError
        For a type that cannot be an id.
    """
    kind = column.dtype
    if kind == pl.String:
        return column.fill_null("")
    if kind.is_float():
        whole = column.fill_nan(None)
        if ((whole.round() != whole) | (whole.abs() >= 2.0**53)).any():
            raise DataError(f"{where}: {column.name} holds fractions; ids must be strings or whole numbers")
        return whole.cast(pl.Int64).cast(pl.String).fill_null("")
    if kind.is_integer() or kind == pl.Boolean or isinstance(kind, (pl.Categorical, pl.Enum)):
        return column.cast(pl.String).fill_null("")
    if kind == pl.Null:
        return pl.Series(column.name, [""] * column.len(), dtype=pl.String)
    raise DataError(f"{where}: {column.name} is of type {kind}; ids must be strings or whole numbers")


def coded(column: pl.Series, where: str, findings: Findings) -> Coded:
    """Return the codes of a column of ids; spaces around ids and control characters in them go.

    Parameters
    ----------
    column : polars.Series (n,)
        Ids of any usual type.
    where : str
        Names the table.
    findings : Findings
    """
    texts = id_strings(column, where)
    raw = texts.unique(maintain_order=True)
    place = positions(texts, raw)
    clean = raw.str.replace_all(_CONTROL, "").str.strip_chars(_EDGE)
    trimmed = (clean != raw).to_numpy()
    if trimmed.any():
        rows = trimmed[place]
        findings.add(
            "mended",
            "spaces around an id, or control characters in it",
            int(rows.sum()),
            where,
            repr(texts[int(np.argmax(rows))]),
        )
    size = clean.str.len_bytes().to_numpy()
    usable = (size > 0) & (size <= LONGEST_ID)
    kept = clean.filter(pl.Series(usable))
    names = kept.unique(maintain_order=True) if trimmed.any() else kept
    code = np.where(size > LONGEST_ID, TOO_LONG, EMPTY).astype(np.int32)
    code[usable] = positions(kept, names) if trimmed.any() else np.arange(names.len(), dtype=np.int32)
    return Coded(code[place], names.alias(column.name))


def positions(wanted: pl.Series, known: pl.Series) -> np.ndarray:
    """Return int32 (n,): the position of each string among distinct known ones, -1 where it is not there."""
    frame = pl.DataFrame({"id": known, "#": np.arange(known.len(), dtype=np.int32)})
    joined = wanted.alias("id").to_frame().join(frame, on="id", how="left", maintain_order="left")
    return joined["#"].fill_null(-1).to_numpy()
