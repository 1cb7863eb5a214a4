"""Sets of columns as bits: what two rows share is counted 64 columns at a time, 512 where the machine can."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import types
from numba.extending import intrinsic

from fuserec.numerics.arrays import Floats, Ints, Offsets, Words
from fuserec.numerics.jit import kernel


@intrinsic
def _ones_in(_context: Any, word: Any) -> Any:
    """Count the ones of a 64-bit word with the machine's own instruction."""

    def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


@kernel
def set_bits(columns: Ints, row: Words) -> None:
    """Clear a row of bits, then set those of some columns."""
    row[:] = 0
    for p in range(len(columns)):
        column = np.uint64(columns[p])
        row[column >> np.uint64(6)] |= np.uint64(1) << (column & np.uint64(63))


@kernel
def pack(starts: Offsets, columns: Ints, rows: Words) -> None:
    """Turn the pattern of a CSR matrix into one row of bits per row."""
    for r in range(len(starts) - 1):
        set_bits(columns[starts[r] : starts[r + 1]], rows[r])


@kernel
def count_shared(row: Words, rows: Words, sums: Floats) -> None:
    """Write how many ones a row of bits shares with each of many rows."""
    for j in range(len(rows)):
        shared, other = np.uint64(0), rows[j]
        for w in range(len(row)):
            shared += _ones_in(row[w] & other[w])  # type: ignore[call-arg]
        sums[j] = np.float32(shared)
