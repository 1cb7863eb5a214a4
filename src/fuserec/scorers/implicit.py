"""ImplicitFactors, the base of factor models of implicit feedback: a user is solved from the query's history."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field
from scipy import sparse

from fuserec.numerics.hashing import reseed
from fuserec.scorers.attribution import attributed
from fuserec.scorers.base import Capabilities, Evidence, EvidenceKind, Scorer, Scores, known
from fuserec.settings import Settings

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.query import QueryBatch
    from fuserec.numerics.als import Whitening
    from fuserec.run import RunOptions


class ImplicitConfig(Settings):
    """Hyperparameters that all factor models of implicit feedback have."""

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


class ImplicitFactors(Scorer):
    """score = x·y_j, with x solved for the history in the query on the vectors y of its items.

    A subclass makes the vectors (:meth:`_take`) and says which of them a query stands on (:meth:`_standing`).
    """

    capabilities: ClassVar[Capabilities] = Capabilities(update="folded", evidence="attributed")
    tunable: ClassVar[Mapping[str, tuple[float, ...]]] = {"recency": (1.0, 0.95, 0.9, 0.8, 0.7, 0.6)}
    config: ImplicitConfig
    _factors: np.ndarray
    _items: np.ndarray
    _threads: int = 1

    def _learnt(self, train: Dataset, run: RunOptions) -> tuple[sparse.csr_matrix, np.ndarray, np.ndarray]:
        """Return the confidences, and the factors of users and items that ALS finds for them."""
        from fuserec.numerics.als import als_fit

        self._threads = run.threads
        confidences = self._confidences(train)

        def after(iteration: int) -> None:
            run.check()
            run.progress(self.name, iteration, self.config.iterations)

        users, items = als_fit(
            confidences,
            self.config.embedding_dim,
            iterations=self.config.iterations,
            regularization=self.config.regularization,
            item_seeds=reseed(train.items.hashes, run.seed),
            threads=run.threads,
            after=after,
        )
        return confidences, users, items

    def _confidences(self, train: Dataset) -> sparse.csr_matrix:
        """Return CSR float32 (n_users, n_items): 1 + alpha·w of the positive weights."""
        matrix = train.matrix("positive")
        matrix.data *= np.float32(self.config.alpha)
        matrix.data += 1.0
        return matrix

    def _grown(
        self, train: Dataset, factors: np.ndarray, before: np.ndarray
    ) -> tuple[sparse.csr_matrix, np.ndarray]:
        """Return the confidences of a dataset that grew, and factors (n_items, f): new ones solved from their takers.

        Parameters
        ----------
        train : Dataset
        factors : float32 (n_old, f)
        before : bool (n_old,)
            Items whose factors are learnt already; they are kept.
        """
        from fuserec.numerics.als import fold_in, whiten

        confidences = self._confidences(train)
        learnt = np.zeros(train.n_items, dtype=bool)
        learnt[: before.size] = before
        grown = np.zeros((train.n_items, factors.shape[1]), np.float32)
        grown[: before.size] = factors
        new = np.flatnonzero((np.bincount(confidences.indices, minlength=train.n_items) > 0) & ~learnt)
        if new.size:
            regularization = self.config.regularization
            users = fold_in(confidences, whiten(grown, regularization, self._threads), threads=self._threads)
            white = whiten(users, regularization, self._threads)
            grown[new] = fold_in(confidences.T.tocsr()[new], white, threads=self._threads)
        return confidences, grown

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

    def _standing(self, q: QueryBatch) -> tuple[sparse.csr_matrix, Whitening]:
        """Return the confidences of what each query stands on, and the vectors (whitened) of their columns.

        Columns up to the number of items are items; what a subclass adds beyond them is the query's text.
        """
        self.require_fitted()
        return self._histories(q), self._white

    def score(self, q: QueryBatch, items: np.ndarray | None = None) -> Scores:
        """Return x·y; abstains on items without a vector and on queries that stand on nothing."""
        from fuserec.numerics.als import fold_in
        from fuserec.numerics.ridge import factor_products

        standing, white = self._standing(q)
        users = fold_in(standing, white, threads=self._threads)
        values = factor_products(users, self._factors, items)
        return Scores(values, known(self._items, items), np.diff(standing.indptr) > 0)

    def evidence(self, q: QueryBatch, items: np.ndarray) -> list[list[list[Evidence]]]:
        """Return a row for every history item: c_i y_jᵀ A⁻¹ y_i, A = YᵀY + λI + Σ (c_i − 1) y_i y_iᵀ held.

        Hu, Koren, Volinsky 2008, section 5 ("Explaining recommendations"). Solved in the whitened
        variables, in which YᵀY + λI is the identity.
        """
        scores, (standing, changed) = self.score(q, items).values, self._standing(q)
        white, n_items = changed.factors.astype(np.float64), self._items.size
        found: list[list[list[Evidence]]] = []
        for query in range(len(q)):
            span = slice(standing.indptr[query], standing.indptr[query + 1])
            history, confidence = standing.indices[span], standing.data[span].astype(np.float64)
            theirs = white[history]
            system = np.eye(white.shape[1]) + theirs.T @ (theirs * (confidence - 1.0)[:, None])
            parts = confidence[:, None] * (theirs @ np.linalg.solve(system, white[items[query]].T))
            keys: list[tuple[EvidenceKind, int | None]] = [
                ("item", column) if column < n_items else ("text", None) for column in history.tolist()
            ]
            found.append(
                [
                    attributed(self.name, ((*k, p) for k, p in zip(keys, part.tolist(), strict=True)), score)
                    for part, score in zip(parts.T, scores[query].tolist(), strict=True)
                ]
            )
        return found
