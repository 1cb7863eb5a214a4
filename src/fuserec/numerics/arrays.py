"""Names of the array types that kernels are compiled for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy import sparse

Floats: TypeAlias = NDArray[np.float32]
Doubles: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int32]
Offsets: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.bool_]
Words: TypeAlias = NDArray[np.uint64]
Hashes: TypeAlias = NDArray[np.uint64]
Real: TypeAlias = float | np.floating[Any]
Whole: TypeAlias = int | np.integer[Any]

Rows: TypeAlias = tuple[Offsets, Ints, Floats]
"""The parts of a CSR matrix: where rows start, their columns, their values."""

TopK: TypeAlias = tuple[Ints, Floats, Ints]
"""Items, values and counts: the last say how many of a row's items are real, the rest is padding."""

Csr: TypeAlias = "sparse.csr_array | sparse.csr_matrix"
