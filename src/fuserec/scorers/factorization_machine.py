"""Factorization machine: every pair of features has a weight, the product of two short vectors."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Self

import numpy as np
from pydantic import Field
from scipy import sparse

from fuserec.encoders.behaviour import ITEM_STATISTICS, USER_STATISTICS
from fuserec.errors import ConfigError
from fuserec.numerics.hashing import hash_text, normal_rows, reseed
from fuserec.scorers.attribution import Source, attributed
from fuserec.scorers.base import Evidence, EvidenceKind, Scores, known
from fuserec.scorers.structured import StructuredConfig, StructuredScorer

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.query import QueryBatch
    from fuserec.encoders.features import ItemFeatures
    from fuserec.encoders.structured import Asked
    from fuserec.numerics.factorization import Factors, Rows
    from fuserec.run import RunOptions
    from fuserec.scorers.structured import Examples, Lessons
    from fuserec.types import Arrays, Meta, State

WIDEST = 3.0
"""Statistics are cut to so many standard deviations."""

START = 0.03
"""Standard deviation of the first factors."""


class FactorizationMachineConfig(StructuredConfig):
    """Hyperparameters of the factorization machine."""

    embedding_dim: int = Field(default=16, ge=1, le=512, description="Length of a feature's vector.")
    epochs: int = Field(default=24, ge=1, le=1000, description="Passes over the examples.")
    learning_rate: float = Field(default=0.05, gt=0, le=1, description="Step of Adagrad.")
    regularization: float = Field(
        default=0.005, ge=0, le=10, description="Pull of the vectors of items and events towards 0."
    )
    column_regularization: float = Field(
        default=0.15, ge=0, le=10, description="Pull of the vectors of columns and statistics towards 0."
    )
    weight_regularization: float = Field(
        default=0.02, ge=0, le=10, description="Pull of the weights towards 0."
    )


class FactorizationMachine(StructuredScorer):
    """y(x) = w0 + Σ w_f x_f + Σ_{f<g} (v_f·v_g) x_f x_g (Rendle 2010, "Factorization machines", eq. 1).

    x holds the history (each event's item with 1/√n, for ratings also its deviation from the item's mean, over √n),
    columns of the user and the circumstances, the time, the item, its columns, and statistics of both. The user is the
    history: there is no parameter of a user. In training x is made of what came before the row. Numbers enter by the
    interval that they fall into, statistics by their value.

    y is the rating, or the log-odds of a click. The terms split into the query's own, the item's own and S_q·S_i with
    S = Σ x_f v_f over a side (ibid., eq. 2), so that a catalogue is one matrix product.
    """

    name: ClassVar[str] = "factorization_machine"
    Config = FactorizationMachineConfig
    config: FactorizationMachineConfig
    _factors: Factors
    _centres: np.ndarray

    def _learn(self, lessons: Lessons, run: RunOptions) -> None:
        from fuserec.numerics.factorization import Steps, one_pass

        config, train, examples = self.config, lessons.train, lessons.examples(0)
        both = (examples.asked.statistics, examples.statistics)
        self._centres = np.concatenate([_centre_and_width(statistics) for statistics in both], axis=1)
        self._trained = train.item_counts > 0
        rows = self._rows(examples)
        at = self._started(train, rows, run)
        squares = type(at)(*(np.ones_like(each) for each in at))
        logistic = self._target == "click"
        steps = Steps(
            config.learning_rate,
            config.regularization,
            config.column_regularization,
            config.weight_regularization,
            logistic,
        )
        rng, people = run.rng(self.name), np.flatnonzero(np.diff(train.indptr) > 0)
        for epoch in range(config.epochs):
            run.check()
            if epoch and self._fresh:
                rows = self._rows(lessons.examples(epoch))
            loss = one_pass(rng.permutation(people), rows, at, squares, steps) / max(1, rows.labels.size)
            if not np.isfinite(loss):
                raise ConfigError(
                    f"{self.name}: the loss is {loss} in epoch {epoch + 1}: lower learning_rate "
                    f"(it is {config.learning_rate:g}; try {config.learning_rate / 4:g})"
                )
            run.track(self.name, epoch + 1, {"loss": float(loss)})
            run.progress(f"training {self.name}", epoch + 1, config.epochs)
        self._factors = type(at)(*(each.astype(np.float32) for each in at))
        self._take_items()

    @property
    def _fresh(self) -> bool:
        """Whether every pass has examples of its own."""
        return self._target == "click" or self.config.order == "shuffled"

    def _rows(self, examples: Examples) -> Rows:
        """Return the examples as training reads them."""
        from fuserec.numerics.factorization import Rows

        asked, offered = self._asked_matrix(examples.asked), self._columns()
        first = asked.shape[1]
        return Rows(
            examples.train.indptr,
            examples.train.interactions.item,
            self._inputs(examples.liking),
            examples.indptr,
            examples.items,
            examples.labels,
            *(asked.indptr.astype(np.int64), asked.indices, asked.data),
            *(offered.indptr.astype(np.int64), offered.indices + np.int32(first), offered.data),
            _standard(examples.statistics, self._centres[:, len(USER_STATISTICS) :]),
            first + offered.shape[1],
        )

    def _started(self, train: Dataset, rows: Rows, run: RunOptions) -> Factors:
        """Return the first parameters: small vectors that hang on the item's or feature's name alone."""
        from fuserec.numerics.factorization import Factors

        dim, seeds = self.config.embedding_dim, reseed(train.items.hashes, run.seed)
        names = np.array([hash_text(f"{c}={v}") for c, v in self._names()], dtype=np.uint64)
        tables = rows.inputs.shape[1]
        labels = rows.labels if rows.labels.size else np.zeros(1)
        offset = float(labels.mean()) if self._target == "rating" else 0.0

        def small(hashes: np.ndarray) -> np.ndarray:
            return START * normal_rows(hashes, dim).astype(np.float64)

        return Factors(
            np.array([offset]),
            np.zeros(train.n_items),
            small(reseed(seeds, 1)),
            np.zeros(names.size),
            small(reseed(names, run.seed)),
            np.zeros((tables, train.n_items)),
            np.stack([small(reseed(seeds, 2 + table)) for table in range(tables)]),
        )

    def _names(self) -> list[tuple[str, str]]:
        """Return (column, value) of every feature but items and events, in the order of the parameters."""
        space = self._space
        asked = [e.indicator_names for e in (space.who, space.where)]
        asked += [e.bin_names for e in (space.who, space.where)]
        named = [*(pair for part in asked for pair in part), *((name, "") for name in USER_STATISTICS)]
        named += [*space.what.indicator_names, *space.what.bin_names]
        return [*named, *((name, "") for name in ITEM_STATISTICS)]

    def _inputs(self, liking: np.ndarray) -> np.ndarray:
        """Return float32 (n_events, n_tables): what each event enters the history with, before 1/√n."""
        if self._target == "click":
            return np.ascontiguousarray(liking[:, None], dtype=np.float32)
        return np.stack([np.ones(liking.size), np.nan_to_num(liking)], axis=1).astype(np.float32)

    def _asked_matrix(self, asked: Asked) -> sparse.csr_matrix:
        """Return CSR float32 (n, features of the query): columns, intervals of numbers, statistics."""
        space, width = self._space, len(USER_STATISTICS)
        parts = [
            _spread(asked.who.indicators, space.who.spans),
            _spread(asked.where.indicators, space.where.spans),
            space.who.bins(asked.who.numbers),
            space.where.bins(asked.where.numbers),
            sparse.csr_matrix(_standard(asked.statistics, self._centres[:, :width])),
        ]
        return sparse.csr_matrix(sparse.hstack(parts, format="csr"), dtype=np.float32)

    def _columns(self) -> sparse.csr_matrix:
        """Return CSR float32 (n_items, features of columns): of every item."""
        what, items = self._space.what, self._space.items
        parts = [_spread(items.indicators, what.spans), what.bins(items.numbers)]
        return sparse.csr_matrix(sparse.hstack(parts, format="csr"), dtype=np.float32)

    def _take_items(self) -> None:
        """Sum up the side of every item; items that came after the training have no vector of their own."""
        at, width = self._factors, len(USER_STATISTICS)
        statistics = _standard(self._space.summary.statistics, self._centres[:, width:])
        offered = sparse.csr_matrix(
            sparse.hstack([self._columns(), sparse.csr_matrix(statistics)], format="csr"), dtype=np.float32
        )
        self._first = at.feature_weight.size - offered.shape[1]
        self._offered = offered
        sums, squares, linear = _sums(offered, at.feature_weight[self._first :], at.feature[self._first :])
        trained = np.flatnonzero(self._trained)
        sums[trained] += at.item[trained]
        squares[trained] += at.item[trained] ** 2
        linear[trained] += at.item_weight[trained]
        self._sums = sums
        self._alone = np.asarray(linear + 0.5 * (sums**2 - squares).sum(axis=1), np.float32)
        self._event_squares = at.event**2

    def _query(self, q: QueryBatch) -> _Side:
        """Return the query's side: its features, its events, and their sums."""
        asked, liking = self._asked(q)
        at, matrix = self._factors, self._asked_matrix(asked)
        sums, squares, linear = _sums(matrix, at.feature_weight[: self._first], at.feature[: self._first])
        heard = self._trained[q.items]
        inputs = self._inputs(liking) * heard[:, None] / np.sqrt(np.maximum(q.lengths, 1))[q.rows][:, None]
        for table in range(at.event.shape[0]):
            x = q.csr(inputs[:, table], self._known.size)[:, : at.event.shape[1]]
            sums += x @ at.event[table]
            linear += x @ at.event_weight[table]
            squared = q.csr(inputs[:, table] ** 2, self._known.size)[:, : at.event.shape[1]]
            squares += squared @ self._event_squares[table]
        alone = linear + 0.5 * (sums**2 - squares).sum(axis=1) + at.offset[0]
        return _Side(matrix, inputs, np.asarray(sums, np.float32), np.asarray(alone, np.float32))

    def score(self, q: QueryBatch, items: np.ndarray | None = None) -> Scores:
        """Return the rating (not cut to the scale) or the log-odds of a click; every query is answered."""
        from fuserec.numerics.ridge import factor_products

        self.require_fitted()
        side = self._query(q)
        values = factor_products(side.sums, self._sums, items)
        values += (self._alone if items is None else self._alone[items]) + side.alone[:, None]
        return Scores(values, known(self._known, items), np.ones(len(q), dtype=bool))

    def evidence(self, q: QueryBatch, items: np.ndarray) -> list[list[list[Evidence]]]:
        """Return a row for every event, every column of the query and of the item, and one for the item itself.

        A feature of the query has its weight, its products with the whole side of the item, and half of its products
        with the others of the query; a feature of the item its weight and half of its products with the others of the
        item.
        """
        side, scores = self._query(q), self.score(q, items).values
        names = [f"{column}={value}" if value else column for column, value in self._names()]
        found: list[list[list[Evidence]]] = []
        for query in range(len(q)):
            keys, parts = self._of_query(q, side, query, items[query], names)
            cells = []
            for cell, item in enumerate(items[query].tolist()):
                sources: list[Source] = [
                    (*key, part) for key, part in zip(keys, parts[:, cell].tolist(), strict=True)
                ]
                sources += self._of_item(item, names)
                cells.append(attributed(self.name, sources, float(scores[query, cell])))
            found.append(cells)
        return found

    def _of_query(
        self, q: QueryBatch, side: _Side, query: int, items: np.ndarray, names: list[str]
    ) -> tuple[list[tuple[EvidenceKind, int | str]], np.ndarray]:
        """Return what the features of one query are, and float64 (n_keys, m) what each gives to each candidate."""
        at, matrix = self._factors, side.matrix
        own = slice(int(matrix.indptr[query]), int(matrix.indptr[query + 1]))
        events = np.arange(int(q.indptr[query]), int(q.indptr[query + 1]))
        events = events[self._trained[q.items[events]]]
        tables, place = at.event.shape[0], q.items[events]
        features = matrix.indices[own]
        x = np.concatenate([matrix.data[own], *(side.inputs[events, table] for table in range(tables))])
        w = np.concatenate([at.feature_weight[features], *at.event_weight[:, place]])
        v = np.concatenate([at.feature[features], *at.event[:, place]]).astype(np.float64)
        among = v @ side.sums[query].astype(np.float64) - x * (v**2).sum(axis=1)
        parts = x[:, None] * (v @ self._sums[items].T + (w + 0.5 * among)[:, None])
        keys: list[tuple[EvidenceKind, int | str]] = [("column", names[int(f)]) for f in features]
        history, inverse = np.unique(place, return_inverse=True)
        heard = np.zeros((history.size, items.size))
        np.add.at(heard, np.tile(inverse, tables), parts[features.size :])
        return [*keys, *(("item", int(i)) for i in history)], np.vstack([parts[: features.size], heard])

    def _of_item(self, item: int, names: list[str]) -> list[Source]:
        """Return what an item gives by itself."""
        at, row = self._factors, self._offered[[item]]
        features = row.indices + self._first
        v = at.feature[features].astype(np.float64)
        sums = self._sums[item].astype(np.float64)
        parts = row.data * (at.feature_weight[features] + 0.5 * (v @ sums - row.data * (v**2).sum(axis=1)))
        sources: list[Source] = [
            ("column", names[int(f)], float(p)) for f, p in zip(features, parts, strict=True)
        ]
        base = float(at.offset[0])
        if self._trained[item]:
            own = at.item[item].astype(np.float64)
            base += float(at.item_weight[item] + 0.5 * own @ (sums - own))
        return [*sources, ("bias", None, base)]

    def updated(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> Self:
        """Return the scorer with statistics of the grown data; new items speak by their columns alone."""
        self.require_fitted()
        other = copy(self)
        other._trained = np.append(self._trained, np.zeros(train.n_items - self._trained.size, dtype=bool))
        return super(FactorizationMachine, other).updated(train, features, run)

    def state(self) -> State:
        """Return the parameters beside the feature space."""
        arrays, meta = super().state()
        own = {f"factors.{name}": each for name, each in self._factors._asdict().items()}
        return {**arrays, **own, "trained": self._trained, "centres": self._centres}, meta

    def _restore(self, arrays: Arrays, meta: Meta) -> None:
        from fuserec.numerics.factorization import Factors

        super()._restore(arrays, meta)
        self._factors = Factors(*(arrays[f"factors.{name}"] for name in Factors._fields))
        self._trained, self._centres = arrays["trained"].astype(bool), arrays["centres"]
        self._take_items()


class _Side(NamedTuple):
    """The query's side of ``n`` questions.

    Parameters
    ----------
    matrix : CSR float32 (n, features of the query)
    inputs : float32 (n_events, n_tables)
        Values of the events as features; 0 for items without vectors.
    sums : float32 (n, d)
        Σ x_f v_f.
    alone : float32 (n,)
        What does not hang on the item.
    """

    matrix: sparse.csr_matrix
    inputs: np.ndarray
    sums: np.ndarray
    alone: np.ndarray


def _sums(x: sparse.csr_matrix, w: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return Σ x v (n, d), Σ x² v² (n, d) and Σ x w (n,) of each row."""
    return x @ v, x.power(2) @ v**2, x @ w


def _spread(indicators: sparse.csr_matrix, spans: Mapping[str, tuple[int, int]]) -> sparse.csr_matrix:
    """Return indicators with 1/√n for each of the n values that a cell of a list holds."""
    starts = np.array([lo for lo, _ in spans.values()], dtype=np.int64)
    column = np.searchsorted(starts, indicators.indices, side="right")
    rows = np.repeat(np.arange(indicators.shape[0]), np.diff(indicators.indptr))
    cell = rows * (starts.size + 1) + column
    counts = np.bincount(cell, minlength=1)[cell]
    values = (indicators.data / np.sqrt(counts)).astype(np.float32)
    return sparse.csr_matrix((values, indicators.indices, indicators.indptr), shape=indicators.shape)


def _centre_and_width(statistics: np.ndarray) -> np.ndarray:
    """Return float32 (2, k): mean and standard deviation of each column, of what is known of it."""
    known = np.isfinite(statistics)
    count = np.maximum(known.sum(axis=0), 1)
    values = np.where(known, statistics, 0.0).astype(np.float64)
    mean = values.sum(axis=0) / count
    width = np.sqrt(np.maximum((values**2).sum(axis=0) / count - mean**2, 0.0))
    return np.asarray(np.stack([mean, np.where(width > 1e-6, width, 1.0)]), dtype=np.float32)


def _standard(statistics: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Return float32 (n, k): statistics in standard deviations, cut; 0 where nothing is known."""
    values = (statistics - centres[0]) / centres[1]
    return np.asarray(np.nan_to_num(np.clip(values, -WIDEST, WIDEST)), dtype=np.float32)
