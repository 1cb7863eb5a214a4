"""How pairs are taught: batches, the loss of all heads together, and a figure on held-out events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import nn

from fuserec.neural.language.adversarial import Adversary
from fuserec.neural.language.heads.base import Similarity

if TYPE_CHECKING:
    from fuserec.neural.language.augmentation import Augmentation
    from fuserec.neural.language.pairs.examples import PairSource
    from fuserec.neural.language.pairs.model import PairModel, Read
    from fuserec.neural.language.pairs.self_training import PseudoPairs

JUDGED = 64
"""Held-out events that are judged at once."""


@dataclass(frozen=True)
class Pairing:
    """How pairs are made of events.

    Parameters
    ----------
    weights : mapping
        Head to the weight of its loss.
    main : str
        The head that ranks, and that is judged.
    loss : {"bce", "softmax"}
    negatives : int
    examples : int
        Events of an epoch, 0 for all.
    batch_size, seed : int
    adversarial : float
        See :class:`~fuserec.neural.language.adversarial.Adversary`; 0 for none.
    """

    weights: Mapping[str, float]
    main: str
    loss: Literal["bce", "softmax"]
    negatives: int
    examples: int
    batch_size: int
    seed: int
    adversarial: float = 0.0


@dataclass(frozen=True)
class Pairs:
    """Pairs of a batch of events.

    Parameters
    ----------
    at : int64 (n_events,)
    users : list of str (n_events)
        d_u.
    of : int64 (n_pairs,)
        The event of each pair: first each event with its own item, then with drawn ones.
    items : int64 (n_pairs,)
    """

    at: np.ndarray
    users: list[str]
    of: np.ndarray
    items: np.ndarray


class PairTask:
    """Batches, loss and judgement of a model of pairs.

    Parameters
    ----------
    model : PairModel
    source : PairSource
    train, held : int64
        Events to learn from, and to judge on.
    plan : Pairing
    augmentation : Augmentation, optional
        How texts are varied in training; held-out ones are read as they are.
    hidden : int64, optional
        Events whose labels are not used.
    pseudo : PseudoPairs, optional
        Pairs that an earlier model was sure of.
    """

    def __init__(
        self,
        model: PairModel,
        source: PairSource,
        train: np.ndarray,
        held: np.ndarray,
        plan: Pairing,
        augmentation: Augmentation | None = None,
        hidden: np.ndarray | None = None,
        pseudo: PseudoPairs | None = None,
    ) -> None:
        self.pairs, self.source, self.train, self.held, self.plan = model, source, train, held, plan
        self.augmentation, self.pseudo = augmentation, pseudo
        self.hidden = np.empty(0, np.int64) if hidden is None else hidden
        words = model.backbone.model.get_input_embeddings()  # type: ignore[operator]
        self._adversary = Adversary(words, plan.adversarial) if plan.adversarial else None

    @property
    def model(self) -> nn.Module:
        """What is trained."""
        return self.pairs

    @property
    def events(self) -> int:
        """Events of an epoch."""
        return min(self.plan.examples or self.train.size, self.train.size)

    def batches(self, epoch: int) -> Sequence[tuple[np.ndarray, int]]:
        """Return the batches of an epoch: events, and what their negatives are drawn by."""
        rng = np.random.default_rng(np.random.SeedSequence([self.plan.seed, epoch]))
        order = self.train[rng.permutation(self.train.size)[: self.events]]
        cuts = range(0, order.size, self.plan.batch_size)
        seeds = rng.integers(2**31, size=len(cuts)).tolist()
        return [(order[lo : lo + self.plan.batch_size], seed) for lo, seed in zip(cuts, seeds, strict=True)]

    def paired(self, at: np.ndarray, seed: int, count: int) -> Pairs:
        """Return each event with its own item and, where it was a liking, with ``count`` drawn ones."""
        source = self.source
        of, items = np.arange(at.size), source.data.interactions.item[at].astype(np.int64)
        if self.plan.main == "match" and count:
            liked = np.flatnonzero(source.labels["match"].values[at, 0] > 0)
            drawn = source.negatives(at[liked], count, np.random.default_rng(seed))
            found = drawn.ravel() >= 0
            of = np.concatenate([of, np.repeat(liked, count)[found]])
            items = np.concatenate([items, drawn.ravel()[found]])
        return Pairs(at, source.users(at), of, items)

    def loss(self, batch: tuple[np.ndarray, int]) -> torch.Tensor:
        """Return the weighted sum of the heads' mean losses."""
        made = self.paired(*batch, 0 if self.plan.loss == "softmax" else self.plan.negatives)
        items, guessed = self._texts(made.items), self._guessed(batch[1])
        if self.augmentation is not None:
            rng = np.random.default_rng([self.plan.seed, 17, batch[1]])
            items = self.augmentation.varied(items, rng)
            made = replace(made, users=self.augmentation.varied(made.users, rng))

        def plain() -> torch.Tensor:
            return self._loss(made, items) + self._pseudo_loss(guessed)

        return plain() if self._adversary is None else self._adversary.loss(plain)

    def _guessed(self, seed: int) -> np.ndarray:
        """Return positions of the pseudo-labelled pairs that join a batch: all of them once an epoch, about."""
        if self.pseudo is None:
            return np.empty(0, np.int64)
        batches = -(-self.events // self.plan.batch_size)
        most = min(len(self.pseudo), self.plan.batch_size * (1 + self.plan.negatives))
        rng = np.random.default_rng([self.plan.seed, 19, seed])
        return rng.permutation(len(self.pseudo))[: max(1, min(most, round(len(self.pseudo) / batches)))]

    def _pseudo_loss(self, which: np.ndarray) -> torch.Tensor | float:
        """Return the weighted mean loss of pairs that nobody labelled."""
        if self.pseudo is None or not which.size:
            return 0.0
        at, items = self.pseudo.at[which], self.pseudo.items[which]
        head = self.pairs.head("match")
        out = head(self.pairs.read(self.source.users(at), np.arange(at.size), self._texts(items)).pair)
        wanted = torch.from_numpy(self.pseudo.labels[which]).to(out)[:, None]
        return self.pseudo.weight * head.losses(out, wanted).mean()

    def unlabelled(self, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return (events, items) of pairs without a label.

        Up to half are events whose label is not used; the rest are people, as they were before an event that is not
        held out, with items that they never met.
        """
        own = rng.permutation(self.hidden)[: count // 2]
        asked = rng.choice(np.concatenate([self.train, self.hidden]), count - own.size)
        drawn = self.source.negatives(asked, 1, rng)[:, 0]
        at = np.concatenate([own, asked[drawn >= 0]])
        return at, np.concatenate([self.source.data.interactions.item[own], drawn[drawn >= 0]]).astype(
            np.int64
        )

    @torch.inference_mode()
    def logits(self, at: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Return float64 (n,): what the head match says of the person of each event and an item."""
        self.pairs.eval()
        found = [np.empty(0)]
        for lo in range(0, at.size, JUDGED):
            users, texts = self.source.users(at[lo : lo + JUDGED]), self._texts(items[lo : lo + JUDGED])
            out = self.pairs(users, np.arange(len(users)), texts, "match")
            found.append(out[:, 0].double().cpu().numpy())
        return np.concatenate(found)

    def _texts(self, items: np.ndarray) -> list[str]:
        """Return d_i of items."""
        return [self.source.described.texts[i] for i in items]

    def _loss(self, made: Pairs, items: Sequence[str]) -> torch.Tensor:
        """Return the weighted sum of the heads' mean losses of pairs whose items are told so."""
        read = self.pairs.read(made.users, made.of, items)
        total = read.pair.new_zeros(()) + self.pairs.backbone.penalty()
        for name, weight in self.plan.weights.items():
            if name == "match" and self.plan.loss == "softmax":
                losses = self._softmax(made, read)
            else:
                losses = self._losses(name, made, read)[0]
            if losses.numel():
                total = total + weight * losses.mean()
        return total

    def _losses(self, name: str, made: Pairs, read: Read) -> tuple[torch.Tensor, np.ndarray, torch.Tensor]:
        """Return a head's loss of each labelled case (n,), the event of each, and its outputs."""
        head, labels, n = self.pairs.head(name), self.source.labels[name], made.at.size
        values, known = labels.values[made.at], labels.known[made.at]
        of, seen = made.of[:n], read.pair[:n]
        if head.reads == "user":
            assert read.user is not None
            seen = read.user
        elif head.sampled:
            values = np.concatenate([values, np.zeros((made.of.size - n, values.shape[1]), np.float32)])
            known = np.concatenate([known, np.ones(made.of.size - n, dtype=bool)])
            of, seen = made.of, read.pair
        kept = torch.from_numpy(np.flatnonzero(known)).to(seen.device)
        out = head(seen[kept])
        offsets = torch.from_numpy(labels.offsets[made.at][of[known]]).to(out)[:, None]
        wanted = torch.from_numpy(values[known]).to(out)
        return head.losses(out + offsets, wanted), of[known], out + offsets

    def _softmax(self, made: Pairs, read: Read) -> torch.Tensor:
        """Return −log softmax of each liked event's item among those of the batch that its person never met.

        log q of each column is taken off (sampled softmax: an item stands in a batch as often as it is popular).
        """
        body = self.pairs.head("match").body
        assert isinstance(body, Similarity)
        dim = body.dim
        liked = np.flatnonzero(self.source.labels["match"].values[made.at, 0] > 0)
        if not liked.size:
            return read.pair.new_zeros(0)
        items, first = np.unique(made.items[liked], return_index=True)
        own = np.searchsorted(items, made.items[liked])
        device = read.pair.device
        u, v = (
            read.pair[torch.from_numpy(liked).to(device), :dim],
            read.pair[torch.from_numpy(liked[first]).to(device)],
        )
        logits = body.matrix(u, v[:, dim : 2 * dim])
        logits = logits - torch.from_numpy(self.source.log_q[items]).to(logits)
        users = self.source.data.interactions.user[made.at[liked]]
        met = self.source.drawn.taken(users[:, None], items)
        met[np.arange(liked.size), own] = False
        logits = logits.masked_fill(torch.from_numpy(met).to(device), -torch.inf)
        return nn.functional.cross_entropy(logits, torch.from_numpy(own).to(device), reduction="none")

    @torch.inference_mode()
    def judge(self) -> np.ndarray | None:
        """Return float64 (n,): minus the loss of the head that ranks, of each held-out event; None without any."""
        found = []
        for lo in range(0, self.held.size, JUDGED):
            at = self.held[lo : lo + JUDGED]
            made, read = self._held(at, self.plan.negatives)
            losses, of, _ = self._losses(self.plan.main, made, read)
            sums = np.bincount(of, weights=losses.double().cpu().numpy(), minlength=at.size)
            counts = np.bincount(of, minlength=at.size)
            found.append(-sums[counts > 0] / counts[counts > 0])
        cases = np.concatenate(found) if found else np.empty(0)
        return cases if cases.size else None

    @torch.inference_mode()
    def outputs(self, count: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Return (logits, labels) float64 (n_pairs,) of the held-out events, a liking with ``count`` drawn items each.

        Labels are 1 and 0 where the head match ranks.
        """
        logits, labels = [np.empty(0)], [np.empty(0)]
        self.pairs.eval()
        for lo in range(0, self.held.size, JUDGED):
            at = self.held[lo : lo + JUDGED]
            made, read = self._held(at, count)
            _, of, out = self._losses(self.plan.main, made, read)
            own = np.zeros(of.size)
            known = self.source.labels[self.plan.main].known[at]
            own[: known.sum()] = self.source.labels[self.plan.main].values[at[known], 0]
            logits.append(out[:, 0].double().cpu().numpy())
            labels.append(own)
        return np.concatenate(logits), np.concatenate(labels)

    def _held(self, at: np.ndarray, count: int) -> tuple[Pairs, Read]:
        """Return held-out events as pairs, with the same drawn items each time."""
        made = self.paired(at, self.plan.seed, count)
        return made, self.pairs.read(made.users, made.of, self._texts(made.items))


def best_threshold(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the logit above which a pair is taken for a match so that most pairs are right; 0 where nothing is better.

    Parameters
    ----------
    logits, labels : float (n,)
        Labels 1 or 0.
    """
    if not logits.size:
        return 0.0
    order = np.argsort(logits)
    ordered, right = logits[order], labels[order] > 0
    # Below place t all is taken for no: right are the zeros before it and the ones from it on.
    hits = np.concatenate([[0], np.cumsum(~right)]) + right.sum() - np.concatenate([[0], np.cumsum(right)])
    between = (ordered[1:] + ordered[:-1]) / 2.0
    cuts = np.concatenate([[ordered[0] - 1.0], between, [ordered[-1] + 1.0]])
    hits[1:-1][ordered[1:] == ordered[:-1]] = -1  # equal logits are not parted
    best = int(np.argmax(hits))
    return float(cuts[best]) if hits[best] > (right == (ordered > 0)).sum() else 0.0


def accuracy(logits: np.ndarray, labels: np.ndarray, threshold: float) -> float:
    """Return right cases over all cases."""
    return float(((logits > threshold) == (labels > 0)).mean()) if logits.size else float("nan")
