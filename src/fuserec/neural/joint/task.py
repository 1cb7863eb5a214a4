"""The task of joint training: batches of pairs and logged actions, the objective, and a figure on held-out events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import sparse

from fuserec.neural import losses
from fuserec.neural.joint import losses as objective
from fuserec.neural.joint.config import Head, JointConfig
from fuserec.neural.joint.model import JointModel
from fuserec.neural.joint.pairs import Histories, Pairs
from fuserec.neural.semantic.examples import Bags, Reading
from fuserec.neural.semantic.model import DEPTH

Batch = tuple[np.ndarray, np.ndarray, int]
"""Pairs, impressions, and what the rest is drawn by."""

Side = tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]


@dataclass(frozen=True)
class Material:
    """What a joint model learns from.

    Parameters
    ----------
    pairs : Pairs
        P, what is known of it: of unknown pairs some are drawn in each batch.
    shown : Pairs
        Impressions; empty where there are none, and interactions are the logged actions.
    held : Pairs
        Judged on; may be empty.
    histories : Histories
    said : float32 (m, k)
        What the rows of words say, of unit length.
    ratings : float32 (n_levels,)
        The levels of a rating, ascending; empty for another likelihood than of ratings.
    centre, unit : float
        Mean and standard deviation of the ratings.
    """

    pairs: Pairs
    shown: Pairs
    held: Pairs
    histories: Histories
    said: np.ndarray
    ratings: np.ndarray
    centre: float = 0.0
    unit: float = 1.0


class JointTask:
    """Batches, objective and judgement of a joint model.

    Parameters
    ----------
    model : JointModel
    material : Material
    config : JointConfig
    seed : int
    dtype : torch.dtype
        What large products are made in.
    """

    def __init__(
        self,
        model: JointModel,
        material: Material,
        config: JointConfig,
        seed: int,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.model, self.material, self.config, self.seed, self.dtype = model, material, config, seed, dtype
        self.device, n_items = model.constant.device, model.text.shape[0]
        pairs, shown = material.pairs, material.shown
        self.reading = Reading(config.context, config.decay, config.normalization, config.max_length)
        counts = np.bincount(pairs.item[pairs.label > 0], minlength=n_items).astype(np.float64)
        self.trained = np.unique(np.concatenate([pairs.item, shown.item]))
        self.place = np.full(n_items, -1, np.int64)
        self.place[self.trained] = np.arange(self.trained.size)
        self.share = ((counts + 1.0) / (counts[self.trained] + 1.0).sum()).astype(np.float32)
        drawn = (counts[self.trained] + 1.0) ** config.negative_popularity
        self.drawn = drawn / drawn.sum()
        n_users = int(pairs.user.max(initial=-1)) + 1
        taken = (np.ones(len(pairs), np.int8), (pairs.user, pairs.item))
        self.taken = sparse.csr_matrix(taken, shape=(n_users, n_items))
        self.text = model.text.cpu().numpy()
        self.told = np.asarray(self.text.any(axis=1))
        heads = set(model.heads)
        nexts, policy = config.deep_loss == "next_item", config.feedback_loss == "policy_gradient"
        self.whole = (nexts and "deep" in heads) or (policy and "feedback" in heads)

    def batches(self, epoch: int) -> Sequence[Batch]:
        """Return the batches of an epoch: pairs in another order each time, impressions spread over them alike."""
        rng = np.random.default_rng(np.random.SeedSequence([self.seed, epoch]))
        order, size = rng.permutation(len(self.material.pairs)), self.config.batch_size
        count = max(1, -(-order.size // size))
        seeds = rng.integers(2**31, size=count).tolist()
        logged = rng.permutation(len(self.material.shown))
        parts = np.array_split(logged, count)
        return [(order[b * size : (b + 1) * size], parts[b], seeds[b]) for b in range(count)]

    def loss(self, batch: Batch) -> torch.Tensor:
        """Return the whole objective of a batch."""
        which, logged, seed = batch
        rng = np.random.default_rng(seed)
        pairs = self.material.pairs.take(which)
        unknown = self._unknown(rng)
        shown = self.material.shown.take(logged)
        judged = np.concatenate([pairs.item, unknown, shown.item])
        items = self.trained if self.whole else np.unique(judged)
        described, ids = self.model.items(self._tensor(items))
        sides = self.model.sides(self._users(pairs, rng), described, ids)
        scene = _Scene(pairs, unknown, items, self._free(pairs, unknown))
        found: dict[Head, torch.Tensor] = {}
        if "content" in sides:
            found["content"] = self._over_pairs(sides["content"], scene, self.told)
        if "deep" in sides:
            found["deep"] = self._deep(sides["deep"], scene)
        if "feedback" in sides:
            if len(self.material.shown):
                side = self.model.sides(self._users(shown, rng), described, ids)["feedback"]
                scene = _Scene(shown, unknown, items, scene.free)
                found["feedback"] = self._feedback(side, scene)
            else:
                found["feedback"] = self._feedback(sides["feedback"], scene)
        total: torch.Tensor = self.model.balance(found)
        return total

    def _tensor(self, values: np.ndarray) -> torch.Tensor:
        """Return an array on the device."""
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.device)

    def _unknown(self, rng: np.random.Generator) -> np.ndarray:
        """Return int64: the items that stand for what people have not taken; each once."""
        n = min(self.config.negatives, self.trained.size)
        if n == self.trained.size:
            return self.trained
        even = self.config.negative_popularity == 0
        return np.sort(rng.choice(self.trained, n, replace=False, p=None if even else self.drawn))

    def _free(self, pairs: Pairs, unknown: np.ndarray) -> np.ndarray:
        """Return float32 (n, m): the weight of each drawn pair; 0 where something is known of it."""
        rows = self.taken[pairs.user]
        column = np.full(self.place.size, -1, np.int64)
        column[unknown] = np.arange(unknown.size)
        weight = np.full((len(pairs), unknown.size), self.config.unknown_weight, np.float32)
        hit = column[rows.indices]
        row = np.repeat(np.arange(len(pairs)), np.diff(rows.indptr))
        weight[row[hit >= 0], hit[hit >= 0]] = 0.0
        return weight

    def _users(self, pairs: Pairs, rng: np.random.Generator) -> torch.Tensor:
        """Return u, float (n, d), as it is trained on: thinned, some events read as words are."""
        bags = pairs.bags(self.material.histories, self.reading)
        z = self._said(pairs)
        values = bags.values.copy()
        if self.config.as_words and self.text.shape[1]:
            spoken = self._spoken(bags, pairs.words, rng)
            heard = spoken >= 0
            values[spoken[heard]] = 0.0
            if heard.any():
                z = np.zeros((len(pairs), self.text.shape[1]), np.float32) if z is None else z
                z[heard] = self.text[bags.items[spoken[heard]]]
        if self.config.dropout:
            values *= (rng.random(values.size) >= self.config.dropout) / np.float32(1.0 - self.config.dropout)
        bags = Bags(bags.indptr, bags.items, values.astype(np.float32))
        return self.model.users(bags, None if z is None else self._tensor(z))

    def _said(self, pairs: Pairs) -> np.ndarray | None:
        """Return z float32 (n, k) of what people had said; None where nobody said anything."""
        if not self.material.said.shape[0] or not (pairs.words >= 0).any():
            return None
        z = self.material.said[np.maximum(pairs.words, 0)] * (pairs.words >= 0)[:, None]
        return np.asarray(z, np.float32)

    def _spoken(self, bags: Bags, words: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return int64 (n,): the event of each user that is read as words are, or -1."""
        counts = np.diff(bags.indptr)
        event = bags.indptr[:-1] + np.floor(rng.random(counts.size) * counts).astype(np.int64)
        event = np.minimum(event, max(0, bags.items.size - 1))
        able = (rng.random(counts.size) < self.config.as_words) & (counts > 0) & (words < 0)
        if bags.items.size:
            able &= self.told[bags.items[event]] & (bags.values[event] > 0)
        return np.where(able, event, -1)

    def _over_pairs(self, side: Side, scene: _Scene, able: np.ndarray | None = None) -> torch.Tensor:
        """Return the cross-entropy over P: known pairs by what came of them, drawn ones as not taken.

        ``able`` (n_items,) leaves out pairs of the other items.
        """
        known, drawn = self._known(side, scene), self._drawn(side, scene)
        weight, free = scene.pairs.weight, scene.free
        if able is not None:
            weight, free = weight * able[scene.pairs.item], free * able[scene.unknown]
        labels = self._tensor(scene.pairs.label)
        every = torch.cat(
            [objective.cross_entropy(known, labels), torch.nn.functional.softplus(drawn).flatten()]
        )
        return objective.weighted_mean(every, torch.cat([self._tensor(weight), self._tensor(free).flatten()]))

    def _known(self, side: Side, scene: _Scene) -> torch.Tensor:
        """Return float (n,): logits of the known pairs."""
        mine, theirs, offset = side
        logits = (mine * theirs[self._tensor(scene.position(scene.pairs.item))]).sum(dim=1)
        return logits if offset is None else logits + offset

    def _drawn(self, side: Side, scene: _Scene) -> torch.Tensor:
        """Return float (n, m): logits of the drawn pairs."""
        mine, theirs, offset = side
        logits = mine @ theirs[self._tensor(scene.position(scene.unknown))].T
        return logits if offset is None else logits + offset

    def _deep(self, side: Side, scene: _Scene) -> torch.Tensor:
        """Return L_D."""
        if self.config.deep_loss == "next_item":
            liked = np.flatnonzero(scene.pairs.label > 0)
            targets = self._tensor(scene.position(scene.pairs.item[liked]))
            weights = self._tensor(scene.pairs.weight[liked])
            return losses.full_softmax(side[0][self._tensor(liked)], side[1], targets, self.dtype, weights)
        if self.config.likelihood == "bernoulli":
            return self._over_pairs(side, scene)
        rated = np.isfinite(scene.pairs.rating)
        predicted = self._known(side, scene)[self._tensor(np.flatnonzero(rated))]
        ratings = scene.pairs.rating[rated]
        if self.config.likelihood == "gaussian":
            wanted = self._tensor(((ratings - self.material.centre) / self.material.unit).astype(np.float32))
            lost = objective.gaussian(predicted, self.model.spread, wanted)
        else:
            levels = self._tensor(np.searchsorted(self.material.ratings, ratings).astype(np.int64))
            lost = objective.ordinal(predicted, objective.ascending(self.model.steps), levels)
        return lost.mean() if rated.any() else predicted.sum()

    def _feedback(self, side: Side, scene: _Scene) -> torch.Tensor:
        """Return L_S: on impressions where there are any, else on interactions and what is drawn beside them."""
        pairs, config = scene.pairs, self.config
        if not len(pairs):
            return side[0].sum() * 0.0
        if config.feedback_loss == "policy_gradient":
            logits = side[0] @ side[1].T  # π is over all trained items: ``items`` holds them
            log_pi = torch.log_softmax(logits, dim=1)
            place = self._tensor(scene.position(pairs.item))
            chosen = log_pi.gather(1, place[:, None]).squeeze(1)
            logged = np.where(np.isfinite(pairs.propensity), pairs.propensity, self.share[pairs.item])
            rewards = self._tensor(pairs.label * pairs.weight)
            beta = self._tensor(logged.astype(np.float32))
            return objective.policy_gradient(chosen, rewards, beta, config.clip, config.top_k)
        if not len(self.material.shown):
            return self._over_pairs(side, scene)
        known = self._known(side, scene)
        rewards, propensity = self._tensor(pairs.label), self._tensor(pairs.propensity)
        return objective.feedback(
            known, rewards, propensity, config.clip, self_normalized=config.self_normalized
        )

    @torch.inference_mode()
    def judge(self) -> np.ndarray | None:
        """Return float64 (n,): NDCG of each held-out item among all trained items that its history does not hold."""
        held, histories = self.material.held, self.material.histories
        if not len(held):
            return None
        described, ids = self.model.items(self._tensor(self.trained))
        weights = self.model.balance.weights()
        earlier = replace(self.reading, context="earlier")
        found = []
        for lo in range(0, len(held), 512):
            some = held.take(np.arange(lo, min(lo + 512, len(held))))
            bags = some.bags(histories, earlier, shown=True)
            z = self._said(some)
            u = self.model.users(bags, None if z is None else self._tensor(z))
            sides = self.model.sides(u, described, ids)
            scores = sum(
                (weights[head] * (mine @ theirs.T) for head, (mine, theirs, _) in sides.items()),
                torch.zeros((), device=self.device),
            )
            seen = self.place[bags.items]
            scores[self._tensor(bags.rows[seen >= 0]), self._tensor(seen[seen >= 0])] = -torch.inf
            right = self._tensor(self.place[some.item])
            mine = scores[torch.arange(len(some), device=self.device), right]
            rank = (scores > mine[:, None]).sum(dim=1) + 1
            found.append(torch.where(rank <= DEPTH, 1.0 / torch.log2(1.0 + rank), 0.0).double().cpu().numpy())
        return np.concatenate(found)


@dataclass(frozen=True)
class _Scene:
    """What the logits of a batch are of.

    Parameters
    ----------
    pairs : Pairs
    unknown : int64 (m,)
        Items that are drawn for all of them.
    items : int64, ascending
        The items that have a side in the batch.
    free : float32 (n, m)
        The weight of each drawn pair.
    """

    pairs: Pairs
    unknown: np.ndarray
    items: np.ndarray
    free: np.ndarray

    def position(self, items: np.ndarray) -> np.ndarray:
        """Return int64: where items stand among those of the batch."""
        return np.searchsorted(self.items, items).astype(np.int64)
