"""Worst-group weighting: what a list is ordered by is learnt for the people who are served worst."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from pydantic import Field
from scipy import sparse

from fuserec.numerics.shares import weighed_order
from fuserec.rerank.base import Aim, Language, Pool, Reranker, RerankerSettings
from fuserec.rerank.hedge import Game, hedged, worst_ndcg
from fuserec.rerank.spaces import vectors_of
from fuserec.rerank.user_groups import TASTE, UserGroups

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.query import QueryBatch
    from fuserec.data.splits import Holdout
    from fuserec.encoders.features import ItemFeatures
    from fuserec.run import RunOptions
    from fuserec.types import Arrays, Meta, State

EVIDENCE = ("relevance", "popularity", "new", "likeness")
"""What is weighed: the score within the list, how often an item was taken (logarithm), whether never, and how alike
its text is to the history."""

CELLS = 2**18
"""Candidates whose likeness is computed at a time."""

FEWEST = 50
"""Validation queries with a hit below which nothing is learnt."""

MOST = 4000
"""Validation queries with a hit that are learnt on; more are drawn from."""

COPIED = np.array([1.0, 0.0, 0.0, 0.0])
"""Weights that leave the order as it is."""


class WorstGroupConfig(RerankerSettings):
    """Settings of worst-group weighting."""

    strength: float = Field(
        default=1.0, ge=0.0, le=1.0, description="0: the order of scores; 1: the order that was learnt."
    )
    by: str = Field(
        default=TASTE,
        description="Which groups: taste (how popular what they take is), history (how much they have taken), or a "
        "column of users.",
        json_schema_extra={"tune": False},
    )
    groups: int = Field(
        default=3,
        ge=2,
        le=20,
        description="Into how many equal groups a number is cut.",
        json_schema_extra={"tune": False},
    )
    rounds: int = Field(
        default=40, ge=1, description="Rounds of the game.", json_schema_extra={"tune": False}
    )
    rate: float = Field(
        default=1.0,
        gt=0,
        description="How fast a group that is served worse gains weight.",
        json_schema_extra={"tune": False},
    )
    regularization: float = Field(
        default=0.01,
        gt=0,
        description="Ridge that pulls towards the order of scores.",
        json_schema_extra={"tune": False},
    )


class WorstGroup(Reranker):
    """Learns on validation weights of evidence whose worst group of people is best off (Hedge).

    One set of weights for everybody: of the score within the list, popularity, newness, and likeness to the history.
    Groups are needed to learn them, not to make a list, so nobody is asked which group they are of. Weights are
    kept where, learnt on one half of the people, they lift the NDCG@10 of the worst group in the other half; else the
    order stays as it is. See :func:`fuserec.rerank.hedge.hedged`.
    """

    name: ClassVar[str] = "worst_group"
    Config = WorstGroupConfig
    learns: ClassVar[bool] = True
    at_fit: ClassVar[frozenset[str]] = frozenset({"by", "groups", "rounds", "rate", "regularization"})
    aim: Aim = Aim("Worst group", "Accuracy over the group of people that has the least of it.", "higher")
    said: ClassVar[Mapping[Language, tuple[str, str]]] = {
        "en": ("weighed for the people served worst", "weighed for the people served worst"),
        "zh": ("按服务最差人群加权", "按服务最差人群加权"),
    }
    config: WorstGroupConfig
    _weights: np.ndarray = COPIED
    _rule: UserGroups | None = None
    _told: Mapping[str, Any] = {}

    def _fit(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> None:
        self._count(train.item_counts)

    def _count(self, counts: np.ndarray) -> None:
        """Keep how often items were taken int64 (n_items,), and what follows from it."""
        self._counts = counts
        logs = np.log1p(self._counts.astype(np.float64))
        self._popularity = logs / max(1.0, float(logs.max(initial=0.0)))
        less = np.sort(self._counts)
        self._percentile = np.searchsorted(less, self._counts, side="left") / max(1, less.size)

    def taught(self, held: Holdout, pool: Pool, run: RunOptions) -> Self:
        """Return the reranker with the weights that the game comes to, or as it is where they prove nothing."""
        other, own = copy(self), self.config
        rule = UserGroups.of(own.by, own.groups, held.queries, self._percentile)
        other._rule, other._weights, other._told = rule, COPIED, {}
        group = rule.group(held.queries, self._percentile)
        hit = _hits(held, pool)
        rows = np.flatnonzero(hit.any(axis=1))
        if rows.size > MOST:
            rows = np.sort(run.rng("rerank.worst_group.lists").choice(rows, MOST, replace=False))
        if rows.size < FEWEST or np.unique(group[rows]).size < 2:
            return other
        some = Pool(pool.items[rows], pool.scores[rows], pool.counts[rows], pool.relevance[rows])
        evidence = self._evidence(some, held.queries.take(rows))
        there = np.arange(pool.items.shape[1]) < some.counts[:, None]
        taken = hit[rows] / hit[rows].sum(axis=1, keepdims=True)
        game = Game(evidence, there, taken, group[rows], len(rule.names))
        halves = run.rng("rerank.worst_group").permutation(rows.size) % 2
        before, after = np.zeros(len(rule.names)), np.zeros(len(rule.names))
        for half in (0, 1):
            learnt = self._learnt(game.take(np.flatnonzero(halves != half)))
            rest = game.take(np.flatnonzero(halves == half))
            before += worst_ndcg(rest, COPIED) / 2
            after += worst_ndcg(rest, learnt) / 2
        kept = bool(np.nanmin(after) > np.nanmin(before))
        other._weights = self._learnt(game) if kept else COPIED
        other._told = _told(rule, before, after, other._weights, kept)
        return other

    def _learnt(self, game: Game) -> np.ndarray:
        """Return the weights that the game comes to; it starts from the scale of relevance that fits best."""
        own, even = self.config, np.full(game.n_groups, 1.0 / game.n_groups)
        start = COPIED
        alone = Game(game.evidence[:, :, :1], game.there, game.taken, game.group, game.n_groups)
        scale = np.ones(1)
        for _ in range(10):
            scale = alone.improved(scale, even, np.zeros(1), own.regularization)
        start = COPIED * max(float(scale[0]), 1e-3)
        return hedged(game, start, own.rounds, own.rate, own.regularization)[0]

    def _evidence(self, pool: Pool, q: QueryBatch) -> np.ndarray:
        """Return float32 (n, m, 4): :data:`EVIDENCE` of each candidate."""
        items = np.maximum(pool.items, 0)
        columns = (
            pool.relevance,
            self._popularity[items],
            self._counts[items] == 0,
            _likeness(vectors_of("text", self._features), items, q),
        )
        return np.stack([np.asarray(column, np.float32) for column in columns], axis=2)

    def order(self, pool: Pool, q: QueryBatch, places: int, threads: int = 1) -> np.ndarray:
        """Return the order by relevance and the learnt weights, each scaled to its range within the pool."""
        there = np.arange(pool.items.shape[1]) < pool.counts[:, None]
        if np.array_equal(self._weights, COPIED):
            return weighed_order(pool.relevance, pool.counts, places)
        values = (self._evidence(pool, q) @ self._weights.astype(np.float32)).astype(np.float64)
        low = np.where(there, values, np.inf).min(axis=1, keepdims=True, initial=np.inf)
        high = np.where(there, values, -np.inf).max(axis=1, keepdims=True, initial=-np.inf)
        scaled = np.divide(values - low, high - low, out=np.zeros_like(values), where=there & (high > low))
        s = self.config.strength
        return weighed_order((1 - s) * pool.relevance + s * scaled, pool.counts, places)

    def audience(self, q: QueryBatch) -> tuple[np.ndarray, tuple[str, ...]] | None:
        """Return the group of each query int64 (n,), and the names of the groups; None before validation."""
        if self._rule is None:
            return None
        return self._rule.group(q, self._percentile), self._rule.names

    def reached(self, lists: np.ndarray, counts: np.ndarray, q: QueryBatch) -> np.ndarray:
        """Return NaN: a list alone says nothing of groups; see ``audience``."""
        return np.full(len(lists), np.nan)

    @property
    def facts(self) -> Mapping[str, Any]:
        """What was learnt, and what it did to each group on validation, cross-fitted."""
        return self._told

    def state(self) -> State:
        """Return how often each item was taken, and what was learnt."""
        rule = None if self._rule is None else self._rule.to_json()
        return {"counts": self._counts, "weights": self._weights}, {"rule": rule, "told": dict(self._told)}

    def _restore(self, arrays: Arrays, meta: Meta) -> None:
        self._count(arrays["counts"])
        self._weights = arrays["weights"]
        self._rule = None if meta["rule"] is None else UserGroups.from_json(meta["rule"])
        self._told = dict(meta["told"])


def _hits(held: Holdout, pool: Pool) -> np.ndarray:
    """Return bool (n, m): which candidates are targets of their query."""
    hit = np.zeros(pool.items.shape, dtype=bool)
    found = pool.items[held.rows] == held.items[:, None]
    target, place = np.nonzero(found)
    hit[held.rows[target], place] = True
    return hit


def _likeness(vectors: Any, items: np.ndarray, q: QueryBatch) -> np.ndarray:
    """Return float32 (n, m): the cosine of candidates (n, m) and the mean of what the history likes."""
    n, m = items.shape
    liked = q.csr(np.maximum(q.weights, 0.0), vectors.shape[0])
    out = np.zeros((n, m), np.float32)
    step = max(1, CELLS // max(1, m))
    for lo in range(0, n, step):
        hi = min(n, lo + step)
        profile: Any = liked[lo:hi] @ vectors
        rows = vectors[items[lo:hi].ravel()]
        if sparse.issparse(vectors):
            length = np.sqrt(np.asarray(profile.multiply(profile).sum(axis=1)).ravel())
            again = profile[np.repeat(np.arange(hi - lo), m)]
            dots = np.asarray(rows.multiply(again).sum(axis=1)).reshape(hi - lo, m)
        else:
            length = np.linalg.norm(profile, axis=1)
            dots = np.einsum("nd,nmd->nm", profile, rows.reshape(hi - lo, m, -1))
        out[lo:hi] = dots / np.where(length > 0, length, 1.0)[:, None]
    return out


def _told(
    rule: UserGroups, before: np.ndarray, after: np.ndarray, weights: np.ndarray, kept: bool
) -> dict[str, Any]:
    """Return what was learnt as JSON."""
    groups = {
        name: {"before": round(float(old), 5), "after": round(float(new), 5)}
        for name, old, new in zip(rule.names, before, after, strict=True)
        if np.isfinite(old)
    }
    shown = {name: round(float(w), 4) for name, w in zip(EVIDENCE, weights, strict=True)}
    return {"kept": kept, "by": rule.by, "ndcg@10 of lists with a hit": groups, "weights": shown}
