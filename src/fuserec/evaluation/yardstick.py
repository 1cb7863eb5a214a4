"""What all models of an evaluation are measured by: the test, the training, and facts that several measures ask."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fuserec.evaluation.audit import Audit, AuditConfig

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.splits import Holdout, Split
    from fuserec.encoders.features import ItemFeatures
    from fuserec.run import RunOptions

FloatArray = npt.NDArray[np.float64]
Columns = dict[str, FloatArray]
"""Values per query (n,) by the name of their metric; NaN where a query has none."""

MAIN_K = 10


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
    asked : Audit, optional
        Groups, flagged items, outcomes and propensities; without it no groups, and settings by default.
    """

    test: Holdout
    train: Dataset
    ks: tuple[int, ...]
    features: ItemFeatures
    run: RunOptions
    asked: Audit | None = None

    @classmethod
    def of(
        cls,
        held: Split,
        ks: tuple[int, ...],
        features: ItemFeatures,
        run: RunOptions,
        audit: Audit | None = None,
    ) -> Yardstick:
        """Take test and training from a split."""
        return cls(held.test, held.train, ks, features, run, audit)

    @cached_property
    def audit(self) -> Audit:
        """Return what is asked beside accuracy."""
        return self.asked or Audit(AuditConfig(), self.train, self.test, self.train)

    @property
    def main_k(self) -> int:
        """Where the list is cut that decides, and that is measured where one cut is enough."""
        return MAIN_K if MAIN_K in self.ks else max(self.ks)

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
