"""Readers: a source of data in somebody's format to a Dataset, cleaned and checked. One file a format."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from fuserec.data.check import CheckReport, Findings
from fuserec.data.packed import existing
from fuserec.errors import ConfigError, DataError, nearest

if TYPE_CHECKING:
    from fuserec.data.cleaning import Cleaned, CleaningOptions
    from fuserec.data.dataset import Dataset
    from fuserec.data.raw import RawTables

FORMATS: dict[str, str] = {
    "folder": "fuserec.data.readers.folder:read_folder",
    "movielens": "fuserec.data.readers.movielens:read_movielens",
    "sequences": "fuserec.data.readers.sequences:read_sequences",
    "amazon": "fuserec.data.readers.amazon:read_amazon",
    "recbole": "fuserec.data.readers.recbole:read_recbole",
    "goodbooks": "fuserec.data.readers.goodbooks:read_goodbooks",
}
"""Format to reader, imported when it is used. A new format is one file here and one line."""


class Reader(Protocol):
    """Takes a source apart into tables; judges nothing beyond what the format itself forbids."""

    def __call__(self, source: Path, items: Path | None, findings: Findings) -> RawTables:
        """Return the tables of ``source`` (a folder or its main file), with items from ``items`` if given."""


def read(
    source: Path | str,
    format: str = "folder",
    *,
    items: Path | str | None = None,
    options: CleaningOptions | None = None,
) -> tuple[Dataset, CheckReport]:
    """Read, clean and check a source.

    Parameters
    ----------
    source : path
        A folder, or its main file: then that file's interactions, with the items and users beside it.
    format : str
        One of :data:`FORMATS`.
    items : path, optional
        The file that describes the items, where it does not lie beside the source.
    options : CleaningOptions, optional

    Raises
    ------
    DataError
        Where the source cannot be read, or nothing of it is left.
    ConfigError
        For an unknown format, or a fault in ``dataset.toml``.
    """
    cleaned, report = read_cleaned(source, format, items=items, options=options)
    return cleaned.dataset(), report


def read_cleaned(
    source: Path | str,
    format: str = "folder",
    *,
    items: Path | str | None = None,
    options: CleaningOptions | None = None,
) -> tuple[Cleaned, CheckReport]:
    """Read and clean a source, keeping what no Dataset holds (durations, review texts, impressions)."""
    from fuserec.data.cleaning import CleaningOptions, clean

    if format not in FORMATS:
        raise ConfigError(
            f"unknown format {format!r}{nearest(format, FORMATS)} (known: {', '.join(FORMATS)})"
        )
    path = existing(source)
    if path.suffix.lower() in (".zip", ".tar", ".tgz", ".7z"):
        raise DataError(f"{path}: an archive of files; unpack it and give the folder")
    findings = Findings()
    module, _, function = FORMATS[format].partition(":")
    reader = cast(Reader, getattr(import_module(module), function))
    raw = reader(path, None if items is None else existing(items), findings)
    # A folder's name need not be text; what is stored is.
    name = raw.info.name.encode("utf-8", "replace").decode("utf-8")
    raw = replace(raw, info=replace(raw.info, name=name))
    return clean(raw, options or CleaningOptions(), findings, str(source))


def import_folder(
    source: Path | str,
    dest: Path | str,
    format: str = "folder",
    *,
    items: Path | str | None = None,
    options: CleaningOptions | None = None,
) -> CheckReport:
    """Read and clean a source, and write it as a dataset folder; nothing is written where reading fails."""
    from fuserec.data.folder_writer import check_destination, write_folder

    check_destination(Path(dest))
    cleaned, report = read_cleaned(source, format, items=items, options=options)
    write_folder(cleaned, dest)
    return report
