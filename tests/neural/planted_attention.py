"""Cases whose answer is planted: histories, candidates and labels drawn from known weights and similarities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from fuserec.neural.attention.model import HistoryAttentionModel, Pairs, case_losses
from fuserec.neural.checkpoints import Checkpoint
from fuserec.neural.training import Plan, train
from fuserec.numerics.item_similarity import Similarities
from fuserec.run import RunOptions

N_ITEMS = 30
BIAS = -0.5


def some_similarities(seed=0, n_items=N_ITEMS, share=0.6, channels=("content",)):
    """Return S drawn at random."""
    rng = np.random.default_rng(seed)
    there = rng.random((n_items, n_items)) < share
    np.fill_diagonal(there, False)
    _, sources = np.nonzero(there)
    values = rng.uniform(0.1, 1.0, (sources.size, len(channels))).astype(np.float32)
    indptr = np.concatenate([[0], np.cumsum(there.sum(axis=1))]).astype(np.int64)
    nobody = np.zeros(sources.size, np.int32)
    return Similarities(
        indptr, sources.astype(np.int32), values, nobody, np.zeros(n_items, np.int64), 0.0, channels
    )


@dataclass
class Cases:
    """(history, candidate) cases of which the first ``n_fit`` are learnt from."""

    model: HistoryAttentionModel
    like: Similarities
    starts: np.ndarray
    events: np.ndarray
    candidates: np.ndarray
    labels: np.ndarray
    loss_kind: str = "bce"
    flat: bool = False

    def pairs(self, which):
        """Return the events that are like the candidate; ``flat`` forgets which candidate it is: wrong."""
        counts = np.diff(self.starts)[which]
        starts = np.concatenate([[0], np.cumsum(counts)])
        events = self.events[np.arange(starts[-1]) + np.repeat(self.starts[which] - starts[:-1], counts)]
        found = self.like.find(starts, events, self.candidates[which][:, None])[:, 0]
        kept = np.flatnonzero(found >= 0)
        cases = np.repeat(np.arange(which.size), counts)[kept]
        values = self.like.values[found[kept]]
        if self.flat:
            mean = self.like.map_of(self.like.values[:, 0]).toarray().mean(axis=1).astype(np.float32)
            kept, cases = np.arange(events.size), np.repeat(np.arange(which.size), counts)
            values = mean[events][:, None]
        parts = (
            cases, events[kept], self.candidates[which][cases], values, np.ones(kept.size, np.float32)
        )  # fmt: skip
        return Pairs(*(torch.from_numpy(np.ascontiguousarray(part)) for part in parts), n=which.size)

    def batches(self, epoch):
        order = np.random.default_rng(epoch).permutation(self.labels.size)
        return [order[lo : lo + 1000] for lo in range(0, order.size, 1000)]

    def loss(self, batch):
        labels = torch.from_numpy(self.labels[batch])
        return case_losses(self.model(self.pairs(batch)), labels, self.loss_kind).mean()

    def judge(self):
        return None


def planted_cases(weights, like, model, n=12_000, seed=1, **options):
    """Return cases with labels drawn from σ(b + Σ w_i S(i, j))."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(2, 8, n)
    starts = np.concatenate([[0], np.cumsum(counts)])
    events = rng.integers(0, like.n_items, starts[-1])
    candidates = rng.integers(0, like.n_items, n)
    dense = like.map_of(like.values[:, 0]).toarray()
    rows = np.repeat(np.arange(n), counts)
    logits = BIAS + np.bincount(rows, weights[events] * dense[events, candidates[rows]], minlength=n)
    chance = 1 / (1 + np.exp(-logits))
    labels = (rng.random(n) < chance).astype(np.float32)
    return Cases(model, like, starts, events, candidates, labels, **options)


def learnt(cases, epochs=25, learning_rate=0.05):
    """Train on the cases and return the model."""
    train(cases, Plan("paper", epochs, learning_rate), RunOptions(threads=1), Checkpoint(None, "paper", ""))
    return cases.model
