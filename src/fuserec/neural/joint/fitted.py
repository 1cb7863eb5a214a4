"""What is kept of a joint model, and how it answers: plain arrays, PyTorch is not needed for it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fuserec.neural.joint.config import HEADS, Head
from fuserec.neural.semantic.fitted import told_by
from fuserec.neural.text_basis import TextBasis

if TYPE_CHECKING:
    from fuserec.data.query import TextVectors
    from fuserec.encoders.features import ItemFeatures
    from fuserec.types import Arrays

Tower = tuple[np.ndarray, np.ndarray, np.ndarray]
"""First matrix, bias, second matrix; all empty for none."""


@dataclass(frozen=True)
class Ratings:
    """How the deep head's number becomes a rating.

    Parameters
    ----------
    kind : {"", "gaussian", "ordinal"}
    levels : float32 (k,)
        The lowest and the highest rating, or all of them.
    thresholds : float32 (k - 1,)
        Of an ordinal likelihood; empty for another.
    centre, unit : float
        Mean and standard deviation of the ratings.
    """

    kind: str
    levels: np.ndarray
    thresholds: np.ndarray
    centre: float
    unit: float

    def expected(self, logits: np.ndarray) -> np.ndarray:
        """Return float32: the expected rating, within the scale."""
        if self.kind == "gaussian":
            values = self.centre + self.unit * logits
        else:  # E = lowest + Σ (step · P(r > level))
            above = 1.0 / (1.0 + np.exp(np.clip(self.thresholds - logits[..., None], -50, 50)))
            values = self.levels[0] + above @ np.diff(self.levels)
        return np.clip(values, self.levels[0], self.levels[-1]).astype(np.float32)


@dataclass(frozen=True)
class FittedJoint:
    """A joint logit Σ weight · logit over the heads, each a product of what stands for people and for items.

    Parameters
    ----------
    read : float32 (n_items, d)
        What an item in a history adds to u.
    constant : float32 (d,)
        What all people share.
    described : float32 (n_items, d)
        F(x).
    ids : float32 (n_items, d)
        Zero for items without training pairs.
    known, trained : bool (n_items,)
        Items that can be judged; those that stood in training.
    words, unread, features : float32 (k, d)
        What text of a query, of a history item without events, and of a candidate is multiplied by.
    common : float32 (d,)
        F(x) of an item without text.
    state : float32 (d, d)
    weights : float64 (3,)
        Of the heads, summing to 1; 0 for one that is not there.
    offsets : float32 (3,)
    tower_u, tower_j : tuple of arrays
    ratings : Ratings
    basis : TextBasis or None
    """

    read: np.ndarray
    constant: np.ndarray
    described: np.ndarray
    ids: np.ndarray
    known: np.ndarray
    trained: np.ndarray
    words: np.ndarray
    unread: np.ndarray
    features: np.ndarray
    common: np.ndarray
    state: np.ndarray
    weights: np.ndarray
    offsets: np.ndarray
    tower_u: Tower
    tower_j: Tower
    ratings: Ratings
    basis: TextBasis | None

    @property
    def heads(self) -> list[Head]:
        """The heads that are there."""
        return [head for head, weight in zip(HEADS, self.weights, strict=True) if weight > 0]

    @property
    def linear(self) -> bool:
        """Whether the joint logit is linear in u."""
        return "deep" not in self.heads or not self.tower_u[0].size

    @cached_property
    def targets(self) -> np.ndarray:
        """float32 (n_items, d · heads): what stands for the items, the heads side by side."""
        described, ids = self.described, self.ids
        both, added = np.concatenate([described, ids], axis=1), described + ids
        blocks: list[np.ndarray] = []
        for head in self.heads:
            blocks.append(described if head == "content" else added)
            if head == "deep":
                blocks[-1] = _through(self.tower_j, both, added)
        return np.ascontiguousarray(np.concatenate(blocks, axis=1), np.float32)

    def people(self, u: np.ndarray) -> np.ndarray:
        """Return float32 (n, d · heads): what stands for people, times the weight of each head."""
        blocks: list[np.ndarray] = []
        for head, weight in zip(HEADS, self.weights.astype(np.float32), strict=True):
            if weight > 0:
                mine = u @ self.state if head == "feedback" else u
                blocks.append(weight * (_through(self.tower_u, u, u) if head == "deep" else mine))
        return np.concatenate(blocks, axis=1)

    @property
    def offset(self) -> float:
        """The constant of the joint logit."""
        return float(self.weights @ self.offsets)

    def logits(self, u: np.ndarray, items: np.ndarray | None) -> np.ndarray:
        """Return float32 (n, m): joint logits of u (n, d) for the catalogue or candidates (m,) or (n, m)."""
        from fuserec.numerics.ridge import factor_products

        found = factor_products(self.people(u), self.targets, items)
        return np.asarray(found + np.float32(self.offset), np.float32)

    def probabilities(self, u: np.ndarray, items: np.ndarray | None, power: float) -> np.ndarray:
        """Return float32 (n, m): softmax of the joint logits over the trained items, to a power."""
        from fuserec.numerics.ridge import factor_products

        people = self.people(u)
        whole = people @ self.targets.T
        visible = whole if self.trained.all() else whole[:, self.trained]
        top = visible.max(axis=1, keepdims=True)
        total = top + np.log(np.exp(visible - top).sum(axis=1, keepdims=True))
        values = whole if items is None else factor_products(people, self.targets, items)
        found: np.ndarray = np.exp(np.clip((values - total) * np.float32(power), -60.0, 20.0))
        return found.astype(np.float32, copy=False)

    def rated(self, u: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Return float32 (n, m): expected ratings of candidates (n, m)."""
        described, ids = self.described[items], self.ids[items]
        both = np.concatenate([described, ids], axis=-1)
        theirs = _through(self.tower_j, both, described + ids)
        mine = _through(self.tower_u, u, u)
        return self.ratings.expected(np.einsum("nd,nmd->nm", mine, theirs) + self.offsets[1])

    def said(self, text: TextVectors | None, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Return what the words of n queries add to u, float32 (n, d), and bool (n,): who said anything known."""
        if text is None or self.basis is None:
            return np.zeros((n, self.constant.size), np.float32), np.zeros(n, dtype=bool)
        z = told_by(self.basis, text.lexical, text.sentence) * text.present[:, None]
        return np.asarray(z @ self.words, np.float32), np.asarray(z.any(axis=1))

    def extended(self, features: ItemFeatures) -> FittedJoint:
        """Return the model for a catalogue that grew: later items are known by their text."""
        before, d = self.read.shape
        more = features.n_items - before
        if more <= 0:
            return self
        text = np.zeros((more, self.unread.shape[0]), np.float32)
        if self.basis is not None:
            sentence = None if features.sentence is None else features.sentence[before:]
            text = told_by(self.basis, features.lexical[before:], sentence)
        return replace(
            self,
            read=np.concatenate([self.read, text @ self.unread]).astype(np.float32),
            described=np.concatenate([self.described, text @ self.features + self.common]).astype(np.float32),
            ids=np.concatenate([self.ids, np.zeros((more, d), np.float32)]),
            known=np.concatenate([self.known, text.any(axis=1)]),
            trained=np.concatenate([self.trained, np.zeros(more, dtype=bool)]),
        )

    def state_arrays(self) -> Arrays:
        """Return arrays alone: nothing of the training data."""
        plain = [f.name for f in fields(self) if f.name not in ("tower_u", "tower_j", "ratings", "basis")]
        arrays: Arrays = {name: getattr(self, name) for name in plain}
        for name in ("tower_u", "tower_j"):
            arrays |= {f"{name}.{place}": part for place, part in enumerate(getattr(self, name))}
        arrays |= {"ratings.levels": self.ratings.levels, "ratings.thresholds": self.ratings.thresholds}
        arrays["ratings.scale"] = np.array([self.ratings.centre, self.ratings.unit])
        return arrays if self.basis is None else {**arrays, **self.basis.arrays()}

    @classmethod
    def from_arrays(cls, arrays: Arrays, kind: str) -> FittedJoint:
        """Rebuild what :meth:`state_arrays` gave; ``kind`` is that of the ratings."""
        plain = [f.name for f in fields(cls) if f.name not in ("tower_u", "tower_j", "ratings", "basis")]
        values: dict[str, Any] = {name: arrays[name] for name in plain}
        for name in ("known", "trained"):
            values[name] = values[name].astype(bool)
        for name in ("tower_u", "tower_j"):
            values[name] = tuple(arrays[f"{name}.{place}"] for place in range(3))
        centre, unit = arrays["ratings.scale"].tolist()
        ratings = Ratings(kind, arrays["ratings.levels"], arrays["ratings.thresholds"], centre, unit)
        return cls(**values, ratings=ratings, basis=TextBasis.from_arrays(arrays))


def _through(tower: Tower, x: np.ndarray, straight: np.ndarray) -> np.ndarray:
    """Return the output of a tower whose straight way is given; that way alone where there is no tower."""
    first, bias, second = tower
    if not first.size:
        return straight
    return np.asarray(straight + np.maximum(x @ first + bias, 0.0) @ second, np.float32)
