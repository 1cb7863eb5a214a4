"""What all models of an evaluation are measured by: the test, the training, and facts that several measures ask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fuserec.errors import RequestError

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.splits import Holdout, Split
    from fuserec.encoders.features import ItemFeatures
    from fuserec.run import RunOptions

PRIMARY_K = 10

FloatArray = npt.NDArray[np.float64]
Columns = dict[str, FloatArray]
"""Values per query (n,) by the name of their metric; NaN where a query has none."""


def deciding(ks: Sequence[int]) -> tuple[tuple[int, ...], str]:
    """Return the cuts, ascending and once each, and the metric that decides; refuse cuts before hours of work.

    Raises
    ------
    RequestError
        Where a k is not a whole number of at least 1, or none is given.
    """
    for k in ks:
        if isinstance(k, bool) or int(k) != k or k < 1:
            raise RequestError(
                f"evaluate: k = {k!r}: lists are cut at whole numbers of at least 1, such as 10"
            )
    if not ks:
        raise RequestError("evaluate: no k is given: name where lists are cut, such as 5, 10, 20")
    cuts = tuple(sorted({int(k) for k in ks}))
    return cuts, f"ndcg@{PRIMARY_K if PRIMARY_K in cuts else max(cuts)}"


@dataclass(frozen=True)
class Yardstick:
    """What all models of an evaluation are measured by.

    Parameters
    ----------
    test : Holdout
    train : Dataset
        What models were fitted on: without the validation items, which only the histories of the test hold.
    ks : tuple of int
    features : ItemFeatures
    run : RunOptions
    """

    test: Holdout
    train: Dataset
    ks: tuple[int, ...]
    features: ItemFeatures
    run: RunOptions

    @classmethod
    def of(cls, held: Split, ks: tuple[int, ...], features: ItemFeatures, run: RunOptions) -> Yardstick:
        """Take test and training from a split."""
        return cls(held.test, held.train, ks, features, run)

    def rng(self) -> np.random.Generator:
        """Return the generator of the bootstrap; started anew, so that all models share their resamples."""
        return self.run.rng("bootstrap")

    @property
    def vectors(self) -> Any:
        """What the diversity of a list is judged by: sentence vectors (n_items, dim), or the CSR of words."""
        return self.features.lexical if self.features.sentence is None else self.features.sentence

    @cached_property
    def item_users(self) -> npt.NDArray[np.int64]:
        """Users of the training data who know each item, int64 (n_items,)."""
        return np.bincount(self.train.matrix("one").indices, minlength=self.train.n_items)

    @cached_property
    def n_users(self) -> int:
        """Users of the training data who know any item, at least 1."""
        return max(1, int(np.count_nonzero(np.diff(self.train.matrix("one").indptr))))
