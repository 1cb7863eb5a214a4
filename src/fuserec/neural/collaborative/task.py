"""What neural collaborative filtering is taught: to tell what was taken from what was not, or ratings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from fuserec.neural.collaborative.model import NeuralCFModel
from fuserec.neural.judging import held_out_ndcg
from fuserec.neural.negatives import Negatives
from fuserec.neural.semantic.examples import Bags, Examples, Reading
from fuserec.neural.text_basis import TextBasis
from fuserec.numerics.similar import unit_rows


@dataclass(frozen=True)
class NCFPlan:
    """How it is taught.

    Parameters
    ----------
    reading : Reading
    negatives : int
        Drawn for each positive.
    regularization : float
    as_words : float
        Share of the examples whose history is read by its text, as words are.
    batch_size, seed : int
    """

    reading: Reading
    negatives: int = 8
    regularization: float = 0.0
    as_words: float = 0.0
    batch_size: int = 1024
    seed: int = 0


def shuffled(n: int, plan: NCFPlan, epoch: int) -> list[tuple[np.ndarray, int]]:
    """Return the batches of an epoch: positions of examples, and the seed of what is drawn for them."""
    rng = np.random.default_rng(np.random.SeedSequence([plan.seed, epoch]))
    order, size = rng.permutation(n), plan.batch_size
    cuts = range(0, order.size, size)
    seeds = rng.integers(2**31, size=len(cuts)).tolist()
    return [(order[lo : lo + size], seed) for lo, seed in zip(cuts, seeds, strict=True)]


def pulled(plan: NCFPlan, users: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return what holds vectors back: their mean squared lengths, of users (n, d) and targets (n, m, d)."""
    return plan.regularization * (users.square().sum(dim=-1).mean() + targets.square().sum(dim=-1).mean())


class TakenTask:
    """What was taken, beside items drawn that were not: binary cross-entropy from the logit.

    Parameters
    ----------
    model : NeuralCFModel
    examples, held : Examples
        To learn from; to be judged on (may be empty).
    said : float32 (m, k)
        What the rows of words say, of unit length.
    negatives : Negatives
    plan : NCFPlan
    basis : TextBasis or None
    """

    def __init__(
        self,
        model: NeuralCFModel,
        examples: Examples,
        held: Examples,
        said: np.ndarray,
        negatives: Negatives,
        plan: NCFPlan,
        basis: TextBasis | None = None,
    ) -> None:
        self.model, self.examples, self.held, self.said = model, examples, held, said
        self.negatives, self.plan, self.basis, self.device = negatives, plan, basis, model.base.device
        self.users = np.searchsorted(examples.indptr, examples.at, side="right") - 1
        self.mean_weight = float(examples.weights[examples.at].mean(dtype=np.float64))
        self.text = model.text.cpu().numpy()

    def batches(self, epoch: int) -> Sequence[tuple[np.ndarray, int]]:
        """Return the batches of an epoch."""
        return shuffled(len(self.examples), self.plan, epoch)

    def loss(self, batch: tuple[np.ndarray, int]) -> torch.Tensor:
        """Return the mean of −y log σ − (1 − y) log(1 − σ) over what was taken and what was drawn."""
        which, seed = batch
        rng, examples, model = np.random.default_rng(seed), self.examples, self.model
        drawn, counted = self.negatives.draw(self.users[which], self.plan.negatives, rng)
        candidates = np.concatenate([examples.targets[which][:, None], drawn], axis=1)
        relative = examples.weights[examples.at[which]] / np.float32(self.mean_weight)
        weights = np.concatenate([np.ones((which.size, 1), bool), counted], axis=1) * relative[:, None]
        bags, z = self.inputs(which, rng)
        shown = model.shown()
        users = model.users(model.read(shown), bags, self._tensor(z))
        targets, bias = model.targets(shown)
        chosen = torch.from_numpy(candidates).to(self.device)
        theirs = targets[chosen]
        logits = model.head(users[:, None, :], theirs) + bias[chosen]
        labels = torch.zeros_like(logits)
        labels[:, 0] = 1.0
        w = torch.from_numpy(weights.astype(np.float32)).to(self.device)
        lost = functional.binary_cross_entropy_with_logits(logits, labels, weight=w, reduction="sum")
        return lost / w.sum().clamp_min(1e-12) + pulled(self.plan, users, theirs)

    def _tensor(self, z: np.ndarray | None) -> torch.Tensor | None:
        return None if z is None else torch.from_numpy(z).to(self.device)

    def inputs(self, which: np.ndarray, rng: np.random.Generator) -> tuple[Bags, np.ndarray | None]:
        """Return what was taken and what was said before some examples; some histories are read as words are."""
        bags, words = (
            self.examples.bags(which, self.plan.reading),
            self.examples.words[self.examples.at[which]],
        )
        z = self._looked_up(words)
        if not self.plan.as_words or not self.text.shape[1]:
            return bags, z
        spoken = (rng.random(which.size) < self.plan.as_words) & (words < 0)
        told = np.zeros((which.size, self.text.shape[1]), np.float32)
        liked = spoken[bags.rows] & (bags.values > 0)
        np.add.at(told, bags.rows[liked], bags.values[liked, None] * self.text[bags.items[liked]])
        told = np.asarray(unit_rows(told), np.float32)
        heard = np.asarray(told.any(axis=1))
        values = np.where(heard[bags.rows], np.float32(0.0), bags.values)
        return Bags(bags.indptr, bags.items, values), told if z is None else z + told

    def _looked_up(self, words: np.ndarray) -> np.ndarray | None:
        """Return z float32 (n, k) of rows of words, zero for -1; None where nobody said anything."""
        if not self.said.shape[0] or not (words >= 0).any():
            return None
        return np.asarray(self.said[np.maximum(words, 0)] * (words >= 0)[:, None], np.float32)

    def judge(self) -> np.ndarray | None:
        """Return float64 (n,): NDCG of each held-out item among all items that its history does not hold."""
        held, gains = self.held, []
        if not len(held):
            return None
        fitted, able = self.model.kept(self.basis), np.zeros(self.text.shape[0], dtype=bool)
        able[self.negatives.items] = True
        for lo in range(0, len(held), 256):
            which = np.arange(lo, min(lo + 256, len(held)))
            bags = held.bags(which, self.plan.reading)
            z = self._looked_up(held.words[held.at[which]])
            users = np.zeros((which.size, fitted.read.shape[1]), np.float32)
            np.add.at(users, bags.rows, bags.values[:, None] * fitted.read[bags.items])
            users += 0.0 if z is None else z @ fitted.words
            gains.append(held_out_ndcg(fitted.logits(users), bags, held.targets[which], able))
        return np.concatenate(gains)


