"""The two towers of the semantic softmax, and the task that teaches them: predict what somebody took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from fuserec.neural import losses
from fuserec.neural.items import Ids
from fuserec.neural.semantic.examples import Bags, Examples, Reading
from fuserec.neural.semantic.fitted import target_scale

Targets = Literal["text", "ids", "sum"]
History = Literal["items", "content", "both"]

DEPTH = 10
"""The figure on held-out data is NDCG at this depth."""


class Towers(nn.Module):
    """f(x, z) = x W₁ + z W₂, to be multiplied with the items' vectors y.

    Parameters
    ----------
    text : float32 (n_items, k)
        What items' texts say, of unit length; k may be 0.
    start : float32 (n_items, d) or None
        Where trainable y begin; None where y is text alone, which needs k = d.
    semantic : bool
        Whether y holds the text, frozen.
    history : {"items", "content", "both"}
        x is the history as items (W₁ is n_items × d), its mean text (k × d), or both side by side.
    hidden : float
        Share of trainable y that are zero in a step, where there is text beside them.
    """

    text: torch.Tensor

    def __init__(
        self,
        text: torch.Tensor,
        start: torch.Tensor | None,
        *,
        semantic: bool,
        history: History,
        hidden: float = 0.0,
    ) -> None:
        super().__init__()
        self.register_buffer("text", text, persistent=False)
        (n_items, k), d = text.shape, text.shape[1] if start is None else start.shape[1]
        self.scale = target_scale(d) if semantic else 0.0
        self.ids = None if start is None else Ids(start, hidden if semantic else 0.0)
        self.by_item = nn.Parameter(torch.zeros(n_items, d)) if history != "content" else None
        self.by_text = nn.Parameter(torch.zeros(k, d)) if history != "items" else None
        # Until it has learnt better, who says something is taken to mean items whose text says the same.
        self.by_words = nn.Parameter(torch.eye(k, d) if semantic else torch.zeros(k, d))

    def targets(self) -> torch.Tensor:
        """Return y, float (n_items, d)."""
        if self.ids is None:
            return self.text * self.scale
        ids: torch.Tensor = self.ids()
        return ids + self.text * self.scale if self.scale else ids

    def forward(self, bags: Bags, z: torch.Tensor | None) -> torch.Tensor:
        """Return f, float (n, d), of histories and what was said (n, k)."""
        f = self.by_words.new_zeros(bags.indptr.size - 1, self.by_words.shape[1])
        if self.by_item is not None:
            f = f + _summed(self.by_item, bags)
        if self.by_text is not None:
            f = f + _summed(self.text, bags) @ self.by_text
        return f if z is None else f + z @ self.by_words


def _summed(table: torch.Tensor, bags: Bags) -> torch.Tensor:
    """Return float (n, d): the rows of a table that each bag holds, times their values, summed."""
    items, ends, values = (
        torch.from_numpy(array).to(table.device) for array in (bags.items, bags.indptr, bags.values)
    )
    return functional.embedding_bag(
        items, table, ends, mode="sum", per_sample_weights=values, include_last_offset=True
    )


@dataclass(frozen=True)
class TowerPlan:
    """How the towers are taught.

    Parameters
    ----------
    reading : Reading
    loss : {"softmax", "sampled_softmax"}
    negatives : int
        Drawn for a batch by sampled softmax.
    popularity : float
        In proportion to count^popularity.
    dropout : float
        Share of the events that are left out of x in a step.
    as_words : float
        Share of the examples without words in which one event is read by its text, as words are.
    batch_size, seed : int
    corrected : bool
        Whether the logQ correction is made; without it sampled softmax learns something else.
    """

    reading: Reading
    loss: Literal["softmax", "sampled_softmax"] = "softmax"
    negatives: int = 256
    popularity: float = 0.5
    dropout: float = 0.0
    as_words: float = 0.0
    batch_size: int = 1024
    seed: int = 0
    corrected: bool = True


class SemanticTask:
    """Batches, loss and judgement of the towers.

    Parameters
    ----------
    model : Towers
    examples : Examples
    held : Examples
        Judged on; may be empty.
    said : float32 (m, k)
        What the rows of words say, of unit length.
    plan : TowerPlan
    dtype : torch.dtype
        What large products are made in.
    """

    def __init__(
        self,
        model: Towers,
        examples: Examples,
        held: Examples,
        said: np.ndarray,
        plan: TowerPlan,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.model, self.examples, self.held, self.said = model, examples, held, said
        self.plan, self.dtype = plan, dtype
        self.device = model.by_words.device
        counts = np.bincount(examples.targets, minlength=model.text.shape[0])
        self.trained = np.flatnonzero(counts)
        self.place = np.full(counts.size, -1, np.int64)
        self.place[self.trained] = np.arange(self.trained.size)
        drawn = np.power(counts[self.trained].astype(np.float64), plan.popularity)
        self.draw = torch.from_numpy((drawn / drawn.sum()).astype(np.float32)).to(self.device)
        self.mean_weight = float(examples.weights[examples.at].mean(dtype=np.float64))
        self.text = model.text.cpu().numpy()
        self.readable = np.asarray(self.text.any(axis=1))

    def batches(self, epoch: int) -> Sequence[tuple[np.ndarray, int]]:
        """Return the batches of an epoch: examples, and what the rest is drawn by."""
        rng = np.random.default_rng(np.random.SeedSequence([self.plan.seed, epoch]))
        order, size = rng.permutation(len(self.examples)), self.plan.batch_size
        cuts = range(0, order.size, size)
        seeds = rng.integers(2**31, size=len(cuts)).tolist()
        return [(order[lo : lo + size], seed) for lo, seed in zip(cuts, seeds, strict=True)]

    def inputs(
        self, which: np.ndarray, rng: np.random.Generator | None = None
    ) -> tuple[Bags, np.ndarray | None]:
        """Return x and z of some examples; with ``rng`` as they are trained on: thinned, some events read as words."""
        examples, plan = self.examples, self.plan
        bags = examples.bags(which, plan.reading)
        words = examples.words[examples.at[which]]
        z = _looked_up(self.said, words)
        if rng is None:
            return bags, z
        values, spoken = bags.values.copy(), np.full(which.size, -1, np.int64)
        if plan.as_words:
            spoken = self._spoken(bags, words, rng)
            event = np.flatnonzero(spoken >= 0)
            values[spoken[event]] = 0.0
        if plan.dropout:
            values *= (rng.random(values.size) >= plan.dropout) / np.float32(1.0 - plan.dropout)
        heard = spoken >= 0
        if heard.any():
            z = np.zeros((which.size, self.text.shape[1]), np.float32) if z is None else z
            z[heard] = self.text[bags.items[spoken[heard]]]
        return Bags(bags.indptr, bags.items, values.astype(np.float32)), z

    def _spoken(self, bags: Bags, words: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return int64 (n,): the event of each bag that is read as words are, or -1."""
        counts = np.diff(bags.indptr)
        drawn = bags.indptr[:-1] + np.floor(rng.random(counts.size) * counts).astype(np.int64)
        event = np.minimum(drawn, max(0, bags.items.size - 1))
        able = (rng.random(counts.size) < self.plan.as_words) & (counts > 0) & (words < 0)
        if bags.items.size:
            able &= self.readable[bags.items[event]] & (bags.values[event] > 0)
        return np.where(able, event, -1)

    def loss(self, batch: tuple[np.ndarray, int]) -> torch.Tensor:
        """Return the mean of −w log p of a batch; weights are taken relative to their mean."""
        which, seed = batch
        bags, z = self.inputs(which, np.random.default_rng(seed))
        f = self.model(bags, None if z is None else torch.from_numpy(z).to(self.device))
        y = self.model.targets()
        y = y if self.trained.size == y.shape[0] else y[torch.from_numpy(self.trained).to(self.device)]
        targets = torch.from_numpy(self.place[self.examples.targets[which]]).to(self.device)
        relative = self.examples.weights[self.examples.at[which]] / np.float32(self.mean_weight)
        weights = torch.from_numpy(relative).to(self.device)
        if self.plan.loss == "softmax":
            return losses.full_softmax(f, y, targets, self.dtype, weights)
        negatives = torch.multinomial(self.draw, self.plan.negatives, replacement=True)
        log_q = self.draw.log() if self.plan.corrected else torch.zeros_like(self.draw)
        return losses.sampled_softmax(f, y, targets, negatives, log_q, weights, hits=True)

    @torch.inference_mode()
    def judge(self) -> np.ndarray | None:
        """Return float64 (n,): NDCG of each held-out item among all trained items that its history does not hold."""
        held = self.held
        found = []
        if not len(held):
            return None
        y = self.model.targets()[torch.from_numpy(self.trained).to(self.device)]
        reading = Reading(
            "earlier", self.plan.reading.decay, self.plan.reading.power, self.plan.reading.length
        )
        for lo in range(0, len(held), 512):
            which = np.arange(lo, min(lo + 512, len(held)))
            bags = held.bags(which, reading)
            z = _looked_up(self.said, held.words[held.at[which]])
            scores = self.model(bags, None if z is None else torch.from_numpy(z).to(self.device)) @ y.T
            seen = self.place[bags.items]
            rows = torch.from_numpy(bags.rows[seen >= 0])
            scores[rows, torch.from_numpy(seen[seen >= 0])] = -torch.inf
            right = torch.from_numpy(self.place[held.targets[which]]).to(self.device)
            mine = scores[torch.arange(which.size, device=scores.device), right]
            rank = (scores > mine[:, None]).sum(dim=1) + 1
            found.append(torch.where(rank <= DEPTH, 1.0 / torch.log2(1.0 + rank), 0.0).double().cpu().numpy())
        return np.concatenate(found)


def _looked_up(said: np.ndarray, words: np.ndarray) -> np.ndarray | None:
    """Return z float32 (n, k) of rows of words, zero for -1; None where nobody said anything."""
    if not said.shape[0] or not (words >= 0).any():
        return None
    return np.asarray(said[np.maximum(words, 0)] * (words >= 0)[:, None], np.float32)
