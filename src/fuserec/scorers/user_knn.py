"""User neighbours: what people took who are like this one in what they took, rated, or read about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field
from scipy import sparse

from fuserec.errors import NotFittedError
from fuserec.numerics.jit import kernel
from fuserec.numerics.parallel import over_ranges
from fuserec.numerics.similar import row_products, unit_rows
from fuserec.scorers.attribution import attributed
from fuserec.scorers.base import Capabilities, Evidence, EvidenceKind, Scorer, Scores, chosen, known
from fuserec.scorers.ratings import Baseline, RatedHistories, rating_matrix, rating_scale
from fuserec.settings import Settings

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.query import QueryBatch, TextVectors
    from fuserec.encoders.features import ItemFeatures
    from fuserec.numerics.similarity import Reference
    from fuserec.run import RunOptions
    from fuserec.types import Arrays, Meta, State

_BLOCK = 1 << 24  # similarities with users held at a time


class UserKNNConfig(Settings):
    """Hyperparameters of user neighbours."""

    space: Literal["items", "text"] = Field(
        default="items",
        description="Where users are compared: by their items, or by the mean text of their items.",
    )
    values: Literal["implicit", "ratings"] = Field(
        default="implicit",
        description="What users are compared on among items: positive weights, or ratings.",
        json_schema_extra={"tune": False},
    )
    similarity: Literal["cosine", "pearson", "euclidean", "jaccard"] = Field(
        default="cosine",
        description="How two users are compared among items; in the text space it is the cosine.",
    )
    n_neighbors: int = Field(default=100, ge=1, description="Most similar users whose items are counted.")
    shrinkage: float | None = Field(
        default=None,
        ge=0,
        description="A similarity resting on n items is multiplied by n / (n + shrinkage). "
        "Not given: 25 for pearson and euclidean, which a small overlap fools most, else 0.",
    )
    centered: bool = Field(
        default=True,
        description="Ratings are compared as deviations from the baseline (implicit values never are).",
    )
    n_raters: int = Field(
        default=40,
        ge=1,
        description="A rating is predicted from at most this many of the users who rated the item.",
        json_schema_extra={"tune": False},
    )
    damping: float = Field(
        default=5.0, gt=0, description="Ratings of average kind that a bias is weighed against."
    )
    recency: float = Field(
        default=0.9,
        gt=0,
        le=1,
        description="An event this many steps back counts recency^steps in an implicit query.",
    )


class UserKNN(Scorer):
    """score = Σ_v sim(q, v)·X_v over the users v most similar to the query.

    Resnick et al. 1994, "GroupLens: an open architecture for collaborative filtering of netnews". The
    query's own stored row, where it has one, is left out: nothing else of a user is looked up.
    """

    name: ClassVar[str] = "user_knn"
    Config = UserKNNConfig
    capabilities: ClassVar[Capabilities] = Capabilities(evidence="attributed", predicts=True)
    tunable: ClassVar[Mapping[str, tuple[float, ...]]] = {"recency": (1.0, 0.95, 0.9, 0.8, 0.7)}
    config: UserKNNConfig
    _given: sparse.csr_matrix
    _ratings: sparse.csr_matrix | None
    _baseline: Baseline | None
    _ties: np.ndarray
    _threads: int = 1

    def __init__(self, config: Settings | None = None) -> None:
        super().__init__(config)
        if self.config.space == "text":  # there, words alone have a place too
            vars(self)["capabilities"] = replace(self.capabilities, answers=frozenset({"history", "text"}))

    def _fit(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> None:
        config = self.config
        self._threads, self._ties = run.threads, train.users.hashes
        self._ratings, self._baseline = None, None
        self._given = train.matrix("positive")
        if config.values == "ratings" or train.has_ratings:
            self._ratings = rating_matrix(train, self.name)
            self._baseline = Baseline.fit(
                self._ratings, config.damping, rating_scale(train, self._ratings.data)
            )
        self._prepare()
        self._attach(features)

    def _prepare(self) -> None:
        """Derive what queries are compared with from what is stored."""
        from fuserec.numerics.similarity import reference

        self._items = np.bincount(self._given.indices, minlength=self._given.shape[1]) > 0
        self._compared = self._given
        if self._ratings is not None and self._baseline is not None:
            rated = RatedHistories.of_matrix(self._ratings)
            deviations = rated.csr(self._baseline.residuals(rated), self._items.size)
            self._rated_items = np.bincount(rated.items, minlength=self._items.size) > 0
            self._raters = deviations.T.tocsr()
            if self.config.values == "ratings":
                self._compared = deviations if self.config.centered else self._ratings
        self._reference: Reference = reference(self._compared, self.config.similarity)

    def _attach(self, features: ItemFeatures) -> None:
        """Place the users in the text space of their items."""
        if self.config.space == "text":
            vectors = features.lexical if features.sentence is None else features.sentence
            self._vectors = sparse.csr_matrix(vectors) if sparse.issparse(vectors) else vectors
            self._readers = unit_rows(self._given @ self._vectors)

    def without_user(self, user: int) -> Self:
        """Return the scorer without the stored row of a user: later rows move up, as the users do."""
        self.require_fitted()
        kept = np.delete(np.arange(self._given.shape[0]), user)
        other = copy(self)
        other._given, other._ties = self._given[kept], self._ties[kept]
        other._ratings = None if self._ratings is None else self._ratings[kept]
        other._prepare()
        if self.config.space == "text":
            other._readers = self._readers[kept]
        return other

    @property
    def _shrinkage(self) -> float:
        """The shrinkage in force."""
        if self.config.shrinkage is None:
            return 25.0 if self.config.similarity in ("pearson", "euclidean") else 0.0
        return self.config.shrinkage

    def _own(self, q: QueryBatch) -> np.ndarray:
        """Return int32 (n,): the stored row of each query's user, -1 where there is none."""
        return np.where(q.users < self._given.shape[0], q.users, -1).astype(np.int32)

    def _taken(self, q: QueryBatch) -> sparse.csr_matrix:
        """Return CSR (n, n_items): the positive part of each history, older events fading, at most 1."""
        fading = np.power(np.float32(self.config.recency), q.steps.astype(np.float32))
        matrix = q.csr(np.maximum(q.weights, 0.0) * fading, self._items.size)
        np.minimum(matrix.data, 1.0, out=matrix.data)
        matrix.eliminate_zeros()
        return matrix

    def _compared_rows(self, q: QueryBatch) -> sparse.csr_matrix:
        """Return CSR (n, n_items): the queries as the training rows are."""
        if self.config.space == "text" or self.config.values == "implicit" or self._baseline is None:
            return self._taken(q)
        rated = RatedHistories.of(q, self._rated_items)
        values = self._baseline.residuals(rated) if self.config.centered else rated.ratings
        return rated.csr(values, self._items.size)

    def _blocks(self, q: QueryBatch) -> Iterator[tuple[int, int, sparse.csr_matrix]]:
        """Cut the queries so that their similarities with all users stay within bounds."""
        rows = self._compared_rows(q)
        step = max(1, _BLOCK // max(1, self._given.shape[0]))
        for lo in range(0, max(1, len(q)), step):  # no query is one empty block
            yield lo, min(len(q), lo + step), rows[lo : lo + step]

    def _read(self, rows: sparse.csr_matrix, text: TextVectors | None, span: slice) -> Any:
        """Return the place of queries in the text space: the mean of their items, plus their words."""
        sizes = np.maximum(np.asarray(rows.sum(axis=1)).ravel(), 1.0)
        places = sparse.csr_matrix(sparse.diags_array(1.0 / sizes) @ rows) @ self._vectors
        words = self._words(text)
        return unit_rows(places if words is None else places + words[span])

    def _words(self, text: TextVectors | None) -> Any:
        """Return the vectors of the words of queries in the space in use, where there are any."""
        if text is None:
            return None
        words = text.lexical if sparse.issparse(self._vectors) else text.sentence
        return sparse.csr_matrix(words) if sparse.issparse(words) else words

    def _similarities(self, q: QueryBatch, lo: int, hi: int, rows: sparse.csr_matrix) -> np.ndarray:
        """Return float32 (hi − lo, n_users): similarities with every user, 0 with one's own row."""
        from fuserec.numerics.similarity import similarity_rows

        if self.config.space == "text":
            values = row_products(self._read(rows, q.text, slice(lo, hi)), self._readers)
        else:
            values = similarity_rows(self._reference, rows, shrinkage=self._shrinkage, threads=self._threads)
        own = self._own(q)[lo:hi]
        values[np.flatnonzero(own >= 0), own[own >= 0]] = 0.0
        return values

    def _neighbours(self, q: QueryBatch) -> sparse.csr_matrix:
        """Return CSR (n, n_users): similarities of the nearest users, all above 0."""
        from fuserec.numerics.neighbours import nearest
        from fuserec.numerics.topk import top_k

        users, values, k = [], [], self.config.n_neighbors
        for lo, hi, rows in self._blocks(q):
            if self.config.space == "text":
                found = top_k(self._similarities(q, lo, hi, rows), k, ties=self._ties, threads=self._threads)
            else:
                found = nearest(
                    self._reference, rows, k, ties=self._ties, own=self._own(q)[lo:hi],
                    shrinkage=self._shrinkage, threads=self._threads,
                )  # fmt: skip
            users.append(found[0])
            values.append(found[1])
        near, similar = np.concatenate(users), np.concatenate(values)
        kept = (near >= 0) & (similar > 0)
        indptr = np.concatenate([[0], np.cumsum(kept.sum(axis=1))]).astype(np.int64)
        return sparse.csr_matrix((similar[kept], near[kept], indptr), shape=(len(q), self._given.shape[0]))

    def score(self, q: QueryBatch, items: np.ndarray | None = None) -> Scores:
        """Return Σ sim·X over the nearest users; abstains on items nobody took and on queries without any."""
        from fuserec.numerics.sparse import csr_parts, csr_times_csr_dense

        self.require_fitted()
        near = self._neighbours(q)
        values = csr_times_csr_dense(*csr_parts(near), self._given, threads=self._threads)
        return Scores(chosen(values, items), known(self._items, items), np.diff(near.indptr) > 0)

    @property
    def can_predict(self) -> bool:
        """Whether the training data had ratings."""
        return self._baseline is not None

    def predict(self, q: QueryBatch, items: np.ndarray) -> np.ndarray:
        """Return float32 (n, m): b_ui + Σ_v w_v (r_vi − b_vi) / Σ_v |w_v|, cut to the scale.

        v runs over the ``n_raters`` users most similar to the query among those who rated candidate i;
        without any the prediction is the baseline b_ui.

        Raises
        ------
        NotFittedError
            Where the training data had no ratings.
        """
        self.require_fitted()
        if self._baseline is None:
            raise NotFittedError(
                "scorer 'user_knn' was fitted on data without ratings: it ranks, but predicts none"
            )
        rated = RatedHistories.of(q, self._rated_items)
        values, raters = self._baseline.expected(rated, items), self._raters
        candidates = np.ascontiguousarray(items, np.int32)
        for first, last, rows in self._blocks(q):
            similar = self._similarities(q, first, last, rows)

            def work(lo: int, hi: int, similar: np.ndarray = similar, first: int = first) -> None:
                _add_deviations(
                    similar, raters.indptr, raters.indices, raters.data, self._ties, candidates[first:],
                    self.config.n_raters, lo, hi, values[first:],
                )  # fmt: skip

            over_ranges(work, last - first, self._threads)
        return self._baseline.clipped(values)

    def evidence(self, q: QueryBatch, items: np.ndarray) -> list[list[list[Evidence]]]:
        """Return a row for every history item: its part in the similarities, times what the neighbours give.

        A similarity is a sum over shared items (over all items in the text space) once the neighbours and the
        norms are held; of the Euclidean one, shared items get equal parts.
        """
        self.require_fitted()
        near, rows, scores = self._neighbours(q), self._compared_rows(q), self.score(q, items).values
        found: list[list[list[Evidence]]] = []
        for query in range(len(q)):
            users = near.indices[near.indptr[query] : near.indptr[query + 1]]
            history = rows.indices[rows.indptr[query] : rows.indptr[query + 1]]
            parts = self._parts(q, query, users, rows[query])
            similar = near.data[near.indptr[query] : near.indptr[query + 1], None].astype(np.float64)
            totals = parts.sum(axis=1, keepdims=True)
            parts *= np.divide(similar, totals, out=np.zeros_like(totals), where=totals != 0)
            given = self._given[users].toarray()[:, items[query]].astype(np.float64)
            sums = parts.T @ given
            keys: list[tuple[EvidenceKind, int | None]] = [("item", int(item)) for item in history]
            keys.append(("text", None))
            found.append(
                [
                    attributed(self.name, ((*k, part) for k, part in zip(keys, column, strict=True)), score)
                    for column, score in zip(sums.T.tolist(), scores[query].tolist(), strict=True)
                ]
            )
        return found

    def _parts(self, q: QueryBatch, query: int, users: np.ndarray, row: sparse.csr_matrix) -> np.ndarray:
        """Return float64 (n_users, n_history + 1): what items and text give to similarities, unscaled."""
        history = row.indices
        parts = np.zeros((users.size, history.size + 1), np.float64)
        if self.config.space == "text":
            readers, words = self._readers[users], self._words(q.text)
            weights = row.data / max(float(row.data.sum()), 1.0)
            parts[:, :-1] = row_products(readers, self._vectors[history]) * weights
            if words is not None:
                parts[:, -1] = row_products(readers, words[query : query + 1])[:, 0]
            return parts
        theirs = self._compared[users][:, history].tocsc()
        shared = theirs.copy()
        shared.data[:] = 1.0
        both = shared.toarray().astype(np.float64)
        ours, other = both * row.data, theirs.toarray() * both
        if self.config.similarity == "pearson":
            n = np.maximum(both.sum(axis=1, keepdims=True), 1.0)
            ours -= both * ours.sum(axis=1, keepdims=True) / n
            other -= both * other.sum(axis=1, keepdims=True) / n
        parts[:, :-1] = ours * other if self.config.similarity in ("pearson", "cosine") else both
        return parts

    def state(self) -> State:
        """Return the histories that neighbours are found among, and the baseline."""
        arrays: Arrays = {**_arrays("given", self._given), "ties": self._ties}
        meta: Meta = {"shape": list(self._given.shape)}
        if self._baseline is not None and self._ratings is not None:
            biases, meta["baseline"] = self._baseline.state()
            arrays |= {**biases, **_arrays("ratings", self._ratings)}
        return arrays, meta

    def _restore(self, arrays: Arrays, meta: Meta) -> None:
        shape = (int(meta["shape"][0]), int(meta["shape"][1]))
        self._given, self._ties = _matrix(arrays, "given", shape), arrays["ties"]
        self._ratings, self._baseline = None, None
        if "baseline" in meta:
            self._ratings = _matrix(arrays, "ratings", shape)
            self._baseline = Baseline.from_state(arrays, meta["baseline"])
        self._prepare()


def _arrays(name: str, matrix: sparse.csr_matrix) -> Arrays:
    """Return the arrays of a sparse matrix, named after it."""
    return {
        f"{name}.indptr": matrix.indptr.astype(np.int64),
        f"{name}.indices": matrix.indices.astype(np.int32),
        f"{name}.values": matrix.data.astype(np.float32),
    }


def _matrix(arrays: Arrays, name: str, shape: tuple[int, int]) -> sparse.csr_matrix:
    """Rebuild a sparse matrix from :func:`_arrays`."""
    parts = (arrays[f"{name}.values"], arrays[f"{name}.indices"], arrays[f"{name}.indptr"])
    return sparse.csr_matrix(parts, shape=shape)


@kernel
def _add_deviations(
    similarities: np.ndarray,
    starts: np.ndarray,
    raters: np.ndarray,
    deviations: np.ndarray,
    ties: np.ndarray,
    candidates: np.ndarray,
    n_raters: int,
    lo: int,
    hi: int,
    values: np.ndarray,
) -> None:
    """Add to the baselines of the queries lo to hi what the most similar raters of candidates deviate by."""
    weights, parts = np.empty(n_raters, np.float64), np.empty(n_raters, np.float64)
    hashes = np.empty(n_raters, np.uint64)
    for query in range(lo, hi):
        for column in range(candidates.shape[1]):
            used, least = 0, 0
            for p in range(starts[candidates[query, column]], starts[candidates[query, column] + 1]):
                weight, tie = np.float64(similarities[query, raters[p]]), ties[raters[p]]
                if weight <= 0 or (
                    used == n_raters and _not_nearer(weight, tie, weights[least], hashes[least])
                ):
                    continue
                place = least if used == n_raters else used
                weights[place], parts[place], hashes[place] = weight, weight * deviations[p], tie
                used = min(used + 1, n_raters)
                if used == n_raters:
                    least = 0
                    for other in range(1, used):
                        if _not_nearer(weights[other], hashes[other], weights[least], hashes[least]):
                            least = other
            if used > 0:
                values[query, column] += parts[:used].sum() / weights[:used].sum()


@kernel(inline=True)
def _not_nearer(weight: float, tie: int, other: float, other_tie: int) -> bool:
    """Whether one rater comes after another; of equal similarities the lower hash comes first."""
    return weight < other or (weight == other and tie >= other_tie)
