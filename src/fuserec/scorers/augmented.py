"""Augmented: the history of a query is extended by what another scorer would add to it, then scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from fuserec.errors import ConfigError
from fuserec.numerics.hashing import reseed
from fuserec.scorers import create
from fuserec.scorers.base import Capabilities, Evidence, EvidenceKind, Scorer, Scores
from fuserec.scorers.wrapped import Wrapper, WrapperConfig

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.query import QueryBatch
    from fuserec.run import RunOptions
    from fuserec.types import Arrays

Key = tuple[EvidenceKind, int | str | None]


class AugmentedConfig(WrapperConfig):
    """Hyperparameters of feature augmentation."""

    of: str = Field(default="item_knn", description="The scorer that scores the extended history.")
    by: str = Field(default="content", description="The scorer whose best items extend the history.")
    by_options: dict[str, Any] = Field(default={}, description="Hyperparameters of the scorer that extends.")
    added: int = Field(default=5, ge=1, le=1000, description="Items that a history is extended by, at most.")
    weight: float = Field(
        default=0.3, gt=0, le=1, description="Weight of an added item; a real event weighs up to 1."
    )

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        rated = "rating" in self.inner().capabilities.needs
        if rated and not self.extender().capabilities.predicts:
            raise ConfigError(
                f"augmented: {self.of!r} learns from ratings, and by = {self.by!r} predicts none; "
                "name one that does, e.g. item_knn, or another scorer in `of`"
            )
        return self

    def extender(self) -> Scorer:
        """Return the scorer that extends histories, unfitted."""
        return create(self.by, self.by_options, f"by_options of {self.by!r}")


@dataclass(frozen=True)
class Extended:
    """Queries with items added.

    Parameters
    ----------
    queries : QueryBatch
    added : int32 (n, m)
        The items added to each query, best first, -1 where there are fewer.
    """

    queries: QueryBatch
    added: np.ndarray


class Augmented(Wrapper):
    """score = s(extended history): the best items of the scorer ``by`` come before all real events, at a small weight.

    Melville, Mooney, Nagarajan 2002, "Content-boosted collaborative filtering for improved recommendations", with
    histories in place of rating vectors (feature augmentation in Burke 2002): where the wrapped scorer learns from
    ratings, the added items bear those that ``by`` predicts, as there. Only items that somebody has taken are added,
    with a score above 0, and none that the history holds. They are older than everything real, so that recency
    silences them where there is much of a history.
    """

    name: ClassVar[str] = "augmented"
    Config = AugmentedConfig
    capabilities: ClassVar[Capabilities] = Capabilities(
        answers=frozenset({"history", "text"}), evidence="attributed", predicts=True
    )
    tunable: ClassVar[Mapping[str, tuple[float, ...]]] = {"weight": (0.05, 0.1, 0.2, 0.3, 0.5, 1.0)}
    config: AugmentedConfig
    _threads: int = 1

    def _able(self, told: Capabilities) -> Capabilities:
        other = self.config.extender().capabilities
        order = ("exact", "folded", "refit")
        limits = [limit for limit in (told.max_items, other.max_items) if limit is not None]
        return Capabilities(
            answers=told.answers | other.answers,
            needs=told.needs | other.needs,
            update=max(told.update, other.update, key=order.index),
            evidence="scorer" if told.evidence == "scorer" else "attributed",
            max_items=min(limits) if limits else None,
            predicts=told.predicts,
            trained=told.trained or other.trained,
        )

    def _blank(self) -> dict[str, Scorer]:
        return {"of": self.config.inner(), "by": self.config.extender()}

    def _tuned_names(self) -> tuple[str, ...]:
        return ("of",)

    def _learn(self, train: Dataset, run: RunOptions) -> None:
        self._ties, self._taken = reseed(train.items.hashes, run.seed), train.item_counts > 0
        self._threads = run.threads

    def _numbers(self) -> Arrays:
        return {"ties": self._ties, "taken": self._taken}

    def _take_numbers(self, arrays: Arrays) -> None:
        self._ties, self._taken = arrays["ties"], arrays["taken"].astype(bool)

    def _extended(self, q: QueryBatch) -> Extended:
        """Return the queries with what ``by`` adds to them, before all that they hold."""
        from fuserec.numerics.topk import top_k

        found = self._inner["by"].score(q)
        worth = found.answered & self._taken & (found.values > 0)
        visible = np.where(worth, found.values, np.float32(-np.inf))
        added, _, counts = top_k(
            visible, self.config.added, exclude=q.seen(), ties=self._ties, threads=self._threads
        )
        before = (added[:, ::-1] >= 0).ravel()  # the best of them stands nearest to the history
        new = added[:, ::-1].ravel()[before]
        lengths = q.lengths + counts
        indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        real = np.arange(q.items.size) + np.repeat(np.cumsum(counts), q.lengths)
        unreal = np.arange(new.size) + np.repeat(q.indptr[:-1], counts)
        oldest = np.full(len(q), np.nan, np.float32)
        oldest[q.lengths > 0] = q.ages[q.indptr[:-1][q.lengths > 0]]

        def joined(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
            out = np.empty(real.size + unreal.size, ours.dtype)
            out[real], out[unreal] = ours, theirs
            return out

        return Extended(
            replace(
                q,
                indptr=indptr,
                items=joined(q.items, new),
                weights=joined(q.weights, np.full(new.size, self.config.weight)),
                ratings=joined(q.ratings, self._ratings(q, added)[:, ::-1].ravel()[before]),
                ages=joined(q.ages, np.repeat(oldest, counts)),
            ),
            added,
        )

    def _ratings(self, q: QueryBatch, added: np.ndarray) -> np.ndarray:
        """Return float32 (n, m): the ratings that added items bear, where the wrapped scorer reads any."""
        by = self._inner["by"]
        if "rating" in self._inner["of"].capabilities.needs and by.can_predict:
            return by.predict(q, np.maximum(added, 0))
        return np.full(added.shape, np.nan, np.float32)

    def score(self, q: QueryBatch, items: np.ndarray | None = None) -> Scores:
        """Return the wrapped scorer's scores for the extended histories."""
        self.require_fitted()
        return self._inner["of"].score(self._extended(q).queries, items)

    def predict(self, q: QueryBatch, items: np.ndarray) -> np.ndarray:
        """Return the ratings that the wrapped scorer predicts for the extended histories."""
        return self._inner["of"].predict(self._extended(q).queries, items)

    def evidence(self, q: QueryBatch, items: np.ndarray) -> list[list[list[Evidence]]]:
        """Return the wrapped rows; those of added items go to what ``by`` added them for, in its proportions."""
        self.require_fitted()
        extended = self._extended(q)
        by, added = self._inner["by"], extended.added
        behind = by.evidence(q, np.maximum(added, 0)) if added.size else [[] for _ in range(len(q))]
        rows = self._inner["of"].evidence(extended.queries, items)
        found = []
        for query, cells in enumerate(rows):
            sources = {
                int(item): self._sources(behind[query][place])
                for place, item in enumerate(added[query])
                if item >= 0
            }
            found.append([self._traced(cell, sources) for cell in cells])
        return found

    def _sources(self, rows: list[Evidence]) -> dict[Key, float]:
        """Return what an item was added for, as shares of 1: whatever spoke for it."""
        total = sum(row.contribution for row in rows if row.contribution > 0)
        shares: dict[Key, float] = {}
        for row in rows:
            if row.contribution > 0:
                shares[row.kind, row.key] = shares.get((row.kind, row.key), 0.0) + row.contribution / total
        return shares or {("scorer", self.config.by): 1.0}

    def _traced(self, rows: list[Evidence], sources: dict[int, dict[Key, float]]) -> list[Evidence]:
        """Return the rows of one score, those of added items traced back to the query."""
        sums: dict[Key, float] = {}
        for row in rows:
            added = sources.get(row.key) if row.kind == "item" and isinstance(row.key, int) else None
            for key, share in (added or {(row.kind, row.key): 1.0}).items():
                sums[key] = sums.get(key, 0.0) + share * row.contribution
        return [
            Evidence(self.name, kind, key, part, "attributed") for (kind, key), part in sums.items() if part
        ]
