"""Similarities of sparse query vectors with many sparse vectors.

Row by row (Gustavson 1978): the vectors that share a column with a query are reached through the transposed
matrix, and what a similarity needs is summed in one small array per thread.

==========  ===============================================================================================
kind        similarity of x and y
==========  ===============================================================================================
dot         x.y
cosine      x.y / (|x| |y|), a zero vector gives 0
jaccard     shared columns / columns of either; values are not looked at
pearson     correlation over the shared columns, with the means over those; fewer than two give 0
euclidean   1 / (1 + d), d over the shared columns; none give 0
==========  ===============================================================================================

With a shrinkage of s, a similarity that rests on n shared columns is multiplied by n / (n + s).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from fuserec.errors import ConfigError
from fuserec.errors import nearest as nearest_word
from fuserec.numerics.arrays import Csr, Floats, Ints, Offsets, Real, Whole, Words
from fuserec.numerics.bits import count_shared, pack, set_bits
from fuserec.numerics.jit import kernel
from fuserec.numerics.parallel import over_ranges
from fuserec.numerics.sparse import csr_parts

DOT, COSINE, JACCARD, EUCLIDEAN, PEARSON = range(5)
KINDS = {"dot": DOT, "cosine": COSINE, "jaccard": JACCARD, "euclidean": EUCLIDEAN, "pearson": PEARSON}

_TINY = 1e-12  # a variance below this share of the mean square is rounding
_BITS_PER_PRODUCT = (
    6  # words of bits that are compared in the time of one product reached through the transpose
)


class Reference(NamedTuple):
    """Vectors prepared to be compared with queries; made by :func:`reference`.

    Attributes
    ----------
    kind : int
        One of :data:`KINDS`.
    starts, rows, values : int64 (m + 1,), int32, float32
        Per column the vectors that have it: the transposed matrix as CSR.
    inverse : float32 (n,)
        One over each vector's norm, 0 for a zero vector.
    sizes : float32 (n,)
        How many columns each vector has.
    ones : bool
        All values are 1.
    bits : uint64 (n, words)
        The vectors as bits where all values are 1 and bits take no more room than the matrix; else no words.
    """

    kind: int
    starts: Offsets
    rows: Ints
    values: Floats
    inverse: Floats
    sizes: Floats
    ones: bool
    bits: Words


class Queries(NamedTuple):
    """Query rows as the kernels read them: CSR parts, one over each norm, and whether all values are 1."""

    starts: Offsets
    columns: Ints
    values: Floats
    inverse: Floats
    ones: bool


def kind_code(kind: str) -> int:
    """Return the number of a kind of similarity."""
    if kind not in KINDS:
        raise ConfigError(
            f"similarity {kind!r} is unknown{nearest_word(kind, KINDS)}: one of {', '.join(KINDS)}"
        )
    return KINDS[kind]


def _prepared(vectors: Csr, kind: int) -> Csr:
    """Return the vectors with the values that a kind of similarity sums over."""
    if kind == JACCARD:
        return sparse.csr_matrix(
            (np.ones(vectors.nnz, np.float32), vectors.indices, vectors.indptr), shape=vectors.shape
        )
    if kind != PEARSON:
        return vectors
    # A correlation does not change when a vector is shifted, and sums of small numbers keep their digits; a
    # whole shift keeps whole ratings exact.
    sizes = np.diff(vectors.indptr)
    means = np.asarray(vectors.sum(axis=1), np.float64).ravel() / np.maximum(sizes, 1)
    shifted = vectors.data - np.repeat(np.rint(means), sizes).astype(np.float32)
    return sparse.csr_matrix((shifted, vectors.indices, vectors.indptr), shape=vectors.shape)


@kernel
def _fill_inverse_norms(starts: Offsets, values: Floats, inverse: Floats) -> None:
    """Write one over the norm of each row, and 0 for a zero row."""
    for r in range(len(inverse)):
        total = 0.0
        for p in range(starts[r], starts[r + 1]):
            total += np.float64(values[p]) ** 2
        inverse[r] = 1.0 / np.sqrt(total) if total > 0 else 0.0


def _inverse_norms(vectors: Csr) -> Floats:
    """Return one over the norm of each row, and 0 for a zero row."""
    starts, _, values = csr_parts(vectors)
    inverse = np.empty(len(starts) - 1, np.float32)
    _fill_inverse_norms(starts, values, inverse)
    return inverse


def reference(vectors: Csr, kind: str) -> Reference:
    """Prepare the rows of a CSR matrix to be compared with queries.

    Parameters
    ----------
    vectors : CSR (n, m)
        What queries are compared with: items over users, or users over items.
    kind : str
        ``dot``, ``cosine``, ``jaccard``, ``pearson`` or ``euclidean``.
    """
    code = kind_code(kind)
    prepared = _prepared(vectors, code)
    starts, rows, values = csr_parts(prepared.T.tocsr())
    sizes = np.diff(vectors.indptr).astype(np.float32)
    ones = bool((values == 1).all())
    bits = _bits(prepared) if ones and code in (DOT, COSINE, JACCARD) else np.empty((0, 0), np.uint64)
    return Reference(code, starts, rows, values, _inverse_norms(prepared), sizes, ones, bits)


def as_queries(rows: Csr, kind: int) -> Queries:
    """Prepare query rows for a kind of similarity."""
    prepared = _prepared(rows, kind)
    starts, columns, values = csr_parts(prepared)
    return Queries(starts, columns, values, _inverse_norms(prepared), bool((values == 1).all()))


def _bits(vectors: Csr) -> Words:
    """Return the pattern of the vectors as bits, or no words where these take more room than the matrix."""
    words = -(-vectors.shape[1] // 64)
    if vectors.shape[0] * words > vectors.nnz:
        return np.empty((0, 0), np.uint64)
    starts, columns, _ = csr_parts(vectors)
    rows = np.empty((vectors.shape[0], words), np.uint64)
    pack(starts, columns, rows)
    return rows


@kernel
def _sum_products(columns: Ints, weights: Floats, known: Reference, sums: Floats) -> None:
    """Add the products of a query and every vector that shares a column with it."""
    starts, rows, values = known.starts, known.rows, known.values
    for p in range(len(columns)):
        weight = weights[p]
        for q in range(starts[columns[p]], starts[columns[p] + 1]):
            sums[np.uint32(rows[q])] += weight * values[q]  # unsigned: no test for a negative index


@kernel
def _sum_pairs(columns: Ints, weights: Floats, known: Reference, distance: bool, sums: Floats) -> None:
    """Count the shared columns, and beside it sum the products or the squared differences over them."""
    starts, rows, values = known.starts, known.rows, known.values
    table = sums.reshape(-1, 2)
    for p in range(len(columns)):
        weight = weights[p]
        for q in range(starts[columns[p]], starts[columns[p] + 1]):
            at, value = np.uint32(rows[q]), values[q]
            table[at, 0] += np.float32(1)
            table[at, 1] += (weight - value) * (weight - value) if distance else weight * value


@kernel
def _sum_moments(columns: Ints, weights: Floats, known: Reference, sums: Floats) -> None:
    """Sum what a correlation needs over the shared columns: a count, and x, y, xx, yy, xy in doubles."""
    starts, rows, values = known.starts, known.rows, known.values
    counts, table = sums.reshape(-1, 16), sums.view(np.float64).reshape(-1, 8)
    for p in range(len(columns)):
        weight = np.float64(weights[p])
        for q in range(starts[columns[p]], starts[columns[p] + 1]):
            at, value = np.uint32(rows[q]), np.float64(values[q])
            counts[at, 0] += np.float32(1)
            table[at, 1] += weight
            table[at, 2] += value
            table[at, 3] += weight * weight
            table[at, 4] += value * value
            table[at, 5] += weight * value


@kernel
def fill_sums(
    columns: Ints, weights: Floats, known: Reference, width: int, by_bits: Words, sums: Floats
) -> None:
    """Sum over the shared columns what a similarity needs; ``by_bits`` is room for its bits or empty."""
    if by_bits.size:
        set_bits(columns, by_bits)
        count_shared(by_bits, known.bits, sums)
    elif width == 1:
        _sum_products(columns, weights, known, sums)
    elif width == 2:
        _sum_pairs(columns, weights, known, known.kind == EUCLIDEAN, sums)
    else:
        _sum_moments(columns, weights, known, sums)


@kernel
def _correlation(sums: Floats, j: int) -> Any:
    """Return Pearson's correlation with vector j from the sums of :func:`_sum_moments`."""
    n, moments = np.float64(sums[16 * j]), sums.view(np.float64)[8 * j : 8 * j + 6]
    if n < 2:
        return 0.0
    mean_x, mean_y = moments[1] / n, moments[2] / n
    square_x, square_y = moments[3] / n, moments[4] / n
    variance_x, variance_y = square_x - mean_x * mean_x, square_y - mean_y * mean_y
    if variance_x <= _TINY * square_x or variance_y <= _TINY * square_y:
        return 0.0
    value = (moments[5] / n - mean_x * mean_y) / np.sqrt(variance_x * variance_y)
    return max(-1.0, min(1.0, value))


