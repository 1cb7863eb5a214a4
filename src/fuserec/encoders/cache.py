"""Sentence vectors kept on disk, so that a second run encodes only what is new."""

from __future__ import annotations

import hashlib
import os
import struct
import tempfile
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from fuserec.encoders.base import Encoder, State, Vectors
from fuserec.encoders.folders import is_writable, preferred_root
from fuserec.run import RunOptions

_MAGIC = b"FRVEC01\n"
_HEADER = struct.Struct("<8sQQQ")
"""Magic, number of rows, length of a vector, and CRC-32 of keys and row checks."""
_SUFFIX = ".vectors"
_MANY_SHARDS = 24
_BLOCK = 16_384

Keys = NDArray[np.uint64]
"""The 128-bit hashes of texts: (n, 2)."""


class CacheConfig(BaseModel):
    """Where sentence vectors are kept between runs."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    enabled: bool = Field(default=True, description="Whether vectors are kept on disk at all.")
    max_mb: int = Field(
        default=2048,
        ge=1,
        description="Size of the whole cache on disk; files unused for longest are removed first.",
    )
    folder: Path | None = Field(
        default=None, description="Where they are kept; left out: the user's cache folder."
    )


@dataclass(frozen=True)
class CacheReport:
    """What the last call found: distinct texts read from disk, and distinct texts encoded."""

    hits: int
    misses: int


def text_keys(texts: Sequence[str]) -> Keys:
    """Return the BLAKE2b hash of every text: uint64 (n, 2)."""
    digests = [
        hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest() for text in texts
    ]
    return np.frombuffer(b"".join(digests), dtype="<u8").reshape(-1, 2)


class VectorCache:
    """Vectors by encoder fingerprint and hash of the text, in files that are written once and never changed.

    A file ("shard") is written beside and renamed, so processes may share the folder: none sees half a file,
    and at worst a text is encoded twice. Header, keys and every row that is read are checked; a damaged file
    is removed with a warning and its texts are encoded anew. A folder that cannot be written means no cache,
    with one warning.

    Parameters
    ----------
    config : CacheConfig
        Where, and how large.
    """

    def __init__(self, config: CacheConfig) -> None:
        self.config = config
        self.root = config.folder or preferred_root() / "vectors"

    def read(self, fingerprint: str, keys: Keys, dim: int) -> tuple[Vectors, NDArray[np.bool_]]:
        """Return the vectors that are kept.

        Parameters
        ----------
        fingerprint : str
            Of the encoder.
        keys : uint64 (n, 2)
            From :func:`text_keys`.
        dim : int
            Length of a vector.

        Returns
        -------
        vectors : float32 (n, dim)
            Zero where nothing is kept.
        found : bool (n,)
        """
        vectors = np.zeros((len(keys), dim), dtype=np.float32)
        found = np.zeros(len(keys), dtype=bool)
        for path in self._shards(fingerprint):
            if found.all():
                break
            shard = _open_shard(path, dim)
            if shard is not None and not shard.copy_into(keys, vectors, found):
                _discard(path, "a vector in it was changed")
        return vectors, found

    def write(self, fingerprint: str, keys: Keys, vectors: Vectors) -> None:
        """Keep vectors as a new shard; where there are many shards they are merged into one first."""
        folder = self._folder(fingerprint)
        if not len(keys) or not self._usable(folder):
            return
        try:
            merged = self._shards(fingerprint)
            if len(merged) >= _MANY_SHARDS:
                keys, vectors = _merge(
                    [_open_shard(path, vectors.shape[1]) for path in merged], keys, vectors
                )
            else:
                merged = []
            _write_shard(folder, keys, vectors)
            for path in merged:
                path.unlink(missing_ok=True)
            self._shrink()
        except OSError as fault:
            _say_once(
                f"sentence vectors cannot be kept in {folder} ({fault.strerror or fault}): going on without"
            )

    def _folder(self, fingerprint: str) -> Path:
        return self.root / hashlib.blake2b(fingerprint.encode(), digest_size=12).hexdigest()

    def _shards(self, fingerprint: str) -> list[Path]:
        """Return the shards of one encoder, newest first."""
        return [
            path for _, _, path in sorted(_listing(self._folder(fingerprint), f"*{_SUFFIX}"), reverse=True)
        ]

    def _usable(self, folder: Path) -> bool:
        if is_writable(folder):
            return True
        _say_once(
            f"{folder} cannot be written: sentence vectors are not kept between runs; set FUSEREC_CACHE"
        )
        return False

    def _shrink(self) -> None:
        """Remove the files unused for longest until the whole cache is within its size."""
        listing = sorted(_listing(self.root, f"*/*{_SUFFIX}"))
        excess = sum(size for _, size, _ in listing) - self.config.max_mb * 2**20
        for _, size, path in listing:
            if excess <= 0:
                break
            path.unlink(missing_ok=True)
            excess -= size


class CachedEncoder:
    """An encoder whose vectors are kept on disk; each distinct text is encoded once.

    For the texts of items. Encode queries with the encoder itself (:attr:`encoder`): what people ask is not
    kept.

    Parameters
    ----------
    encoder : Encoder
        What encodes new texts.
    config : CacheConfig, optional
        Where vectors are kept.
    """

    def __init__(self, encoder: Encoder, config: CacheConfig | None = None) -> None:
        self.encoder = encoder
        self.config = config or CacheConfig()
        self.last = CacheReport(0, 0)

    @property
    def name(self) -> str:
        """The wrapped encoder's kind."""
        return self.encoder.name

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self.encoder.dim

    @property
    def fingerprint(self) -> str:
        """The wrapped encoder's fingerprint."""
        return self.encoder.fingerprint

    def encode(self, texts: Sequence[str], run: RunOptions) -> Vectors:
        """Return float32 (len(texts), dim), from disk where kept; what is encoded is kept block by block.

        Parameters
        ----------
        texts : sequence of str
            The items' texts, in any order, with repeats.
        run : RunOptions
            Threads, progress, cancellation; what was encoded before a cancellation is kept.
        """
        keys, first, place = np.unique(text_keys(texts), axis=0, return_index=True, return_inverse=True)
        store = VectorCache(self.config)
        fingerprint, dim = self.encoder.fingerprint, self.encoder.dim
        if self.config.enabled:
            vectors, found = store.read(fingerprint, keys, dim)
        else:
            vectors, found = np.zeros((len(keys), dim), dtype=np.float32), np.zeros(len(keys), dtype=bool)
        new = np.flatnonzero(~found)
        new = new[np.argsort(first[new])]
        for block, part in _blocks(new, run):
            vectors[block] = self.encoder.encode([texts[i] for i in first[block]], part)
            if self.config.enabled:
                store.write(fingerprint, keys[block], vectors[block])
        self.last = CacheReport(hits=int(found.sum()), misses=len(new))
        return np.ascontiguousarray(vectors[place.reshape(-1)])

    def state(self) -> State:
        """Return the wrapped encoder's state: the cache belongs to the machine, not to the model."""
        return self.encoder.state()

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], info: Mapping[str, Any]) -> Self:
        """Build a cached sentence encoder from its state."""
        from fuserec.encoders.sentence import SentenceEncoder

        return cls(SentenceEncoder.from_state(arrays, info))


