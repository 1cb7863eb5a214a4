"""``sequences``: a text file with a user a line, id and then item ids, oldest first; items beside it."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from fuserec.data.check import Findings
from fuserec.data.cleaning.ids import id_strings
from fuserec.data.dataset import DatasetInfo
from fuserec.data.encoding import to_utf8
from fuserec.data.packed import find, folder_of, listing, logical_name, read_bytes
from fuserec.data.raw import RawTables
from fuserec.data.table_files import read_table, table_file
from fuserec.errors import DataError

_PREFERRED = ("sequential_data.txt", "sequences.txt")
_KEYS = ("item_id", "id", "asin", "parent_asin", "movie_id", "book_id")
"""Columns that may hold the ids of the sequences, the likeliest first; any other column comes after them."""


def read_sequences(source: Path, items: Path | None, findings: Findings) -> RawTables:
    """Read a file of sequences, or the folder that holds it; items from ``items`` or from beside it."""
    folder = folder_of(source)
    main = _sequence_file(source) if source.is_dir() else source
    events = _events(main, findings)
    path = items or _items_beside(folder)
    table = None if path is None else _items(path, events["item_id"], findings)
    users = find(folder, "users.dat", "u.user")
    people = None
    if users is not None:
        from fuserec.data.readers.movielens import read_users

        people = read_users(users, findings)
    return RawTables(events, table, people, info=DatasetInfo(name=folder.resolve().name), repeats=True)


def _sequence_file(folder: Path) -> Path:
    """Return the file of sequences in a folder."""
    known = find(folder, *_PREFERRED)
    if known is not None:
        return known
    texts = [path for path in listing(folder) if logical_name(path).endswith(".txt")]
    named = [path for path in texts if logical_name(path).startswith("user_sequence")] or [
        path for path in texts if "readme" not in path.name.lower()
    ]
    if len(named) == 1:
        return named[0]
    held = ", ".join(path.name for path in named) or "none"
    raise DataError(
        f"{folder}: expected {' or '.join(_PREFERRED)}, plain or packed, or one .txt file; found {held}; "
        "give the file itself"
    )


def _events(path: Path, findings: Findings) -> pl.DataFrame:
    """Return a row an event, in the order of the file."""
    data = to_utf8(read_bytes(path), path.name, findings).decode("utf-8")
    lines = pl.Series(data.split("\n"), dtype=pl.String).str.strip_chars()
    lines = lines.filter(lines != "")
    first = lines[0]
    separator = r"\s+" if len(first.split()) > 1 else ","
    parts = lines.str.replace_all(separator, "\x1f").str.split("\x1f")
    frame = pl.DataFrame({"user_id": parts.list.first(), "item_id": parts.list.slice(1)})
    bare = frame["item_id"].list.len() == 0
    if bare.all():
        raise DataError(f"{path}: no line holds a user id and item ids; the first is {first[:60]!r}")
    findings.add(
        "dropped", "user without any item", int(bare.sum()), path.name, frame["user_id"].filter(bare).first()
    )
    again = frame.height - frame["user_id"].n_unique()
    twice = frame["user_id"].filter(frame["user_id"].is_duplicated()).first()
    findings.add("noted", "user on several lines, taken as one history", again, path.name, twice)
    return frame.filter(~bare).explode("item_id")


def _items_beside(folder: Path) -> Path | None:
    """Return the file that describes the items, if the folder has one."""
    return table_file(folder, "items") or find(folder, "movies.dat", "u.item", "movies.csv")


def _items(path: Path, wanted: pl.Series, findings: Findings) -> pl.DataFrame:
    """Return the items under the ids that the sequences use: the column that names most of them."""
    name = logical_name(path)
    if name.endswith((".dat", ".item")) or name == "movies.csv":
        from fuserec.data.readers.movielens import read_movies

        return _checked(read_movies(path, findings), "item_id", wanted, path)
    table = read_table(
        path, findings, keep=(*_KEYS, "title", "description", "brand", "categories", "tags", "image")
    )
    simple = [c for c in table.columns if table[c].dtype == pl.String or table[c].dtype.is_integer()]
    keys = sorted(simple, key=lambda c: _KEYS.index(c) if c in _KEYS else len(_KEYS))
    if not keys:
        raise DataError(f"{path}: no column could hold item ids (columns: {', '.join(table.columns)})")
    distinct = wanted.unique()
    named = {key: int(distinct.is_in(id_strings(table[key], path.name).implode()).sum()) for key in keys}
    key = max(keys, key=lambda c: named[c])
    if key != "item_id" and "item_id" in table.columns:
        table = table.rename({"item_id": "listed_item_id"})
    return _checked(table.rename({key: "item_id"}), "item_id", wanted, path)


def _checked(table: pl.DataFrame, key: str, wanted: pl.Series, path: Path) -> pl.DataFrame:
    """Return the table; refuse one that names none of the items of the sequences."""
    if not wanted.is_in(id_strings(table[key], path.name).implode()).any():
        raise DataError(
            f"{path}: no item of the sequences (such as {wanted[0]!r}) is in it (its ids are such as "
            f"{str(table[key][0]) if table.height else ''!r}); give the matching file with --items"
        )
    return table
