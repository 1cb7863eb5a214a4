"""A stable 64-bit hash of strings: the same on every machine and in every release.

FNV-1a (Fowler, Noll, Vo) over the UTF-8 bytes, finished by the mixer of SplitMix64 (Steele et al. 2014), whose
output bits are good enough to break ties and to seed generators with.
"""

from __future__ import annotations

import numpy as np

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


def hash_rows(data: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Return uint64 (n,): the hash of each string in a UTF-8 buffer; equals :func:`hash_text` with seed 0.

    All strings are hashed together, a byte position at a time, longest first: no compiler has to be loaded for it.
    """
    lengths = np.diff(offsets)
    order = np.argsort(-lengths, kind="stable")
    state, starts = np.full(lengths.size, _OFFSET, np.uint64), offsets[:-1][order]
    positions = np.arange(int(lengths.max(initial=0)))
    unfinished = np.searchsorted(-lengths[order], -positions, side="left")
    for position, n in enumerate(unfinished):
        state[:n] = (state[:n] ^ data[starts[:n] + position]) * np.uint64(_PRIME)
    out = np.empty_like(state)
    out[order] = _mixed(state)
    return out


def _mixed(value: np.ndarray) -> np.ndarray:
    """Return uint64 (n,): :func:`_mix` of each value."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    finished: np.ndarray = value ^ (value >> np.uint64(31))
    return finished


def reseed(hashes: np.ndarray, seed: int) -> np.ndarray:
    """Return uint64 (n,): hashes mixed once more with a seed, for tie-breaking orders that differ by seed."""
    return _mixed(hashes ^ np.uint64(seed * 0x9E3779B97F4A7C15 & _MASK))


def normal_rows(seeds: np.ndarray, dim: int) -> np.ndarray:
    """Return float32 (n, dim) of standard normal numbers: a row depends on its seed alone (Box and Muller 1958).

    Parameters
    ----------
    seeds : uint64 (n,)
    dim : int
    """
    half = -(-dim // 2)
    steps = np.arange(1, 2 * half + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    bits = _mixed(seeds[:, None] + steps[None, :]) >> np.uint64(11)
    uniform = (bits.astype(np.float64) + 0.5) * 2.0**-53
    radius, angle = np.sqrt(-2.0 * np.log(uniform[:, :half])), 2.0 * np.pi * uniform[:, half:]
    pairs = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return np.asarray(pairs[:, :dim], dtype=np.float32)