@dataclass(frozen=True)
class Rated:
    """Ratings as deviations from what the item usually gets.

    Parameters
    ----------
    indptr : int64 (n_users + 1,)
    items : int64 (n_ratings,)
    above : float32 (n_ratings,)
        r − μ − b_i.
    damping : float
        Average ratings that the bias of a user is weighed against.
    """

    indptr: np.ndarray
    items: np.ndarray
    above: np.ndarray
    damping: float

    @property
    def users(self) -> np.ndarray:
        """int64 (n_ratings,): whose each is."""
        return np.repeat(np.arange(self.indptr.size - 1), np.diff(self.indptr))

    def bias_without(self) -> np.ndarray:
        """Return float32 (n_ratings,): the bias of each rating's user, had this one not been given.

        The deviations of all ratings from a bias that holds the one in question sum to nearly what that one is: a model
        that reads them has been told the answer.
        """
        users, counts = self.users, np.diff(self.indptr)
        total = np.bincount(users, self.above.astype(np.float64), minlength=counts.size)[users]
        return np.asarray(
            (total - self.above) / np.maximum(self.damping + counts[users] - 1, 1e-9), np.float32
        )


class RatedTask:
    """Ratings: squared error of μ + b_i + b_u + logit, b_u and the history without the rating in question.

    Parameters
    ----------
    model : NeuralCFModel
    rated : Rated
    plan : NCFPlan
        Its reading holds all other ratings, in no order.
    """

    def __init__(self, model: NeuralCFModel, rated: Rated, plan: NCFPlan) -> None:
        self.model, self.rated, self.plan, self.device = model, rated, plan, model.base.device
        n = rated.items.size
        nothing, every = np.full(n, -1, np.int64), np.arange(n)
        self.above = Examples(rated.indptr, rated.items, rated.above, every, nothing)
        self.ones = Examples(rated.indptr, rated.items, np.ones(n, np.float32), every, nothing)
        self.bias = rated.bias_without()

    def batches(self, epoch: int) -> Sequence[tuple[np.ndarray, int]]:
        """Return the batches of an epoch."""
        return shuffled(self.rated.items.size, self.plan, epoch)

    def inputs(self, which: np.ndarray) -> Bags:
        """Return each rating's others, as deviations from the baseline without it."""
        bags, strength = (examples.bags(which, self.plan.reading) for examples in (self.above, self.ones))
        values = bags.values - strength.values * self.bias[which][bags.rows]
        return Bags(bags.indptr, bags.items, values.astype(np.float32))

    def loss(self, batch: tuple[np.ndarray, int]) -> torch.Tensor:
        """Return the mean squared error of a batch."""
        which, _ = batch
        model, shown = self.model, self.model.shown()
        users = model.users(model.read(shown), self.inputs(which), None)
        targets, bias = model.targets(shown)
        items = torch.from_numpy(self.rated.items[which]).to(self.device)
        wanted = torch.from_numpy(self.rated.above[which] - self.bias[which]).to(self.device)
        theirs = targets[items]
        lost = functional.mse_loss(model.head(users, theirs) + bias[items], wanted)
        return lost + pulled(self.plan, users, theirs[:, None, :])

    def judge(self) -> np.ndarray | None:
        """Return None: epochs are as many as were asked for."""
        return None
