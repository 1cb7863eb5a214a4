"""Candidates: what a held-out target is ranked among. The whole catalogue, or on request a sample of it.

Ranking a target among a few sampled items was common and is not comparable with ranking it among all: the metrics
change, and with them which of two models seems better (Krichene, Rendle, 2020, "On sampled metrics for item
recommendation", KDD). Samples are here to reproduce tables that were made so, and a warning goes with every figure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

import numpy as np

from fuserec.errors import ConfigError, nearest
from fuserec.numerics.ranks import tied_ranks

if TYPE_CHECKING:
    from fuserec.data.splits import Holdout

Kind = Literal["full", "uniform", "popularity"]
KINDS: tuple[Kind, ...] = ("full", "uniform", "popularity")

BLOCK = 2**20
"""Cells of random numbers that are held at once (4 bytes each)."""


@dataclass(frozen=True)
class Candidates:
    """What targets are ranked among, beside the other targets of their query.

    Parameters
    ----------
    kind : {"full", "uniform", "popularity"}
        The whole catalogue less the history; or so many items that are neither in the history nor targets, drawn
        without
        replacement, all alike or in proportion to their interactions in training.
    size : int
        How many are drawn a query; 0 for the whole catalogue.
    """

    kind: Kind = "full"
    size: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return what ``full``, ``uniform:100`` or ``popularity:100`` asks for.

        Raises
        ------
        ConfigError
            For anything else.
        """
        kind, colon, size = text.partition(":")
        if kind not in KINDS:
            raise ConfigError(
                f"candidates {text!r}: unknown kind{nearest(kind, KINDS)} (full, uniform:N or popularity:N)"
            )
        if kind == "full" and not colon:
            return cls()
        if kind == "full" or not size.isdecimal() or len(size) > 9 or int(size) < 1:
            raise ConfigError(
                f"candidates {text!r}: name full, or how many are drawn, such as uniform:100 or popularity:100"
            )
        return cls(next(known for known in KINDS if known == kind), int(size))

    @property
    def sampled(self) -> bool:
        """Whether they are a sample."""
        return self.kind != "full"

    def __str__(self) -> str:
        return f"{self.kind}:{self.size}" if self.sampled else self.kind

    @property
    def warning(self) -> str:
        """What has to stand beside every figure; nothing for the whole catalogue."""
        if not self.sampled:
            return ""
        drawn = "at random" if self.kind == "uniform" else "by their popularity"
        return (
            f"Accuracy is of {self.size:,} sampled candidates a query (drawn {drawn}), not of the whole catalogue: "
            "these "
            "figures are not comparable with full ones, and may even put models in another order (Krichene and "
            "Rendle 2020). "
            "Leave --candidates out to rank everything."
        )


EVERYTHING = Candidates()


class Sampler:
    """Draws the candidates of queries, one after the other, so that every model is ranked among the same.

    Parameters
    ----------
    candidates : Candidates
        A sampled kind.
    counts : int (n_items,)
        Interactions an item in training.
    rng : numpy.random.Generator
    """

    def __init__(self, candidates: Candidates, counts: np.ndarray, rng: np.random.Generator) -> None:
        self._size = min(candidates.size, counts.size)
        weights = counts if candidates.kind == "popularity" else np.ones(counts.size)
        with np.errstate(divide="ignore"):
            self._patience = (1.0 / weights).astype(np.float32)
        self._rng = rng

    def draw(self, piece: Holdout) -> np.ndarray:
        """Return int32 (n, size): drawn items of each query, -1 where fewer could be drawn.

        An item comes as early as its exponential waiting time at the rate of its weight: those that come first are a
        weighted sample without replacement (Efraimidis, Spirakis, 2006, "Weighted random sampling with a reservoir").
        """
        n_items = self._patience.size
        drawn = np.empty((len(piece), self._size), np.int32)
        starts, seen = piece.queries.seen()
        step = max(1, BLOCK // n_items)
        for lo in range(0, len(piece), step):
            hi = min(lo + step, len(piece))
            waiting = self._rng.standard_exponential((hi - lo, n_items), np.float32) * self._patience
            for indptr, items in ((starts, seen), (piece.indptr, piece.items)):
                rows = np.repeat(np.arange(hi - lo), np.diff(indptr[lo : hi + 1]))
                waiting[rows, items[indptr[lo] : indptr[hi]]] = np.inf
            first = np.argpartition(waiting, self._size - 1, axis=1)[:, : self._size]
            there = np.isfinite(np.take_along_axis(waiting, first, axis=1))
            drawn[lo:hi] = np.where(there, first, -1)
        return drawn


def sampled_ranks(
    visible: np.ndarray, drawn: np.ndarray, piece: Holdout, threads: int = 1
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the rank of every target among the drawn items and the targets of its query, and how many tie with it.

    Parameters
    ----------
    visible : float32 (n, n_items)
        Scores; minus infinity where a model abstains.
    drawn : int32 (n, size)
        From :meth:`Sampler.draw`.
    piece : Holdout (n)
    threads : int

    Returns
    -------
    ranks : float64 (n_targets,)
        From 1; equal scores share their mean rank.
    tied : int64 (n_targets,)
    n_candidates : int64 (n,)
    """
    size, lengths = drawn.shape[1], np.diff(piece.indptr)
    place = np.arange(piece.items.size) - np.repeat(piece.indptr[:-1], lengths) + size
    items = np.full((len(piece), size + int(lengths.max(initial=0))), -1, np.int64)
    items[:, :size] = drawn
    items[piece.rows, place] = piece.items
    scores = np.take_along_axis(visible, np.maximum(items, 0), axis=1)
    rows, columns = np.nonzero(items < 0)
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(piece)))]).astype(np.int64)
    missing = (starts, columns.astype(np.int32))
    return tied_ranks(scores, missing, (piece.indptr, place.astype(np.int32)), threads)