@kernel(inline=True)
def _similarity(known: Reference, width: int, sums: Floats, j: int, inverse: Real, size: Real) -> Any:
    """Return the similarity of vector j and a query of a given size and inverse norm from the sums."""
    if known.kind == PEARSON:
        return np.float32(_correlation(sums, j))
    total = sums[width * j + width - 1]
    if known.kind == COSINE:
        return total * (inverse * known.inverse[j])
    if known.kind == JACCARD:
        return total / max(size + known.sizes[j] - total, np.float32(1))
    if known.kind == EUCLIDEAN:
        return np.float32(1) / (np.float32(1) + np.sqrt(total)) if sums[width * j] > 0 else np.float32(0)
    return total


@kernel
def all_similarities(
    known: Reference, width: int, sums: Floats, inverse: Real, size: Real, shrinkage: Real, row: Floats
) -> None:
    """Turn the sums of a query into its similarities with all vectors, and clear the sums."""
    n = len(row)
    if known.kind == COSINE and width == 1:
        for j in range(n):
            row[j] = sums[j] * (inverse * known.inverse[j])
    else:
        for j in range(n):
            row[j] = _similarity(known, width, sums, j, inverse, size)
    if shrinkage > 0:
        for j in range(n):
            row[j] *= sums[width * j] / (sums[width * j] + shrinkage)
    sums[:] = 0


