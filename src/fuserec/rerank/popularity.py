"""Popularity control: how much of a list goes to what everybody takes anyway."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field
from scipy import sparse

from fuserec.numerics.shares import calibrated_order, covering_order, rows_of, weighed_order
from fuserec.rerank.base import Aim, Language, Pool, Reranker, RerankerSettings
from fuserec.rerank.calibration import divergence
from fuserec.rerank.groups import distributions, popularity_groups, ragged, tastes

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.query import QueryBatch
    from fuserec.encoders.features import ItemFeatures
    from fuserec.run import RunOptions
    from fuserec.types import Arrays, Meta, State

TAIL = 0.2
"""The long tail is what shares so much of the interactions."""

THREE = (0.2, 0.8)
"""Head, middle and tail have 20, 60 and 20 % of the interactions (Abdollahpouri et al. 2021)."""

MIX = 0.01

CALIBRATED = Aim(
    "Popularity miscalibration",
    "Kullback-Leibler divergence of head, middle and tail in the list from the history's, in nats.",
    "lower",
)

CHARGED: Mapping[Language, tuple[str, str]] = {
    "en": ("taken less often than what it passed", "what is taken less often went first"),
    "zh": ("比被它超过的条目更少被选", "更少被选的条目排到了前面"),
}


class PopularityConfig(RerankerSettings):
    """Settings of popularity control."""

    method: Literal["xquad", "calibrated", "penalty"] = Field(
        default="xquad",
        description="xquad: long tail and head in turns, by how much of each the history has; calibrated: head, middle "
        "and tail in the shares of the history; penalty: popularity is charged, the same for everybody.",
    )


class PopularityControl(Reranker):
    """Keeps popular items from filling every list; popularity is counted on the training data.

    ``xquad``: Abdollahpouri, Burke and Mobasher (2019), "Managing popularity bias in recommender systems with
    personalized re-ranking" (smooth). ``calibrated``: the kinds of Steck (2018) are head, middle and tail, as in
    Abdollahpouri et al. (2021), "User-centered evaluation of popularity bias in recommender systems". ``penalty``:
    (1 - strength) · relevance - strength · the share of items that are less popular; at 1 the rarest come first.
    """

    name: ClassVar[str] = "popularity"
    Config = PopularityConfig
    aim: Aim = Aim(
        "Long-tail share",
        "Share of a list that is of the long tail: items that together have a fifth of the interactions.",
        "higher",
    )
    said: ClassVar[Mapping[Language, tuple[str, str]]] = {
        "en": (
            "brings the list closer to how popular the history is",
            "what the history wants more of went first",
        ),
        "zh": ("使列表的热门程度更接近历史", "历史更偏好的条目排到了前面"),
    }
    config: PopularityConfig

    def _fit(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> None:
        self._count(train.item_counts)

    def _prepare(self) -> None:
        self.aim = CALIBRATED if self.config.method == "calibrated" else type(self).aim

    def _count(self, counts: np.ndarray) -> None:
        """Keep how often items were taken int64 (n_items,), and the groups that follow from it."""
        self._counts = counts
        self._tail = popularity_groups(self._counts, (1 - TAIL,))
        self._three = _one_hot(popularity_groups(self._counts, THREE), len(THREE) + 1)
        self._two = _one_hot(self._tail, 2)
        less = np.sort(self._counts)
        self._percentile = np.searchsorted(less, self._counts, side="left") / max(1, less.size)

    def order(self, pool: Pool, q: QueryBatch, places: int, threads: int = 1) -> np.ndarray:
        """Return the order by the chosen method; a query without a history keeps its order but for ``penalty``."""
        s = self.config.strength
        if self.config.method == "penalty":
            charged = self._percentile[np.maximum(pool.items, 0)]
            return weighed_order((1 - s) * pool.relevance - s * charged, pool.counts, places)
        rows = rows_of(pool.items, pool.counts, pool.relevance)
        if self.config.method == "calibrated":
            wanted = ragged(tastes(q, self._three))
            return calibrated_order(
                rows, ragged(self._three), wanted, len(THREE) + 1, s, MIX, places, threads
            )
        wanted_two = tastes(q, self._two).toarray().astype(np.float64)
        return covering_order(rows, self._tail, wanted_two, s, places, threads)

    def reached(self, lists: np.ndarray, counts: np.ndarray, q: QueryBatch) -> np.ndarray:
        """Return the share of each list that is of the long tail, or its divergence where that is the method."""
        if self.config.method == "calibrated":
            return divergence(lists, counts, self._three, tastes(q, self._three), MIX)
        kept = np.arange(lists.shape[1]) < counts[:, None]
        tail = (self._tail[np.maximum(lists, 0)] == 1) & kept
        return np.where(counts > 0, tail.sum(axis=1) / np.maximum(counts, 1), np.nan)

    def because(self, item: int, up: bool, language: Language) -> str:
        """Return why an item was moved; a penalty looks at no history."""
        if self.config.method == "penalty":
            return CHARGED[language][0 if up else 1]
        return super().because(item, up, language)

    def state(self) -> State:
        """Return how often each item was taken."""
        return {"counts": self._counts}, {}

    def _restore(self, arrays: Arrays, meta: Meta) -> None:
        self._count(arrays["counts"])


def _one_hot(group: np.ndarray, n_groups: int) -> sparse.csr_array:
    """Return CSR (n_items, n_groups) with a single 1 in each row."""
    ones, rows = np.ones(group.size, np.float32), np.arange(group.size)
    return distributions(sparse.csr_array((ones, (rows, group)), shape=(group.size, n_groups)))
