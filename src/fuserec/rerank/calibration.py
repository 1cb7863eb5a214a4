"""Calibration: the kinds of items in a list are spread as they are in the history."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from fuserec.numerics.shares import calibrated_order, rows_of
from fuserec.rerank.base import Aim, Language, Pool, Reranker, RerankerSettings
from fuserec.rerank.groups import column_values, csr_of, csr_state, distributions, ragged, tastes

if TYPE_CHECKING:
    from scipy import sparse

    from fuserec.data.dataset import Dataset
    from fuserec.data.query import QueryBatch
    from fuserec.encoders.features import ItemFeatures
    from fuserec.run import RunOptions
    from fuserec.types import Arrays, Meta, State

NAMED = 2
"""So many kinds of an item are named in a move."""


class CalibrationConfig(RerankerSettings):
    """Settings of calibration."""

    strength: float = Field(
        default=0.5, ge=0.0, le=1.0, description="0: the order of scores; 1: the kinds of the history alone."
    )
    column: str = Field(
        default="categories",
        description="The column of items that says of what kind they are.",
        json_schema_extra={"tune": False},
    )
    mix: float = Field(
        default=0.01,
        gt=0.0,
        lt=1.0,
        description="How much of the wanted spread is mixed into the list's, so that a missing kind costs no infinity.",
        json_schema_extra={"tune": False},
    )


class Calibration(Reranker):
    """Weighs relevance against the divergence between the list's kinds and the history's (Steck 2018).

    A history that is 70 % drama and 30 % comedy gets such lists, where scores alone would show drama only. Without a
    history whose items have a kind the order stays.
    """

    name: ClassVar[str] = "calibration"
    Config = CalibrationConfig
    at_fit: ClassVar[frozenset[str]] = frozenset({"column"})
    aim: Aim = Aim(
        "Miscalibration",
        "Kullback-Leibler divergence of the list's kinds from the history's, in nats.",
        "lower",
    )
    said: ClassVar[Mapping[Language, tuple[str, str]]] = {
        "en": (
            "brings the list closer to the kinds of the history",
            "what the history wants more of went first",
        ),
        "zh": ("使列表的类别更接近历史", "历史更偏好的类别排到了前面"),
    }
    config: CalibrationConfig

    def _fit(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> None:
        where = f"[rerank.{self.name}]"
        members, self._names = column_values(train.item_table, self.config.column, where)
        self._groups: sparse.csr_array = distributions(members)
        self._rows = ragged(self._groups)

    def order(self, pool: Pool, q: QueryBatch, places: int, threads: int = 1) -> np.ndarray:
        """Return the calibrated order."""
        config = self.config
        return calibrated_order(
            rows_of(pool.items, pool.counts, pool.relevance),
            self._rows,
            ragged(tastes(q, self._groups)),
            len(self._names),
            config.strength,
            config.mix,
            places,
            threads,
        )

    def reached(self, lists: np.ndarray, counts: np.ndarray, q: QueryBatch) -> np.ndarray:
        """Return the divergence of each list from the history, NaN where that has no kind."""
        return divergence(lists, counts, self._groups, tastes(q, self._groups), self.config.mix)

    def because(self, item: int, up: bool, language: Language) -> str:
        """Return why an item was moved, with its kinds where it went up."""
        kinds = self._groups.indices[self._groups.indptr[item] : self._groups.indptr[item + 1]][:NAMED]
        clause = super().because(item, up, language)
        return f"{clause} ({', '.join(self._names[kind] for kind in kinds)})" if up and kinds.size else clause

    def state(self) -> State:
        """Return the kinds of the items."""
        return csr_state("groups", self._groups), {"names": list(self._names)}

    def _restore(self, arrays: Arrays, meta: Meta) -> None:
        self._names = tuple(meta["names"])
        self._groups = csr_of("groups", arrays, len(self._names))
        self._rows = ragged(self._groups)


def divergence(
    lists: np.ndarray, counts: np.ndarray, groups: sparse.csr_array, wanted: sparse.csr_array, mix: float
) -> np.ndarray:
    """Return float64 (n,): KL(p ‖ (1 - mix) q + mix p) of each list's groups q from the wanted p, NaN without p.

    Parameters
    ----------
    lists : int32 (n, k)
    counts : int32 (n,)
    groups : CSR (n_items, n_groups)
        p(group | item).
    wanted : CSR (n, n_groups)
    mix : float
    """
    from scipy import sparse

    kept = np.arange(lists.shape[1]) < counts[:, None]
    starts = np.concatenate([[0], np.cumsum(kept.sum(axis=1))])
    ones = np.ones(int(starts[-1]), np.float64)
    shown = sparse.csr_array((ones, lists[kept], starts), shape=(len(lists), groups.shape[0])) @ groups
    rows = np.repeat(np.arange(len(lists)), np.diff(wanted.indptr))
    p = wanted.data.astype(np.float64)
    q = np.asarray(shown[rows, wanted.indices]).ravel() / np.maximum(counts, 1)[rows]
    each = p * np.log(p / ((1 - mix) * q + mix * p), out=np.zeros_like(p), where=p > 0)
    found = np.bincount(rows, weights=each, minlength=len(lists))
    return np.where((np.diff(wanted.indptr) > 0) & (counts > 0), found, np.nan)
