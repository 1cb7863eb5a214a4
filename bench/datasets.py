"""The public datasets of the benchmark: where they lie, how they are read, and what must come out."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

    from fuserec.data.dataset import Dataset

PIECE = "▁"
"""Marks a piece that begins a word, in keywords cut by a SentencePiece model."""


@dataclass(frozen=True)
class Source:
    """One public dataset.

    Parameters
    ----------
    title : str
        As it stands in the page.
    folder : str
        Its place in the folder of datasets.
    open : callable
        Takes that place and returns the Dataset.
    counts : (users, items, interactions)
        As published; another count is an error, because figures on other data are no comparison.
    splits : tuple of str
        Protocols that are run, the first one first.
    note : str
        What a reader has to know of the data.
    """

    title: str
    folder: str
    open: Callable[[Path], Dataset]
    counts: tuple[int, int, int]
    splits: tuple[str, ...]
    note: str = ""


def _reader(format_: str) -> Callable[[Path], Dataset]:
    """Return a function that reads a folder in one of the product's own formats."""

    def opened(folder: Path) -> Dataset:
        from fuserec import read

        return read(folder, format_)[0]

    return opened


def sports(folder: Path) -> Dataset:
    """Read the histories; titles were not to be had, so the keywords of an item stand in their place."""
    from fuserec import read

    with _workplace() as place:
        items = place / "items.jsonl"
        with items.open("w", encoding="utf-8") as file:
            for item, text in keywords(folder / "item_keywords.txt.xz"):
                file.write(json.dumps({"item_id": item, "title": text}, ensure_ascii=False) + "\n")
        return read(folder / "user_sequence_asin.txt.xz", "sequences", items=items)[0]


def keywords(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (item, words) of a file ``id piece|piece|...``, the marks at the beginnings of words taken off."""
    import lzma

    with lzma.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            item, _, pieces = line.rstrip("\n").partition(" ")
            yield item, " ".join(piece.removeprefix(PIECE) for piece in pieces.split("|")).strip()


def anime(folder: Path) -> Dataset:
    """Read the whole history, with the rating where the user gave one."""
    import polars as pl

    from fuserec import read

    history, rated = (_tabbed(folder / name) for name in ("anime_history.dat.xz", "anime_ratings.dat.xz"))
    pair = ["User_ID", "Anime_ID"]
    rows = history.select(pair).join(
        rated.rename({"Feedback": "rating"}), on=pair, how="left", maintain_order="left"
    )
    with _workplace() as place:
        rows = rows.rename({"User_ID": "user_id", "Anime_ID": "item_id"})
        kind = pl.when(pl.col("rating").is_null()).then(pl.lit("watch")).otherwise(pl.lit("rating"))
        rows.with_columns(kind=kind).write_csv(place / "interactions.csv")
        info = _tabbed(folder / "anime_info.dat.xz")
        items = info.rename({"anime_ids": "item_id", "name": "title", "genre": "categories"})
        items.select("item_id", "title", "categories", "type").write_csv(place / "items.csv")
        (place / "dataset.toml").write_text('name = "anime"\nrating_scale = [1.0, 10.0]\n', encoding="utf-8")
        return read(place)[0]


def lastfm(folder: Path) -> Dataset:
    """Read who listened to which artist; the counts say how often in all, not when, and are left out."""
    from fuserec import read

    place_of = folder / "hetrec2011-lastfm-2k"
    rows, artists = (_tabbed(place_of / name) for name in ("user_artists.dat.xz", "artists.dat.xz"))
    with _workplace() as place:
        pairs = rows.select(user_id="userID", item_id="artistID")
        pairs.write_csv(place / "interactions.csv")
        artists.select(item_id="id", title="name").write_csv(place / "items.csv")
        (place / "dataset.toml").write_text('name = "lastfm"\n', encoding="utf-8")
        return read(place)[0]


def _tabbed(path: Path) -> pl.DataFrame:
    """Return a packed table of tab-separated text as strings; quotes in names are letters."""
    import lzma

    import polars as pl

    with lzma.open(path) as file:
        return pl.read_csv(file.read(), separator="\t", quote_char=None, infer_schema=False, encoding="utf8")


@contextlib.contextmanager
def _workplace() -> Iterator[Path]:
    """Give a folder that is gone afterwards: no data stay behind."""
    with tempfile.TemporaryDirectory(prefix="fuserec-bench-") as place:
        yield Path(place)


NO_TIME = (
    "The data hold no moments, so the last row of a user is not the latest: a random tenth of each user's rows is "
    "test (and another one validation) instead of the last."
)

DATASETS: dict[str, Source] = {
    "beauty": Source(
        "Amazon Beauty",
        "amazon-beauty",
        _reader("sequences"),
        (22_363, 12_101, 198_502),
        ("last-out", "cold-items"),
        "Reviews of 2014, 5-core; text: title and categories.",
    ),
    "sports": Source(
        "Amazon Sports",
        "amazon-sports",
        sports,
        (35_598, 18_357, 296_337),
        ("last-out",),
        "Reviews of 2014, 5-core; text: seven keywords an item, no titles.",
    ),
    "video-games": Source(
        "Amazon Video Games",
        "amazon-video-games",
        _reader("sequences"),
        (15_264, 7_676, 147_861),
        ("last-out",),
        "Reviews of 2014, 5-core as LlamaRec cut it; text: titles.",
    ),
    "ml-1m": Source(
        "MovieLens 1M",
        "ml-1m",
        _reader("sequences"),
        (6_040, 3_883, 1_000_209),
        ("last-out",),
        "Histories in order of time, ratings not used; rows of one second stand in arbitrary order. The catalogue "
        "holds the 177 films that nobody rated too. Text: title and genres.",
    ),
    "ml-100k": Source(
        "MovieLens 100K",
        "ml-100k",
        _reader("movielens"),
        (943, 1_682, 100_000),
        ("last-out", "temporal"),
        "Ratings with moments; text: title and genres.",
    ),
    "goodbooks": Source(
        "goodbooks (sample)",
        "goodbooks-sample",
        _reader("goodbooks"),
        (2_672, 10_000, 298_176),
        ("random",),
        f"Ratings; text: title and authors. {NO_TIME}",
    ),
    "anime": Source(
        "Anime",
        "anime",
        anime,
        (5_000, 7_390, 520_609),
        ("random",),
        f"What 5,000 users watched, with a rating for four rows in five; text: title and genres. {NO_TIME}",
    ),
    "lastfm": Source(
        "Last.FM",
        "lastfm-kg",
        lastfm,
        (1_892, 17_632, 92_834),
        ("random",),
        "Artists that users listened to (HetRec 2011), without the counts, in the order of the file; text: names. "
        f"{NO_TIME}",
    ),
}
"""Key, as ``--only`` takes it, to dataset."""


def load(key: str, data: Path) -> Dataset:
    """Read a dataset and compare what came with what was published.

    Raises
    ------
    ValueError
        Where the counts differ: the figures would be of other data.
    """
    source = DATASETS[key]
    dataset = source.open(data / source.folder)
    found = (dataset.n_users, dataset.n_items, dataset.n_interactions)
    if found != source.counts:
        raise ValueError(
            f"{data / source.folder}: {found} users, items, interactions; published are {source.counts}: other data"
        )
    return dataset
