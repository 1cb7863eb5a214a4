"""Windowed, recency-weighted item-item co-occurrence: what people take soon after what this person took last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field
from scipy import sparse

from fuserec.numerics.jit import kernel
from fuserec.numerics.parallel import over_ranges
from fuserec.scorers.base import Capabilities
from fuserec.scorers.history import HistoryScorer, compact_map, decayed
from fuserec.settings import Settings

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.query import QueryBatch
    from fuserec.encoders.features import ItemFeatures
    from fuserec.run import RunOptions
    from fuserec.types import Arrays, Meta, State


class CooccurrenceConfig(Settings):
    """Hyperparameters of co-occurrence."""

    window: int = Field(
        default=50, ge=1, description="Events apart, within one history, up to which a pair counts."
    )
    decay: float = Field(default=0.9, gt=0, le=1, description="A pair g events apart counts decay^(g−1).")
    backward: float = Field(
        default=0.5, ge=0, le=1, description="Share that counts for the earlier of the two items."
    )
    popularity_exponent: float = Field(
        default=0.3, ge=0, le=1, description="Counts are divided by (popularity + 1)^exponent of both items."
    )
    recency: float = Field(
        default=0.7, gt=0, le=1, description="An event this many steps back enters x × recency^steps."
    )
    n_neighbors: int = Field(default=1000, ge=1, description="Strongest followers kept for each item.")


class Cooccurrence(HistoryScorer):
    """score = x·M, M(i, j) = Σ decay^(gap−1) over pairs i before j, plus ``backward`` × the pairs j before i,
    divided by ((n_i + 1)(n_j + 1))^exponent.

    Linden, Smith, York 2003 ("Item-to-item collaborative filtering") with order and distance taken into account.
    """  # noqa: D205 (the formula is one sentence)

    name: ClassVar[str] = "cooccurrence"
    Config = CooccurrenceConfig
    capabilities: ClassVar[Capabilities] = Capabilities(needs=frozenset({"order"}), evidence="exact")
    tunable: ClassVar[Mapping[str, tuple[float, ...]]] = {
        "recency": (1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4),
        "popularity_exponent": (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6),
    }
    config: CooccurrenceConfig

    def _fit(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> None:
        self._threads = run.threads
        self._counts = train.item_counts.astype(np.float32)
        self._items = self._counts > 0
        self._map = compact_map(_cooccurrences(train, self.config, run))

    def inputs(self, q: QueryBatch) -> np.ndarray:
        """Return float32 (n_events,): weight × recency^steps, divided by the source item's popularity term."""
        strength: np.ndarray = decayed(q, self.config.recency) * self.scale[q.items]
        return strength

    @property
    def scale(self) -> np.ndarray:
        """float32 (n_items,): (popularity + 1)^−exponent, on both sides of M."""
        damped: np.ndarray = np.power(self._counts + 1.0, np.float32(-self.config.popularity_exponent))
        return damped

    def target_scale(self) -> np.ndarray | None:
        """Return float32 (n_items,): what each candidate's column is multiplied by."""
        return self.scale

    def state(self) -> State:
        """Return M, the counts, and what is known."""
        arrays, meta = super().state()
        return {**arrays, "counts": self._counts}, meta

    def _restore(self, arrays: Arrays, meta: Meta) -> None:
        super()._restore(arrays, meta)
        self._counts = arrays["counts"]


def _cooccurrences(train: Dataset, config: CooccurrenceConfig, run: RunOptions) -> sparse.csr_matrix:
    """Return CSR float32 (n_items, n_items) of weighted pair counts, at most ``n_neighbors`` a row."""
    rows, n_items = train.interactions, train.n_items
    weights = np.maximum(rows.weight, 0.0).astype(np.float32)
    occurrences = np.argsort(rows.item, kind="stable")
    starts = np.concatenate([[0], np.cumsum(train.item_counts)]).astype(np.int64)
    bound = np.minimum(train.item_counts * 2 * config.window, min(n_items, config.n_neighbors))
    room = np.concatenate([[0], np.cumsum(bound)]).astype(np.int64)
    columns, values = np.empty(room[-1], np.int32), np.zeros(room[-1], np.float32)
    used = np.zeros(n_items, np.int64)
    decays = np.power(config.decay, np.arange(config.window)).astype(np.float32)
    scale = np.power(train.item_counts + 1.0, -config.popularity_exponent).astype(np.float32)

    def work(lo: int, hi: int) -> None:
        run.check()
        _count_pairs(
            rows.user, rows.item, weights, occurrences, starts, decays, np.float32(config.backward), scale, room,
            columns, values, used, lo, hi,
        )  # fmt: skip

    over_ranges(work, n_items, run.threads, pieces_per_thread=16)
    kept = np.arange(room[-1]) - np.repeat(room[:-1], bound) < np.repeat(used, bound)
    indptr = np.concatenate([[0], np.cumsum(used)]).astype(np.int64)
    matrix = sparse.csr_matrix((values[kept], columns[kept], indptr), shape=(n_items, n_items))
    matrix.sort_indices()
    return matrix


@kernel(inline=True)
def _add_company(
    here: int,
    user: np.ndarray,
    item: np.ndarray,
    weight: np.ndarray,
    decays: np.ndarray,
    backward: np.float32,
    total: np.ndarray,
    touched: np.ndarray,
    n_touched: int,
) -> int:
    """Add what stands around the event ``here`` in its history to ``total``; return how many items are touched."""
    for side in range(2):
        share = weight[here] if side == 0 else weight[here] * backward
        for step in range(1, decays.size + 1):
            there = here + step if side == 0 else here - step
            if there < 0 or there >= user.size or user[there] != user[here]:
                break  # rows of a user stand together
            target = item[there]
            strength = share * weight[there] * decays[step - 1]
            if strength <= 0 or target == item[here]:
                continue
            if total[target] == 0:
                touched[n_touched] = target
                n_touched += 1
            total[target] += strength
    return n_touched


@kernel
def _count_pairs(
    user: np.ndarray,
    item: np.ndarray,
    weight: np.ndarray,
    occurrences: np.ndarray,
    starts: np.ndarray,
    decays: np.ndarray,
    backward: np.float32,
    scale: np.ndarray,
    room: np.ndarray,
    columns: np.ndarray,
    values: np.ndarray,
    used: np.ndarray,
    lo: int,
    hi: int,
) -> None:
    """Accumulate the row of each item in [lo, hi) over its occurrences; keep the strongest entries, by scaled count."""
    total = np.zeros(scale.size, np.float32)
    touched = np.empty(scale.size, np.int32)
    for source in range(lo, hi):
        n_touched = 0
        for occurrence in range(starts[source], starts[source + 1]):
            here = occurrences[occurrence]
            if weight[here] > 0:
                n_touched = _add_company(
                    here, user, item, weight, decays, backward, total, touched, n_touched
                )
        limit = room[source + 1] - room[source]
        kept = touched[:n_touched]
        if n_touched > limit:
            strength_of = total[kept] * scale[kept]
            kept = kept[np.argsort(-strength_of, kind="mergesort")[:limit]]
        for position in range(kept.size):
            columns[room[source] + position] = kept[position]
            values[room[source] + position] = total[kept[position]]
        used[source] = kept.size
        for position in range(n_touched):
            total[touched[position]] = 0
