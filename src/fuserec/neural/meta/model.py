"""Learning to learn a person from a few events: a head that one or two steps make theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from fuserec.neural.judging import held_out_ndcg
from fuserec.neural.meta.fitted import FittedMeta, LocalHead
from fuserec.neural.negatives import Negatives
from fuserec.neural.semantic.examples import Bags, Examples, Reading
from fuserec.neural.text_basis import TextBasis

Heads = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
"""t (n, d), W (n, h, d), c (n, h), a (n, h): a head for each of n people."""


def logits_of(heads: Heads, vectors: torch.Tensor) -> torch.Tensor:
    """Return float (n, m): each person's logits of their own items (n, m, d), without the items' biases."""
    direct, inner, shift, outer = heads
    hidden = torch.relu(vectors @ inner.transpose(1, 2) + shift[:, None, :])
    out: torch.Tensor = (vectors @ direct[:, :, None] + hidden @ outer[:, :, None])[:, :, 0]
    return out


def stepped(
    heads: Heads,
    vectors: torch.Tensor,
    bias: torch.Tensor,
    labels: torch.Tensor,
    weights: torch.Tensor,
    rate: float,
) -> Heads:
    """Return the heads after one step against the gradient of Σ weight × BCE(label, σ(logit)); all are (n, m)."""
    direct, inner, shift, outer = heads
    hidden = vectors @ inner.transpose(1, 2) + shift[:, None, :]
    above = torch.relu(hidden)
    logit = bias + (vectors @ direct[:, :, None] + above @ outer[:, :, None])[:, :, 0]
    off = (torch.sigmoid(logit) - labels) * weights * rate
    back = off[:, :, None] * outer[:, None, :] * (hidden > 0)
    return (
        direct - (off[:, None, :] @ vectors)[:, 0],
        inner - back.transpose(1, 2) @ vectors,
        shift - back.sum(dim=1),
        outer - (off[:, None, :] @ above)[:, 0],
    )


class MetaModel(nn.Module):
    """Vectors of items, which all people share, and the head from which each person's begins.

    Parameters
    ----------
    start : float32 (n_items, d)
        Where vectors of items begin; zero for items that nobody has taken.
    trained : bool (n_items,)
    text : float32 (n_items, k)
        What items' texts say, of unit length; k may be 0.
    hidden : int
    hidden_ids : float
        Share of the items whose own numbers are zero in a step, where there is text beside them.
    """

    text: torch.Tensor
    trained: torch.Tensor

    def __init__(
        self,
        start: torch.Tensor,
        trained: torch.Tensor,
        text: torch.Tensor,
        hidden: int,
        hidden_ids: float = 0.0,
    ) -> None:
        super().__init__()
        self.register_buffer("text", text, persistent=False)
        self.register_buffer("trained", trained, persistent=False)
        d, k = start.shape[1], text.shape[1]
        self.item_table = nn.Parameter(start.clone())
        self.bias_table = nn.Parameter(torch.zeros(start.shape[0]))
        self.base = nn.Parameter(torch.zeros(()))
        self.text_map = nn.Parameter(torch.randn(k, d) * (max(1, k) * d) ** -0.5)
        self.direct = nn.Parameter(torch.zeros(d))
        self.inner = nn.Parameter(torch.randn(hidden, d) * d**-0.5)
        self.shift = nn.Parameter(torch.zeros(hidden))
        self.outer = nn.Parameter(torch.randn(hidden) * hidden**-0.5)
        self.hidden_ids = hidden_ids if k else 0.0

    def items(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return float (n_items, d) and (n_items,): vectors and biases."""
        told = self.text @ self.text_map
        if not self.training or not self.hidden_ids:
            return self.item_table + told, self.bias_table + self.base
        shown = torch.rand(told.shape[0], 1, device=told.device) >= self.hidden_ids
        return self.item_table * shown + told, self.bias_table * shown[:, 0] + self.base

    def heads(self, n: int) -> Heads:
        """Return the shared head, n times."""
        parts = (self.direct, self.inner, self.shift, self.outer)
        direct, inner, shift, outer = (part[None].expand(n, *part.shape) for part in parts)
        return direct, inner, shift, outer

    @torch.inference_mode()
    def kept(self, background: np.ndarray, steps: int, rate: float, basis: TextBasis | None) -> FittedMeta:
        """Return the model as plain arrays."""
        self.eval()
        parts = (*self.items(), self.text_map, self.direct, self.inner, self.shift, self.outer)
        vectors, bias, text_map, *head = (part.float().cpu().numpy().copy() for part in parts)
        known = (self.trained | self.text.any(dim=1)).cpu().numpy()
        start = LocalHead(*head)
        return FittedMeta(
            vectors, bias, known, background, text_map, float(self.base), start, steps, rate, basis
        )


@dataclass(frozen=True)
class MetaPlan:
    """How it is taught.

    Parameters
    ----------
    length : int
        Events that a person is adapted to, at most.
    steps : int
    rate : float
    first_order : bool
    negatives : int
    regularization : float
    batch_size, seed : int
    """

    length: int = 10
    steps: int = 1
    rate: float = 1.0
    first_order: bool = True
    negatives: int = 8
    regularization: float = 0.0
    batch_size: int = 512
    seed: int = 0


