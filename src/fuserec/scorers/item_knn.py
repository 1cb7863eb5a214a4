"""Item neighbours: what is taken, or rated in the same way, by the same people is alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field
from scipy import sparse

from fuserec.errors import NotFittedError
from fuserec.numerics.jit import kernel
from fuserec.numerics.parallel import over_ranges
from fuserec.scorers.base import Capabilities
from fuserec.scorers.history import HistoryScorer, compact_map, decayed
from fuserec.scorers.ratings import Baseline, RatedHistories, rating_matrix, rating_scale
from fuserec.settings import Settings

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.query import QueryBatch
    from fuserec.encoders.features import ItemFeatures
    from fuserec.run import RunOptions
    from fuserec.types import Arrays, Meta, State


class ItemKNNConfig(Settings):
    """Hyperparameters of item neighbours."""

    values: Literal["implicit", "ratings"] = Field(
        default="implicit",
        description="What items are compared on: positive weights, or ratings.",
        json_schema_extra={"tune": False},
    )
    similarity: Literal["cosine", "pearson", "euclidean", "jaccard"] = Field(
        default="cosine", description="How two items are compared, over the people who had to do with them."
    )
    n_neighbors: int = Field(
        default=100, ge=1, description="Most similar items that a candidate is scored by."
    )
    n_stored: int = Field(
        default=500,
        ge=1,
        description="Most similar items kept where ratings are predicted, at least n_neighbors.",
        json_schema_extra={"tune": False},
    )
    shrinkage: float = Field(
        default=10.0,
        ge=0,
        description="A similarity resting on n people is multiplied by n / (n + shrinkage).",
    )
    centered: bool = Field(
        default=True,
        description="Ratings are compared as deviations from the baseline (implicit values never are).",
        json_schema_extra={"tune": False},
    )
    n_rated: int = Field(
        default=40,
        ge=1,
        description="A rating is predicted from at most this many of the items the user rated.",
        json_schema_extra={"tune": False},
    )
    damping: float = Field(
        default=5.0,
        gt=0,
        description="Ratings of average kind that a bias is weighed against.",
        json_schema_extra={"tune": False},
    )
    recency: float = Field(
        default=0.9, gt=0, le=1, description="An event this many steps back enters x × recency^steps."
    )


class ItemKNN(HistoryScorer):
    """score = x·M, M(i, j) the similarity of i and j where i is among the neighbours of j, else 0.

    Sarwar et al. 2001, "Item-based collaborative filtering recommendation algorithms". On centred ratings the
    cosine is close to their adjusted cosine, which subtracts a user's mean only. Ratings are predicted as in
    Koren 2010, "Factor in the neighbors", eq. 3.
    """

    name: ClassVar[str] = "item_knn"
    Config = ItemKNNConfig
    capabilities: ClassVar[Capabilities] = Capabilities(evidence="exact", predicts=True)
    tunable: ClassVar[Mapping[str, tuple[float, ...]]] = {"recency": (1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5)}
    config: ItemKNNConfig
    _near: sparse.csr_matrix
    _baseline: Baseline | None

    def _fit(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> None:
        from fuserec.numerics.neighbours import neighbours

        config = self.config
        self._threads = run.threads
        self._baseline, ratings = None, None
        if config.values == "ratings" or train.has_ratings:
            ratings = rating_matrix(train, self.name)
            self._baseline = Baseline.fit(ratings, config.damping, rating_scale(train, ratings.data))
        if config.values == "ratings" and ratings is not None and self._baseline is not None:
            if config.centered:
                rated = RatedHistories.of_matrix(ratings)
                ratings = rated.csr(self._baseline.residuals(rated), train.n_items)
            compared = ratings
        else:
            compared = train.matrix("positive")
        vectors = compared.T.tocsr()
        n_near = (
            config.n_neighbors if config.values == "implicit" else max(config.n_neighbors, config.n_stored)
        )
        near = neighbours(
            vectors,
            n_near,
            kind=config.similarity,
            ties=train.items.hashes,
            shrinkage=config.shrinkage,
            threads=run.threads,
        )
        self._take(near, np.diff(vectors.indptr) > 0)

    def _take(self, near: sparse.csr_matrix, items: np.ndarray) -> None:
        """Keep the neighbours CSR (n_items, n_items), best first in each row, and make M of them."""
        self.__dict__.pop("_speaks_cache", None)
        self._near, self._items = near, items
        self._map = compact_map(_first(near, self.config.n_neighbors).T.tocsr())

    def inputs(self, q: QueryBatch) -> np.ndarray:
        """Return float32 (n_events,): weight × recency^steps."""
        return decayed(q, self.config.recency)

    @property
    def can_predict(self) -> bool:
        """Whether the training data had ratings."""
        return self._baseline is not None

    def predict(self, q: QueryBatch, items: np.ndarray) -> np.ndarray:
        """Return float32 (n, m): b_ui + Σ_j w_ij (r_uj − b_uj) / Σ_j |w_ij|, cut to the scale.

        j runs over the ``n_rated`` items of the query's ratings that are most similar to candidate i; without
        any the prediction is the baseline b_ui.

        Raises
        ------
        NotFittedError
            Where the training data had no ratings.
        """
        self.require_fitted()
        if self._baseline is None:
            raise NotFittedError(
                "scorer 'item_knn' was fitted on data without ratings: it ranks, but predicts none"
            )
        rated = RatedHistories.of(q, self._items)
        residuals, near = self._baseline.residuals(rated), self._near
        values = self._baseline.expected(rated, items)
        candidates = np.ascontiguousarray(items, np.int32)

        def work(lo: int, hi: int) -> None:
            _add_deviations(
                rated.indptr, rated.items, residuals, near.indptr, near.indices, near.data, candidates,
                self.config.n_rated, lo, hi, values,
            )  # fmt: skip

        over_ranges(work, len(rated), self._threads)
        return self._baseline.clipped(values)

    def state(self) -> State:
        """Return the neighbours, what is known, and the baseline."""
        near = self._near
        arrays: Arrays = {
            "near.indptr": near.indptr.astype(np.int64),
            "near.indices": near.indices.astype(np.int32),
            "near.values": near.data.astype(np.float32),
            "items": self._items,
        }
        if self._baseline is None:
            return arrays, {}
        biases, meta = self._baseline.state()
        return {**arrays, **biases}, {"baseline": meta}

    def _restore(self, arrays: Arrays, meta: Meta) -> None:
        items = arrays["items"].astype(bool)
        parts = (arrays["near.values"], arrays["near.indices"], arrays["near.indptr"])
        self._take(sparse.csr_matrix(parts, shape=(items.size, items.size)), items)
        self._baseline = Baseline.from_state(arrays, meta["baseline"]) if "baseline" in meta else None


def _first(near: sparse.csr_matrix, n: int) -> sparse.csr_matrix:
    """Return the first ``n`` entries of every row."""
    counts = np.diff(near.indptr)
    kept = np.arange(near.nnz) - np.repeat(near.indptr[:-1], counts) < n
    indptr = np.concatenate([[0], np.cumsum(np.minimum(counts, n))])
    return sparse.csr_matrix((near.data[kept], near.indices[kept], indptr), shape=near.shape)


@kernel
def _add_deviations(
    starts: np.ndarray,
    rated: np.ndarray,
    residuals: np.ndarray,
    near_starts: np.ndarray,
    near: np.ndarray,
    similarities: np.ndarray,
    candidates: np.ndarray,
    n_rated: int,
    lo: int,
    hi: int,
    values: np.ndarray,
) -> None:
    """Add to the baselines of the queries lo to hi what the rated neighbours of each candidate deviate by."""
    place = np.full(near_starts.size - 1, -1, np.int64)
    for query in range(lo, hi):
        for event in range(starts[query], starts[query + 1]):
            place[rated[event]] = event
        for column in range(candidates.shape[1]):
            item = candidates[query, column]
            total, norm, used = 0.0, 0.0, 0
            for p in range(near_starts[item], near_starts[item + 1]):
                event = place[near[p]]
                if event >= 0:
                    total += similarities[p] * residuals[event]
                    norm += abs(similarities[p])
                    used += 1
                    if used == n_rated:
                        break
            if norm > 0:
                values[query, column] += total / norm
        for event in range(starts[query], starts[query + 1]):
            place[rated[event]] = -1
