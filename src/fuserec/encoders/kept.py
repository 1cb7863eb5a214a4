"""What a tuned encoder keeps of its general sense of similarity: rank correlations of cosines, before and after."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

from fuserec.encoders.base import unit_rows

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset

Encode = Callable[[Sequence[str]], np.ndarray]
"""Texts to float32 (n, dim)."""


@dataclass(frozen=True)
class GeneralPairs:
    """Sentence pairs about anything, with how alike they are from 0 (not at all) to 5 (the same)."""

    left: tuple[str, ...]
    right: tuple[str, ...]
    grades: np.ndarray


def general_pairs() -> GeneralPairs:
    """Return the bundled pairs: plain sentences graded by hand, in the public domain (CC0)."""
    text = (files("fuserec.encoders") / "general_pairs.tsv").read_text(encoding="utf-8")
    rows = [
        row for row in csv.reader(text.splitlines(), delimiter="\t") if row and not row[0].startswith("#")
    ]
    grades = np.array([float(row[0]) for row in rows])
    return GeneralPairs(tuple(row[1] for row in rows), tuple(row[2] for row in rows), grades)


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Return Spearman's rank correlation of two vectors, mean ranks for ties; 0 where one does not vary."""
    from scipy.stats import rankdata

    first, second = rankdata(a), rankdata(b)
    first, second = first - first.mean(), second - second.mean()
    scale = float(np.sqrt((first @ first) * (second @ second)))
    return float(first @ second) / scale if scale > 0 else 0.0


def cosines(encode: Encode, left: Sequence[str], right: Sequence[str]) -> np.ndarray:
    """Return float64 (n,): the cosine of each pair; every text is encoded once."""
    distinct = list(dict.fromkeys([*left, *right]))
    place = {text: at for at, text in enumerate(distinct)}
    vectors = unit_rows(np.asarray(encode(distinct), dtype=np.float32))
    a, b = vectors[[place[text] for text in left]], vectors[[place[text] for text in right]]
    return np.asarray(np.einsum("nd,nd->n", a, b, dtype=np.float64))


@dataclass(frozen=True)
class Probe:
    """Pairs by which encoders are compared.

    Parameters
    ----------
    left, right : tuple of str
        Texts of two items that nobody took both of.
    general : GeneralPairs
    """

    left: tuple[str, ...]
    right: tuple[str, ...]
    general: GeneralPairs

    @classmethod
    def of(cls, data: Dataset, texts: Sequence[str], rng: np.random.Generator, size: int = 1000) -> Probe:
        """Draw pairs of the catalogue that no training history joins, so that none of them was learnt.

        Parameters
        ----------
        data : Dataset
            Training interactions.
        texts : sequence of str (n_items)
        rng : numpy.random.Generator
        size : int
            Pairs, at most.
        """
        readable = np.flatnonzero([bool(text) for text in texts])
        if readable.size < 2:
            return cls((), (), general_pairs())
        a, b = rng.choice(readable, 3 * size), rng.choice(readable, 3 * size)
        takers = data.matrix("one").T.tocsr()
        together = np.asarray(takers[a].multiply(takers[b]).sum(axis=1)).ravel()
        free = np.flatnonzero((a != b) & (together == 0))[:size]
        left, right = tuple(texts[i] for i in a[free]), tuple(texts[i] for i in b[free])
        return cls(left, right, general_pairs())

    def cosines(self, encode: Encode) -> tuple[np.ndarray, np.ndarray]:
        """Return the cosines of the catalogue's pairs, and of the general ones."""
        general = cosines(encode, self.general.left, self.general.right)
        return (cosines(encode, self.left, self.right) if self.left else np.empty(0)), general

    def figures(
        self, before: tuple[np.ndarray, np.ndarray], after: tuple[np.ndarray, np.ndarray]
    ) -> dict[str, float]:
        """Return what is kept: rank correlations in [-1, 1].

        ``catalogue``, ``general``: of cosines before and after; ``graded_before``, ``graded``: of cosines and the
        grades that people give.
        """
        return {
            "catalogue": spearman(before[0], after[0]) if before[0].size else 1.0,
            "general": spearman(before[1], after[1]),
            "graded_before": spearman(before[1], self.general.grades),
            "graded": spearman(after[1], self.general.grades),
        }
