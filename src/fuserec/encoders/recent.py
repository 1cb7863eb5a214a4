"""Vectors of texts that were read lately, in memory: a profile is said again with every request of its user."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from fuserec.encoders.base import Vectors
    from fuserec.run import RunOptions

LIMIT = 4096
"""Vectors kept; the one unused for longest goes first. Of 384 dimensions they take 6 MB."""


class Reads(Protocol):
    """What makes vectors of texts: an encoder, or a model that has one."""

    def encode(self, texts: Sequence[str], run: RunOptions) -> Vectors:
        """Return float32 (len(texts), dim)."""
        ...


class RecentVectors:
    """The newest vectors of one encoder, by a hash of their text; never on disk. Safe to use from many threads.

    Parameters
    ----------
    limit : int
        How many are kept.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._kept: OrderedDict[bytes, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def encode(self, encoder: Reads, texts: Sequence[str], run: RunOptions) -> Vectors:
        """Return float32 (len(texts), dim), as ``encoder.encode`` gives them; only unknown texts are encoded.

        The encoder runs outside of the lock, so that two threads may read the same new text: equal vectors.
        """
        keys = [
            hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest() for text in texts
        ]
        found: dict[bytes, np.ndarray] = {}
        with self._lock:
            for key in keys:
                if key in self._kept:
                    found[key] = self._kept[key]
                    self._kept.move_to_end(key)
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
        if new or not keys:
            vectors = encoder.encode(list(new.values()), run)
            if not keys:
                return vectors
            found.update(zip(new, vectors, strict=True))
            self._keep({key: found[key].copy() for key in list(new)[-self._limit :]})
        return np.stack([found[key] for key in keys])

    def _keep(self, new: dict[bytes, np.ndarray]) -> None:
        """Remember vectors, and drop those unused for longest beyond the limit."""
        with self._lock:
            self._kept.update(new)
            while len(self._kept) > self._limit:
                self._kept.popitem(last=False)
