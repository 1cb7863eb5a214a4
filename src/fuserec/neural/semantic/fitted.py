"""What is kept of a semantic softmax, and how it answers: plain arrays, PyTorch is not needed for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from fuserec.neural.text_basis import TextBasis
from fuserec.numerics.similar import unit_rows

if TYPE_CHECKING:
    from scipy import sparse

    from fuserec.data.query import TextVectors
    from fuserec.encoders.features import ItemFeatures
    from fuserec.numerics.arrays import Rows
    from fuserec.types import Arrays


def told_by(basis: TextBasis, lexical: sparse.csr_matrix, sentence: np.ndarray | None) -> np.ndarray:
    """Return float32 (n, k): what texts say, of unit length; zero where a text says nothing."""
    return np.asarray(unit_rows(basis.of(lexical, sentence)[0]), np.float32)


def target_scale(dim: int) -> float:
    """Return the length of an item's semantic vector: dim^¼, so that both factors of a logit are of like size."""
    return float(dim**0.25)


@dataclass(frozen=True)
class FittedTowers:
    """Logits y·f, f = Σ strength · read_j + z W₂.

    Parameters
    ----------
    read : float32 (n_items, d)
        What an item in a history adds to f.
    targets : float32 (n_items, d)
        y: what f is compared with.
    known : bool (n_items,)
        Items that have such a vector.
    trained : bool (n_items,)
        Items that stand in the denominator of training.
    words : float32 (k, d)
        W₂.
    unread : float32 (k, d)
        Through which the text of an item becomes ``read`` where there are no events to learn it from.
    basis : TextBasis or None
    semantic : bool
        Whether y holds the text.
    """

    read: np.ndarray
    targets: np.ndarray
    known: np.ndarray
    trained: np.ndarray
    words: np.ndarray
    unread: np.ndarray
    basis: TextBasis | None
    semantic: bool

    def apply(self, x: Rows, threads: int) -> np.ndarray:
        """Return float32 (n, n_items): logits of the histories alone."""
        from fuserec.numerics.sparse import csr_times_dense

        return np.asarray(csr_times_dense(*x, self.read, threads=threads) @ self.targets.T, np.float32)

    def cells(self, sources: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Return float64 (s, t): what one unit of history items adds to the logits of others."""
        cells: np.ndarray = self.read[sources].astype(np.float64) @ self.targets[targets].astype(np.float64).T
        return cells

    def speaks(self) -> np.ndarray:
        """Return bool (n_items,): history items that say anything."""
        return np.asarray(self.read.any(axis=1))

    def said(self, text: TextVectors | None, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Return z W₂ float32 (n, d) of the words of n queries, and bool (n,): who said anything that is known."""
        if text is None or self.basis is None:
            return np.zeros((n, self.targets.shape[1]), np.float32), np.zeros(n, dtype=bool)
        z = told_by(self.basis, text.lexical, text.sentence) * text.present[:, None]
        return np.asarray(z @ self.words, np.float32), np.asarray(z.any(axis=1))

    def probabilities(self, f: np.ndarray, items: np.ndarray | None, power: float) -> np.ndarray:
        """Return float32 (n, m): softmax over the trained items, to a power; of others on the same scale.

        Parameters
        ----------
        f : float32 (n, d)
        items : int (m,) or (n, m), optional
            The catalogue where they are not given.
        power : float
        """
        from fuserec.numerics.ridge import factor_products

        logits = f @ self.targets.T
        visible = logits if self.trained.all() else logits[:, self.trained]
        top = visible.max(axis=1, keepdims=True)
        total = top + np.log(np.exp(visible - top).sum(axis=1, keepdims=True))
        values = logits if items is None else factor_products(f, self.targets, items)
        found: np.ndarray = np.exp(np.clip((values - total) * np.float32(power), -60.0, 20.0))
        return found.astype(np.float32, copy=False)

    def extended(self, features: ItemFeatures) -> FittedTowers:
        """Return the model for a catalogue that grew: later items are known by their text."""
        before, d = self.targets.shape
        more = features.n_items - before
        if more <= 0:
            return self
        text = np.zeros((more, self.unread.shape[0]), np.float32)
        if self.basis is not None:
            sentence = None if features.sentence is None else features.sentence[before:]
            text = told_by(self.basis, features.lexical[before:], sentence)
        targets = text * np.float32(target_scale(d)) if self.semantic else np.zeros((more, d), np.float32)
        return replace(
            self,
            read=np.concatenate([self.read, text @ self.unread]).astype(np.float32),
            targets=np.concatenate([self.targets, targets]).astype(np.float32),
            known=np.concatenate([self.known, targets.any(axis=1)]),
            trained=np.concatenate([self.trained, np.zeros(more, dtype=bool)]),
        )

    def state(self) -> Arrays:
        """Return arrays alone: nothing of the training data."""
        names = ("read", "targets", "known", "trained", "words", "unread")
        arrays: Arrays = {name: getattr(self, name) for name in names}
        arrays["semantic"] = np.array(self.semantic)
        return arrays if self.basis is None else {**arrays, **self.basis.arrays()}

    @classmethod
    def from_state(cls, arrays: Arrays) -> FittedTowers:
        """Rebuild what :meth:`state` gave."""
        masks = (arrays["known"].astype(bool), arrays["trained"].astype(bool))
        matrices = (arrays["words"], arrays["unread"])
        basis = TextBasis.from_arrays(arrays)
        return cls(arrays["read"], arrays["targets"], *masks, *matrices, basis, bool(arrays["semantic"]))
