"""``folder``: FuseRec's own dataset folder (CSV, TSV, JSON Lines or Parquet, plain or packed)."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from fuserec.data.check import Findings
from fuserec.data.dataset_toml import FolderSettings, read_settings
from fuserec.data.packed import find, folder_of, listing
from fuserec.data.raw import IMPRESSION_COLUMNS, LINK_COLUMNS, RawTables
from fuserec.data.table_files import EXTENSIONS, read_table, table_file
from fuserec.errors import DataError, nearest


def read_folder(source: Path, items: Path | None, findings: Findings) -> RawTables:
    """Read a dataset folder, or one file of interactions with the other tables beside it."""
    folder = folder_of(source)
    settings = read_settings(find(folder, "dataset.toml"))
    main = table_file(folder, "interactions") if source.is_dir() else source
    if main is None:
        raise DataError(_no_interactions(folder))
    interactions = _table(main, "interactions", settings, findings, ("user_id",))
    if "item_id" not in interactions.columns and "text" not in interactions.columns:
        raise _missing(main, "item_id", interactions.columns, "interactions")
    others = {}
    for name, required in (
        ("users", ("user_id",)),
        ("links", LINK_COLUMNS),
        ("impressions", IMPRESSION_COLUMNS),
    ):
        path = table_file(folder, name)
        others[name] = None if path in (None, main) else _table(path, name, settings, findings, required)
    described = table_file(folder, "items") if items is None else items
    table = None
    if described is not None and described != main:
        table = _table(described, "items", settings, findings, ("item_id",))
    name = folder.resolve().name
    return RawTables(interactions, table, **others, info=settings.info(name), repeats=settings.repeats)


def _table(
    path: Path, name: str, settings: FolderSettings, findings: Findings, required: tuple[str, ...]
) -> pl.DataFrame:
    """Read one table, its columns under the names of their roles."""
    roles = settings.roles(name)
    frame = read_table(path, findings, keep=_kept(name, roles))
    for role, column in roles.items():
        if column not in frame.columns:
            raise _missing(path, column, frame.columns, name, f" (dataset.toml gives it the role {role!r})")
        if role != column and role in frame.columns:
            frame = frame.drop(role)
        frame = frame.rename({column: role})
    for column in required:
        if column not in frame.columns:
            raise _missing(path, column, frame.columns, name)
    return frame


def _kept(name: str, roles: dict[str, str]) -> tuple[str, ...]:
    """Return the columns that stay strings: texts, and numbers that cleaning reads itself."""
    from fuserec.data.table_files import TEXT_COLUMNS

    numbers = ("rating", "value") if name == "interactions" else ()
    kept = [*TEXT_COLUMNS, *numbers]
    return tuple(kept + [column for role, column in roles.items() if role in kept])


def _missing(path: Path, column: str, found: list[str], table: str, why: str = "") -> DataError:
    """Return the error for a column that is not there."""
    hint = nearest(column, found)
    role = f'; or name its role in dataset.toml: [columns.{table}] {column} = "..."' if not why else ""
    return DataError(f"{path}: no column {column!r}{why}{hint} (columns: {', '.join(found[:20])}){role}")


def _no_interactions(folder: Path) -> str:
    """Say what is missing, and what there is instead."""
    names = [path.name for path in listing(folder)]
    held = f"it holds {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}" if names else "it is empty"
    formats = ", ".join(EXTENSIONS)
    return (
        f"{folder}: no interactions.* ({formats}, plain or packed); {held}. "
        "For another layout use `fuserec data import` with its --format"
    )
