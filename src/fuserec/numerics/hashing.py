"""A stable 64-bit hash of strings: the same on every machine, in every release, in a kernel and in plain Python.

FNV-1a (Fowler, Noll, Vo) over the UTF-8 bytes, finished by the mixer of SplitMix64 (Steele et al. 2014), whose
output bits are good enough to break ties and to seed generators with.
"""

from __future__ import annotations

import numpy as np

from fuserec.numerics.jit import kernel

_OFFSET = 0xCBF29CE484222325
_PRIME = 0x100000001B3
_MASK = 0xFFFFFFFFFFFFFFFF


def hash_text(text: str, seed: int = 0) -> int:
    """Return the 64-bit hash of one string."""
    value = _OFFSET
    for byte in text.encode("utf-8"):
        value = ((value ^ byte) * _PRIME) & _MASK
    return _mix(value ^ (seed * 0x9E3779B97F4A7C15 & _MASK))


def _mix(value: int) -> int:
    """Finish a hash: every input bit reaches every output bit."""
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


@kernel
def _hash_rows(data: np.ndarray, offsets: np.ndarray, out: np.ndarray) -> None:
    """Hash each byte range ``data[offsets[i]:offsets[i + 1]]``."""
    for row in range(offsets.size - 1):
        value = np.uint64(_OFFSET)
        for position in range(offsets[row], offsets[row + 1]):
            value = (value ^ np.uint64(data[position])) * np.uint64(_PRIME)
        value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        out[row] = value ^ (value >> np.uint64(31))


def hash_rows(data: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Return uint64 (n,): the hash of each string in a UTF-8 buffer; equals :func:`hash_text` with seed 0."""
    out = np.empty(offsets.size - 1, dtype=np.uint64)
    _hash_rows(data, offsets, out)
    return out


def reseed(hashes: np.ndarray, seed: int) -> np.ndarray:
    """Return uint64 (n,): hashes mixed once more with a seed, for tie-breaking orders that differ by seed."""
    value = hashes ^ np.uint64(seed * 0x9E3779B97F4A7C15 & _MASK)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = value ^ (value >> np.uint64(31))
    return mixed
