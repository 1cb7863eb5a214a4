"""Flagged items: demoted for everybody, never shown to a protected audience."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field

from fuserec.errors import ConfigError
from fuserec.numerics.shares import weighed_order
from fuserec.rerank.audience import check_conditions, holds
from fuserec.rerank.base import Aim, Language, Pool, Reranker, RerankerSettings
from fuserec.rerank.groups import column_values

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.query import QueryBatch
    from fuserec.encoders.features import ItemFeatures
    from fuserec.run import RunOptions
    from fuserec.types import Arrays, Meta, State


class FlaggedConfig(RerankerSettings):
    """Settings of flagged items; something has to flag them: items, or a column with values."""

    strength: float = Field(
        default=1.0, ge=0.0, le=1.0, description="0: the order of scores; 1: flagged items after all others."
    )
    items: tuple[str, ...] = Field(default=(), description="Ids of flagged items.")
    column: str | None = Field(
        default=None,
        description="A column of items that flags them by its values.",
        json_schema_extra={"tune": False},
    )
    values: tuple[str, ...] = Field(
        default=(), description='The values of the column that flag an item, such as ["Horror", "R"].'
    )
    protected: dict[str, Any] = Field(
        default={},
        description="Who is never shown a flagged item: columns of users, or keys of a request's context, with a "
        'value, a list of values, or a comparison, such as { age = { "<" = 18 } }; one that holds is enough.',
    )
    protect_unknown: bool = Field(
        default=False,
        description="Protect also whom nothing is known of in these columns.",
        json_schema_extra={"tune": False},
    )


class Flagged(Reranker):
    """A penalty on flagged items, and a rule: (1 - strength) · relevance - strength · flagged.

    The rule acts before the best are chosen, so that a protected person's list is as long as anybody's.
    """

    name: ClassVar[str] = "flagged"
    Config = FlaggedConfig
    at_fit: ClassVar[frozenset[str]] = frozenset({"items", "column", "values"})
    aim: Aim = Aim("Flagged share", "Share of a list's items that are flagged.", "lower")
    said: ClassVar[Mapping[Language, tuple[str, str]]] = {
        "en": ("flagged items went down", "it is flagged"),
        "zh": ("被标记的条目后移", "该条目被标记"),
    }
    config: FlaggedConfig

    def __init__(self, config: RerankerSettings | None = None) -> None:
        super().__init__(config)
        own, where = self.config, f"[rerank.{self.name}]"
        if not own.items and (own.column is None or not own.values):
            raise ConfigError(f"{where}: nothing is flagged: give items = [ids], or column and values")
        check_conditions(own.protected, f"{where} protected")

    @property
    def reads_columns(self) -> bool:  # type: ignore[override]
        """Whether it reads the columns of who asks: only where somebody is protected."""
        return bool(self.config.protected)

    @property
    def context_keys(self) -> tuple[str, ...]:
        """What says who is protected."""
        return tuple(self.config.protected)

    def _fit(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> None:
        own, where = self.config, f"[rerank.{self.name}]"
        flag = np.zeros(train.n_items, dtype=bool)
        indices = train.items.indices(own.items)
        flag[indices[indices >= 0]] = (
            True  # what is not in the catalogue yet is flagged when an update brings it
        )
        if own.column is not None and own.values:
            members, names = column_values(train.item_table, own.column, where)
            wanted = np.isin(np.array(names), np.array(own.values))
            flag |= np.asarray(members[:, wanted].sum(axis=1)).ravel() > 0
        self._flag = flag

    def forbidden(self, q: QueryBatch) -> np.ndarray | None:
        """Return the flagged items for each protected query."""
        own = self.config
        if not own.protected:
            return None
        contexts = q.contexts or ({},) * len(q)
        shut = np.array([holds(one, own.protected, own.protect_unknown) for one in contexts], dtype=bool)
        return shut[:, None] & self._flag[None, :] if shut.any() else None

    def order(self, pool: Pool, q: QueryBatch, places: int, threads: int = 1) -> np.ndarray:
        """Return the order in which flagged items are charged."""
        s, flag = self.config.strength, self._flag[np.maximum(pool.items, 0)]
        return weighed_order((1 - s) * pool.relevance - s * flag, pool.counts, places)

    def reached(self, lists: np.ndarray, counts: np.ndarray, q: QueryBatch) -> np.ndarray:
        """Return the share of each list that is flagged."""
        shown = self._flag[np.maximum(lists, 0)] & (np.arange(lists.shape[1]) < counts[:, None])
        return np.where(counts > 0, shown.sum(axis=1) / np.maximum(counts, 1), np.nan)

    def state(self) -> State:
        """Return which items are flagged."""
        return {"flag": self._flag}, {}

    def _restore(self, arrays: Arrays, meta: Meta) -> None:
        self._flag = arrays["flag"].astype(bool)
