"""The feature space of structured data: columns of users, items and circumstances, time, and behaviour so far.

A query brings who asks and under which circumstances in its context (:class:`fuserec.data.query.QueryBatch`), and its
history; nothing is looked up by user id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import polars as pl
from pydantic import Field
from scipy import sparse

from fuserec.data.contexts import TIME_KEYS, user_columns
from fuserec.data.dataset import SECONDS_PER_DAY
from fuserec.encoders.behaviour import Histories, ItemPast, ItemSummary, moments
from fuserec.encoders.columns import Cells, Column, ColumnEncoder, Encoded, number_column
from fuserec.errors import ConfigError, nearest
from fuserec.settings import Settings

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.query import QueryBatch
    from fuserec.types import State

TEXTS = ("title", "description", "text", "image")
"""Columns of items that are read as words or pictures, and are no features of this kind."""

_PARTS = {"hour": 24, "weekday": 7, "month": 12}
_LARGEST_TIME = 1e11


class ColumnChoice(Settings):
    """Which columns are features, and how values become indicators."""

    columns: Literal["all", "ids"] = Field(
        default="all",
        description="all: columns of users, items and circumstances, and the time. ids: only who took what, that is the"
        " history, the item and statistics of behaviour; for comparison.",
        json_schema_extra={"tune": False},
    )
    user_columns: tuple[str, ...] | None = Field(
        default=None,
        description="Only these columns of users; None: all but text.",
        json_schema_extra={"tune": False},
    )
    item_columns: tuple[str, ...] | None = Field(
        default=None,
        description="Only these columns of items; None: all but title, description, text and image.",
        json_schema_extra={"tune": False},
    )
    context_columns: tuple[str, ...] | None = Field(
        default=None,
        description="Only these further columns of interactions, and of hour, weekday, month (UTC); None: all. What is "
        "only known after the interaction (a review, a verdict) must not be among them.",
        json_schema_extra={"tune": False},
    )
    categories: tuple[str, ...] = Field(
        default=(),
        description="Columns of numbers that are names in truth, such as a shop's number.",
        json_schema_extra={"tune": False},
    )
    min_count: int = Field(
        default=5,
        ge=1,
        description="Rows that a value of a category needs to be a feature.",
        json_schema_extra={"tune": False},
    )
    max_values: int = Field(
        default=100,
        ge=1,
        le=10_000,
        description="Values of a category, the most frequent ones.",
        json_schema_extra={"tune": False},
    )


@dataclass(frozen=True)
class Asked:
    """The query's side of ``n`` questions.

    Parameters
    ----------
    who, where : Encoded
        Columns of the user; circumstances and time.
    statistics : float32 (n, 6)
        Of the history: :data:`fuserec.encoders.behaviour.USER_STATISTICS`.
    """

    who: Encoded
    where: Encoded
    statistics: np.ndarray

    def take(self, rows: np.ndarray) -> Asked:
        """Return some of the questions."""
        return Asked(self.who.take(rows), self.where.take(rows), self.statistics[rows])


@dataclass(frozen=True)
class FeatureSpace:
    """What was learnt of all columns, and the items as they are when training ends.

    Parameters
    ----------
    who, where, what : ColumnEncoder
        Columns of users, of circumstances and time, of items.
    items : Encoded (n_items)
    summary : ItemSummary
    timed : bool
        Whether recency and frequency are features.
    """

    who: ColumnEncoder
    where: ColumnEncoder
    what: ColumnEncoder
    items: Encoded
    summary: ItemSummary
    timed: bool

    @classmethod
    def learn(cls, train: Dataset, past: ItemPast, when: np.ndarray, choice: ColumnChoice) -> Self:
        """Learn from a training set.

        Raises
        ------
        ConfigError
            Where a chosen column is none of the data.
        """
        circumstances = _circumstances(train)
        users: dict[str, Cells] = {
            name: train.user_table[name]
            for name in user_columns(train.user_table)
            if name not in circumstances
        }
        items: dict[str, Cells] = {
            name: train.item_table[name] for name in train.item_table.columns if name not in TEXTS
        }
        known_times = list(TIME_KEYS) if bool(np.isfinite(when).all()) else []
        where = _chosen(circumstances, choice.context_columns, "context_columns", known_times)
        users, items = (
            _chosen(cells, wanted, name)
            for cells, wanted, name in (
                (users, choice.user_columns, "user_columns"),
                (items, choice.item_columns, "item_columns"),
            )
        )
        if choice.columns == "ids":
            users, items, where = {}, {}, {}
        limits = (choice.min_count, choice.max_values, choice.categories)
        placed = ColumnEncoder.learn(where, *limits)
        if choice.columns == "all":
            wanted = [key for key in known_times if key not in (*where, *users)]
            if choice.context_columns is not None:
                wanted = [key for key in wanted if key in choice.context_columns]
            placed = ColumnEncoder((*placed.columns, *_times(when, wanted)))
        what = ColumnEncoder.learn(items, *limits)
        return cls(
            ColumnEncoder.learn(users, *limits),
            placed,
            what,
            what.encode(_cells(train, what), train.n_items),
            ItemSummary.of(past),
            past.timed,
        )

    def extended(self, train: Dataset) -> Self:
        """Return the space with the items and events of a dataset that grew; what columns mean stays."""
        items = self.what.encode(_cells(train, self.what), train.n_items)
        return replace(self, items=items, summary=ItemSummary.of(ItemPast.of(train, self.timed)))

    def known(self, train: Dataset) -> np.ndarray:
        """Return bool (n_items,): items that somebody has taken, or of which a category is known."""
        described = np.diff(self.items.indicators.indptr) > 0
        return np.asarray((train.item_counts > 0) | described)

    def of_rows(self, train: Dataset, past: ItemPast, when: np.ndarray) -> tuple[Asked, np.ndarray]:
        """Return the query's side of every row of a training set just before it happened, and its deviation.

        Parameters
        ----------
        train : Dataset
            Its order says what came before what.
        past : ItemPast
            Of it.
        when : float64 (n_rows,)
            The moment of each row, for parts of the time.

        Returns
        -------
        Asked (n_rows)
        deviations : float32 (n_rows,)
            Of each rating from what the item was given before; NaN without a rating.
        """
        rows, n = train.interactions, train.n_interactions
        who = self.who.encode({c.name: train.user_table[c.name] for c in self.who.columns}, train.n_users)
        cells: dict[str, Cells] = {
            name: column for name, column in _circumstances(train).items() if name in self._placed
        }
        cells |= {
            key: pl.Series(_part(when, key)) for key in TIME_KEYS if key in self._placed and key not in cells
        }
        deviations = past.deviations(rows.item, rows.rating, moments(train))
        days = rows.time / SECONDS_PER_DAY
        starts = np.repeat(train.indptr[:-1], np.diff(train.indptr))
        statistics = Histories(rows.weight, deviations, days).statistics(starts, np.arange(n), days)
        return Asked(who.take(rows.user), self.where.encode(cells, n), statistics), deviations

    def of_queries(self, q: QueryBatch) -> tuple[Asked, np.ndarray]:
        """Return the query's side of a batch, and the deviation of each event's rating."""
        n = len(q)
        cells = {
            column.name: [context.get(column.name) for context in q.contexts] for column in self.where.columns
        }
        for key in TIME_KEYS:
            if key in self._placed:
                told = cells[key] or [None] * n
                usual = _part(q.at, key)
                cells[key] = [u if t is None else t for t, u in zip(told, usual.tolist(), strict=True)]
        where = self.where.encode({name: column for name, column in cells.items() if len(column) == n}, n)
        deviations = self.summary.deviations(q)
        days = -q.ages.astype(np.float64) if self.timed else np.full(q.ages.size, np.nan)
        histories = Histories(q.weights, deviations, days)
        statistics = histories.statistics(q.indptr[:-1], q.indptr[1:], np.zeros(n))
        return Asked(self.who.encode_contexts(q.contexts, n), where, statistics), deviations

    @property
    def _placed(self) -> set[str]:
        """The names of the circumstances and parts of the time that are read."""
        return {column.name for column in self.where.columns}

    def state(self) -> State:
        """Return arrays and JSON."""
        indicators = self.items.indicators
        arrays = {
            "space.numbers": self.items.numbers,
            "space.indptr": indicators.indptr.astype(np.int64),
            "space.indices": indicators.indices.astype(np.int32),
            **{f"space.{name}": array for name, array in self.summary.arrays().items()},
        }
        meta = {name: getattr(self, name).state() for name in ("who", "where", "what")}
        return arrays, {**meta, "mean": self.summary.mean, "timed": self.timed}

    @classmethod
    def from_state(cls, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> Self:
        """Rebuild from :meth:`state`."""
        own = {name.removeprefix("space."): a for name, a in arrays.items() if name.startswith("space.")}
        who, where, what = (ColumnEncoder.from_state(meta[name]) for name in ("who", "where", "what"))
        shape = (own["indptr"].size - 1, len(what.indicator_names))
        ones = np.ones(own["indices"].size, np.float32)
        indicators = sparse.csr_matrix((ones, own["indices"], own["indptr"]), shape=shape)
        return cls(
            who,
            where,
            what,
            Encoded(own["numbers"], indicators),
            ItemSummary.from_state(own, float(meta["mean"])),
            bool(meta["timed"]),
        )


def _circumstances(train: Dataset) -> dict[str, Cells]:
    """Return the further columns of interactions."""
    table = train.interactions.context
    return {} if table is None else {name: table[name] for name in table.columns}


def _cells(train: Dataset, what: ColumnEncoder) -> dict[str, Cells]:
    """Return the columns of items that are features."""
    return {c.name: train.item_table[c.name] for c in what.columns if c.name in train.item_table.columns}


def _chosen(
    cells: dict[str, Cells], wanted: Sequence[str] | None, where: str, others: Sequence[str] = ()
) -> dict[str, Cells]:
    """Return the wanted columns of a table."""
    if wanted is None:
        return cells
    for name in wanted:
        if name not in cells and name not in others:
            known = [*cells, *others]
            raise ConfigError(
                f"{where}: no column {name!r}{nearest(name, known)} (columns: {', '.join(known[:20])}): name others, "
                f"or leave {where} out to read all of them"
            )
    return {name: cells[name] for name in wanted if name in cells}


def _times(time: np.ndarray, wanted: Sequence[str]) -> list[Column]:
    """Return the parts of the time that differ in the data."""
    parts = {key: _part(time, key) for key in wanted}
    steps = {key: np.arange(_PARTS[key] - 1) + (1.5 if key == "month" else 0.5) for key in parts}
    return [number_column(key, steps[key].tolist()) for key, part in parts.items() if np.ptp(part) > 0]


def _part(time: np.ndarray, key: str) -> np.ndarray:
    """Return float32 (n,): hour (0 to 23), weekday (0, Monday, to 6) or month (1 to 12), UTC; NaN without a time."""
    known = np.abs(time) < _LARGEST_TIME  # never true of NaN
    seconds = np.where(known, time, 0.0)
    if key == "hour":
        part = np.floor(seconds / 3600.0) % 24
    elif key == "weekday":
        part = (np.floor(seconds / SECONDS_PER_DAY) + 3) % 7  # 1970 began on a Thursday
    else:
        part = seconds.astype("datetime64[s]").astype("datetime64[M]").astype(np.int64) % 12 + 1
    return np.where(known, part, np.nan).astype(np.float32)
