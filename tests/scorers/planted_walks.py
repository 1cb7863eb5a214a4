"""Histories that only their order tells anything of, and how well a scorer guesses what comes next."""

from __future__ import annotations

import numpy as np

from fuserec.data.query import QueryBatch
from fuserec.run import RunOptions
from fuserec.scorers import create
from fuserec.testing.planted import dataset_of
from fuserec.testing.small import small_features

RUN = RunOptions(seed=7, threads=1)
N = 12
SMALL = {
    "embedding_dim": 24,
    "heads": 2,
    "text_dim": 16,
    "max_length": 4,
    "batch_size": 64,
    "negatives": 4,
    "learning_rate": 0.03,
    "dropout": 0.1,
    "patience": 0,
    "epochs": 8,
}
MORE = {"masked": {"mask_share": 0.05, "max_length": 2}, "gbce": {"learning_rate": 0.02}}
LONGER = {"masked": 12, "gbce": 20}
"""What learns the same in more epochs, and how many more."""

CHANCE = float(np.sum(1 / np.log2(2 + np.arange(10)))) / N
"""NDCG@10 of a ranking by lot."""


def ring(n_users=8, steps=64, seed=0):
    """Return walks round a ring of items: each holds every item, so that only the order tells what comes next."""
    begins = np.random.default_rng(seed).integers(N, size=n_users)
    return (begins[:, None] + np.arange(steps)) % N


def shuffled(walks, seed=1):
    """Return the same histories, each in an order of its own."""
    return np.random.default_rng(seed).permuted(walks, axis=1)


def learnt(walks, run=RUN, **changes):
    """Return the sequence scorer after a training on some histories."""
    data = dataset_of(walks, N)
    settings = dict(SMALL)
    for name in (changes.get("architecture"), changes.get("loss")):
        settings |= MORE.get(name, {})
        settings["epochs"] += LONGER.get(name, 0)
    return create("sequence", {**settings, **changes}).fit(data, small_features(data, run), run)


def ndcg(scorer, walks, targets=None):
    """Return NDCG@10, over the whole catalogue, of what follows each history after its first seven events."""
    wanted = walks[:, 7] if targets is None else targets
    scores = scorer.score(QueryBatch.of_histories(list(walks[:, :7]))).values
    mine = scores[np.arange(len(walks)), wanted]
    ranks = 1 + (scores > mine[:, None]).sum(axis=1)
    return float(np.where(ranks <= 10, 1 / np.log2(1 + ranks), 0.0).mean())
