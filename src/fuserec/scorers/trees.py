"""Gradient-boosted trees over columns and behaviour: they split numbers where it matters and combine what they read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from pydantic import Field
from scipy import sparse

from fuserec.encoders.behaviour import (
    DAMPING,
    ITEM_STATISTICS,
    ITEM_TIMES,
    USER_STATISTICS,
    ItemPast,
    moments,
)
from fuserec.errors import MissingExtraError
from fuserec.scorers.attribution import Source, attributed
from fuserec.scorers.base import Capabilities, Evidence, Scores, known
from fuserec.scorers.structured import Examples, StructuredConfig, StructuredScorer

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.query import QueryBatch
    from fuserec.encoders.features import ItemFeatures
    from fuserec.encoders.structured import Asked
    from fuserec.numerics.forest import Forest
    from fuserec.numerics.lifts import Counts
    from fuserec.run import RunOptions
    from fuserec.scorers.structured import Lessons
    from fuserec.types import Arrays, Meta, State

LIFT = "item under"
"""What a circumstance gives beside its value: how much oftener the item is taken under it than items are."""

TASTES = ("taste", "share")
"""What a column of categories of items gives beside its values: how those in the history were liked, how many."""

CELLS = 4_000_000
"""Values of one chunk of features of query and item together."""


class TreesConfig(StructuredConfig):
    """Hyperparameters of the trees."""

    trees: int = Field(default=300, ge=1, le=10_000, description="Trees.")
    leaves: int = Field(default=31, ge=2, le=4096, description="Leaves a tree, at most.")
    learning_rate: float = Field(default=0.05, gt=0, le=1, description="Share of each tree that is added.")
    min_leaf: int = Field(default=20, ge=1, le=2**31 - 1, description="Examples a leaf, at least.")
    regularization: float = Field(default=1.0, ge=0, description="Pull of the leaves towards 0.")
    feature_share: float = Field(
        default=0.5, gt=0, le=1, description="Share of the features that a tree may use, drawn for each."
    )
    max_examples: int = Field(
        default=100_000,
        ge=1,
        description="Interactions that are learnt from at most, drawn at random; all their features are held at once.",
        json_schema_extra={"tune": False},
    )
    turns: int = Field(
        default=1,
        ge=1,
        le=20,
        description="How often examples are drawn (other negatives, another order if it is shuffled); all are learnt.",
        json_schema_extra={"tune": False},
    )


class Trees(StructuredScorer):
    """Boosted trees (Friedman 2001, "Greedy function approximation"; made by LightGBM, Ke et al. 2017).

    Least squares on ratings, or the logistic loss on clicks; the score is the rating, or the log-odds. Features are
    columns of the user, the circumstances and the item (numbers as they are, one indicator a frequent value), the time,
    statistics of user and item, for each column of categories of the item how its values in the history were liked, and
    for each circumstance how much oftener the item is taken under it than items are. The user is the history, the item
    its statistics: trees read no ids. All is made of what came before.

    LightGBM is needed to fit only. The trees are kept as arrays and asked by our own kernel, which walks through a tree
    only where items of one query differ.
    """

    name: ClassVar[str] = "trees"
    Config = TreesConfig
    capabilities: ClassVar[Capabilities] = replace(StructuredScorer.capabilities, max_items=50_000)
    config: TreesConfig
    _forest: Forest
    _counts: Counts

    def _learn(self, lessons: Lessons, run: RunOptions) -> None:
        from fuserec.numerics.forest import Forest

        library, config = lightgbm(), self.config
        drawn = config.turns if self._target == "click" or config.order == "shuffled" else 1
        self._take_items()
        tables, labels = [], []
        for turn in range(drawn):
            examples = lessons.examples(turn)
            tables.append(self._table(examples))
            labels.append(examples.labels)
        rating = self._target == "rating"
        parameters = {
            "objective": "regression" if rating else "binary",
            "num_leaves": config.leaves,
            "learning_rate": config.learning_rate,
            "min_data_in_leaf": config.min_leaf,
            "lambda_l2": config.regularization,
            "feature_fraction": config.feature_share,
            "num_threads": run.threads,
            "seed": int(run.rng(self.name).integers(2**31)),
            "deterministic": True,
            "force_row_wise": True,
            "verbosity": -1,
        }
        data = library.Dataset(np.concatenate(tables), label=np.concatenate(labels), params=parameters)

        def told(state: Any) -> None:
            run.check()
            run.progress(f"training {self.name}", state.iteration + 1, config.trees)

        booster = library.train(parameters, data, num_boost_round=config.trees, callbacks=[told])
        self._forest = Forest.parse(booster.model_to_string())

    def _table(self, examples: Examples) -> np.ndarray:
        """Return float32 (n, n_features): the examples in the order of :meth:`_names`."""
        from fuserec.numerics.tastes import tastes_before

        rows, items = examples.rows, self._space.items
        tastes = []
        for indptr, values, size in self._values:
            out = np.empty((examples.items.size, len(TASTES)), np.float32)
            users, taken = examples.train.indptr, examples.train.interactions.item
            asked, told = examples.indptr, examples.items
            tastes_before(users, taken, examples.liking, asked, told, indptr, values, size, DAMPING, out)
            tastes.append(out)
        parts = [
            self._dense(examples.asked)[rows],
            items.numbers[examples.items],
            items.indicators[examples.items].toarray(),
            examples.statistics,
            examples.times,
            self._lifts(examples),
            *tastes,
        ]
        return np.concatenate(parts, axis=1, dtype=np.float32)

    def _lifts(self, examples: Examples) -> np.ndarray:
        """Return float32 (n, n_columns): the lifts of the examples, and keep the counts of all events."""
        from fuserec.numerics.lifts import lifts_before, no_counts

        train, where = examples.train, self._space.where
        starts = np.cumsum([0, *(size for _, size in where.coded)])
        self._counts = no_counts(train.n_items, starts)
        out = np.empty((examples.items.size, starts.size - 1), np.float32)
        at, items = moments(train), train.interactions.item
        codes = where.codes(examples.asked.where)
        order = np.argsort(at, kind="stable")
        lifts_before(order, at, items, codes, examples.indptr, examples.items, DAMPING, self._counts, out)
        return out

    def _dense(self, asked: Asked) -> np.ndarray:
        """Return float32 (n, n_asked): the query's side."""
        sides = [part for e in (asked.who, asked.where) for part in (e.numbers, e.indicators.toarray())]
        return np.concatenate([*sides, asked.statistics], axis=1, dtype=np.float32)

    def _names(self) -> list[str]:
        """Return the column that each feature belongs to."""
        space = self._space
        names: list[str] = []
        for encoder in (space.who, space.where):
            names += [column.name for column in encoder.numbers]
            names += [f"{column}={value}" for column, value in encoder.indicator_names]
        names += USER_STATISTICS
        names += [column.name for column in space.what.numbers]
        names += [f"{column}={value}" for column, value in space.what.indicator_names]
        names += [*ITEM_STATISTICS, *ITEM_TIMES, *(f"{LIFT} {name}" for name, _ in space.where.coded)]
        return names + [f"{kind} of {column.name}" for column in space.what.categories for kind in TASTES]

    def _take_items(self) -> None:
        items, what = self._space.items, self._space.what
        parts = [items.numbers, items.indicators.toarray(), self._space.summary.statistics]
        self._offered = np.concatenate(parts, axis=1, dtype=np.float32)
        self._values = [_values(items.indicators[:, lo:hi]) for lo, hi in what.spans.values()]

    def _both(self, q: QueryBatch, codes: np.ndarray, liking: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Return float32 (n, m, n_both): recency and lifts of the candidates (n, m), and the queries' tastes for them.

        Parameters
        ----------
        q : QueryBatch (n)
        codes : int32 (n, n_columns)
            Circumstances.
        liking : float32 (n_events,)
        items : int32 (n, m)
        """
        from fuserec.numerics.lifts import lifts_of
        from fuserec.numerics.tastes import tastes_of

        lifts = np.empty((*items.shape, codes.shape[1]), np.float32)
        lifts_of(codes, items, DAMPING, self._counts, lifts)
        parts = [self._space.summary.times(items, q.at), lifts]
        for indptr, values, size in self._values:
            out = np.empty((*items.shape, len(TASTES)), np.float32)
            tastes_of(q.indptr, q.items, liking, items, indptr, values, size, DAMPING, out)
            parts.append(out)
        return np.concatenate(parts, axis=2)

    def score(self, q: QueryBatch, items: np.ndarray | None = None) -> Scores:
        """Return the rating (not cut to the scale) or the log-odds of a click; every query is answered."""
        from fuserec.numerics.forest import forest_values

        asked, liking = self._asked(q)
        told = np.arange(self._known.size) if items is None else items
        wide = np.broadcast_to(told, (len(q), told.shape[-1])).astype(np.int32)
        values = np.empty(wide.shape, np.float64)
        side, codes = self._dense(asked), self._space.where.codes(asked.where)
        width = len(ITEM_TIMES) + codes.shape[1] + len(TASTES) * len(self._values)
        step = max(1, CELLS // max(1, wide.shape[1] * width))
        for lo in range(0, len(q), step):
            rows = np.arange(lo, min(lo + step, len(q)))
            events = slice(int(q.indptr[rows[0]]), int(q.indptr[rows[-1] + 1]))
            both = self._both(q.take(rows), codes[rows], liking[events], wide[rows])
            forest_values(self._forest, side[rows], self._offered, both, wide[rows], values[lo : lo + step])
        return Scores(values.astype(np.float32), known(self._known, items), np.ones(len(q), dtype=bool))

    def evidence(self, q: QueryBatch, items: np.ndarray) -> list[list[list[Evidence]]]:
        """Return a row a feature: what the mean of the trees moves by where it is split by (Saabas 2014)."""
        from fuserec.numerics.forest import forest_shares

        asked, liking = self._asked(q)
        scores, side, names = self.score(q, items).values, self._dense(asked), self._names()
        both = self._both(q, self._space.where.codes(asked.where), liking, items.astype(np.int32))
        found: list[list[list[Evidence]]] = []
        for query in range(len(q)):
            rows = np.concatenate(
                [np.tile(side[query], (items.shape[1], 1)), self._offered[items[query]], both[query]], axis=1
            )
            shares = np.zeros((items.shape[1], rows.shape[1] + 1))
            forest_shares(self._forest, rows, shares)
            cells = []
            for share, score in zip(shares, scores[query].tolist(), strict=True):
                used = np.flatnonzero(share[:-1])
                sources: list[Source] = [("column", names[f], float(share[f])) for f in used.tolist()]
                cells.append(attributed(self.name, [*sources, ("bias", None, float(share[-1]))], score))
            found.append(cells)
        return found

    def updated(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> Self:
        """Return the scorer with statistics and counts of the grown data; the trees are kept."""
        other = super().updated(train, features, run)
        asked, _ = other._space.of_rows(train, ItemPast.of(train), train.interactions.time)
        nothing = np.empty(0, np.float32)
        indptr = np.zeros(train.n_interactions + 1, np.int64)
        none = np.empty((0, 4), np.float32)
        other._lifts(Examples(train, asked, nothing, indptr, nothing.astype(np.int32), nothing, none, none))
        return other

    def state(self) -> State:
        """Return the trees beside the feature space."""
        arrays, meta = super().state()
        forest = {f"forest.{name}": each for name, each in self._forest._asdict().items()}
        counts = {f"counts.{name}": each for name, each in self._counts._asdict().items()}
        return {**arrays, **forest, **counts}, meta

    def _restore(self, arrays: Arrays, meta: Meta) -> None:
        from fuserec.numerics.forest import Forest
        from fuserec.numerics.lifts import Counts

        super()._restore(arrays, meta)
        self._counts = Counts(*(arrays[f"counts.{name}"] for name in Counts._fields))
        self._forest = Forest(*(arrays[f"forest.{name}"] for name in Forest._fields))
        self._take_items()


def lightgbm() -> Any:
    """Return the library, or say how to get it."""
    try:
        import lightgbm as library
    except ImportError:
        raise MissingExtraError("the scorer trees", "deep") from None
    return library


def _values(indicators: sparse.csr_matrix) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the values of each item as CSR: (indptr int64, values int32, number of values)."""
    return indicators.indptr.astype(np.int64), indicators.indices.astype(np.int32), indicators.shape[1]
