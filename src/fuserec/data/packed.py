"""Files as bytes, plain or packed (``.gz``, ``.xz``, ``.zst``), and finding them by their unpacked name."""

from __future__ import annotations

import contextlib
import gzip
import io
import lzma
import sys
import zlib
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from fuserec.errors import DataError

PACKED = (".gz", ".xz", ".zst")
"""Suffixes of packed files."""


MOST_UNPACKED = 2**30
MOST_RATIO = 100
"""A file may unpack to a gibibyte, or to a hundred times its size: beyond both it is no table but a bomb."""


def _ungzip(data: bytes, most: int) -> bytes:
    """Return at most so many bytes out of gzip."""
    with gzip.open(io.BytesIO(data)) as file:
        return file.read(most)


def _unxz(data: bytes, most: int) -> bytes:
    """Return at most so many bytes out of xz."""
    with lzma.open(io.BytesIO(data)) as file:
        return file.read(most)


def _unzstd(data: bytes, most: int) -> bytes:
    """Return at most so many bytes out of Zstandard: all frames; one cut short is an error."""
    zstd = _zstd()
    try:
        with zstd.open(io.BytesIO(data)) as file:
            unpacked: bytes = file.read(most)
    except zstd.ZstdError as error:
        raise ValueError(str(error)) from None
    return unpacked


def _zstd() -> Any:
    """Return the module that reads Zstandard."""
    return import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")


_MAGIC: tuple[tuple[bytes, Callable[[bytes, int], bytes]], ...] = (
    (b"\x1f\x8b", _ungzip),
    (b"\xfd7zXZ\x00", _unxz),
    (b"\x28\xb5\x2f\xfd", _unzstd),
)


def _unpacked(data: bytes, path: Path, unpack: Callable[[bytes, int], bytes]) -> bytes:
    """Return the content of a packed file."""
    most = max(MOST_UNPACKED, MOST_RATIO * len(data))
    try:
        content = unpack(data, most + 1)
    except (OSError, EOFError, ValueError, lzma.LZMAError, zlib.error) as error:
        raise DataError(
            f"{path}: the packed file is damaged or cut short ({error}); fetch it again"
        ) from None
    if len(content) > most:
        raise DataError(
            f"{path}: {len(data):,} bytes unpack to more than {most:,}, which no table does; "
            "unpack it yourself if you trust it"
        )
    return content


def existing(path: Path | str) -> Path:
    """Return the path of a file or folder that exists.

    Raises
    ------
    DataError
        Where there is none, naming the folder's nearest file.
    """
    path = Path(path).expanduser()
    if path.exists():
        return path
    hint = ""
    if path.parent.is_dir():
        from fuserec.errors import nearest

        hint = nearest(path.name, sorted(p.name for p in path.parent.iterdir()))
    raise DataError(f"{path}: no such file or folder{hint}")


def read_bytes(path: Path) -> bytes:
    """Return the content of a file, unpacked. What it begins with decides, not its suffix.

    Raises
    ------
    DataError
        For a file that is missing, a folder, unreadable, damaged, or empty.
    """
    path = existing(path)
    if path.is_dir():
        raise DataError(f"{path}: is a folder; a file is needed here")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    for magic, unpack in _MAGIC:
        if data.startswith(magic):
            data = _unpacked(data, path, unpack)
            break
    if not data.strip():
        raise DataError(f"{path}: the file is empty")
    return data


@contextlib.contextmanager
def reading(path: Path) -> Iterator[io.BufferedReader]:
    """Give a file to be read from its beginning, unpacked on the way: for files that memory should not hold whole.

    Raises
    ------
    DataError
        As :func:`read_bytes`, where the file turns out to be damaged while it is read too.
    """
    path = existing(path)
    if path.is_dir():
        raise DataError(f"{path}: is a folder; a file is needed here")
    try:
        with path.open("rb") as raw:
            yield io.BufferedReader(_Unpacking(raw, path), 1 << 20)
    except (OSError, EOFError, lzma.LZMAError, zlib.error, _zstd().ZstdError) as error:
        told = getattr(error, "strerror", None) or error
        raise DataError(
            f"{path}: cannot be read, or is damaged or cut short ({told}); fetch it again"
        ) from None


class _Unpacking(io.RawIOBase):
    """What a file holds, unpacked as it is read; one that unpacks to more than a table would is refused."""

    def __init__(self, raw: io.BufferedReader, path: Path) -> None:
        start = raw.peek(8)
        openers = (gzip.open, lzma.open, _zstd().open)
        unpack = [o for (magic, _), o in zip(_MAGIC, openers, strict=True) if start.startswith(magic)]
        self._file: Any = unpack[0](raw) if unpack else raw
        self._path, self._done = path, 0
        self._most = max(MOST_UNPACKED, MOST_RATIO * path.stat().st_size) if unpack else sys.maxsize

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        n = int(self._file.readinto(buffer))
        self._done += n
        if self._done > self._most:
            raise DataError(
                f"{self._path}: unpacks to more than {self._most:,} bytes, which no table does; unpack it yourself if "
                "you trust it"
            )
        return n


def logical_name(path: Path) -> str:
    """Return the name of a file without its packing suffix: ``u.data`` for ``u.data.xz``."""
    return path.name[: -len(path.suffix)] if path.suffix in PACKED else path.name


def find(folder: Path, *names: str) -> Path | None:
    """Return the first of some files that a folder holds, plain or packed, or None."""
    for name in names:
        for suffix in ("", *PACKED):
            path = folder / (name + suffix)
            if path.is_file():
                return path
    return None


def listing(folder: Path) -> list[Path]:
    """Return the files of a folder by name, hidden ones left out."""
    return sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))


def folder_of(source: Path) -> Path:
    """Return the folder in which a source's other files lie."""
    return source if source.is_dir() else source.parent
