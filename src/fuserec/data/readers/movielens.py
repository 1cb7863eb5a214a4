"""``movielens``: 100K (``u.data``), 1M and 10M (``ratings.dat``), 20M and later, latest (``ratings.csv``).

Layouts from the README files of GroupLens (F. M. Harper and J. A. Konstan, 2015, The MovieLens Datasets).
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from fuserec.data.check import Findings
from fuserec.data.dataset import DatasetInfo
from fuserec.data.delimited import read_delimited
from fuserec.data.encoding import to_utf8
from fuserec.data.packed import find, folder_of, listing, logical_name, read_bytes
from fuserec.data.raw import RawTables
from fuserec.data.table_files import read_table
from fuserec.errors import DataError

LICENCE = "GroupLens research licence: cite; no redistribution or commercial use without permission"

GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"),
    *(
        "Fantasy",
        "Film-Noir",
        "Horror",
        "Musical",
        "Mystery",
        "Romance",
        "Sci-Fi",
        "Thriller",
        "War",
        "Western",
    ),
)
"""Order of the flags in ``u.item``."""

OCCUPATIONS = (
    *("other", "academic/educator", "artist", "clerical/admin", "college/grad student", "customer service"),
    *(
        "doctor/health care",
        "executive/managerial",
        "farmer",
        "homemaker",
        "K-12 student",
        "lawyer",
        "programmer",
    ),
    *(
        "retired",
        "sales/marketing",
        "scientist",
        "self-employed",
        "technician/engineer",
        "tradesman/craftsman",
    ),
    *("unemployed", "writer"),
)
"""What the numbers in ``users.dat`` stand for."""

_EVENTS = ("user_id", "item_id", "rating", "timestamp")
_MAIN = ("u.data", "ratings.dat", "ratings.csv")
_MOVIES = ("u.item", "movies.dat", "movies.csv")


def read_movielens(source: Path, items: Path | None, findings: Findings) -> RawTables:
    """Read a MovieLens folder, or one of its files of ratings (``u1.base``) with what lies beside."""
    folder = folder_of(source)
    main = find(folder, *_MAIN) if source.is_dir() else source
    if main is None:
        raise DataError(_nothing_to_read(folder))
    movies = items or find(folder, *_MOVIES)
    users = find(folder, "u.user", "users.dat")
    table = None if movies is None else read_movies(movies, findings)
    tags = find(folder, "tags.csv", "tags.dat")
    if table is not None and tags is not None:
        table = _with_tags(table, tags, findings)
    scale = None if logical_name(main).startswith("ratings.csv") else (1.0, 5.0)
    return RawTables(
        _ratings(main, findings),
        table,
        None if users is None else read_users(users, findings),
        info=DatasetInfo(name=folder.resolve().name, licence=LICENCE, rating_scale=scale),
    )


def read_movies(path: Path, findings: Findings) -> pl.DataFrame:
    """Return the movies of ``u.item``, ``movies.dat`` or ``movies.csv``: id, title, year, categories."""
    name = logical_name(path)
    if name.endswith(".csv"):
        table = read_table(path, findings, keep=("movieId", "title", "genres")).rename(
            {"movieId": "item_id", "genres": "categories"}, strict=False
        )
    elif name.endswith(".item"):
        table = _hundred_thousand(path, findings)
    else:
        table = _delimited(path, "::", ("item_id", "title", "categories"), findings)
    if not {"item_id", "title", "categories"} <= set(table.columns):
        raise DataError(
            f"{path}: not a list of movies (columns: {', '.join(table.columns)}); "
            "expected movieId,title,genres"
        )
    genres = table["categories"].replace("(no genres listed)", "").str.split("|").alias("categories")
    year = table["title"].str.extract(r"\((\d{4})\)\s*$").cast(pl.Int64).alias("year")
    return table.with_columns(genres, year)


def read_users(path: Path, findings: Findings) -> pl.DataFrame:
    """Return users of ``u.user`` or ``users.dat``: id, age, gender, occupation, zip code."""
    if logical_name(path).endswith(".user"):
        table = _delimited(path, "|", ("user_id", "age", "gender", "occupation", "zip_code"), findings)
    else:
        table = _delimited(path, "::", ("user_id", "gender", "age", "occupation", "zip_code"), findings)
        numbers = pl.Series([str(number) for number in range(len(OCCUPATIONS))])
        table = table.with_columns(table["occupation"].replace(numbers, pl.Series(OCCUPATIONS)))
    return table.with_columns(pl.col("age").cast(pl.Int64, strict=False))


def _ratings(path: Path, findings: Findings) -> pl.DataFrame:
    """Return the ratings of a file."""
    name = logical_name(path)
    if name.endswith(".csv"):
        table = read_table(path, findings, keep=("userId", "movieId", "rating", "timestamp"))
        if not {"userId", "movieId", "rating"} <= set(table.columns):
            raise DataError(
                f"{path}: columns {', '.join(table.columns)}; expected userId,movieId,rating,timestamp"
            )
        return table.rename({"userId": "user_id", "movieId": "item_id"})
    return _delimited(path, "::" if name.endswith(".dat") else "\t", _EVENTS, findings)


def _delimited(path: Path, separator: str, header: tuple[str, ...], findings: Findings) -> pl.DataFrame:
    """Return a file without a header; the error says what was expected where nothing fits."""
    data = to_utf8(read_bytes(path), path.name, findings)
    table = read_delimited(data, separator, path.name, findings, header=header)
    if table.height == 0:
        shown = data.split(b"\n")[0].decode("utf-8")[:60]
        raise DataError(f"{path}: no line reads {separator.join(header)!r}; the first is {shown!r}")
    return table


def _hundred_thousand(path: Path, findings: Findings) -> pl.DataFrame:
    """Return the movies of ``u.item``, its 19 flags as lists of genres."""
    header = ("item_id", "title", "release_date", "video_date", "imdb_url", *GENRES)
    table = _delimited(path, "|", header, findings)
    flags = [pl.when(pl.col(genre) == "1").then(pl.lit(genre)) for genre in GENRES[1:]]
    return table.select(
        *("item_id", "title", "release_date", "imdb_url"),
        pl.concat_list(flags).list.drop_nulls().list.join("|").alias("categories"),
    )


def _with_tags(movies: pl.DataFrame, path: Path, findings: Findings) -> pl.DataFrame:
    """Return the movies with what people called them, the most frequent tag first."""
    if logical_name(path).endswith(".csv"):
        rows = read_table(path, findings, keep=("userId", "movieId", "tag", "timestamp"))
        if not {"movieId", "tag"} <= set(rows.columns):
            raise DataError(
                f"{path}: columns {', '.join(rows.columns)}; expected userId,movieId,tag,timestamp"
            )
        rows = rows.rename({"movieId": "item_id"})
    else:
        rows = _delimited(path, "::", ("user_id", "item_id", "tag", "timestamp"), findings)
    counted = (
        rows.select("item_id", pl.col("tag").str.strip_chars().str.to_lowercase())
        .group_by("item_id", "tag", maintain_order=True)
        .len()
        .sort("item_id", "len", descending=[False, True], maintain_order=True)
        .group_by("item_id", maintain_order=True)
        .agg(pl.col("tag").alias("tags"))
    )
    return movies.join(counted, on="item_id", how="left", maintain_order="left")


def _nothing_to_read(folder: Path) -> str:
    """Say which file is missing, and which other format would do."""
    text = f"{folder}: no {', no '.join(_MAIN)} (plain or packed)"
    lines = [logical_name(path) for path in listing(folder)]
    sequences = [name for name in lines if name.startswith("sequen") and name.endswith(".txt")]
    if sequences:
        return f"{text}; it holds {sequences[0]}: use --format sequences"
    return f"{text}; it holds {', '.join(lines[:8]) or 'nothing'}"
