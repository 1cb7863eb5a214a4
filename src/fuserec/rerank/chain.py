"""Several rerankers in their order, and the one place where lists are made of scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from fuserec.errors import ConfigError, nearest
from fuserec.numerics.topk import top_k
from fuserec.rerank.base import Language, Pool, Reranker

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.query import QueryBatch
    from fuserec.encoders.features import ItemFeatures
    from fuserec.run import RunOptions
    from fuserec.types import State

DEPTH = 100
"""Candidates that rerankers choose from, unless configured."""


@dataclass(frozen=True)
class Move:
    """What one reranker did to the place of one item, places counted from 1."""

    reranker: str
    before: int
    after: int
    because: str

    def __str__(self) -> str:
        return f"{self.reranker}: {self.before} → {self.after}, {self.because}"


@dataclass(frozen=True)
class Chain:
    """Rerankers by name, in the order in which they act; without any, lists are in the order of scores.

    Parameters
    ----------
    rerankers : dict of Reranker
    depth : int
        How many of the best candidates they choose from; what is below keeps its place.
    """

    rerankers: Mapping[str, Reranker] = field(default_factory=dict)
    depth: int = DEPTH

    def __bool__(self) -> bool:
        return bool(self.rerankers)

    @property
    def learns(self) -> bool:
        """Whether any of them learns from validation."""
        return any(reranker.learns for reranker in self.rerankers.values())

    @property
    def reads_columns(self) -> bool:
        """Whether any of them reads the context of a query."""
        return any(reranker.reads_columns for reranker in self.rerankers.values())

    @property
    def context_keys(self) -> tuple[str, ...]:
        """Keys of a request's context that any of them reads."""
        return tuple(dict.fromkeys(key for r in self.rerankers.values() for key in r.context_keys))

    def fit(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> Self:
        """Return the chain of fitted rerankers."""
        return self._each({name: r.fit(train, features, run) for name, r in self.rerankers.items()})

    def updated(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> Self:
        """Return the chain for a dataset that grew; what validation has taught stays."""
        return self._each({name: r.updated(train, features, run) for name, r in self.rerankers.items()})

    def retuned(self, name: str, **changes: Any) -> Self:
        """Return the chain with other settings of one reranker; nothing is fitted anew.

        Raises
        ------
        ConfigError
            For a name that is not in the chain, or a value that is not allowed.
        """
        if name not in self.rerankers:
            known = ", ".join(self.rerankers) or "none"
            raise ConfigError(
                f"rerank: no reranker {name!r}{nearest(name, self.rerankers)} (there are: {known})"
            )
        return self._each({**self.rerankers, name: self.rerankers[name].retuned(**changes)})

    def _each(self, rerankers: Mapping[str, Reranker]) -> Self:
        """Return the chain with other rerankers."""
        return replace(self, rerankers=dict(rerankers))

    def forbidden(self, q: QueryBatch) -> np.ndarray | None:
        """Return bool (n, n_items): what any of them never shows to whom; None where that is nothing."""
        found = [mask for r in self.rerankers.values() if (mask := r.forbidden(q)) is not None]
        return np.logical_or.reduce(found) if found else None

    def permitted(self, visible: np.ndarray, q: QueryBatch) -> np.ndarray:
        """Return scores float32 (n, n_items), minus infinity where an item may not be shown; the given ones stay."""
        mask = self.forbidden(q)
        return visible if mask is None else np.where(mask, np.float32(-np.inf), visible)

    def apply(
        self, pool: Pool, q: QueryBatch, places: int, threads: int = 1
    ) -> tuple[Pool, tuple[tuple[str, np.ndarray], ...]]:
        """Return the pool as all of them leave it, and by name what each did: int32 (n, m), see ``order``.

        All but the last order the whole pool: otherwise the beginning of a list would hang on its length.
        """
        trail, width = [], pool.items.shape[1]
        for done, (name, reranker) in enumerate(self.rerankers.items(), 1):
            reranker.require_fitted()
            last = done == len(self.rerankers)
            order = reranker.order(pool, q, min(places, width) if last else width, threads)
            pool = pool.reordered(order)
            trail.append((name, order))
        return pool, tuple(trail)

    def states(self) -> dict[str, State]:
        """Return the state of each by name."""
        return {name: reranker.state() for name, reranker in self.rerankers.items()}

    def restored(self, states: Mapping[str, State], features: ItemFeatures) -> Self:
        """Return the chain of fitted rerankers that had these states."""
        return self._each(
            {
                name: type(r).from_state(r.config, *states[name], features)
                for name, r in self.rerankers.items()
            }
        )


@dataclass(frozen=True)
class Lists:
    """What is shown for ``n`` queries.

    Parameters
    ----------
    items : int32 (n, k)
        -1 where fewer are eligible.
    scores : float32 (n, k)
        Of the items, as the fusion gave them; with rerankers they need not fall along the list.
    counts : int32 (n,)
    chain : Chain
    trail : tuple of (name, int32 (n, m))
        What each reranker did.
    """

    items: np.ndarray
    scores: np.ndarray
    counts: np.ndarray
    chain: Chain
    trail: tuple[tuple[str, np.ndarray], ...] = ()

    def moves(self, row: int, language: Language = "en") -> list[tuple[Move, ...]]:
        """Return what happened to each shown item of a row, in the order of the rerankers."""
        found = []
        for place in range(int(self.counts[row])):
            item, now, own = int(self.items[row, place]), place, []
            for name, order in reversed(self.trail):
                before = int(order[row, now]) if now < order.shape[1] else now
                if before != now:
                    because = self.chain.rerankers[name].because(item, before > now, language)
                    own.append(Move(name, before + 1, now + 1, because))
                now = before
            found.append(tuple(reversed(own)))
        return found


def lists_of(
    visible: np.ndarray,
    k: int,
    chain: Chain,
    q: QueryBatch,
    *,
    exclude: tuple[np.ndarray, np.ndarray] | None = None,
    ties: np.ndarray,
    threads: int = 1,
    places: int | None = None,
) -> Lists:
    """Return the lists that are shown: the best k by score, the first of them as the rerankers order them.

    Parameters
    ----------
    visible : float32 (n, n_items)
        Minus infinity where an item may not be shown, :meth:`Chain.forbidden` included.
    k : int
    chain : Chain
    q : QueryBatch (n)
    exclude, ties, threads
        As in :func:`fuserec.numerics.topk.top_k`.
    places : int, optional
        How many places are chosen anew, k without it; see :meth:`Reranker.order`.
    """
    if not chain:
        return Lists(*top_k(visible, k, exclude=exclude, ties=ties, threads=threads), chain)
    items, scores, counts = top_k(visible, max(k, chain.depth), exclude=exclude, ties=ties, threads=threads)
    top = min(chain.depth, items.shape[1])
    pool = Pool.of(items[:, :top], scores[:, :top], np.minimum(counts, top))
    pool, trail = chain.apply(pool, q, k if places is None else places, threads)
    items[:, :top], scores[:, :top] = pool.items, pool.scores
    kept = min(k, items.shape[1])
    return Lists(items[:, :kept], scores[:, :kept], np.minimum(counts, kept), chain, trail)
