"""``recbole``: atomic files (``.inter``, ``.item``, ``.user``, ``.kg``, ``.link``), headers with types.

Format: W. X. Zhao et al., 2021, RecBole: Towards a Unified, Comprehensive and Efficient Framework.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from fuserec.data.check import Findings
from fuserec.data.dataset import DatasetInfo
from fuserec.data.delimited import infer_types, read_delimited
from fuserec.data.encoding import to_utf8
from fuserec.data.packed import find, folder_of, listing, logical_name, read_bytes
from fuserec.data.raw import RawTables
from fuserec.errors import DataError, nearest

_TITLES = ("title", "movie_title", "item_name", "name", "artist_name", "book_title", "movie_name")
_CATEGORIES = ("categories", "category", "genre", "genres", "class", "sales_type")
_KINDS = ("token", "token_seq", "float", "float_seq")
_KG = {"head_id": "head", "relation_id": "relation", "tail_id": "tail"}


def read_recbole(source: Path, items: Path | None, findings: Findings) -> RawTables:
    """Read the atomic files of a folder, or an ``.inter`` file with those of the same name beside it."""
    main = _main(source)
    folder, stem = folder_of(source), logical_name(main).rpartition(".")[0]
    events = _atomic(main, findings)
    for column in ("user_id", "item_id"):
        if column not in events.columns:
            hint = nearest(column, events.columns)
            raise DataError(
                f"{main}: no column '{column}:token'{hint} (columns: {', '.join(events.columns)})"
            )
    item_file = items or find(folder, f"{stem}.item")
    user_file, graph = find(folder, f"{stem}.user"), find(folder, f"{stem}.kg")
    return RawTables(
        events,
        None if item_file is None else _described(item_file, "item_id", findings),
        None if user_file is None else _described(user_file, "user_id", findings),
        None if graph is None else _links(graph, find(folder, f"{stem}.link"), findings),
        info=DatasetInfo(name=stem),
    )


def _main(source: Path) -> Path:
    """Return the ``.inter`` file."""
    if not source.is_dir():
        return source
    found = [path for path in listing(source) if logical_name(path).endswith(".inter")]
    if len(found) != 1:
        held = ", ".join(path.name for path in found or listing(source)[:8]) or "nothing"
        raise DataError(f"{source}: expected one .inter file (plain or packed); found {held}")
    return found[0]


def _atomic(path: Path, findings: Findings) -> pl.DataFrame:
    """Return the table of an atomic file, its columns named without their types; sequences are lists."""
    data = to_utf8(read_bytes(path), path.name, findings)
    table = read_delimited(data, "\t", path.name, findings)
    columns = []
    for column in table.get_columns():
        name, _, kind = column.name.rpartition(":")
        if not name or kind not in _KINDS:
            raise DataError(
                f"{path}: the header {column.name!r} is not 'name:type' with a type of {', '.join(_KINDS)}, "
                "separated by tabs"
            )
        columns.append(_typed(column.alias(name), kind))
    return pl.DataFrame(columns)


def _typed(column: pl.Series, kind: str) -> pl.Series:
    """Return a column in its declared type; texts under a title's name stay whole."""
    if kind.endswith("_seq"):
        if column.name in _TITLES:
            return column
        separator = "," if column.str.contains(",", literal=True).any() else " "
        return column.str.split(separator)
    if kind == "float" and column.name not in ("rating", "timestamp", "value"):
        return infer_types(column.to_frame(), keep=()).to_series()
    return column


def _described(path: Path, key: str, findings: Findings) -> pl.DataFrame:
    """Return the table of items or users, a title and categories under FuseRec's names."""
    table = _atomic(path, findings)
    if key not in table.columns:
        raise DataError(f"{path}: no column '{key}:token' (columns: {', '.join(table.columns)})")
    if key == "user_id":
        return table
    for names, role in ((_TITLES, "title"), (_CATEGORIES, "categories")):
        found = next((name for name in names if name in table.columns), None)
        if found is not None and found != role:
            table = table.rename({found: role})
    return table


def _links(path: Path, link: Path | None, findings: Findings) -> pl.DataFrame:
    """Return the triples, an entity that is an item under the item's id."""
    table = _atomic(path, findings)
    missing = [name for name in _KG if name not in table.columns]
    if missing:
        raise DataError(f"{path}: no column '{missing[0]}:token' (columns: {', '.join(table.columns)})")
    table = table.select(list(_KG)).rename(_KG)
    if link is None:
        return table
    named = _atomic(link, findings)
    if not {"item_id", "entity_id"} <= set(named.columns):
        raise DataError(
            f"{link}: expected item_id:token and entity_id:token (columns: {', '.join(named.columns)})"
        )
    named = named.unique("entity_id", keep="first", maintain_order=True)
    ends = []
    for end in ("head", "tail"):
        item = (
            table[end]
            .to_frame()
            .join(named, left_on=end, right_on="entity_id", how="left", maintain_order="left")
        )
        # An entity whose name happens to be some item's id must not be taken for that item.
        clash = table[end].is_in(named["item_id"].implode())
        entity = pl.select(pl.when(clash).then("entity:" + table[end]).otherwise(table[end])).to_series()
        ends.append(
            item["item_id"]
            .fill_null("")
            .alias(end)
            .to_frame()
            .select(pl.when(pl.col(end) != "").then(pl.col(end)).otherwise(entity).alias(end))
            .to_series()
        )
    return table.with_columns(ends)
