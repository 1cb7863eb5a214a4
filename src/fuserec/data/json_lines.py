"""JSON Lines (and one JSON array) as columns; lines that cannot be read are dropped and counted."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import polars as pl
from polars.exceptions import PolarsError

from fuserec.data.check import Findings
from fuserec.errors import DataError

_DEEP = re.compile(rb"(?:\{[^{}]*){32}")
"""Objects in objects so deep that polars takes minutes over their type."""

_LONGEST_LINE = 16 * 2**20
"""Characters; a line beyond this is damage, not a record."""


def read_json_lines(data: bytes, where: str, findings: Findings) -> pl.DataFrame:
    """Return a table of the objects in a file, a column a key.

    Raises
    ------
    DataError
        Where no line is a JSON object.
    """
    if data.lstrip()[:1] == b"[":
        return _array(data, where)
    if not _DEEP.search(data):
        try:
            return plain_columns(pl.read_ndjson(data, infer_schema_length=None))
        except PolarsError:
            pass  # polars names neither the line nor the fault: read line by line
    records = json_records(data, where, findings)
    return columns_of(records, where)


def json_records(
    data: bytes, where: str, findings: Findings, other: Callable[[str], Any] | None = None
) -> list[dict[str, Any]]:
    """Return the objects of a file, one a line.

    Parameters
    ----------
    data : bytes
        UTF-8 text.
    where : str
        Names the file.
    findings : Findings
        Receives the number of unreadable lines.
    other : callable, optional
        Tried on a line that is not JSON; raises ValueError where it cannot read it either.
    """
    records: list[dict[str, Any]] = []
    for number, line in enumerate(data.decode("utf-8").split("\n")):
        if not line.strip():
            continue
        record = _record(line, other)
        if isinstance(record, dict):
            records.append(record)
        else:
            findings.add(
                "dropped", "line that is not a JSON object", 1, where, f"line {number + 1}: {line[:200]}"
            )
    if not records:
        raise DataError(f"{where}: no line is a JSON object; expected one object a line")
    return records


def columns_of(
    records: Sequence[dict[str, Any]], where: str, names: Sequence[str] | None = None
) -> pl.DataFrame:
    """Return a table of records whose values may differ in type; lists become lists of strings."""
    wanted = (
        list(names) if names is not None else list(dict.fromkeys(key for record in records for key in record))
    )
    if not wanted:
        raise DataError(f"{where}: the objects have no keys")
    return pl.DataFrame([value_column(name, [record.get(name) for record in records]) for name in wanted])


def plain_columns(table: pl.DataFrame) -> pl.DataFrame:
    """Return the table with nested lists flattened and objects as JSON text: simple columns only."""
    return pl.DataFrame([_plain_column(column) for column in table.get_columns()])


def _plain_column(column: pl.Series) -> pl.Series:
    """Return one such column."""
    kind = column.dtype
    if isinstance(kind, (pl.List, pl.Array)):
        if isinstance(kind.inner, (pl.List, pl.Array, pl.Struct)):
            return value_column(column.name, column.to_list())
        return column.cast(pl.List(pl.String))
    if isinstance(kind, pl.Struct):
        return column.struct.json_encode()
    return column.cast(pl.String) if kind == pl.Null else column


def _record(line: str, other: Callable[[str], Any] | None) -> Any:
    """Return the value of a line, or None where it cannot be read."""
    if len(line) > _LONGEST_LINE:
        return None
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        pass
    if other is None:
        return None
    try:
        return other(line)
    except (ValueError, RecursionError):
        return None


def _array(data: bytes, where: str) -> pl.DataFrame:
    """Return the table of one JSON array of objects."""
    try:
        values = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not valid JSON ({error})") from None
    records = [value for value in values if isinstance(value, dict)]
    if len(records) < len(values) or not records:
        raise DataError(f"{where}: a JSON array of objects is expected")
    return columns_of(records, where)


def value_column(name: str, values: list[Any]) -> pl.Series:
    """Return a column of values out of JSON: their type if they share one, lists of strings, else text."""
    filled = [value for value in values if value is not None]
    if any(isinstance(value, list) for value in filled):
        return pl.Series(
            name, [None if v is None else flattened(v) for v in values], dtype=pl.List(pl.String)
        )
    kinds = {type(value) for value in filled}
    try:
        if kinds <= {bool} and kinds:
            return pl.Series(name, values, dtype=pl.Boolean)
        if kinds <= {int} and kinds:
            return pl.Series(name, values, dtype=pl.Int64)
        if kinds <= {int, float} and kinds:
            return pl.Series(name, [None if v is None else float(v) for v in values], dtype=pl.Float64)
    except (OverflowError, TypeError):
        pass  # integers beyond 64 bits are kept as text
    return pl.Series(name, [None if v is None else as_text(v) for v in values], dtype=pl.String)


def as_text(value: Any) -> str:
    """Return a JSON value as text."""
    if isinstance(value, str):
        # A lone half of a surrogate pair is valid JSON and no valid text.
        return value.encode("utf-8", "replace").decode("utf-8")
    return json.dumps(value, ensure_ascii=False, default=str)


def flattened(value: Any) -> list[str]:
    """Return the strings of a list whose parts may be lists again, each once, in order."""
    out: dict[str, None] = {}
    stack = [value]
    while stack:
        part = stack.pop()
        if isinstance(part, list):
            stack.extend(reversed(part))
        elif part is not None and part != "":
            out[as_text(part)] = None
    return list(out)