@dataclass(frozen=True)
class _Shard:
    """One file in memory: keys sorted by their first word, a check per row, and vectors mapped from disk."""

    keys: Keys
    checks: NDArray[np.uint32]
    vectors: Vectors

    def copy_into(self, keys: Keys, vectors: Vectors, found: NDArray[np.bool_]) -> bool:
        """Fill rows that are still missing; where one of them does not match its check, none, and return False."""
        wanted = np.flatnonzero(~found)
        at = np.searchsorted(self.keys[:, 0], keys[wanted, 0])
        at[at == len(self.keys)] = 0
        same = (self.keys[at] == keys[wanted]).all(axis=1)
        wanted, at = wanted[same], at[same]
        rows = np.asarray(self.vectors[at], dtype=np.float32)
        if not np.array_equal(_row_checks(self.keys[at], rows), self.checks[at]):
            return False
        vectors[wanted], found[wanted] = rows, True
        return True


def _open_shard(path: Path, dim: int) -> _Shard | None:
    """Map a shard; one that is damaged is removed with a warning, one that has just gone is passed over."""
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER.size)
            magic, n, width, crc = _HEADER.unpack(header) if len(header) == _HEADER.size else (b"", 0, 0, 0)
            whole = magic == _MAGIC and width == dim and n > 0
            whole = whole and path.stat().st_size == _HEADER.size + n * (20 + 4 * dim)
            body = file.read(n * 20) if whole else b""
        if not whole or zlib.crc32(body) != crc:
            _discard(path, "it is cut short or was changed")
            return None
        keys = np.frombuffer(body, dtype="<u8", count=2 * n).reshape(n, 2)
        checks = np.frombuffer(body, dtype="<u4", offset=16 * n)
        vectors = np.memmap(path, dtype="<f4", mode="r", offset=_HEADER.size + n * 20, shape=(n, dim))
        _touch(path)
    except OSError:  # another process has just merged or removed it, or it may not be read
        return None
    return _Shard(keys, checks, vectors)


