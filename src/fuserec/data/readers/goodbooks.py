"""``goodbooks``: goodbooks-10k (Z. Zajac, 2017) as upstream lays it out, and older samples."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from fuserec.data.check import Findings
from fuserec.data.cleaning.ids import id_strings
from fuserec.data.dataset import DatasetInfo
from fuserec.data.packed import find, folder_of
from fuserec.data.raw import RawTables
from fuserec.data.table_files import read_table
from fuserec.errors import DataError, nearest

_RATINGS = ("ratings.csv", "ratings_random.csv")
_TAGS_A_BOOK = 20
"""The most frequent shelves say what a book is; the rest are private notes."""

_DROPPED = ("image_url", "small_image_url", "best_book_id", "work_id", "isbn13")
_TEXT = (
    "user_id",
    "book_id",
    "goodreads_book_id",
    "id",
    "tag_id",
    "isbn",
    "title",
    "original_title",
    "authors",
)


def read_goodbooks(source: Path, items: Path | None, findings: Findings) -> RawTables:
    """Read a goodbooks folder, or its file of ratings with the books and tags beside it."""
    folder = folder_of(source)
    main = find(folder, *_RATINGS) if source.is_dir() else source
    if main is None:
        raise DataError(f"{folder}: no {' or '.join(_RATINGS)} (plain or packed)")
    ratings = _required(main, ("user_id", "book_id", "rating"), findings).rename({"book_id": "item_id"})
    books = items or find(folder, "books.csv")
    table = None if books is None else _books(books, ratings["item_id"], folder, findings)
    info = DatasetInfo(name=folder.resolve().name, licence="CC BY-SA 4.0", rating_scale=(1.0, 5.0))
    return RawTables(ratings, table, info=info)


def _required(path: Path, columns: tuple[str, ...], findings: Findings) -> pl.DataFrame:
    """Return a table that has some columns."""
    table = read_table(path, findings, keep=(*_TEXT, "rating"))
    for column in columns:
        if column not in table.columns:
            hint = nearest(column, table.columns)
            raise DataError(f"{path}: no column {column!r}{hint} (columns: {', '.join(table.columns)})")
    return table


def _books(path: Path, rated: pl.Series, folder: Path, findings: Findings) -> pl.DataFrame:
    """Return the books under the ids that the ratings use.

    Upstream ``book_id`` is that id; in older copies ``id`` is, and ``book_id`` is Goodreads's own number.
    """
    table = _required(path, ("title",), findings)
    keys = [name for name in ("book_id", "id") if name in table.columns]
    if not keys:
        raise DataError(f"{path}: no column 'book_id' or 'id' (columns: {', '.join(table.columns[:20])})")
    wanted = rated.unique()
    key = max(keys, key=lambda name: int(wanted.is_in(table[name].implode()).sum()))
    goodreads = next((n for n in ("goodreads_book_id", "book_id") if n in table.columns and n != key), None)
    tags = _tags(folder, findings)
    if tags is not None and goodreads is not None:
        table = table.join(
            tags, left_on=goodreads, right_on="goodreads_book_id", how="left", maintain_order="left"
        )
    table = table.drop([name for name in _DROPPED if name in table.columns])
    table = table.drop(
        [
            name
            for name in ("id", "book_id", "item_id")
            if name in table.columns and name not in (key, goodreads)
        ]
    )
    if goodreads == "book_id":
        table = table.rename({"book_id": "goodreads_book_id"})
    table = table.rename({key: "item_id"})
    if "authors" in table.columns:
        # An item's text is its title, categories and brand: a book's brand is its authors.
        table = table.with_columns(table["authors"].alias("brand"))
    if "original_publication_year" in table.columns:
        year = table["original_publication_year"].cast(pl.Float64, strict=False).cast(pl.Int64, strict=False)
        table = table.with_columns(year.alias("year")).drop("original_publication_year")
    return table


def _tags(folder: Path, findings: Findings) -> pl.DataFrame | None:
    """Return ``goodreads_book_id`` and ``tags``, the shelves most people put a book on, or None."""
    names, shelved = find(folder, "tags.csv"), find(folder, "book_tags.csv")
    if names is None or shelved is None:
        return None
    named = _required(names, ("tag_id", "tag_name"), findings)
    rows = _required(shelved, ("goodreads_book_id", "tag_id", "count"), findings)
    rows = rows.with_columns(id_strings(rows["goodreads_book_id"], shelved.name))
    return (
        rows.join(named, on="tag_id", maintain_order="left")
        .sort("count", descending=True, maintain_order=True)
        .group_by("goodreads_book_id", maintain_order=True)
        .agg(pl.col("tag_name").head(_TAGS_A_BOOK).alias("tags"))
    )
