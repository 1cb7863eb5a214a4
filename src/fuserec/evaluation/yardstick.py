"""What all models of an evaluation are measured by: the test, the training, and facts that several measures ask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fuserec.encoders.features import tags_of
from fuserec.errors import RequestError
from fuserec.evaluation.audit import Audit, AuditConfig
from fuserec.metrics.families import Known
from fuserec.metrics.graded import HIGHEST, grades
from fuserec.metrics.shown import Space

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.splits import Holdout, Split
    from fuserec.encoders.features import ItemFeatures
    from fuserec.run import RunOptions


FloatArray = npt.NDArray[np.float64]
Columns = dict[str, FloatArray]
"""Values per query (n,) by the name of their metric; NaN where a query has none."""

MAIN_K = 10


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
    return cuts, f"ndcg@{MAIN_K if MAIN_K in cuts else max(cuts)}"


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

    @cached_property
    def categories(self) -> Any:
        """CSR (n_items, n_categories) of the column ``categories``, else of ``tags``; None where items have neither."""
        table = self.train.item_table
        for column in ("categories", "tags"):
            if column in table.columns:
                found, _ = tags_of(table.select(column))
                if found.nnz:
                    return found
        return None

    @cached_property
    def known(self) -> Known:
        """What metrics over lists ask of items and users; of repeated events of a history each counts."""
        test = self.test
        return Known(
            self.train.n_items,
            targets=(test.indptr, test.items),
            seen=(test.queries.indptr, test.queries.items),
            item_users=self.item_users,
            n_users=self.n_users,
            space=Space.of(self.vectors),
            users_space=Space.of(self.train.matrix("one").T.tocsr()),
            categories=self.categories,
        )

    @cached_property
    def grades(self) -> FloatArray | None:
        """How much each target (n_targets,) was liked, from 0 to 4; None where all are alike.

        By its rating, from the low end of the scale to the high one; by its weight, from 0 (and below) to 1, where the
        data have no ratings.
        """
        test, scale = self.test, self.train.info.rating_scale
        rated = np.isfinite(test.ratings)
        if self.train.has_ratings and rated.any():
            low, high = scale or (float(np.min(test.ratings[rated])), float(np.max(test.ratings[rated])))
            found = grades(test.ratings, low, high) if low < high else None
        else:
            found = None if test.weights is None else HIGHEST * np.clip(test.weights, 0, 1).astype(np.float64)
        return None if found is None or not found.size or (found == found[0]).all() else found