class MetaTask:
    """Tasks: the events before one, of any number from none to ``length``, are adapted to; that one is asked for.

    Finn, Abbeel, Levine 2017 ("Model-agnostic meta-learning for fast adaptation of deep networks"); Lee et al. 2019
    ("MeLU: meta-learned user preference estimator for cold-start recommendation"): vectors of items are shared by
    all, the head above them is adapted to the person. Of first order the loss after the steps is derived as if they
    were constants.

    Parameters
    ----------
    model : MetaModel
    examples, held : Examples
        To learn from; to be judged on (may be empty).
    negatives : Negatives
    background : int64 (b,)
    plan : MetaPlan
    """

    def __init__(
        self,
        model: MetaModel,
        examples: Examples,
        held: Examples,
        negatives: Negatives,
        background: np.ndarray,
        plan: MetaPlan,
    ) -> None:
        self.model, self.examples, self.held, self.negatives = model, examples, held, negatives
        self.background, self.plan, self.device = background, plan, model.base.device
        self.users = np.searchsorted(examples.indptr, examples.at, side="right") - 1
        self.reading = Reading("earlier", 1.0, 0.0, plan.length)

    def batches(self, epoch: int) -> Sequence[tuple[np.ndarray, int]]:
        """Return the batches of an epoch: examples, and the seed of what is drawn for them."""
        rng = np.random.default_rng(np.random.SeedSequence([self.plan.seed, epoch]))
        order, size = rng.permutation(len(self.examples)), self.plan.batch_size
        cuts = range(0, order.size, size)
        seeds = rng.integers(2**31, size=len(cuts)).tolist()
        return [(order[lo : lo + size], seed) for lo, seed in zip(cuts, seeds, strict=True)]

    def support(self, bags: Bags, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return items int64 (n, m), labels and weights float32 (n, m): what each person is adapted to.

        Parameters
        ----------
        bags : Bags
            Events before, oldest first.
        lengths : int64 (n,)
            How many of the newest count.
        """
        n, back = lengths.size, np.repeat(bags.indptr[1:], np.diff(bags.indptr)) - np.arange(bags.items.size)
        kept = (back <= lengths[bags.rows]) & (bags.values != 0)
        rows, place = bags.rows[kept], back[kept] - 1
        items = np.zeros((n, self.plan.length), np.int64)
        signed = np.zeros((n, self.plan.length), np.float32)
        items[rows, place], signed[rows, place] = bags.items[kept], bags.values[kept]
        total = np.abs(signed).sum(axis=1, keepdims=True)
        events = np.abs(signed) / np.maximum(total, 1e-12)
        other = np.broadcast_to(self.background, (n, self.background.size))
        apart = ~((items[:, :, None] == other[:, None, :]) & (signed != 0)[:, :, None]).any(axis=1)
        rest = apart / np.maximum(apart.sum(axis=1, keepdims=True), 1) * (total > 0)
        weights = np.concatenate([events, rest], axis=1).astype(np.float32)
        labels = np.concatenate([signed > 0, np.zeros(other.shape, dtype=bool)], axis=1).astype(np.float32)
        return np.concatenate([items, other], axis=1), labels, weights

    def adapted(
        self, vectors: torch.Tensor, bias: torch.Tensor, given: tuple[np.ndarray, np.ndarray, np.ndarray]
    ) -> Heads:
        """Return each person's head after the local steps."""
        items, labels, weights = (torch.from_numpy(part).to(self.device) for part in given)
        begun = self.model.heads(items.shape[0])
        heads, first = begun, self.plan.first_order
        theirs, biases = vectors[items], bias[items]
        if first:
            theirs, biases = theirs.detach(), biases.detach()
            a, b, c, d = (part.detach() for part in begun)
            heads = (a, b, c, d)
        for _ in range(self.plan.steps):
            heads = stepped(heads, theirs, biases, labels, weights, self.plan.rate)
        if not first:
            return heads
        # The step is a constant, so that the derivative by the adapted head is the one by where it began.
        a, b, c, d = (s + (h - s).detach() for s, h in zip(begun, heads, strict=True))
        return a, b, c, d

    def loss(self, batch: tuple[np.ndarray, int]) -> torch.Tensor:
        """Return the mean binary cross-entropy, after adaptation, of what was taken next and of what was drawn."""
        which, seed = batch
        rng, examples = np.random.default_rng(seed), self.examples
        lengths = rng.integers(0, self.plan.length + 1, which.size)
        vectors, bias = self.model.items()
        given = self.support(examples.bags(which, self.reading), lengths)
        heads = self.adapted(vectors, bias, given)
        drawn, counted = self.negatives.draw(self.users[which], self.plan.negatives, rng)
        asked = np.concatenate([examples.targets[which][:, None], drawn], axis=1)
        items = torch.from_numpy(asked).to(self.device)
        theirs = vectors[items]
        logits = logits_of(heads, theirs) + bias[items]
        labels = torch.zeros_like(logits)
        labels[:, 0] = 1.0
        ones = np.ones((which.size, 1), dtype=bool)
        w = torch.from_numpy(np.concatenate([ones, counted], axis=1).astype(np.float32)).to(self.device)
        lost = functional.binary_cross_entropy_with_logits(logits, labels, weight=w, reduction="sum")
        pull = self.plan.regularization * theirs.square().sum(dim=-1).mean()
        return lost / w.sum().clamp_min(1e-12) + pull

    def judge(self) -> np.ndarray | None:
        """Return float64 (n,): NDCG of each held-out item after adaptation to what came before it."""
        held, plan = self.held, self.plan
        if not len(held):
            return None
        fitted = self.model.kept(self.background, plan.steps, plan.rate, None)
        able = np.zeros(fitted.bias.size, dtype=bool)
        able[self.negatives.items] = True
        bags = held.bags(np.arange(len(held)), self.reading)
        scores = np.empty((len(held), fitted.bias.size), np.float32)
        for row in range(len(held)):
            span = slice(int(bags.indptr[row]), int(bags.indptr[row + 1]))
            head = fitted.adapted(bags.items[span], bags.values[span])
            scores[row] = fitted.logits(head)
        return held_out_ndcg(scores, bags, held.targets, able)
