"""The task of a sequence model: predict each next item of every history."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from fuserec.neural import losses
from fuserec.neural.sequence.model import SequenceModel
from fuserec.neural.windows import Batch, Histories, newest

Loss = Literal["softmax", "sampled_softmax", "gbce", "bpr"]

DEPTH = 10
"""The figure on held-out data is NDCG at this depth."""


@dataclass(frozen=True)
class LossPlan:
    """Which loss, and how its negatives are drawn.

    Parameters
    ----------
    kind : {"softmax", "sampled_softmax", "gbce", "bpr"}
    negatives : int
        Drawn for a batch (for a prediction in BPR).
    calibration : float
        t of gBCE.
    popularity : float
        Negatives of sampled softmax are drawn in proportion to count^popularity.
    mask_share : float
        Share of a window's items that a masked model has to guess.
    """

    kind: Loss
    negatives: int
    calibration: float
    popularity: float
    mask_share: float


class NextItem:
    """Batches, losses and the judgement of a sequence model.

    Parameters
    ----------
    model : SequenceModel
    histories : Histories
        What is learnt from; item numbers index the model's vectors.
    held : (Histories, int64 (n,)) or None
        Histories whose next item was held out, and that item.
    trained : int64 (k,)
        Items with training interactions, ascending: nothing else is predicted or drawn as a negative, so that an item
        nobody has taken yet is not learnt to be wrong.
    counts : float (k,)
        How often each was taken.
    plan : LossPlan
    length, batch_size, seed : int
    dtype : torch.dtype
        What large products are made in.
    """

    def __init__(
        self,
        model: SequenceModel,
        histories: Histories,
        held: tuple[Histories, np.ndarray] | None,
        trained: np.ndarray,
        counts: np.ndarray,
        plan: LossPlan,
        *,
        length: int,
        batch_size: int,
        seed: int,
        dtype: torch.dtype,
    ) -> None:
        self.model, self.histories, self.held, self.plan = model, histories, held, plan
        self.length, self.batch_size, self.seed, self.dtype = length, batch_size, seed, dtype
        self.device = next(model.parameters()).device
        self.trained = torch.from_numpy(trained).to(self.device)
        n_items = model.items().shape[0]
        self.whole = trained.size == n_items
        place = np.full(n_items, -1, np.int64)
        place[trained] = np.arange(trained.size)
        self.place = torch.from_numpy(place).to(self.device)
        drawn = np.power(counts, plan.popularity)
        self.draw = torch.from_numpy((drawn / drawn.sum()).astype(np.float32)).to(self.device)

    def batches(self, epoch: int) -> Sequence[Batch]:
        """Return the batches of an epoch."""
        rng = np.random.default_rng(np.random.SeedSequence([self.seed, epoch]))
        return self.histories.epoch(self.length, self.batch_size, rng)

    def loss(self, batch: Batch) -> torch.Tensor:
        """Return the mean loss of a batch."""
        inputs = torch.from_numpy(batch.inputs).to(self.device)
        lengths = torch.from_numpy(batch.lengths).to(self.device)
        targets = torch.from_numpy(batch.targets).to(self.device)
        vectors = self.model.items()
        hidden = None
        if self.model.mask is not None:
            inputs, lengths, targets, hidden = self._masked(inputs, lengths, targets)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            told = self.model.read(vectors, inputs, lengths, hidden)
        asked = targets >= 0
        candidates = vectors if self.whole else vectors[self.trained]
        return self._of(told[asked].float(), candidates, self.place[targets[asked]])

    def _masked(
        self, inputs: torch.Tensor, lengths: torch.Tensor, targets: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return windows with their last item appended, some items hidden and to be guessed.

        Now and then only the last one is: that is what will be asked (Sun et al. 2019, section 3.6).
        """
        rows = torch.arange(inputs.shape[0], device=inputs.device)
        whole = torch.nn.functional.pad(inputs, (0, 1))
        whole[rows, lengths] = targets[rows, lengths - 1]
        wide = lengths + 1
        steps = torch.arange(whole.shape[1], device=inputs.device)[None, :]
        hidden = torch.rand(whole.shape, device=inputs.device) < self.plan.mask_share
        only_last = torch.rand(inputs.shape[0], 1, device=inputs.device) < 0.25
        last = steps == (wide - 1)[:, None]
        hidden = torch.where(only_last, last, hidden) & (steps < wide[:, None])
        hidden |= last & ~hidden.any(dim=1, keepdim=True)
        return whole, wide, torch.where(hidden, whole, -1), hidden

    def _of(self, hidden: torch.Tensor, items: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss that the plan names."""
        plan, n = self.plan, items.shape[0]
        if plan.kind == "softmax":
            return losses.full_softmax(hidden, items, targets, self.dtype)
        if plan.kind == "sampled_softmax":
            negatives = torch.multinomial(self.draw, plan.negatives, replacement=True)
            return losses.sampled_softmax(hidden, items, targets, negatives, self.draw.log(), hits=True)
        if plan.kind == "gbce":
            negatives = torch.randint(0, n, (min(plan.negatives, n - 1),), device=hidden.device)
            return losses.gbce(hidden, items, targets, negatives, plan.calibration, math.log(max(2, n - 1)))
        negatives = torch.randint(0, n, (targets.shape[0], plan.negatives), device=hidden.device)
        return losses.bpr(hidden, items, targets, negatives)

    @torch.inference_mode()
    def judge(self) -> np.ndarray | None:
        """Return float64 (n,): NDCG of each held-out item among all trained items that its history does not hold."""
        if self.held is None:
            return None
        histories, targets = self.held
        vectors = self.model.items()
        found = []
        for lo in range(0, len(histories), 512):
            hi = min(lo + 512, len(histories))
            indptr = histories.indptr[lo : hi + 1]
            inputs, lengths = newest(indptr, histories.items, self.length)
            with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
                told = self.model.last(
                    vectors,
                    torch.from_numpy(inputs).to(self.device),
                    torch.from_numpy(lengths).to(self.device),
                )
            scores = told.float() @ vectors[self.trained].T
            rows = torch.from_numpy(np.repeat(np.arange(hi - lo), np.diff(indptr))).to(self.device)
            seen = self.place[torch.from_numpy(histories.items[indptr[0] : indptr[-1]]).to(self.device)]
            scores[rows[seen >= 0], seen[seen >= 0]] = -torch.inf
            right = self.place[torch.from_numpy(targets[lo:hi]).to(self.device)]
            mine = scores[torch.arange(hi - lo, device=scores.device), right]
            rank = (scores > mine[:, None]).sum(dim=1) + 1
            found.append(torch.where(rank <= DEPTH, 1.0 / torch.log2(1.0 + rank), 0.0).double().cpu().numpy())
        return np.concatenate(found)
