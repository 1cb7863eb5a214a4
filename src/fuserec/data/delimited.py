"""Delimited text (CSV, TSV, ``|`` and ``::``) as columns of strings; ragged rows are dropped and counted."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from polars.exceptions import PolarsError

from fuserec.data.check import Findings
from fuserec.errors import DataError

_UNIT = "\x1f"
"""Stands for a separator of more than one letter; ASCII keeps it for this."""

_EXTRA = "\x1fextra"
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_INTEGER = r"^-?(0|[1-9]\d{0,17})$"


def read_delimited(
    data: bytes,
    separator: str,
    where: str,
    findings: Findings,
    *,
    header: Sequence[str] | None = None,
    quoted: bool = False,
) -> pl.DataFrame:
    """Return a table whose columns are all strings; an empty field is an empty string.

    Parameters
    ----------
    data : bytes
        UTF-8 text.
    separator : str
        One letter, or more (``"::"``).
    where : str
        Names the file in errors and findings.
    findings : Findings
        Receives the number of ragged rows.
    header : sequence of str, optional
        Names of the columns, where the first line is no header.
    quoted : bool
        Whether fields may be enclosed in double quotes.

    Raises
    ------
    DataError
        For a header that repeats a name, or text that cannot be taken apart.
    """
    if not data.strip():
        raise DataError(f"{where}: the file is empty")
    csv.field_size_limit(max(csv.field_size_limit(), len(data)))  # a cell may hold a whole description
    if len(separator) > 1:
        data, separator = data.replace(separator.encode(), _UNIT.encode()), _UNIT
    first = 1
    if header is None:
        header, data = _header(data, separator, where, quoted)
        first = 2
    rows = _Rows(data, separator, tuple(header), where, first)
    if not quoted or b'"' not in data:
        return _plain(rows, findings)
    if data.count(b'"') % 2:
        findings.add("mended", "unpaired double quotes, read as letters", 1, where, rows.odd_quote())
        return _plain(rows, findings)
    return _quoted(rows, findings)


@dataclass(frozen=True)
class _Rows:
    """Text without its header, and how it is to be read."""

    data: bytes
    separator: str
    header: tuple[str, ...]
    where: str
    first: int  # number of the line that the text begins with

    def ragged(self) -> str:
        """Return the reason that ragged rows are counted under."""
        return f"ragged row (not {len(self.header)} fields)"

    def odd_quote(self) -> str:
        """Return the first line with an odd number of quotes."""
        for number, line in enumerate(self.data.split(b"\n")):
            if line.count(b'"') % 2:
                return f"line {number + self.first}: {line.decode('utf-8')}"
        return ""

    def by_polars(self, quoted: bool) -> pl.DataFrame:
        """Read even rows; surplus fields land in an extra column."""
        names = [*self.header, _EXTRA]
        if not self.data or self.data.isspace():
            return pl.DataFrame(schema=dict.fromkeys(names, pl.String))
        # Neutral names, so that nothing in a real header (quotes, separators) can disturb the parser.
        line = self.separator.join(f"c{place}" for place in range(len(names)))
        try:
            table = pl.read_csv(
                line.encode() + b"\n" + self.data,
                separator=self.separator,
                quote_char='"' if quoted else None,
                infer_schema=False,
                truncate_ragged_lines=True,
                empty_string_is_null=False,
            )
        except PolarsError as error:
            raise DataError(f"{self.where}: cannot be read ({str(error).splitlines()[0]})") from None
        table.columns = names
        return table.with_columns(pl.all().fill_null(""))


def infer_types(table: pl.DataFrame, keep: Sequence[str]) -> pl.DataFrame:
    """Return the table with columns of numbers as numbers; those named in ``keep`` stay strings.

    Whole numbers with leading zeros (post codes) stay strings; an empty field becomes null.
    """
    columns = []
    for name in table.columns:
        column = table[name]
        if name not in keep and column.dtype == pl.String:
            column = _inferred(column)
        columns.append(column)
    return pl.DataFrame(columns)


def _inferred(column: pl.Series) -> pl.Series:
    """Return a column of strings as integers or floats where every filled field is one."""
    stripped = column.str.strip_chars()
    filled = stripped.set(stripped == "", None)
    known = filled.drop_nulls()
    if known.len() == 0 or not known.str.contains(_NUMBER).all():
        return column
    if known.str.contains(_INTEGER).all():
        return filled.cast(pl.Int64)
    if known.str.contains(r"^[+-]?0\d").any():
        return column
    return filled.cast(pl.Float64)


def _header(data: bytes, separator: str, where: str, quoted: bool) -> tuple[list[str], bytes]:
    """Return the names in the first line, and the rest of the text."""
    line, _, rest = data.lstrip(b"\n").partition(b"\n")
    text = line.decode("utf-8")
    names = next(csv.reader([text], delimiter=separator)) if quoted else text.split(separator)
    names = [name.strip() for name in names]
    named = [name for name in names if name]
    if len(set(named)) < len(named):
        twice = next(name for name in named if named.count(name) > 1)
        raise DataError(f"{where}: the column {twice!r} stands twice in the header; rename one")
    return [name or f"column_{place + 1}" for place, name in enumerate(names)], rest


def _plain(rows: _Rows, findings: Findings) -> pl.DataFrame:
    """Read rows without quotes, ragged ones left out."""
    return (rows if _is_even(rows) else _even(rows, findings)).by_polars(quoted=False).drop(_EXTRA)


def _is_even(rows: _Rows) -> bool:
    """Return whether every line has as many separators as the header, which polars alone does not tell."""
    letters = np.frombuffer(rows.data, dtype=np.uint8)
    ends, separator, width = letters == ord("\n"), ord(rows.separator), len(rows.header)
    marks = letters[ends | (letters == separator)]
    if not rows.data.endswith(b"\n"):
        marks = np.append(marks, np.uint8(ord("\n")))
    if marks.size % width:
        return False
    pattern = np.array([separator] * (width - 1) + [ord("\n")], dtype=np.uint8)
    return bool((marks.reshape(-1, width) == pattern).all()) and b"\n\n" not in rows.data


def _even(rows: _Rows, findings: Findings) -> _Rows:
    """Return the lines with the expected number of separators; blank ones are skipped, others counted."""
    lines = pl.Series(rows.data.decode("utf-8").split("\n"), dtype=pl.String)
    blank = lines.str.strip_chars(" \t\r") == ""
    even = lines.str.count_matches(rows.separator, literal=True) == len(rows.header) - 1
    ragged = ~even & ~blank
    if ragged.any():
        at = int(ragged.arg_max() or 0)
        line = f"line {at + rows.first}: {lines[at]}".replace(_UNIT, "::")
        findings.add("dropped", rows.ragged(), int(ragged.sum()), rows.where, line)
    return replace(rows, data="\n".join(lines.filter(even & ~blank)).encode("utf-8"))


def _quoted(rows: _Rows, findings: Findings) -> pl.DataFrame:
    """Read rows with quotes by polars, or by the csv module where it fails or a row may be ragged."""
    try:
        table = rows.by_polars(quoted=True)
    except DataError:
        return _by_csv_module(rows, findings)
    if (table[_EXTRA] != "").any() or (table[rows.header[-1]] == "").any():
        return _by_csv_module(rows, findings)
    return table.drop(_EXTRA)


def _by_csv_module(rows: _Rows, findings: Findings) -> pl.DataFrame:
    """Read rows one by one, which tells a short row from an empty last field."""
    text = io.StringIO(rows.data.decode("utf-8"), newline="")
    reader = csv.reader(text, delimiter=rows.separator)
    even: list[list[str]] = []
    try:
        for row in reader:
            if len(row) == len(rows.header):
                even.append(row)
            elif any(field.strip() for field in row):
                line = f"line {reader.line_num + rows.first - 1}: {rows.separator.join(row)}"
                findings.add("dropped", rows.ragged(), 1, rows.where, line)
    except csv.Error as error:
        line = f"line {reader.line_num + rows.first - 1}"
        raise DataError(f"{rows.where}: {line} cannot be read as CSV ({error})") from None
    return pl.DataFrame(even, schema=dict.fromkeys(rows.header, pl.String), orient="row")
