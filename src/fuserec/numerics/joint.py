"""A kernel over two ragged tables of the same rows: what meets what, and how much."""

from __future__ import annotations

from typing import TypeAlias

from fuserec.numerics.arrays import Doubles, Ints, Offsets
from fuserec.numerics.jit import kernel

Table: TypeAlias = tuple[Offsets, Ints, Doubles]
"""The arrays of a CSR array: (indptr int64 (n + 1,), indices int32, data float64)."""


@kernel
def joint_mass(a: Table, b: Table, order: Offsets, mass: Doubles, squares: Doubles) -> None:
    """Write the sums over rows u of a[u, i] · b[order[u], j], and of its square, into tables float64 (n_a, n_b).

    One thread and no matrix product: with few columns those spend their time waiting for each other's threads.

    Parameters
    ----------
    a, b : Table (n)
    order : int64 (n,)
    mass, squares : float64 (n_a, n_b)
        Overwritten.
    """
    mass[:] = 0.0
    squares[:] = 0.0
    for u in range(len(order)):
        v = order[u]
        for p in range(a[0][u], a[0][u + 1]):
            i, x = a[1][p], a[2][p]
            for q in range(b[0][v], b[0][v + 1]):
                both = x * b[2][q]
                mass[i, b[1][q]] += both
                squares[i, b[1][q]] += both * both