@kernel
def reached_similarities(
    known: Reference,
    width: int,
    columns: Ints,
    sums: Floats,
    inverse: Real,
    shrinkage: Real,
    row: Floats,
    found: Ints,
) -> Whole:
    """List the vectors that share a column with a query, each once; return how many there are.

    For a query that reaches few vectors: work is in proportion to these. ``row[j]`` receives the similarity
    of each, and their sums are cleared.
    """
    n, size = 0, np.float32(len(columns))
    for p in range(len(columns)):
        for q in range(known.starts[columns[p]], known.starts[columns[p] + 1]):
            j = known.rows[q]
            if row[j] != row[j]:  # NaN marks what has been listed
                continue
            row[j] = np.nan
            found[n] = j
            n += 1
    for c in range(n):
        j = found[c]
        row[j] = _similarity(known, width, sums, j, inverse, size)
        if shrinkage > 0:
            row[j] *= sums[width * j] / (sums[width * j] + shrinkage)
        if row[j] != row[j]:
            row[j] = 0
        sums[width * j : width * (j + 1)] = 0
    return n


@kernel
def products_of(columns: Ints, starts: Offsets) -> Whole:
    """Return how many products a query takes."""
    total = 0
    for p in range(len(columns)):
        total += starts[columns[p] + 1] - starts[columns[p]]
    return total


@kernel
def bits_for(known: Reference, queries: Queries, reach: Whole, buffer: Words) -> Words:
    """Return the buffer where counting bits is the cheaper way for a query, and none of it otherwise."""
    words = known.bits.shape[1]
    cheap = queries.ones and words > 0 and len(known.sizes) * words < _BITS_PER_PRODUCT * reach
    return buffer if cheap else buffer[:0]


@kernel
def _similarity_rows(
    known: Reference, queries: Queries, width: int, shrinkage: Real, lo: int, hi: int, out: Floats
) -> None:
    """Write the similarities of the queries lo to hi with all vectors."""
    sums = np.zeros(width * len(known.sizes), np.float32)
    buffer = np.empty(known.bits.shape[1], np.uint64)
    for r in range(lo, hi):
        columns = queries.columns[queries.starts[r] : queries.starts[r + 1]]
        weights = queries.values[queries.starts[r] : queries.starts[r + 1]]
        by_bits = bits_for(known, queries, products_of(columns, known.starts), buffer)
        fill_sums(columns, weights, known, width, by_bits, sums)
        all_similarities(known, width, sums, queries.inverse[r], np.float32(len(columns)), shrinkage, out[r])


def sums_per_vector(known: Reference, queries: Queries, shrinkage: Real) -> int:
    """Return how many sums per vector a kind of similarity needs."""
    if known.kind == PEARSON:
        return 16
    if known.kind == EUCLIDEAN:
        return 2
    return 2 if shrinkage > 0 and not (known.ones and queries.ones) else 1


def similarity_rows(
    known: Reference, queries: Csr, *, shrinkage: float = 0.0, threads: int = 1, out: Floats | None = None
) -> Floats:
    """Return the similarities of query rows with all vectors of a reference.

    Parameters
    ----------
    known : Reference
        From :func:`reference`.
    queries : CSR (q, m)
        Rows over the same columns, such as the histories of new users.
    shrinkage : float
        See the module.
    threads : int
        Threads over the queries.
    out : float32 (q, n), optional
        Where to write.

    Returns
    -------
    float32 (q, n)
    """
    rows = as_queries(queries, known.kind)
    width, pull = sums_per_vector(known, rows, shrinkage), np.float32(shrinkage)
    result = np.empty((queries.shape[0], len(known.sizes)), np.float32) if out is None else out

    def work(lo: int, hi: int) -> None:
        _similarity_rows(known, rows, width, pull, lo, hi, result)

    over_ranges(work, queries.shape[0], threads)
    return result
