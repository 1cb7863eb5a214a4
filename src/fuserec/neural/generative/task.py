"""The task of generative retrieval: every digit of each next item, given those before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from fuserec.neural.generative.fitted import FittedGenerative
from fuserec.neural.generative.model import Branches, Generator
from fuserec.neural.windows import Batch, Histories

DEPTH = 10
"""The figure on held-out data is NDCG at this depth."""

WIDTH = 30
"""Prefixes kept while judging: enough to know the first ten."""


class NextId:
    """Batches, the loss and the judgement of a generator.

    Parameters
    ----------
    model : Generator
    branches : Branches
    codes : int64 (n_items, levels)
    histories : Histories
        What is learnt from.
    held : (Histories, int64 (n,)) or None
        Histories whose next item was held out, and that item.
    kept : callable
        Returns the model as it will answer.
    length, batch_size, seed : int
    smoothing : float
        Share of a digit's target that is spread over what might stand there.
    dtype : torch.dtype
        What large products are made in.
    """

    def __init__(
        self,
        model: Generator,
        branches: Branches,
        codes: np.ndarray,
        histories: Histories,
        held: tuple[Histories, np.ndarray] | None,
        kept: Callable[[], FittedGenerative],
        *,
        length: int,
        batch_size: int,
        seed: int,
        smoothing: float,
        dtype: torch.dtype,
    ) -> None:
        self.model, self.branches, self.histories, self.held, self.kept = (
            model,
            branches,
            histories,
            held,
            kept,
        )
        self.length, self.batch_size, self.seed = length, batch_size, seed
        self.smoothing, self.dtype = smoothing, dtype
        self.device = next(model.parameters()).device
        self.codes = torch.from_numpy(codes.astype(np.int64)).to(self.device)

    def batches(self, epoch: int) -> Sequence[Batch]:
        """Return the batches of an epoch."""
        rng = np.random.default_rng(np.random.SeedSequence([self.seed, epoch]))
        return self.histories.epoch(self.length, self.batch_size, rng)

    def loss(self, batch: Batch) -> torch.Tensor:
        """Return the mean over the predictions of −Σ_l log p(c_l | history, c_<l)."""
        inputs = torch.from_numpy(batch.inputs).to(self.device)
        lengths = torch.from_numpy(batch.lengths).to(self.device)
        targets = torch.from_numpy(batch.targets).to(self.device)
        reader = self.model.reader
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            told = reader.read(reader.items(), inputs, lengths)
            asked = targets >= 0
            return self._of(told[asked], targets[asked])

    def _of(self, told: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss of predictions after what was read (t, d); where there is no choice nothing is lost."""
        branches, decoder = self.branches, self.model.decoder
        lost = told.new_zeros((), dtype=torch.float32)
        for level in range(self.codes.shape[1]):
            nodes = branches.parents[targets, level]
            there = branches.there[level][nodes]
            forks = torch.nonzero(there.sum(dim=1) > 1)[:, 0]
            if not forks.numel():
                continue
            mine, nodes, there = targets[forks], nodes[forks], there[forks]
            state = decoder.state(level, told[forks], self.codes[mine])
            ways = nodes if level else nodes[:1]  # all ids begin at the root
            logits = decoder.logits(
                level, state, branches.children[level][ways], branches.digits[level][ways]
            )
            lost = lost + self._missed(logits, there, branches.places[mine, level])
        return lost / max(1, targets.numel())

    def _missed(self, logits: torch.Tensor, there: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """Return the summed cross-entropy among the branches that are there, smoothed over them."""
        logs = torch.log_softmax(logits.masked_fill(~there, -torch.inf), dim=1)
        right = logs.gather(1, places[:, None]).sum()
        if self.smoothing == 0.0:
            return -right
        spread = (logs.masked_fill(~there, 0.0).sum(dim=1) / there.sum(dim=1)).sum()
        return -(1.0 - self.smoothing) * right - self.smoothing * spread

    def judge(self) -> np.ndarray | None:
        """Return float64 (n,): NDCG of each held-out item, by a narrow beam, without what its history holds."""
        if self.held is None:
            return None
        histories, targets = self.held
        model = self.kept()
        n = len(histories)
        ends = model.ends(histories.indptr, histories.items, np.empty((0, 0), np.float32))
        rows, items, logs = model.beam(ends, WIDTH)
        owners = np.repeat(np.arange(n), histories.lengths)
        seen = np.isin(rows * model.known.size + items, owners * model.known.size + histories.items)
        mine = np.full(n, np.inf)
        hit = items == targets[rows]
        mine[rows[hit]] = logs[hit]
        better = np.bincount(rows[~seen & (logs > mine[rows])], minlength=n)
        counted = np.isfinite(mine) & (better < DEPTH)
        return np.where(counted, 1.0 / np.log2(2.0 + better), 0.0)
