"""Popularity: how often an item is taken, recently if time is known; the answer where nothing is known of somebody."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from fuserec.data.dataset import SECONDS_PER_DAY
from fuserec.scorers.base import Capabilities, Evidence, Scorer, Scores, chosen, known
from fuserec.settings import Settings

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.query import QueryBatch
    from fuserec.encoders.features import ItemFeatures
    from fuserec.run import RunOptions
    from fuserec.types import Arrays, Meta, State


class PopularityConfig(Settings):
    """How popularity is counted."""

    half_life_days: float | None = Field(
        default=None,
        gt=0,
        description="An interaction this old counts half as much as one at the newest moment of the data. "
        "None: all count alike.",
    )


class Popularity(Scorer):
    """score(j) = log(1 + Σ max(weight, 0)·2^(−age / half-life)) over the interactions with j; the same for everybody.

    Ages are counted from the newest interaction in training, never from the clock.
    """

    name: ClassVar[str] = "popularity"
    Config = PopularityConfig
    capabilities: ClassVar[Capabilities] = Capabilities(answers=frozenset({"anyone"}), evidence="exact")
    config: PopularityConfig

    def _fit(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> None:
        rows = train.interactions
        weights = np.maximum(rows.weight, 0.0).astype(np.float64)
        if self.config.half_life_days is not None:
            train.require_time(f"popularity with half_life_days = {self.config.half_life_days:g}")
            ages = (rows.time.max(initial=0.0) - rows.time) / SECONDS_PER_DAY
            weights *= np.exp2(-ages / self.config.half_life_days)
        counts = np.bincount(rows.item, weights=weights, minlength=train.n_items)
        self._scores = np.log1p(counts).astype(np.float32)
        self._items = train.item_counts > 0

    def score(self, q: QueryBatch, items: np.ndarray | None = None) -> Scores:
        """Return the popularity of every item, for every query."""
        self.require_fitted()
        values = np.broadcast_to(self._scores, (len(q), self._scores.size))
        return Scores(np.array(chosen(values, items)), known(self._items, items), np.ones(len(q), dtype=bool))

    def evidence(self, q: QueryBatch, items: np.ndarray) -> list[list[list[Evidence]]]:
        """Return one exact row a candidate."""
        self.require_fitted()
        return [
            [[Evidence(self.name, "popularity", None, float(self._scores[item]), "exact")] for item in row]
            for row in items
        ]

    def state(self) -> State:
        """Return the score of each item."""
        return {"scores": self._scores, "items": self._items}, {}

    def _restore(self, arrays: Arrays, meta: Meta) -> None:
        self._scores, self._items = arrays["scores"], arrays["items"].astype(bool)
