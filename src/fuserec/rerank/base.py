"""The contract of rerankers: scored candidates to the list that is shown; scores are read, never altered."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from fuserec.errors import ConfigError, NotFittedError
from fuserec.settings import Settings

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.query import QueryBatch
    from fuserec.data.splits import Holdout
    from fuserec.encoders.features import ItemFeatures
    from fuserec.run import RunOptions
    from fuserec.types import Arrays, Meta, State

Language = Literal["en", "zh"]


class RerankerSettings(Settings):
    """What every reranker has."""

    strength: float = Field(
        default=0.5,
        ge=0.0,
        le=1.0,
        description="0 shows the list in the order of scores, exactly; 1 follows this reranker's aim alone.",
    )


@dataclass(frozen=True)
class Pool:
    """The candidates of ``n`` queries that rerankers choose from, best first.

    Parameters
    ----------
    items : int32 (n, m)
        -1 after the end of a row.
    scores : float32 (n, m)
        The fused scores of the items; whatever rerankers do, a score stays with its item.
    counts : int32 (n,)
        How many items of each row are real.
    relevance : float64 (n, m)
        What a place is worth, 1 for the first down to 0, never rising along a row. It belongs to places: the
        first reranker of a chain reads the scores of the list, scaled to their range within the pool; after
        a reranker, what stands first has again the highest relevance, so that strength 0 leaves its order.
    """

    items: np.ndarray
    scores: np.ndarray
    counts: np.ndarray
    relevance: np.ndarray

    @classmethod
    def of(cls, items: np.ndarray, scores: np.ndarray, counts: np.ndarray) -> Pool:
        """Return the pool of lists as :func:`fuserec.numerics.topk.top_k` gives them."""
        there = np.arange(items.shape[1]) < counts[:, None]
        values = np.where(there, scores, 0.0).astype(np.float64)
        high = values[:, :1] if items.shape[1] else values
        low = np.where(there, values, np.inf).min(axis=1, keepdims=True, initial=np.inf)
        spread = high - np.where(np.isfinite(low), low, 0.0)
        scaled = np.divide(values - low, spread, out=np.ones_like(values), where=there & (spread > 0))
        return cls(items, scores, counts, np.where(there, scaled, 0.0))

    def reordered(self, order: np.ndarray) -> Pool:
        """Return the pool in another order: places int32 (n, m), a permutation of each row."""
        rows = order.astype(np.int64)
        return replace(
            self,
            items=np.take_along_axis(self.items, rows, axis=1),
            scores=np.take_along_axis(self.scores, rows, axis=1),
        )


@dataclass(frozen=True)
class Aim:
    """The measure that a reranker serves, for its curve of cost.

    Parameters
    ----------
    title : str
    meaning : str
    better : {"higher", "lower"}
    """

    title: str
    meaning: str
    better: Literal["higher", "lower"]


class Reranker(ABC):
    """Orders a pool anew; immutable once fitted, like a scorer.

    A new one is one file with its settings and its class, and one line in :data:`fuserec.rerank.RERANKERS`.
    What ``_fit`` keeps does not hang on settings (``_prepare`` reads those), so that ``retuned`` costs no refit.
    """

    name: ClassVar[str]
    Config: ClassVar[type[RerankerSettings]] = RerankerSettings
    reads_columns: ClassVar[bool] = False
    """Whether it reads the context of a query, which holds the columns of who asks."""
    learns: ClassVar[bool] = False
    """Whether it learns from pools of validation queries (:meth:`taught`)."""
    at_fit: ClassVar[frozenset[str]] = frozenset()
    """Settings that ``fit`` reads: another value of them needs another fit."""
    aim: Aim
    said: ClassVar[Mapping[Language, tuple[str, str]]]
    """By language why an item went up, and why one went down, as clauses after the places of a move."""

    config: RerankerSettings
    _features: ItemFeatures

    def __init__(self, config: RerankerSettings | None = None) -> None:
        self.config = config if config is not None else self.Config()
        self._fitted = False

    def fit(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> Self:
        """Return a fitted reranker; this one stays as it is."""
        fitted = copy(self)
        fitted._features = features
        fitted._fit(train, features, run)
        fitted._prepare()
        fitted._fitted = True
        return fitted

    def _fit(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> None:  # noqa: B027 - may be nothing
        """Take what is needed of the data; called on a copy, which keeps what validation has taught."""

    def _prepare(self) -> None:  # noqa: B027 - most need nothing
        """Make what the settings and what was fitted give together; called again for other settings."""

    def taught(self, held: Holdout, pool: Pool, run: RunOptions) -> Self:
        """Return the reranker with what the pools of held-out queries teach it; most learn nothing from them.

        Parameters
        ----------
        held : Holdout (n)
            Validation queries with the items that were taken.
        pool : Pool (n, m)
            What the fusion puts first for them, as rerankers before this one have left it.
        run : RunOptions
        """
        return self

    def updated(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> Self:
        """Return the reranker for a dataset that grew; what validation has taught stays."""
        return self.fit(train, features, run)

    def forbidden(self, q: QueryBatch) -> np.ndarray | None:
        """Return bool (n, n_items): what may not be shown to whom at all; None where that is nothing.

        It acts before the best are chosen, so that k items come back wherever k are left.
        """
        return None

    @abstractmethod
    def order(self, pool: Pool, q: QueryBatch, places: int, threads: int = 1) -> np.ndarray:
        """Return int32 (n, m): for each place of the new list the place in the pool that its item comes from.

        Parameters
        ----------
        pool : Pool (n, m)
        q : QueryBatch (n)
        places : int
            How many places are chosen anew; what is left follows in the order of the pool. The first places do
            not depend on it: a short list is the beginning of a long one.
        threads : int
            The result does not depend on it. Ties go to the item that stands first in the pool, whose own
            ties the seeded hash of ids has settled.
        """

    @abstractmethod
    def reached(self, lists: np.ndarray, counts: np.ndarray, q: QueryBatch) -> np.ndarray:
        """Return float64 (n,): how far each list is where ``aim`` wants it, NaN for a list without a value.

        Parameters
        ----------
        lists : int32 (n, k)
        counts : int32 (n,)
        q : QueryBatch (n)
        """

    def audience(self, q: QueryBatch) -> tuple[np.ndarray, tuple[str, ...]] | None:
        """Return the group of each query int64 (n,), and the names of the groups, where the aim is about groups.

        Then ``aim`` is the accuracy of the worst of them, and ``reached`` has no values.
        """
        return None

    @property
    def facts(self) -> Mapping[str, Any]:
        """What validation taught that is worth telling in ``info``: JSON; most have nothing to tell."""
        return {}

    def info(self) -> dict[str, Any]:
        """Return settings and what was learnt: JSON."""
        told = {"learnt": dict(self.facts)} if self.facts else {}
        return {"reranker": self.name, **self.config.model_dump(mode="json"), **told}

    @property
    def context_keys(self) -> tuple[str, ...]:
        """Keys of a request's context that it reads, whether the data have them or not."""
        return ()

    def because(self, item: int, up: bool, language: Language) -> str:
        """Return why an item was moved, as a clause."""
        return self.said[language][0 if up else 1]

    def retuned(self, **changes: Any) -> Self:
        """Return the reranker with other settings, validated; nothing is fitted anew.

        Raises
        ------
        ConfigError
            For a value that is not allowed, and for a setting that only another fit can change.
        """
        for key in self.at_fit & set(changes):
            if changes[key] != getattr(self.config, key):
                raise ConfigError(
                    f"[rerank.{self.name}] {key}: fit reads it; a fitted reranker changes other settings only"
                )
        other = copy(self)
        other.config = self.Config.parse({**self.config.model_dump(), **changes}, f"[rerank.{self.name}]")
        if self._fitted:
            other._prepare()
        return other

    def state(self) -> State:
        """Return (arrays, JSON): what a fitted reranker needs beside the features; no training data."""
        return {}, {}

    @classmethod
    def from_state(cls, config: RerankerSettings, arrays: Arrays, meta: Meta, features: ItemFeatures) -> Self:
        """Rebuild a fitted reranker beside the features it was fitted with."""
        reranker = cls(config)
        reranker._features = features
        reranker._restore(arrays, meta)
        reranker._prepare()
        reranker._fitted = True
        return reranker

    def _restore(self, arrays: Arrays, meta: Meta) -> None:  # noqa: B027 - may be nothing
        """Take back what :meth:`state` returned."""

    def require_fitted(self) -> None:
        """Raise NotFittedError before ``fit``."""
        if not self._fitted:
            raise NotFittedError(
                f"reranker {self.name!r} is not fitted: call fit(train, features, run) first"
            )
