"""One table from one file: CSV, TSV, JSON Lines or Parquet, plain or packed."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import polars as pl
from polars.exceptions import PanicException, PolarsError

from fuserec.data.check import Findings
from fuserec.data.delimited import infer_types, read_delimited
from fuserec.data.encoding import to_utf8
from fuserec.data.json_lines import plain_columns, read_json_lines
from fuserec.data.packed import listing, logical_name, read_bytes
from fuserec.errors import DataError

EXTENSIONS = ("csv", "tsv", "jsonl", "ndjson", "json", "parquet")
"""Formats of a table, by the ending of its file's unpacked name."""

TEXT_COLUMNS = (
    *("item_id", "user_id", "title", "description", "brand", "text", "image", "categories", "tags"),
    *("head", "relation", "tail", "request_id", "kind", "timestamp", "split"),
)
"""Columns that are read as text even where every value looks like a number."""


def table_file(folder: Path, stem: str) -> Path | None:
    """Return the one file ``stem.*`` of a folder that holds a table, or None.

    Raises
    ------
    DataError
        Where there are several.
    """
    wanted = {f"{stem}.{extension}" for extension in EXTENSIONS}
    found = [path for path in listing(folder) if logical_name(path) in wanted]
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise DataError(f"{folder}: several files hold {stem}: {names}; keep one of them")
    return found[0] if found else None


def read_table(path: Path, findings: Findings, keep: Sequence[str] = TEXT_COLUMNS) -> pl.DataFrame:
    """Return the table of a file; the ending of its unpacked name tells the format.

    Parameters
    ----------
    path : Path
    findings : Findings
        Receives what had to be mended or dropped.
    keep : sequence of str
        Columns of delimited text that stay strings whatever they hold.

    Raises
    ------
    DataError
        For an unknown ending, or a file that is not what its ending says.
    """
    name = logical_name(path)
    extension = name.rpartition(".")[2].lower()
    if extension not in EXTENSIONS:
        raise DataError(
            f"{path}: the ending .{extension} is no table format; allowed: {', '.join(EXTENSIONS)}, "
            "plain or packed"
        )
    data = read_bytes(path)
    if extension == "parquet":
        return _parquet(data, path)
    data = to_utf8(data, path.name, findings)
    if extension in ("csv", "tsv"):
        separator = "\t" if extension == "tsv" else _separator(data, path.name, findings)
        return infer_types(read_delimited(data, separator, path.name, findings, quoted=True), keep)
    return read_json_lines(data, path.name, findings)


def _parquet(data: bytes, path: Path) -> pl.DataFrame:
    """Read Parquet."""
    try:
        return plain_columns(pl.read_parquet(io.BytesIO(data)))
    except (PolarsError, PanicException) as error:  # damaged pages make polars panic
        raise DataError(f"{path}: not a readable Parquet file ({str(error).splitlines()[0]})") from None


def _separator(data: bytes, where: str, findings: Findings) -> str:
    """Return the separator of a CSV file: a comma, unless its header has none and another one instead."""
    header = data.lstrip(b"\n").partition(b"\n")[0]
    if b"," not in header:
        for other, words in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
            if other.encode() in header:
                findings.add("noted", f"fields separated by {words}", 1, where, header.decode("utf-8"))
                return other
    return ","
