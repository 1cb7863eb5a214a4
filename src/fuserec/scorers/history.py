"""HistoryScorer, the base of most scorers: score = x(q)·M + b, with M sparse, dense or of low rank."""

from __future__ import annotations

from abc import abstractmethod
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np
from scipy import sparse

from fuserec.scorers.base import Evidence, Scorer, Scores, chosen, known

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.query import QueryBatch
    from fuserec.encoders.features import ItemFeatures
    from fuserec.numerics.arrays import Rows
    from fuserec.run import RunOptions
    from fuserec.types import Arrays, Meta, State

DENSE_SHARE = 0.15
"""Above this share of entries a dense matrix is smaller to walk than a sparse one."""


class ItemMap(Protocol):
    """M: how much one unit of history item ``i`` says for candidate ``j``."""

    def apply(self, x: Rows, threads: int) -> np.ndarray:
        """Return float32 (n, n_items): x·M; x as (indptr, items, values), repeated items add up."""

    def cells(self, sources: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Return float32 (s, t): M at ``sources`` × ``targets``."""

    def speaks(self) -> np.ndarray:
        """Return bool (n_items,): the history items that say anything."""

    def state(self) -> Arrays:
        """Return the arrays that persist it."""


@dataclass(frozen=True)
class SparseMap:
    """M as CSR float32 (n_items, n_items)."""

    matrix: sparse.csr_matrix

    def apply(self, x: Rows, threads: int) -> np.ndarray:
        """Return float32 (n, n_items): x·M; x as (indptr, items, values), repeated items add up."""
        from fuserec.numerics.sparse import csr_times_csr_dense

        return csr_times_csr_dense(*x, self.matrix, threads=threads)

    def cells(self, sources: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Return float32 (s, t): M at ``sources`` × ``targets``."""
        dense: np.ndarray = self.matrix[sources].toarray()[:, targets]
        return dense

    def speaks(self) -> np.ndarray:
        """Return bool (n_items,): rows with an entry."""
        rows: np.ndarray = np.diff(self.matrix.indptr) > 0
        return rows

    def state(self) -> Arrays:
        """Return the arrays that persist it."""
        m = self.matrix
        return {
            "m.indptr": m.indptr.astype(np.int64),
            "m.indices": m.indices.astype(np.int32),
            "m.values": m.data,
        }


@dataclass(frozen=True)
class DenseMap:
    """M as float32 (n_items, n_items)."""

    matrix: np.ndarray

    def apply(self, x: Rows, threads: int) -> np.ndarray:
        """Return float32 (n, n_items): x·M; x as (indptr, items, values), repeated items add up."""
        from fuserec.numerics.sparse import csr_times_dense

        return csr_times_dense(*x, self.matrix, threads=threads)

    def cells(self, sources: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Return float32 (s, t): M at ``sources`` × ``targets``."""
        block: np.ndarray = self.matrix[np.ix_(sources, targets)]
        return block

    def speaks(self) -> np.ndarray:
        """Return bool (n_items,): rows with an entry."""
        return np.asarray(self.matrix.any(axis=1))

    def state(self) -> Arrays:
        """Return the arrays that persist it."""
        return {"m.dense": self.matrix}


def compact_map(matrix: sparse.csr_matrix) -> ItemMap:
    """Return the smaller of the two forms of a sparse matrix."""
    size = matrix.shape[0] * matrix.shape[1]
    if size and matrix.nnz > DENSE_SHARE * size:
        return DenseMap(np.ascontiguousarray(matrix.toarray(), dtype=np.float32))
    matrix.sort_indices()
    return SparseMap(matrix.astype(np.float32))


def map_from_state(arrays: Arrays, n_items: int) -> ItemMap:
    """Rebuild a map from its arrays."""
    if "m.dense" in arrays:
        return DenseMap(arrays["m.dense"])
    parts = (arrays["m.values"], arrays["m.indices"], arrays["m.indptr"])
    return SparseMap(sparse.csr_matrix(parts, shape=(n_items, n_items)))


class HistoryScorer(Scorer):
    """Scores by what the history says: evidence, persistence and batching come with it.

    A subclass makes ``_map`` (and, if it has one, ``_bias``) and ``_items`` in ``_fit``, and may override
    :meth:`inputs`, which has to stay linear in the weights of the query: that is what makes evidence exact.
    """

    _map: ItemMap
    _items: np.ndarray
    _threads: int = 1

    def fit(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> Self:
        """Return a fitted scorer; what was remembered of an earlier M is left behind."""
        fresh = copy(self)
        fresh.__dict__.pop("_speaks_cache", None)
        return super(HistoryScorer, fresh).fit(train, features, run)

    @abstractmethod
    def inputs(self, q: QueryBatch) -> np.ndarray:
        """Return float32 (n_events,): how strongly each event of the queries enters x."""

    def target_scale(self) -> np.ndarray | None:
        """Return float32 (n_items,): what each candidate's column is multiplied by, or None."""
        return None

    def _x(self, q: QueryBatch) -> Rows:
        """Return (indptr int64, items int32, values float32): the input of every query."""
        return (
            np.ascontiguousarray(q.indptr, np.int64),
            np.ascontiguousarray(q.items, np.int32),
            np.ascontiguousarray(self.inputs(q), np.float32),
        )

    def score(self, q: QueryBatch, items: np.ndarray | None = None) -> Scores:
        """Return x·M for the catalogue or the candidates; abstains on items never seen and histories unknown."""
        self.require_fitted()
        values = self._map.apply(self._x(q), self._threads)
        scale = self.target_scale()
        if scale is not None:
            values *= scale
        return Scores(chosen(values, items), known(self._items, items), self._answers(q))

    def _answers(self, q: QueryBatch) -> np.ndarray:
        """Return bool (n,): queries with at least one history item that says something."""
        heard = self._speaks[q.items] & (q.weights != 0)
        return np.bincount(q.rows[heard], minlength=len(q)) > 0

    @property
    def _speaks(self) -> np.ndarray:
        """Bool (n_items,): history items that say something; computed once a map, as copies get other maps."""
        cached: tuple[ItemMap, np.ndarray] | None = self.__dict__.get("_speaks_cache")
        if cached is None or cached[0] is not self._map:
            cached = self.__dict__["_speaks_cache"] = (self._map, self._map.speaks())
        return cached[1]

    def evidence(self, q: QueryBatch, items: np.ndarray) -> list[list[list[Evidence]]]:
        """Return one exact row for every history event with a contribution."""
        self.require_fitted()
        strength, scale = self.inputs(q), self.target_scale()
        rows: list[list[list[Evidence]]] = []
        for query in range(len(q)):
            span = slice(int(q.indptr[query]), int(q.indptr[query + 1]))
            cells = strength[span, None].astype(np.float64) * self._map.cells(q.items[span], items[query])
            if scale is not None:
                cells *= scale[items[query]]
            rows.append(
                [self._event_rows(q.items[span], cells[:, column]) for column in range(items.shape[1])]
            )
        return rows

    def _event_rows(self, events: np.ndarray, contributions: np.ndarray) -> list[Evidence]:
        """Return one row a history item, repeats of it summed, nothing for zeros."""
        sums: dict[int, float] = {}
        for item, contribution in zip(events.tolist(), contributions.tolist(), strict=True):
            if contribution:
                sums[item] = sums.get(item, 0.0) + contribution
        return [Evidence(self.name, "item", item, value, "exact") for item, value in sums.items()]

    def state(self) -> State:
        """Return M and what is known."""
        return {**self._map.state(), "items": self._items}, {}

    def _restore(self, arrays: Arrays, meta: Meta) -> None:
        self._items = arrays["items"].astype(bool)
        self._map = map_from_state(arrays, self._items.size)


def decayed(q: QueryBatch, recency: float) -> np.ndarray:
    """Return float32 (n_events,): weight × recency^steps."""
    if recency == 1.0:
        return q.weights
    return q.weights * np.power(np.float32(recency), q.steps.astype(np.float32))
