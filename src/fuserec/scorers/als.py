"""Implicit alternating least squares: factors of items, and a user solved from the history in every query."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from fuserec.scorers.implicit import ImplicitConfig, ImplicitFactors

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.encoders.features import ItemFeatures
    from fuserec.run import RunOptions
    from fuserec.types import Arrays, Meta, State


class ImplicitALSConfig(ImplicitConfig):
    """Hyperparameters of implicit ALS."""


class ImplicitALS(ImplicitFactors):
    """Minimises Σ c_ui (p_ui − x_u·y_i)² + λ (Σ‖x_u‖² + Σ‖y_i‖²) (Hu, Koren, Volinsky 2008, eq. 3).

    "Collaborative filtering for implicit feedback datasets". Preference p is 1 and confidence c = 1 + alpha·w
    where a weight is positive, elsewhere p = 0 and c = 1. No user is stored: x is solved for the history in
    the query.
    """

    name: ClassVar[str] = "als"
    Config = ImplicitALSConfig
    config: ImplicitALSConfig

    def _fit(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> None:
        confidences, _, factors = self._learnt(train, run)
        self._take(factors, np.bincount(confidences.indices, minlength=train.n_items) > 0)

    def updated(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> Self:
        """Return the scorer with factors for items first taken since, solved from their takers."""
        self.require_fitted()
        other = copy(self)
        other._threads = run.threads
        confidences, factors = other._grown(train, self._factors, self._items)
        items = np.bincount(confidences.indices, minlength=train.n_items) > 0
        items[: self._items.size] |= self._items
        other._take(factors, items)
        return other

    def state(self) -> State:
        """Return the item factors and what is known."""
        return {"factors": self._factors, "items": self._items}, {}

    def _restore(self, arrays: Arrays, meta: Meta) -> None:
        self._take(arrays["factors"], arrays["items"].astype(bool))
