"""Ids to indices and back: UTF-8 bytes, offsets and a sorted 64-bit hash index; append-only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fuserec.errors import ModelFormatError

if TYPE_CHECKING:
    import polars as pl

    from fuserec.types import Arrays


class Vocabulary:
    """The ids of users or of items. Index ``i`` never changes its id; new ids are appended.

    Parameters
    ----------
    data : uint8 (n_bytes,)
        All ids, UTF-8, one after the other.
    offsets : int64 (n + 1,)
        Id ``i`` is ``data[offsets[i]:offsets[i + 1]]``.
    hashes : uint64 (n,), optional
        Hash of each id; computed where it is not given.
    """

    def __init__(self, data: np.ndarray, offsets: np.ndarray, hashes: np.ndarray | None = None) -> None:
        if hashes is None:
            from fuserec.numerics.hashing import hash_rows

            hashes = hash_rows(data, offsets)
        self.data = data
        self.offsets = offsets
        self.hashes = hashes
        self._order = np.argsort(hashes, kind="stable").astype(np.int32)
        self._sorted = hashes[self._order]

    @classmethod
    def from_ids(cls, ids: Iterable[str] | pl.Series) -> Vocabulary:
        """Build from distinct ids in the order of their indices."""
        encoded = [text.encode("utf-8") for text in ids]
        lengths = np.fromiter((len(text) for text in encoded), dtype=np.int64, count=len(encoded))
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return cls(np.frombuffer(b"".join(encoded), dtype=np.uint8), offsets)

    def __len__(self) -> int:
        return self.offsets.size - 1

    def __getitem__(self, index: int) -> str:
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} is outside 0..{len(self) - 1}")
        return self.data[self.offsets[index] : self.offsets[index + 1]].tobytes().decode("utf-8")

    def ids(self, indices: Sequence[int] | np.ndarray | None = None) -> list[str]:
        """Return the ids of some indices, or all of them."""
        return [self[int(i)] for i in (range(len(self)) if indices is None else indices)]

    def index(self, identifier: str) -> int:
        """Return the index of an id, or -1 where it is unknown."""
        from fuserec.numerics.hashing import hash_text

        wanted = np.uint64(hash_text(identifier))
        position = int(np.searchsorted(self._sorted, wanted))
        while position < self._sorted.size and self._sorted[position] == wanted:
            index = int(self._order[position])
            if self[index] == identifier:  # the hash only narrows the search
                return index
            position += 1
        return -1

    def indices(self, ids: Iterable[str]) -> np.ndarray:
        """Return int32 (n,): the index of each id, -1 where it is unknown."""
        return np.fromiter((self.index(i) for i in ids), dtype=np.int32)

    def extended(self, ids: Iterable[str]) -> Vocabulary:
        """Return a vocabulary with the unknown ones among ``ids`` appended in their order; known ones keep theirs."""
        new = list(dict.fromkeys(i for i in ids if self.index(i) < 0))
        if not new:
            return self
        tail = Vocabulary.from_ids(new)
        return Vocabulary(
            np.concatenate([self.data, tail.data]),
            np.concatenate([self.offsets, tail.offsets[1:] + self.offsets[-1]]),
            np.concatenate([self.hashes, tail.hashes]),
        )

    def state(self, prefix: str) -> Arrays:
        """Return the arrays that persist it, named ``prefix.data`` and so on."""
        return {
            f"{prefix}.data": self.data,
            f"{prefix}.offsets": self.offsets,
            f"{prefix}.hashes": self.hashes,
        }

    @classmethod
    def from_state(cls, arrays: Arrays, prefix: str) -> Vocabulary:
        """Rebuild from :meth:`state`."""
        data, offsets, hashes = (arrays[f"{prefix}.{part}"] for part in ("data", "offsets", "hashes"))
        if offsets.size != hashes.size + 1 or int(offsets[-1]) != data.size or np.any(np.diff(offsets) < 0):
            raise ModelFormatError(
                f"the ids named {prefix!r} are damaged: lengths do not agree; save the model anew"
            )
        return cls(data, offsets, hashes)
