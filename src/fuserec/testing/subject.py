"""What the contract is checked on: an unfitted scorer, the data it is fitted on, and what is asked of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from fuserec.data.dataset import Dataset
from fuserec.data.query import QueryBatch
from fuserec.encoders.features import ItemFeatures
from fuserec.fusion.base import Fusion
from fuserec.run import RunOptions
from fuserec.scorers.base import Scorer
from fuserec.testing.small import small_dataset, small_features, small_queries
from fuserec.types import Arrays, Meta

Oracle = Callable[[Scorer, Dataset, ItemFeatures, QueryBatch], np.ndarray]
"""A slow, plain computation of what the scorer's docstring says its scores are: float (n, n_items)."""

RTOL = 1e-5
ATOL = 1e-6
"""Times the root mean square of the scores: what float32 sums in another order may differ by."""


@dataclass(frozen=True)
class Subject:
    """A scorer under test.

    Parameters
    ----------
    scorer : Scorer
        Unfitted.
    oracle : callable, optional
        Where it is given, scores have to equal it.
    run : RunOptions
    dataset : Dataset
    """

    scorer: Scorer
    oracle: Oracle | None = None
    run: RunOptions = field(default_factory=lambda: RunOptions(seed=7, threads=1))
    dataset: Dataset = field(default_factory=small_dataset)

    @cached_property
    def features(self) -> ItemFeatures:
        """The features of the dataset."""
        return small_features(self.dataset, self.run)

    @cached_property
    def fitted(self) -> Scorer:
        """The scorer fitted on the dataset, once."""
        return self.fit()

    @cached_property
    def queries(self) -> QueryBatch:
        """Queries of all kinds."""
        return small_queries(self.dataset, self.features, self.run)

    def fit(self, run: RunOptions | None = None) -> Scorer:
        """Return the scorer fitted anew."""
        return self.scorer.fit(self.dataset, self.features, run or self.run)

    def given(self, **changes: object) -> Subject:
        """Return the subject with another scorer, dataset or run."""
        return replace(self, **changes)  # type: ignore[arg-type]

    @cached_property
    def warm(self) -> np.ndarray:
        """int64: items with at least one positive interaction."""
        rows = self.dataset.interactions
        return np.unique(rows.item[rows.weight > 0])

    @cached_property
    def cold(self) -> np.ndarray:
        """int64: items without any interaction."""
        return np.flatnonzero(self.dataset.item_counts == 0)

    @cached_property
    def rich(self) -> QueryBatch:
        """Histories of four distinct, rated, liked items with text: every scorer of histories hears every event."""
        good = self.warm[self.features.has_text[self.warm]]
        count = max(1, min(6, good.size // 4))
        q = QueryBatch.of_histories([good[4 * i : 4 * i + 4] for i in range(count)])
        ratings = np.tile(np.array([4, 5, 3, 4], np.float32), len(q))
        ages = np.tile(np.array([9, 5, 2, 0], np.float32), len(q))
        weights = np.tile(np.array([0.6, 1.0, 0.3, 0.8], np.float32), len(q))
        return replace(q, ratings=ratings, ages=ages, weights=weights)

    @property
    def needs_history(self) -> bool:
        """Whether the scorer only judges what somebody has taken, for people who have taken something."""
        return not self.scorer.capabilities.answers & {"text", "anyone"}


def require(condition: bool, message: str) -> None:
    """Raise AssertionError with a message; unlike ``assert`` also where Python runs with -O."""
    if not condition:
        raise AssertionError(message)


def require_close(found: np.ndarray, wanted: np.ndarray, promise: str, rtol: float = RTOL) -> None:
    """Require two arrays of scores to agree but for float32 rounding."""
    require(found.shape == wanted.shape, f"{promise}: shape {found.shape} instead of {wanted.shape}")
    if not wanted.size:
        return
    scale = float(np.sqrt(np.mean(np.square(wanted, dtype=np.float64))))
    limit = rtol * np.abs(wanted) + ATOL * max(1.0, rtol / RTOL) * scale + 1e-12
    gap = np.abs(found.astype(np.float64) - wanted)
    worst = np.unravel_index(int(np.argmax(gap - limit)), gap.shape)
    require(
        bool(np.all(gap <= limit)),
        f"{promise}: {found[worst]!r} instead of {wanted[worst]!r} at {tuple(int(i) for i in worst)}",
    )


def stored(scorer: Scorer) -> tuple[Arrays, Meta]:
    """Return a scorer's state as it comes back from a disk: copies of the arrays, and JSON read again."""
    arrays, meta = scorer.state()
    for name, array in arrays.items():
        require(
            isinstance(array, np.ndarray) and array.dtype.kind in "biuf",
            f"state: {name!r} has to be an array of numbers, got {getattr(array, 'dtype', type(array))}",
        )
    try:
        read: Meta = json.loads(json.dumps(meta, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise AssertionError(f"state: what is no array has to be JSON ({error})") from None
    return {name: np.array(array) for name, array in arrays.items()}, read


def restored(scorer: Scorer, features: ItemFeatures) -> Scorer:
    """Return a fitted scorer rebuilt from its state; a fusion from the states of its parts."""
    if isinstance(scorer, Fusion):
        parts = {name: restored(part, features) for name, part in scorer.parts.items()}
        return type(scorer)(scorer.config, parts).restored(*stored(scorer), features)
    return type(scorer).from_state(scorer.config, *stored(scorer), features)
