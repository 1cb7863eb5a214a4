"""What scorers that predict ratings share: the rated part of a history, and the baseline μ + b_i + b_u."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from scipy import sparse

from fuserec.errors import DataError

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.query import QueryBatch
    from fuserec.types import Arrays, Meta, State

_SWEEPS = 10


@dataclass(frozen=True)
class RatedHistories:
    """The ratings of ``n`` queries as CSR, one an item (the newest), items ascending.

    Parameters
    ----------
    indptr : int64 (n + 1,)
    items : int32 (n_rated,)
    ratings : float32 (n_rated,)
    """

    indptr: np.ndarray
    items: np.ndarray
    ratings: np.ndarray

    @classmethod
    def of(cls, q: QueryBatch, known: np.ndarray) -> Self:
        """Read the ratings that a batch gives to known items, bool (n_items,); other events are left out."""
        events = np.flatnonzero(np.isfinite(q.ratings) & (q.items < known.size))
        events = events[known[q.items[events]]]
        rows, items = q.rows[events], q.items[events]
        order = np.lexsort((events, items, rows))
        rows, items = rows[order], items[order]
        newest = np.ones(order.size, dtype=bool)
        newest[:-1] = (rows[1:] != rows[:-1]) | (items[1:] != items[:-1])
        counts = np.bincount(rows[newest], minlength=len(q))
        indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return cls(indptr, items[newest], q.ratings[events][order][newest].astype(np.float32))

    @classmethod
    def of_matrix(cls, matrix: sparse.csr_matrix, known: np.ndarray | None = None) -> Self:
        """Read the rows of a CSR matrix of ratings, only the columns of a mask where there is one."""
        indptr, columns, ratings = matrix.indptr.astype(np.int64), matrix.indices, matrix.data
        if known is not None:
            kept = known[columns]
            indptr, columns, ratings = (
                np.concatenate([[0], np.cumsum(kept)])[indptr],
                columns[kept],
                ratings[kept],
            )
        return cls(indptr, columns.astype(np.int32), ratings.astype(np.float32))

    def __len__(self) -> int:
        return self.indptr.size - 1

    @property
    def counts(self) -> np.ndarray:
        """int64 (n,): ratings a query."""
        return np.diff(self.indptr)

    @property
    def rows(self) -> np.ndarray:
        """int64 (n_rated,): the query of each rating."""
        return np.repeat(np.arange(len(self)), self.counts)

    def csr(self, values: np.ndarray, n_items: int) -> sparse.csr_matrix:
        """Return CSR float32 (n, n_items) of one value a rating."""
        parts = (values.astype(np.float32), self.items, self.indptr)
        return sparse.csr_matrix(parts, shape=(len(self), n_items))


def rating_matrix(train: Dataset, scorer: str) -> sparse.csr_matrix:
    """Return CSR float32 (n_users, n_items) of the newest ratings, items ascending within a user.

    Raises
    ------
    DataError
        Where no interaction has a rating.
    """
    matrix = train.matrix("rating")
    matrix.sort_indices()
    if matrix.nnz == 0:
        raise DataError(
            f"scorer {scorer!r} needs ratings: none of the {train.n_interactions:,} interactions of "
            f"{train.info.name!r} has one; give a `rating` column, or leave this scorer out"
        )
    return matrix


def rating_scale(train: Dataset, ratings: np.ndarray) -> tuple[float, float]:
    """Return the (lowest, highest) rating: the dataset's own scale, else what occurs."""
    return train.info.rating_scale or (float(ratings.min()), float(ratings.max()))


@dataclass(frozen=True)
class Baseline:
    """b_ui = μ + b_i + b_u with damped biases.

    Koren, Bell, Volinsky 2009, "Matrix factorization techniques for recommender systems", eq. 3. The item
    biases are learnt; the bias of a user is computed from the ratings that come with the query.

    Parameters
    ----------
    mean : float
    item_bias : float32 (n_items,)
        0 for items never rated.
    damping : float
        Ratings of average kind that every bias is weighed against.
    scale : (low, high)
    """

    mean: float
    item_bias: np.ndarray
    damping: float
    scale: tuple[float, float]

    @classmethod
    def fit(cls, matrix: sparse.csr_matrix, damping: float, scale: tuple[float, float]) -> Self:
        """Learn from CSR (n_users, n_items) of ratings, by turns for items and users."""
        items, mean = matrix.indices, float(matrix.data.mean(dtype=np.float64))
        users = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        deviation = matrix.data.astype(np.float64) - mean
        of_user, of_item = np.zeros(matrix.shape[0]), np.zeros(matrix.shape[1])
        n_user = np.bincount(users, minlength=matrix.shape[0])
        n_item = np.bincount(items, minlength=matrix.shape[1])
        for _ in range(_SWEEPS):
            of_item = np.bincount(items, deviation - of_user[users], minlength=of_item.size) / (
                damping + n_item
            )
            of_user = np.bincount(users, deviation - of_item[items], minlength=of_user.size) / (
                damping + n_user
            )
        return cls(mean, of_item.astype(np.float32), damping, scale)

    def user_bias(self, rated: RatedHistories) -> np.ndarray:
        """Return float32 (n,): the damped mean of a query's ratings above μ + b_i; 0 without ratings."""
        above = rated.ratings.astype(np.float64) - self.mean - self.item_bias[rated.items]
        sums = np.bincount(rated.rows, above, minlength=len(rated))
        biases: np.ndarray = np.divide(sums, self.damping + rated.counts).astype(np.float32)
        return biases

    def residuals(self, rated: RatedHistories) -> np.ndarray:
        """Return float32 (n_rated,): ratings minus their baseline."""
        expected = self.mean + self.item_bias[rated.items] + self.user_bias(rated)[rated.rows]
        return np.asarray(rated.ratings - expected, dtype=np.float32)

    def expected(self, rated: RatedHistories, items: np.ndarray) -> np.ndarray:
        """Return float32 (n, m): the baseline of candidates a query (n, m)."""
        values: np.ndarray = (self.mean + self.item_bias[items] + self.user_bias(rated)[:, None]).astype(
            np.float32
        )
        return values

    def clipped(self, values: np.ndarray) -> np.ndarray:
        """Return float32: predictions cut to the scale."""
        return np.asarray(np.clip(values, *self.scale), dtype=np.float32)

    def state(self) -> State:
        """Return arrays and JSON."""
        meta: Meta = {"mean": self.mean, "damping": self.damping, "scale": list(self.scale)}
        return {"item_bias": self.item_bias}, meta

    @classmethod
    def from_state(cls, arrays: Arrays, meta: Meta) -> Self:
        """Rebuild from :meth:`state`."""
        low, high = meta["scale"]
        return cls(meta["mean"], arrays["item_bias"], meta["damping"], (low, high))
