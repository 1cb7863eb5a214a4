"""Implicit alternating least squares: factors of items, and a user solved from the history in every query."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from itertools import repeat
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from pydantic import Field
from scipy import sparse

from fuserec.numerics.hashing import reseed
from fuserec.scorers.attribution import attributed
from fuserec.scorers.base import Capabilities, Evidence, Scorer, Scores, known
from fuserec.settings import Settings

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.query import QueryBatch
    from fuserec.encoders.features import ItemFeatures
    from fuserec.run import RunOptions
    from fuserec.types import Arrays, Meta, State


class ImplicitALSConfig(Settings):
    """Hyperparameters of implicit ALS."""

    embedding_dim: int = Field(default=64, ge=1, le=1024, description="Factors of an item.")
    iterations: int = Field(default=15, ge=1, le=1000, description="Sweeps over users and items.")
    regularization: float = Field(default=10.0, gt=0, description="λ, weight of the squared factors.")
    alpha: float = Field(
        default=10.0, ge=0, description="Confidence of a positive event of weight w is 1 + alpha·w."
    )
    recency: float = Field(
        default=0.8,
        gt=0,
        le=1,
        description="An event this many steps back has confidence × recency^steps in a query.",
    )


class ImplicitALS(Scorer):
    """Minimises Σ c_ui (p_ui − x_u·y_i)² + λ (Σ‖x_u‖² + Σ‖y_i‖²) (Hu, Koren, Volinsky 2008, eq. 3).

    "Collaborative filtering for implicit feedback datasets". Preference p is 1 and confidence c = 1 + alpha·w
    where a weight is positive, elsewhere p = 0 and c = 1. No user is stored: x is solved for the history in
    the query.
    """

    name: ClassVar[str] = "als"
    Config = ImplicitALSConfig
    capabilities: ClassVar[Capabilities] = Capabilities(update="folded", evidence="attributed")
    tunable: ClassVar[Mapping[str, tuple[float, ...]]] = {"recency": (1.0, 0.95, 0.9, 0.8, 0.7, 0.6)}
    config: ImplicitALSConfig
    _factors: np.ndarray
    _items: np.ndarray
    _threads: int = 1

    def _fit(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> None:
        from fuserec.numerics.als import als_fit

        self._threads = run.threads
        confidences = self._confidences(train)

        def after(iteration: int) -> None:
            run.check()
            run.progress(self.name, iteration, self.config.iterations)

        _, factors = als_fit(
            confidences,
            self.config.embedding_dim,
            iterations=self.config.iterations,
            regularization=self.config.regularization,
            item_seeds=reseed(train.items.hashes, run.seed),
            threads=run.threads,
            after=after,
        )
        self._take(factors, np.bincount(confidences.indices, minlength=train.n_items) > 0)

    def _confidences(self, train: Dataset) -> sparse.csr_matrix:
        """Return CSR float32 (n_users, n_items): 1 + alpha·w of the positive weights."""
        matrix = train.matrix("positive")
        matrix.data *= np.float32(self.config.alpha)
        matrix.data += 1.0
        return matrix

    def _take(self, factors: np.ndarray, items: np.ndarray) -> None:
        """Keep the item factors, and prepare them for solving."""
        from fuserec.numerics.als import whiten

        self._factors, self._items = factors, items
        self._white = whiten(factors, self.config.regularization, self._threads)

    def _histories(self, q: QueryBatch) -> sparse.csr_matrix:
        """Return CSR (n, n_items): confidences of the known items of each history with a positive weight."""
        kept = np.flatnonzero((q.weights > 0) & (q.items < self._items.size))
        kept = kept[self._items[q.items[kept]]]
        kept = kept[np.lexsort((q.items[kept], q.rows[kept]))]
        rows, items = q.rows[kept], q.items[kept]
        first = np.ones(kept.size, dtype=bool)
        first[1:] = (rows[1:] != rows[:-1]) | (items[1:] != items[:-1])
        starts = np.flatnonzero(first)
        weights = np.minimum(np.add.reduceat(q.weights[kept], starts), 1.0) if kept.size else q.weights[kept]
        fresh = np.power(np.float32(self.config.recency), q.steps[kept].astype(np.float32))
        newest = np.maximum.reduceat(fresh, starts) if kept.size else fresh
        confidences = ((1.0 + self.config.alpha * weights) * newest).astype(np.float32)
        indptr = np.concatenate([[0], np.cumsum(np.bincount(rows[starts], minlength=len(q)))]).astype(
            np.int64
        )
        return sparse.csr_matrix((confidences, items[starts], indptr), shape=(len(q), self._items.size))

    def _users(self, q: QueryBatch) -> tuple[sparse.csr_matrix, np.ndarray]:
        """Return the confidences of the queries and their factors float32 (n, f)."""
        from fuserec.numerics.als import fold_in

        self.require_fitted()
        histories = self._histories(q)
        return histories, fold_in(histories, self._white, threads=self._threads)

    def score(self, q: QueryBatch, items: np.ndarray | None = None) -> Scores:
        """Return x·y; abstains on items nobody took and on queries without a positive, known event."""
        from fuserec.numerics.ridge import factor_products

        histories, users = self._users(q)
        values = factor_products(users, self._factors, items)
        return Scores(values, known(self._items, items), np.diff(histories.indptr) > 0)

    def evidence(self, q: QueryBatch, items: np.ndarray) -> list[list[list[Evidence]]]:
        """Return a row for every history item: c_i y_jᵀ A⁻¹ y_i, A = YᵀY + λI + Σ (c_i − 1) y_i y_iᵀ held.

        Hu, Koren, Volinsky 2008, section 5 ("Explaining recommendations"). Solved in the whitened
        variables, in which YᵀY + λI is the identity.
        """
        scores, histories = self.score(q, items).values, self._histories(q)
        white = self._white.factors.astype(np.float64)
        found: list[list[list[Evidence]]] = []
        for query in range(len(q)):
            span = slice(histories.indptr[query], histories.indptr[query + 1])
            history, confidence = histories.indices[span], histories.data[span].astype(np.float64)
            theirs = white[history]
            system = np.eye(white.shape[1]) + theirs.T @ (theirs * (confidence - 1.0)[:, None])
            parts = confidence[:, None] * (theirs @ np.linalg.solve(system, white[items[query]].T))
            found.append(
                [
                    attributed(self.name, zip(repeat("item"), history.tolist(), part.tolist()), score)
                    for part, score in zip(parts.T, scores[query].tolist(), strict=True)
                ]
            )
        return found

    def updated(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> Self:
        """Return the scorer with factors for items first taken since, solved from their takers."""
        from fuserec.numerics.als import fold_in, whiten

        self.require_fitted()
        other = copy(self)
        other._threads = run.threads
        confidences = self._confidences(train)
        before = np.zeros(train.n_items, dtype=bool)
        before[: self._items.size] = self._items
        factors = np.zeros((train.n_items, self._factors.shape[1]), np.float32)
        factors[: self._items.size] = self._factors
        items = before | (np.bincount(confidences.indices, minlength=train.n_items) > 0)
        new = np.flatnonzero(items & ~before)
        if new.size:
            regularization = self.config.regularization
            users = fold_in(confidences, whiten(factors, regularization, run.threads), threads=run.threads)
            theirs = confidences.T.tocsr()[new]
            factors[new] = fold_in(theirs, whiten(users, regularization, run.threads), threads=run.threads)
        other._take(factors, items)
        return other

    def state(self) -> State:
        """Return the item factors and what is known."""
        return {"factors": self._factors, "items": self._items}, {}

    def _restore(self, arrays: Arrays, meta: Meta) -> None:
        self._take(arrays["factors"], arrays["items"].astype(bool))
