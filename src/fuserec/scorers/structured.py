"""What scorers over structured features share: examples made of the past, what is known, state and updates."""

from __future__ import annotations

from abc import abstractmethod
from copy import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np
import polars as pl
from pydantic import Field

from fuserec.encoders.behaviour import ItemPast, moments
from fuserec.encoders.structured import Asked, ColumnChoice, FeatureSpace
from fuserec.errors import ConfigError, DataError, NotFittedError
from fuserec.scorers.base import Capabilities, Scorer
from fuserec.scorers.ratings import rating_scale

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.query import QueryBatch
    from fuserec.encoders.features import ItemFeatures
    from fuserec.run import RunOptions
    from fuserec.types import Arrays, Meta, State

Target = Literal["rating", "click"]

CODES = "semantic_id"
"""The column that holds prefixes of an item's semantic id, where ``[features.codes]`` makes them."""

_DRAWS = 8
"""How often a negative is drawn anew that its user has taken."""


class StructuredConfig(ColumnChoice):
    """What is learnt, and from which examples."""

    target: Literal["auto", "rating", "click"] = Field(
        default="auto",
        description="rating: regression on ratings, in their scale. click: what was taken (with a positive weight) "
        "against items drawn at random. auto: rating where most interactions have one.",
        json_schema_extra={"tune": False},
    )
    order: Literal["time", "shuffled"] = Field(
        default="time",
        description="What came before a row in training, of which its features are made. time: what happened earlier. "
        "shuffled: what comes before it in an order drawn at random, without recency and frequency; for gaps in known "
        "ratings, where a history reaches beyond the moment of the question.",
        json_schema_extra={"tune": False},
    )
    negatives: int = Field(
        default=4,
        ge=1,
        le=1000,
        description="click: items drawn for each that was taken.",
        json_schema_extra={"tune": [1, 20]},
    )
    popularity_exponent: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="click: an item is drawn in proportion to its interactions to this power; 0 draws evenly.",
    )
    max_examples: int = Field(
        default=500_000,
        ge=1,
        description="Interactions that are learnt from at most, drawn at random; histories stay whole.",
        json_schema_extra={"tune": False},
    )


@dataclass(frozen=True)
class Examples:
    """What is learnt from: candidates of rows, with everything as it was before the row.

    Parameters
    ----------
    train : Dataset
        Its interactions stand in the order in which they count as past.
    asked : Asked (n_rows)
        The query's side of every interaction.
    liking : float32 (n_rows,)
        What an interaction, once past, says for its item; NaN says nothing.
    indptr : int64 (n_rows + 1,)
        Candidates ``indptr[r]:indptr[r + 1]`` belong to interaction ``r``.
    items : int32 (n,)
    labels : float32 (n,)
        A rating, or 1 for what was taken and 0 for what was drawn.
    statistics, times : float32 (n, 4), (n, 3)
        Of the candidate at the moment of the interaction.
    """

    train: Dataset
    asked: Asked
    liking: np.ndarray
    indptr: np.ndarray
    items: np.ndarray
    labels: np.ndarray
    statistics: np.ndarray
    times: np.ndarray

    @property
    def rows(self) -> np.ndarray:
        """int64 (n,): the interaction of each candidate."""
        return np.repeat(np.arange(self.indptr.size - 1), np.diff(self.indptr))


