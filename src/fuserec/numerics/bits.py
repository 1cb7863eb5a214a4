"""Sets of columns as bits: shared columns of dense-ish rows are counted 64 at a time, 512 where the machine can."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numba.core import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from fuserec.numerics.jit import kernel

Words: TypeAlias = NDArray[np.uint64]


@intrinsic  # type: ignore[misc]
def _ones_in(_context: Any, word: Any) -> Any:
    """Count the ones of a 64-bit word with the machine's own instruction."""

    def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


@kernel
def set_bits(columns: NDArray[np.int32], row: Words) -> None:
    """Clear a row of bits, then set those of some columns."""
    row[:] = 0
    for p in range(len(columns)):
        column = np.uint64(columns[p])
        row[column >> np.uint64(6)] |= np.uint64(1) << (column & np.uint64(63))


@kernel
def pack(starts: NDArray[np.int64], columns: NDArray[np.int32], rows: Words) -> None:
    """Turn the pattern of a CSR matrix into one row of bits per row."""
    for r in range(len(starts) - 1):
        set_bits(columns[starts[r] : starts[r + 1]], rows[r])


@kernel
def count_shared(row: Words, rows: Words, sums: NDArray[np.float32]) -> None:
    """Write how many ones a row of bits shares with each of many rows."""
    for j in range(len(rows)):
        shared, other = np.uint64(0), rows[j]
        for w in range(len(row)):
            shared += _ones_in(row[w] & other[w])
        sums[j] = np.float32(shared)
