"""RatingFactors, the base of factor models of ratings: offset + user·item, the user solved from the query.

A scorer of this family says how a row of one side is read by the other (:meth:`RatingFactors.reading`) and
what holds the rows back (:meth:`RatingFactors.ridge`). Fit, fold-in, updates and evidence follow.
"""

from __future__ import annotations

from abc import abstractmethod
from copy import copy
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from fuserec.numerics.hashing import reseed
from fuserec.scorers.attribution import Source, attributed
from fuserec.scorers.base import Capabilities, Evidence, Scorer, Scores, known
from fuserec.scorers.ratings import RatedHistories, rating_matrix, rating_scale
from fuserec.settings import Settings

if TYPE_CHECKING:
    from scipy import sparse

    from fuserec.data.dataset import Dataset
    from fuserec.data.query import QueryBatch
    from fuserec.encoders.features import ItemFeatures
    from fuserec.numerics.ridge import Ridge
    from fuserec.run import RunOptions
    from fuserec.types import Arrays, Meta, State


class FactorConfig(Settings):
    """Hyperparameters that all factor models of ratings have."""

    embedding_dim: int
    iterations: int
    regularization: float


class RatingFactors(Scorer):
    """A user is a small regression of the ratings in the query on the vectors of the items rated.

    Nothing of a user is stored. Scores are the predicted ratings, not cut to the scale, so that they rank.
    """

    capabilities: ClassVar[Capabilities] = Capabilities(
        needs=frozenset({"rating"}), update="folded", evidence="attributed", predicts=True
    )
    config: FactorConfig
    _mean: float
    _scale: tuple[float, float]
    _items: np.ndarray
    _vectors: np.ndarray
    _threads: int = 1

    @abstractmethod
    def reading(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return what rows (n, f) of one side are to the other: features (n, f) and offsets (n,), float32."""

    @abstractmethod
    def ridge(self) -> Ridge:
        """Return what holds a row back."""

    @abstractmethod
    def start(self, uniform: np.ndarray) -> np.ndarray:
        """Return the first item vectors float32 (n, f), from float32 (n, embedding_dim) uniform on [0, 1)."""

    def _fit(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> None:
        matrix = rating_matrix(train, self.name)
        self._threads = run.threads
        self._scale = rating_scale(train, matrix.data)
        self._mean = float(matrix.data.mean(dtype=np.float64))
        self._items = np.bincount(matrix.indices, minlength=train.n_items) > 0
        by_item = matrix.T.tocsr()
        vectors = self.start(seeded_uniform(train.items.hashes, self.config.embedding_dim, run.seed))
        for iteration in range(self.config.iterations):
            run.check()
            run.progress(self.name, iteration, self.config.iterations)
            vectors = self._solved(by_item, self._solved(matrix, vectors))
        run.progress(self.name, self.config.iterations, self.config.iterations)
        self._take(vectors)

    def _take(self, vectors: np.ndarray) -> None:
        """Keep the item vectors and how queries read them."""
        self._vectors = vectors
        self._features, self._offsets = self.reading(vectors)

    def _solved(self, ratings: sparse.csr_matrix, vectors: np.ndarray) -> np.ndarray:
        """Return float32 (n, f): the vectors of the rows of a CSR matrix, those of its columns given."""
        return self._solve(RatedHistories.of_matrix(ratings), *self.reading(vectors))

    def _solve(self, rated: RatedHistories, features: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """Return float32 (n, f): the vector of every rated history."""
        from fuserec.numerics.ridge import solve_rows

        targets = rated.ratings - offsets[rated.items]
        return solve_rows(rated.indptr, rated.items, targets, features, self.ridge(), threads=self._threads)

    def _users(self, q: QueryBatch) -> tuple[RatedHistories, np.ndarray]:
        """Return the ratings of the queries, and their vectors float32 (n, f)."""
        self.require_fitted()
        rated = RatedHistories.of(q, self._items)
        return rated, self._solve(rated, self._features, self._offsets)

    def _products(self, users: np.ndarray, items: np.ndarray | None) -> np.ndarray:
        """Return float32 (n, m): offset + user·item."""
        from fuserec.numerics.ridge import factor_products

        values = factor_products(users, self._features, items)
        values += self._offsets if items is None else self._offsets[items]
        return values

    def score(self, q: QueryBatch, items: np.ndarray | None = None) -> Scores:
        """Return predicted ratings, not cut to the scale; abstains on items and queries without a rating."""
        rated, users = self._users(q)
        return Scores(self._products(users, items), known(self._items, items), rated.counts > 0)

    def predict(self, q: QueryBatch, items: np.ndarray) -> np.ndarray:
        """Return float32 (n, m): predicted ratings of candidates a query (n, m), cut to the scale.

        Without a rating in the query it is what the item gets from anybody, for an item never rated what the
        user gives to anything.
        """
        _, users = self._users(q)
        return np.asarray(np.clip(self._products(users, items), *self._scale))

    def evidence(self, q: QueryBatch, items: np.ndarray) -> list[list[list[Evidence]]]:
        """Return a row for every rated item, one for what holds without them, and one for any rounding.

        A solution of least squares is linear in its targets: with the equations held, item i gives its
        deviation from the offset times the influence of that observation on the solution.
        """
        rated, users = self._users(q)
        scores = self._products(users, items)
        return [
            self._of_query(rated.items[span], rated.ratings[span], users[query], items[query], scores[query])
            for query, span in enumerate(map(slice, rated.indptr[:-1].tolist(), rated.indptr[1:].tolist()))
        ]

    def _of_query(
        self,
        history: np.ndarray,
        ratings: np.ndarray,
        user: np.ndarray,
        items: np.ndarray,
        scores: np.ndarray,
    ) -> list[list[Evidence]]:
        """Return the rows of one query for each of its candidates."""
        from fuserec.numerics.ridge import influence

        ridge, features = self.ridge(), self._features[history]
        moved, free = influence(features, ridge, user)
        centre = np.where(free, ridge.centre, 0.0).astype(np.float64)
        deviations = ratings - self._offsets[history] - features @ centre
        candidates = self._features[items].astype(np.float64)
        parts = (moved * deviations[:, None]) @ candidates.T
        bases = self._offsets[items] + candidates @ centre
        rows: list[list[Evidence]] = []
        for base, part, score in zip(bases.tolist(), parts.T.tolist(), scores.tolist(), strict=True):
            sources: list[Source] = [("bias", None, base)]
            sources += [("item", item, share) for item, share in zip(history.tolist(), part, strict=True)]
            rows.append(attributed(self.name, sources, score))
        return rows

    def updated(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> Self:
        """Return the scorer with vectors for items first rated since; the others, and the mean, are kept."""
        self.require_fitted()
        other = copy(self)
        other._threads = run.threads
        matrix = rating_matrix(train, self.name)
        before = np.zeros(train.n_items, dtype=bool)
        before[: self._items.size] = self._items
        vectors = np.repeat(self.ridge().centre[None, :], train.n_items, axis=0)
        vectors[: self._items.size] = self._vectors
        users = self._solve(RatedHistories.of_matrix(matrix, before), *self.reading(vectors))
        rated = np.bincount(matrix.indices, minlength=train.n_items) > 0
        new = np.flatnonzero(rated & ~before)
        vectors[new] = self._solved(matrix.T.tocsr()[new], users)
        other._items = before | rated
        other._take(vectors)
        return other

    def state(self) -> State:
        """Return the item vectors, what is known, and the mean and scale of the ratings."""
        meta: Meta = {"mean": self._mean, "scale": list(self._scale)}
        return {"vectors": self._vectors, "items": self._items}, meta

    def _restore(self, arrays: Arrays, meta: Meta) -> None:
        self._mean, self._scale = meta["mean"], tuple(meta["scale"])
        self._items = arrays["items"].astype(bool)
        self._take(arrays["vectors"])


def seeded_uniform(hashes: np.ndarray, dim: int, seed: int) -> np.ndarray:
    """Return float32 (n, dim), uniform on [0, 1): a row depends on the hash of its id and the seed alone."""
    columns = [reseed(reseed(hashes, seed + 1), column + 1) for column in range(dim)]
    return np.stack([(c >> np.uint64(40)).astype(np.float32) / np.float32(2**24) for c in columns], axis=1)
