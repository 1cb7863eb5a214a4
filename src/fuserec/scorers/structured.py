"""What scorers over structured features share: examples made of the past, what is known, state and updates."""

from __future__ import annotations

from abc import abstractmethod
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from fuserec.encoders.behaviour import ItemPast, item_ages, moments
from fuserec.encoders.structured import Asked, ColumnChoice, FeatureSpace
from fuserec.errors import DataError, NotFittedError
from fuserec.scorers.base import Capabilities, Scorer
from fuserec.scorers.ratings import rating_scale

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.query import QueryBatch
    from fuserec.encoders.features import ItemFeatures
    from fuserec.run import RunOptions
    from fuserec.types import Arrays, Meta, State

Target = Literal["rating", "click"]

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
    asked : Asked (n_rows)
        The query's side of every interaction.
    liking : float32 (n_rows,)
        What an interaction, once past, says for its item; NaN says nothing.
    indptr : int64 (n_rows + 1,)
        Candidates ``indptr[r]:indptr[r + 1]`` belong to interaction ``r``.
    items : int32 (n,)
    labels : float32 (n,)
        A rating, or 1 for what was taken and 0 for what was drawn.
    statistics : float32 (n, 5)
    ages : float32 (n, 2)
        Of the candidate at the moment of the interaction.
    """

    asked: Asked
    liking: np.ndarray
    indptr: np.ndarray
    items: np.ndarray
    labels: np.ndarray
    statistics: np.ndarray
    ages: np.ndarray

    @property
    def rows(self) -> np.ndarray:
        """int64 (n,): the interaction of each candidate."""
        return np.repeat(np.arange(self.indptr.size - 1), np.diff(self.indptr))


class StructuredScorer(Scorer):
    """Learns from columns and behaviour; a form says what is fitted to the examples.

    An item that nobody has taken is judged by its columns where at least one of its categories is known; everybody is
    answered, somebody unknown by what the context says.
    """

    capabilities: ClassVar[Capabilities] = Capabilities(
        answers=frozenset({"history", "anyone"}),
        update="folded",
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
        past = ItemPast.of(train)
        self._space = FeatureSpace.learn(train, past, self.config)
        self._known = self._space.known(train)
        self._scale = (0.0, 1.0)
        if self._target == "rating":
            rated = train.interactions.rating[np.isfinite(train.interactions.rating)]
            self._scale = rating_scale(train, rated)
        self._learn(train, examples_of(train, self._space, past, self._target, self.config, run), run)

    @abstractmethod
    def _learn(self, train: Dataset, examples: Examples, run: RunOptions) -> None:
        """Fit to the examples."""

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
        return np.clip(self.score(q, items).values, *self._scale)

    def _asked(self, q: QueryBatch) -> tuple[Asked, np.ndarray]:
        """Return the query's side, and float32 (n_events,) what each event says for its item."""
        self.require_fitted()
        asked, deviations = self._space.of_queries(q)
        return asked, deviations if self._target == "rating" else q.weights

    def updated(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> Self:
        """Return the scorer with statistics of the grown data and items known by their columns; the model is kept."""
        self.require_fitted()
        other = copy(self)
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


def examples_of(
    train: Dataset,
    space: FeatureSpace,
    past: ItemPast,
    target: Target,
    config: StructuredConfig,
    run: RunOptions,
) -> Examples:
    """Return the examples of a training set, each described by nothing but what came before it."""
    table, rng = train.interactions, run.rng("examples")
    asked, deviations = space.of_rows(train, past)
    wanted = np.flatnonzero(np.isfinite(table.rating) if target == "rating" else table.weight > 0)
    if wanted.size > config.max_examples:
        wanted = np.sort(rng.permutation(wanted)[: config.max_examples])
    if target == "rating":
        rows, items, labels = wanted, table.item[wanted], table.rating[wanted]
    else:
        rows, items, labels = _with_negatives(train, wanted, config, rng)
    at = moments(train)[rows]
    first, last = past.edges(items, at)
    counts = np.bincount(rows, minlength=len(table))
    return Examples(
        asked,
        deviations if target == "rating" else table.weight,
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        items.astype(np.int32),
        labels.astype(np.float32),
        past.statistics(items, at),
        item_ages(first, last, at),
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
