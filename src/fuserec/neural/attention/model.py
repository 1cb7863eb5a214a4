"""The attention over the history, and the task that teaches it: tell what somebody took from what they did not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from fuserec.neural.attention.fitted import BOUND, FittedAttention, SourceTarget
from fuserec.neural.judging import held_out_ndcg
from fuserec.neural.negatives import Negatives
from fuserec.neural.semantic.examples import Examples, Reading
from fuserec.numerics.item_similarity import Similarities

Form = Literal["global", "bilinear", "mlp"]


@dataclass(frozen=True)
class Pairs:
    """Events of histories that are like the candidate that they are asked about.

    Parameters
    ----------
    cases : int64 (n_pairs,)
        Which (history, candidate) each belongs to.
    sources, targets : int64 (n_pairs,)
        The item of the event, and the candidate.
    similarity : float32 (n_pairs, n_channels)
    strength : float32 (n_pairs,)
        How strongly the event enters: its weight, faded by how far away it is.
    n : int
        Cases, those without any such event included.
    """

    cases: torch.Tensor
    sources: torch.Tensor
    targets: torch.Tensor
    similarity: torch.Tensor
    strength: torch.Tensor
    n: int


class HistoryAttentionModel(nn.Module):
    """logit(u, j) = b + Σ_{i in history} w S(i, j), w = w_i or w = a(i, j).

    global: w_i is what all items share plus a number an item, for each kind of similarity. bilinear, mlp:
    a(i, j) = exp f(i, j) / (Σ_i exp f(i, j))^smoothing (He et al. 2018, "NAIS: neural attentive item similarity model
    for recommendation", eq. 7), over the events of the history that are like j at all; f = g_i · k_j, or
    f = hᵀ ReLU(W (g_i ⊙ k_j) + c) (eq. 9).

    Parameters
    ----------
    form : {"global", "bilinear", "mlp"}
    n_items, n_channels : int
    start : float32 (n_items, 2 dim)
        Where the vectors of items in f begin, g and k side by side; unused by global.
    text : float32 (n_items, k), optional
        What items' texts say; k may be 0.
    hidden : int
        Width of the network in f.
    smoothing : float
    scale : float32 (n_channels,), optional
        What similarities are multiplied by, so that kinds of very different size are learnt alike fast.
    """

    text: torch.Tensor
    scale: torch.Tensor

    def __init__(
        self,
        form: Form,
        n_items: int,
        n_channels: int,
        *,
        start: torch.Tensor | None = None,
        text: torch.Tensor | None = None,
        hidden: int = 16,
        smoothing: float = 0.5,
        scale: torch.Tensor | None = None,
    ) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(n_channels) if scale is None else scale, persistent=False)
        self.form, self.smoothing = form, smoothing
        self.register_buffer("text", torch.zeros(n_items, 0) if text is None else text, persistent=False)
        self.bias = nn.Parameter(torch.zeros(()))
        self.shared = nn.Parameter(torch.ones(n_channels))
        if form == "global" or start is None:
            self.own_table = nn.Parameter(torch.zeros(n_items, n_channels))
            return
        k, dim = self.text.shape[1], start.shape[1] // 2
        self.source_table = nn.Parameter(start[:, :dim].clone())
        self.target_table = nn.Parameter(start[:, dim:].clone())
        self.source_map = nn.Parameter(torch.randn(k, dim) * max(1, k) ** -0.5)
        self.target_map = nn.Parameter(torch.randn(k, dim) * max(1, k) ** -0.5)
        if form == "mlp":
            self.inner = nn.Linear(dim, hidden)
            self.outer = nn.Parameter(torch.randn(hidden) * hidden**-0.5)

    def tables(self) -> list[nn.Parameter]:
        """Return what belongs to single items."""
        return [self.own_table] if self.form == "global" else [self.source_table, self.target_table]

    def attention(self, sources: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return exp f of pairs of items, float (n,)."""
        # Whole tables are mapped, then looked up: there are many more pairs in a batch than items.
        g = self.source_table + self.text @ self.source_map
        k = self.target_table + self.text @ self.target_map
        both = g[sources] * k[targets]
        f = both.sum(dim=1) if self.form == "bilinear" else torch.relu(self.inner(both)) @ self.outer
        return f.clamp(-BOUND, BOUND).exp()

    def forward(self, pairs: Pairs) -> torch.Tensor:
        """Return the logits, float (n,), of all cases."""
        similarity = pairs.similarity * self.scale
        if self.form == "global":
            weights = self.shared + self.own_table[pairs.sources]
            said = (weights * similarity).sum(dim=1) * pairs.strength
            return self.bias + said.new_zeros(pairs.n).index_add(0, pairs.cases, said)
        heard = self.attention(pairs.sources, pairs.targets)
        said = heard * (similarity @ self.shared) * pairs.strength
        above = said.new_zeros(pairs.n).index_add(0, pairs.cases, said)
        below = said.new_zeros(pairs.n).index_add(0, pairs.cases, heard * pairs.strength.abs())
        return self.bias + above / torch.where(below > 0, below, 1.0) ** self.smoothing

    @torch.inference_mode()
    def kept(self, like: Similarities) -> FittedAttention:
        """Return the model as plain arrays, beside similarities that need not be those it has learnt with."""
        weights = {name: value.float().cpu().numpy().copy() for name, value in self.named_parameters()}
        scale = self.scale.cpu().numpy()
        bias, shared = float(weights.pop("bias")), weights.pop("shared") * scale
        if self.form == "global":
            return FittedAttention("global", like, bias, shared, own=weights["own_table"] * scale)
        text = self.text.cpu().numpy()
        vectors = SourceTarget(
            weights["source_table"] + text @ weights["source_map"],
            weights["target_table"] + text @ weights["target_map"],
            weights["source_map"],
            weights["target_map"],
            weights.get("inner.weight"),
            weights.get("inner.bias"),
            weights.get("outer"),
        )
        return FittedAttention(self.form, like, bias, shared, vectors=vectors, smoothing=self.smoothing)


def case_losses(logits: torch.Tensor, labels: torch.Tensor, loss: Literal["bce", "squared"]) -> torch.Tensor:
    """Return float (n,): the loss of each case, from its logit.

    bce: −y log σ − (1 − y) log(1 − σ), in a form that no logit is too large for. squared: ½ (y − σ)², whose derivative
    by the logit is (σ − y) σ (1 − σ).
    """
    if loss == "bce":
        return functional.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    return 0.5 * (labels - torch.sigmoid(logits)).square()


@dataclass(frozen=True)
class AttentionPlan:
    """How the attention is taught.

    Parameters
    ----------
    reading : Reading
    loss : {"bce", "squared"}
    negatives : int
    regularization : float
    batch_size, seed : int
    own_pair : bool
        Whether somebody's own having taken i and j stays in S(i, j) while they are asked about: wrong, for tests.
    """

    reading: Reading
    loss: Literal["bce", "squared"] = "bce"
    negatives: int = 4
    regularization: float = 0.0
    batch_size: int = 1024
    seed: int = 0
    own_pair: bool = False


class AttentionTask:
    """Batches, loss and judgement of the attention.

    Parameters
    ----------
    model : HistoryAttentionModel
    like : Similarities
        Made without the events that are held out.
    examples : Examples
    held : Examples
        Judged on; may be empty.
    negatives : Negatives
    plan : AttentionPlan
    """

    def __init__(
        self,
        model: HistoryAttentionModel,
        like: Similarities,
        examples: Examples,
        held: Examples,
        negatives: Negatives,
        plan: AttentionPlan,
    ) -> None:
        self.model, self.like, self.examples, self.held = model, like, examples, held
        self.negatives, self.plan, self.device = negatives, plan, model.bias.device
        self.users = np.searchsorted(examples.indptr, examples.at, side="right") - 1
        self.mean_weight = float(examples.weights[examples.at].mean(dtype=np.float64))

    def batches(self, epoch: int) -> Sequence[tuple[np.ndarray, int]]:
        """Return the batches of an epoch: examples, and what their negatives are drawn by."""
        rng = np.random.default_rng(np.random.SeedSequence([self.plan.seed, epoch]))
        order, size = rng.permutation(len(self.examples)), self.plan.batch_size
        cuts = range(0, order.size, size)
        seeds = rng.integers(2**31, size=len(cuts)).tolist()
        return [(order[lo : lo + size], seed) for lo, seed in zip(cuts, seeds, strict=True)]

    def cases(self, which: np.ndarray, seed: int) -> tuple[Pairs, np.ndarray, np.ndarray]:
        """Return the cases of some examples, their labels float32 (n, 1 + negatives) and weights (n, 1 + negatives).

        The first candidate of a row is what was taken; a drawn one that was taken as well has weight zero.
        """
        examples, plan = self.examples, self.plan
        drawn, wrong = self.negatives.draw(self.users[which], plan.negatives, np.random.default_rng(seed))
        candidates = np.concatenate([examples.targets[which][:, None], drawn], axis=1)
        labels = np.zeros(candidates.shape, np.float32)
        labels[:, 0] = 1.0
        relative = examples.weights[examples.at[which]] / np.float32(self.mean_weight)
        counted = np.concatenate([np.ones((which.size, 1), bool), wrong], axis=1)
        taken = counted == (np.arange(counted.shape[1]) == 0)
        bags = examples.bags(which, plan.reading)
        found = self.like.find(bags.indptr, bags.items, candidates)
        event, column = np.nonzero(found >= 0)
        row, entries = bags.rows[event], found[event, column]
        targets = candidates[row, column]
        mine = (bags.values[event] > 0) & (not plan.own_pair)
        similarity = self.like.without(entries, targets, mine, mine & taken[row, column])
        pairs = Pairs(
            self._tensor(row * candidates.shape[1] + column),
            self._tensor(bags.items[event]),
            self._tensor(targets),
            self._tensor(similarity),
            self._tensor(bags.values[event]),
            labels.size,
        )
        return pairs, labels, (counted * relative[:, None]).astype(np.float32)

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def loss(self, batch: tuple[np.ndarray, int]) -> torch.Tensor:
        """Return the mean loss of the cases of a batch, and what holds the numbers of single items back."""
        pairs, labels, weights = self.cases(*batch)
        y, w = self._tensor(labels.ravel()), self._tensor(weights.ravel())
        lost = (case_losses(self.model(pairs), y, self.plan.loss) * w).sum() / w.sum().clamp_min(1e-12)
        if self.plan.regularization:
            n = len(self.examples) * (1 + self.plan.negatives)
            pull = torch.stack([table.square().sum() for table in self.model.tables()]).sum()
            lost = lost + self.plan.regularization / (2 * n) * pull
        return lost

    def judge(self) -> np.ndarray | None:
        """Return float64 (n,): NDCG of each held-out item among all items that its history does not hold."""
        held, n_items = self.held, self.like.n_items
        if not len(held):
            return None
        able = np.zeros(n_items, dtype=bool)
        able[self.negatives.items] = True
        fitted, gains = self.model.kept(self.like), []
        for lo in range(0, len(held), 512):
            which = np.arange(lo, min(lo + 512, len(held)))
            bags = held.bags(which, self.plan.reading)
            scores = fitted.history(
                (bags.indptr, bags.items.astype(np.int32), bags.values.astype(np.float32)), threads=1
            )
            gains.append(held_out_ndcg(scores, bags, held.targets[which], able))
        return np.concatenate(gains)