class StructuredScorer(Scorer):
    """Learns from columns and behaviour; a form says what is fitted to the examples.

    An item that nobody has taken is judged by its columns where at least one of its categories is known; everybody is
    answered, somebody unknown by what the context says. With ``[features.codes]`` the prefixes of an item's semantic id
    are a column too, ``semantic_id``.
    """

    capabilities: ClassVar[Capabilities] = Capabilities(
        answers=frozenset({"history", "anyone"}),
        update="refit",
        evidence="attributed",
        predicts=True,
        trained=True,
        columns=True,
    )
    config: StructuredConfig
    _space: FeatureSpace
    _target: Target
    _scale: tuple[float, float]
    _known: np.ndarray

    @property
    def can_predict(self) -> bool:
        """Whether it was fitted to ratings."""
        return not self._fitted or self._target == "rating"

    def _fit(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> None:
        self._target = target_of(self.config, train)
        train = coded(train, features)
        lessons = Lessons(train, self.config, self._target, run)
        self._space = lessons.space
        self._known = self._space.known(train)
        self._scale = (0.0, 1.0)
        if self._target == "rating":
            rated = train.interactions.rating[np.isfinite(train.interactions.rating)]
            self._scale = rating_scale(train, rated)
        self._learn(lessons, run)

    @abstractmethod
    def _learn(self, lessons: Lessons, run: RunOptions) -> None:
        """Fit to examples."""

    @abstractmethod
    def _take_items(self) -> None:
        """Prepare the items of the feature space for queries."""

    def predict(self, q: QueryBatch, items: np.ndarray) -> np.ndarray:
        """Return float32 (n, m): predicted ratings of candidates a query (n, m), cut to the scale."""
        self.require_fitted()
        if self._target != "rating":
            raise NotFittedError(
                f"scorer {self.name!r} was fitted to clicks: set target = 'rating' for ratings"
            )
        return np.asarray(np.clip(self.score(q, items).values, *self._scale))

    def _asked(self, q: QueryBatch) -> tuple[Asked, np.ndarray]:
        """Return the query's side, and float32 (n_events,) what each event says for its item."""
        self.require_fitted()
        asked, deviations = self._space.of_queries(q)
        return asked, deviations if self._target == "rating" else q.weights

    def updated(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> Self:
        """Return the scorer with statistics of the grown data and items known by their columns; the model is kept."""
        self.require_fitted()
        other, train = copy(self), coded(train, features)
        other._space = self._space.extended(train)
        other._known = other._space.known(train)
        other._take_items()
        return other

    def state(self) -> State:
        """Return the feature space, what is known and the scale; a form adds its model."""
        arrays, meta = self._space.state()
        own: Meta = {"space": meta, "target": self._target, "scale": list(self._scale)}
        return {**arrays, "known": self._known}, own

    def _restore(self, arrays: Arrays, meta: Meta) -> None:
        self._space = FeatureSpace.from_state(arrays, meta["space"])
        self._target, self._scale = meta["target"], (float(meta["scale"][0]), float(meta["scale"][1]))
        self._known = arrays["known"].astype(bool)


def target_of(config: StructuredConfig, train: Dataset) -> Target:
    """Return what is learnt.

    Raises
    ------
    DataError
        Where ratings are asked for and there are none.
    """
    if config.target == "auto":
        return "rating" if train.has_ratings else "click"
    if config.target == "rating" and not np.isfinite(train.interactions.rating).any():
        raise DataError(
            f"target = 'rating': none of the {train.n_interactions:,} interactions of {train.info.name!r} has a "
            "rating; give a `rating` column, or set target = 'click'"
        )
    return config.target


def coded(train: Dataset, features: ItemFeatures) -> Dataset:
    """Return the data with prefixes of semantic ids as one more column of the items; as they are where there are none.

    A code says what an item's text is like in a word that trees can split on and that a factorization machine has a
    vector for. An item that came since has its code at once.

    Raises
    ------
    ConfigError
        Where the items have a column of that name already.
    """
    if features.codes is None:
        return train
    if CODES in train.item_table.columns:
        raise ConfigError(
            f"the items of {train.info.name!r} have a column {CODES!r}, the name of what [features.codes] makes: "
            "rename that column, or set levels = 0 in [features.codes]"
        )
    tags, names = features.codes.prefixes()
    rows = np.split(tags.indices, tags.indptr[1:-1])
    column = pl.Series(CODES, [[names[tag] for tag in row] for row in rows], dtype=pl.List(pl.String))
    return replace(train, item_table=train.item_table.with_columns(column))


def shuffled(train: Dataset, rng: np.random.Generator) -> tuple[Dataset, np.ndarray]:
    """Return a dataset whose users' rows stand in an order drawn at random, without times; and the time of each row."""
    rows = train.interactions
    order = np.lexsort((rng.random(len(rows)), rows.user))
    mixed = replace(rows.take(order), time=np.full(len(rows), np.nan))
    return replace(train, interactions=mixed), rows.time[order]


class Lessons:
    """Makes the examples of a training set, each described by nothing but what came before it.

    Parameters
    ----------
    train : Dataset
    config : StructuredConfig
    target : {"rating", "click"}
    run : RunOptions
    """

    def __init__(self, train: Dataset, config: StructuredConfig, target: Target, run: RunOptions) -> None:
        self.train, self.config, self.target, self.run = train, config, target, run
        self.ordered, self.when = train, train.interactions.time
        self._arrange(0)
        self.space = FeatureSpace.learn(train, self.past, self.when, config)
        self._of_rows: tuple[Asked, np.ndarray] | None = None

    def _arrange(self, turn: int) -> None:
        """Put the rows in the order in which they count as past."""
        if self.config.order == "shuffled":
            self.ordered, self.when = shuffled(self.train, self.run.rng(f"order {turn}"))
        self.past = ItemPast.of(self.ordered)

    def examples(self, turn: int) -> Examples:
        """Return the examples of one pass: with negatives, or an order, of its own."""
        if turn > 0 and self.config.order == "shuffled":
            self._arrange(turn)
            self._of_rows = None
        if self._of_rows is None:
            self._of_rows = self.space.of_rows(self.ordered, self.past, self.when)
        asked, deviations = self._of_rows
        table, rng, rating = (
            self.ordered.interactions,
            self.run.rng(f"examples {turn}"),
            self.target == "rating",
        )
        wanted = np.flatnonzero(np.isfinite(table.rating) if rating else table.weight > 0)
        if wanted.size > self.config.max_examples:
            wanted = np.sort(rng.permutation(wanted)[: self.config.max_examples])
        if rating:
            rows, items, labels = wanted, table.item[wanted], table.rating[wanted]
        else:
            rows, items, labels = _with_negatives(self.ordered, wanted, self.config, rng)
        at = moments(self.ordered)[rows]
        counts = np.bincount(rows, minlength=len(table))
        return Examples(
            self.ordered,
            asked,
            deviations if rating else table.weight,
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            items.astype(np.int32),
            labels.astype(np.float32),
            self.past.statistics(items, at),
            self.past.times_at(items, at),
        )


def _with_negatives(
    train: Dataset, wanted: np.ndarray, config: StructuredConfig, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (rows, items, labels): each row's item and items drawn that its user never took, by row."""
    table, n_items = train.interactions, train.n_items
    chances = train.item_counts.astype(np.float64) ** config.popularity_exponent * (train.item_counts > 0)
    reach = np.cumsum(chances)
    taken = np.unique(table.user.astype(np.int64) * n_items + table.item)
    rows = np.repeat(wanted, config.negatives)
    keys = table.user[rows].astype(np.int64) * n_items
    drawn = np.zeros(rows.size, np.int64)
    open_ = np.arange(rows.size)
    for _ in range(_DRAWS):
        drawn[open_] = np.minimum(
            np.searchsorted(reach, rng.random(open_.size) * reach[-1], "right"), n_items - 1
        )
        place = np.minimum(np.searchsorted(taken, keys[open_] + drawn[open_]), taken.size - 1)
        open_ = open_[taken[place] == keys[open_] + drawn[open_]]
    kept = np.ones(rows.size, dtype=bool)
    kept[open_] = False  # somebody who has taken nearly everything
    every = np.concatenate([wanted, rows[kept]])
    order = np.argsort(every, kind="stable")
    labels = np.concatenate([np.ones(wanted.size), np.zeros(int(kept.sum()))])
    return every[order], np.concatenate([table.item[wanted], drawn[kept]])[order], labels[order]