def _write_shard(folder: Path, keys: Keys, vectors: Vectors) -> None:
    order = np.lexsort((keys[:, 1], keys[:, 0]))
    keys, vectors = np.ascontiguousarray(keys[order]), np.ascontiguousarray(vectors[order], dtype="<f4")
    body = keys.tobytes() + _row_checks(keys, vectors).astype("<u4").tobytes()
    handle, name = tempfile.mkstemp(suffix=".tmp", dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(_HEADER.pack(_MAGIC, len(keys), vectors.shape[1], zlib.crc32(body)))
            file.write(body)
            vectors.tofile(file)
        os.replace(name, folder / (Path(name).stem + _SUFFIX))
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


def _merge(shards: Sequence[_Shard | None], keys: Keys, vectors: Vectors) -> tuple[Keys, Vectors]:
    """Return the rows of all shards and the new ones, each key once."""
    there = [shard for shard in shards if shard is not None]
    all_keys = np.concatenate([keys, *[shard.keys for shard in there]])
    all_vectors = np.concatenate([vectors, *[shard.vectors for shard in there]])
    checks = np.concatenate([_row_checks(keys, vectors), *[shard.checks for shard in there]])
    whole = np.flatnonzero(_row_checks(all_keys, all_vectors) == checks)
    _, first = np.unique(all_keys[whole], axis=0, return_index=True)
    return all_keys[whole[first]], all_vectors[whole[first]]


def _row_checks(keys: Keys, vectors: Vectors) -> NDArray[np.uint32]:
    """Return a checksum a row: 32-bit words weighted by odd numbers (a changed word changes it)."""
    words = np.ascontiguousarray(vectors, dtype="<f4").view("<u4")
    odd = (2 * np.arange(words.shape[1], dtype=np.uint32) + 1) * np.uint32(2654435761) | np.uint32(1)
    sums: NDArray[np.uint32] = np.einsum("nd,d->n", words, odd, dtype=np.uint32, casting="unsafe")
    return sums ^ (keys[:, 0] ^ keys[:, 1]).astype(np.uint32)


def _listing(folder: Path, pattern: str) -> list[tuple[float, int, Path]]:
    """Return (time of last use, size, path) of the files that match; those that vanish are left out."""
    listing = []
    for path in folder.glob(pattern):
        try:
            info = path.stat()
        except OSError:
            continue
        listing.append((info.st_mtime, info.st_size, path))
    return listing


def _blocks(rows: NDArray[np.int64], run: RunOptions) -> Iterator[tuple[NDArray[np.int64], RunOptions]]:
    """Yield pieces of rows with options whose progress counts over all of them."""
    for start in range(0, len(rows), _BLOCK):
        yield rows[start : start + _BLOCK], replace(run, progress=_shifted(run, start, len(rows)))


def _shifted(run: RunOptions, start: int, total: int) -> Callable[[str, int, int], None]:
    return lambda label, done, _: run.progress(label, start + done, total)


def _touch(path: Path) -> None:
    """Mark a shard as used now, where that is allowed: what is unused for longest is removed first."""
    if os.access(path, os.W_OK):
        os.utime(path)


def _discard(path: Path, reason: str) -> None:
    """Remove a damaged shard and say so."""
    warnings.warn(
        f"the vector cache file {path} is damaged ({reason}): it is made anew", UserWarning, stacklevel=4
    )
    try:
        path.unlink(missing_ok=True)
    except OSError as fault:
        _say_once(f"{path} cannot be removed: {fault.strerror}")


@cache
def _say_once(message: str) -> None:
    warnings.warn(message, UserWarning, stacklevel=4)
