"""Fitting rerankers beside a fusion: those that learn read validation before the parts have seen it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fuserec.numerics.hashing import reseed
from fuserec.numerics.topk import top_k
from fuserec.rerank.base import Pool
from fuserec.rerank.chain import Chain

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.splits import Holdout
    from fuserec.encoders.features import ItemFeatures
    from fuserec.fusion.base import Fusion
    from fuserec.rerank.base import Reranker
    from fuserec.run import RunOptions

MAX_QUERIES = 10_000
"""Validation queries that rerankers learn on."""


def fitted_with(
    fused: Fusion, chain: Chain, dataset: Dataset, features: ItemFeatures, run: RunOptions
) -> tuple[Fusion, Chain]:
    """Fit a fusion and the rerankers after it; what the latter learn, they learn on the fusion's validation."""
    if not chain.learns:
        return fused.fit(dataset, features, run), chain.fit(dataset, features, run)
    lessons: list[Chain] = []

    def teach(taught: Fusion, held: Holdout) -> None:
        lessons.append(taught_chain(chain, taught, held, features, run))

    fused.when_taught = teach
    done = fused.fit(dataset, features, run)
    done.when_taught = fused.when_taught = None
    return done, (lessons[0] if lessons else chain).fit(dataset, features, run)


def taught_chain(
    chain: Chain, fused: Fusion, held: Holdout, features: ItemFeatures, run: RunOptions
) -> Chain:
    """Return the rerankers fitted on the training part of a holdout, each taught on what those before it leave.

    At most :data:`MAX_QUERIES` held-out queries, drawn by the seed, are read.
    """
    chain = chain.fit(held.train, features, run)
    if not chain.learns:
        return chain
    if len(held) > MAX_QUERIES:
        drawn = run.rng("rerank.validation").choice(len(held), MAX_QUERIES, replace=False)
        held = held.take(np.sort(drawn))
    pool = validation_pool(fused, held, chain, run)
    done: dict[str, Reranker] = {}
    for name, reranker in chain.rerankers.items():
        done[name] = reranker.taught(held, pool, run) if reranker.learns else reranker
        pool = pool.reordered(done[name].order(pool, held.queries, chain.depth, run.threads))
    return replace(chain, rerankers=done)


def validation_pool(fused: Fusion, held: Holdout, chain: Chain, run: RunOptions) -> Pool:
    """Return what a fusion puts first for held-out queries, less what may not be shown."""
    ties, n_items = reseed(held.train.items.hashes, run.seed), held.train.n_items
    chunk = max(1, run.memory_mb * 2**20 // (4 * max(1, n_items) * (len(fused.parts) + 2)))
    pieces = []
    for lo in range(0, len(held), chunk):
        run.check()
        q = held.queries.take(np.arange(lo, min(lo + chunk, len(held))))
        scores = fused.score(q)
        visible = np.where(scores.answered, scores.values, np.float32(-np.inf))
        visible = chain.permitted(visible, q)
        pieces.append(top_k(visible, chain.depth, exclude=q.seen(), ties=ties, threads=run.threads))
    items, values, counts = (np.concatenate(column) for column in zip(*pieces, strict=True))
    return Pool.of(items, values, counts)
