"""A dataset as a folder: written beside its place, then moved there, so that nothing is ever half-written."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from fuserec.data.cleaning.circumstances import contexts_in
from fuserec.data.cleaning.cleaned import Cleaned
from fuserec.data.cleaning.events import NO_ITEM
from fuserec.data.dataset import PARTS
from fuserec.data.dataset_toml import written
from fuserec.data.packed import logical_name
from fuserec.data.table_files import EXTENSIONS
from fuserec.data.weights import KINDS
from fuserec.errors import DataError

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset

_STEMS = ("interactions", "items", "users", "links", "impressions")


def write_folder(data: Dataset | Cleaned, dest: Path | str) -> Path:
    """Write a dataset folder: CSV for interactions, JSON Lines for items, ``dataset.toml``, others if needed.

    Reading it again gives the same ids in the same order, the same rows and the same tables.

    Parameters
    ----------
    data : Dataset or Cleaned
    dest : path
        A folder that does not exist, is empty, or is a dataset folder, which is then replaced.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    DataError
        Where ``dest`` holds other files, or cannot be written (full disk, no permission); it stays as it was.
    """
    dest = Path(dest).expanduser()
    check_destination(dest)
    cleaned = data if isinstance(data, Cleaned) else Cleaned.of(data)
    partial = dest.parent / f".{dest.name}.{uuid.uuid4().hex[:8]}.partial"
    try:
        partial.mkdir(parents=True)
        _write_tables(cleaned, partial)
        _move(partial, dest)
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise DataError(f"{dest}: cannot be written ({reason}); nothing was changed") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return dest


def check_destination(dest: Path) -> None:
    """Refuse a place that holds anything but a dataset folder.

    Raises
    ------
    DataError
        For a file, or a folder with files that are none of a dataset's.
    """
    if dest.is_dir():
        known = {f"{stem}.{extension}" for stem in _STEMS for extension in EXTENSIONS} | {"dataset.toml"}
        foreign = sorted(p.name for p in dest.iterdir() if p.is_dir() or logical_name(p) not in known)
        if foreign:
            raise DataError(
                f"{dest}: holds files that are not a dataset's ({', '.join(foreign[:3])}"
                f"{', ...' if len(foreign) > 3 else ''}); nothing was written: choose an empty or new folder"
            )
    elif dest.exists():
        raise DataError(f"{dest}: is a file; a folder is needed here")


def _write_tables(cleaned: Cleaned, folder: Path) -> None:
    """Write all files of a dataset into an empty folder."""
    _table(_interactions(cleaned), folder / "interactions.csv")
    items = cleaned.item_table.select(cleaned.items.alias("item_id"), pl.all())
    _table(items, folder / "items.jsonl")
    if _users_needed(cleaned):
        users = cleaned.user_table.select(cleaned.users.alias("user_id"), pl.all())
        _table(users, folder / "users.jsonl")
    if cleaned.links.height:
        _table(cleaned.links, folder / "links.csv")
    if cleaned.impressions is not None:
        _table(cleaned.impressions, folder / "impressions.csv")
    (folder / "dataset.toml").write_text(written(cleaned.info, cleaned.repeats), encoding="utf-8")


def _table(frame: pl.DataFrame, path: Path) -> None:
    """Write one table; polars gets the open file, for it takes no path that is not text."""
    with path.open("wb") as file:
        if path.suffix == ".csv":
            frame.write_csv(file)
        else:
            frame.write_ndjson(file)


def _interactions(cleaned: Cleaned) -> pl.DataFrame:
    """Return the events with ids and words in place of codes, without columns that say nothing."""
    frame = cleaned.events
    item = frame["item"]
    columns = [
        cleaned.users.gather(frame["user"]).alias("user_id"),
        cleaned.items.gather(item.set(item == NO_ITEM, None)).fill_null("").alias("item_id"),
    ]
    rating, time, seconds = (frame[name].fill_nan(None) for name in ("rating", "time", "seconds"))
    for column, name in ((rating, "rating"), (time, "timestamp"), (seconds, "value")):
        if column.null_count() < column.len():
            columns.append(_whole(column).alias(name))
    kinds = frame["kind"].unique()
    implied = KINDS.index("interaction" if rating.null_count() == rating.len() else "rating")
    if kinds.to_list() != [implied]:
        columns.append(pl.Series("kind", KINDS, dtype=pl.String).gather(frame["kind"]))
    if (frame["part"] > 0).any():
        columns.append(pl.Series("split", PARTS, dtype=pl.String).gather(frame["part"]))
    if "text" in frame.columns:
        columns.append(frame["text"])
    contexts = contexts_in(frame)
    if contexts is not None:
        columns += contexts.get_columns()
    return pl.DataFrame(columns)


def _whole(column: pl.Series) -> pl.Series:
    """Return a column of floats as integers where all are whole."""
    filled = column.drop_nulls()
    return column.cast(pl.Int64) if (filled.round() == filled).all() else column


def _users_needed(cleaned: Cleaned) -> bool:
    """Return whether the interactions alone would not bring back the users, their order and their columns."""
    table = cleaned.user_table
    if table.width > 1 or (table["text"] != "").any():
        return True
    seen = cleaned.events["user"].unique(maintain_order=True)
    return seen.to_list() != list(range(cleaned.users.len()))


def _move(partial: Path, dest: Path) -> None:
    """Put a finished folder in its place; an old one goes only once the new one stands."""
    if not dest.exists():
        partial.rename(dest)
        return
    old = dest.parent / f".{dest.name}.{uuid.uuid4().hex[:8]}.old"
    dest.rename(old)
    try:
        partial.rename(dest)
    finally:
        if not dest.exists():  # whatever stopped it, a signal included
            old.rename(dest)
    shutil.rmtree(old, ignore_errors=True)
