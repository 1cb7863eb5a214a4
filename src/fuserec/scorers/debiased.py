"""Debiased: the scores of another scorer, those of popular items lowered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from fuserec.scorers.base import Capabilities, Evidence, Scorer, Scores
from fuserec.scorers.wrapped import Wrapper, WrapperConfig

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.query import QueryBatch
    from fuserec.run import RunOptions
    from fuserec.types import Arrays


class DebiasedConfig(WrapperConfig):
    """Hyperparameters of a debiased scorer."""

    of: str = Field(default="cooccurrence", description="The scorer that is wrapped.")
    exponent: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="A positive score is divided by (interactions of the item + 1)^exponent; 0 leaves it.",
    )


class Debiased(Wrapper):
    """score = s / (n_j + 1)^exponent where the wrapped score s is above 0, and s where it is not; n_j interactions.

    As in the popularity-stratified weights of Steck 2011 ("Item popularity and recommendation accuracy"). What speaks
    for an item counts less, the more people would have taken it anyway. What speaks against it is left as it is:
    divided too, it would lift popular items, and a shift to positive values would turn "nothing is known" (0) into
    evidence. Signs, hence what is for and against, never change, and within an item the order of queries stays.
    """

    name: ClassVar[str] = "debiased"
    Config = DebiasedConfig
    capabilities: ClassVar[Capabilities] = Capabilities(evidence="attributed")
    tunable: ClassVar[Mapping[str, tuple[float, ...]]] = {"exponent": (0.0, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)}
    config: DebiasedConfig

    def _able(self, told: Capabilities) -> Capabilities:
        return replace(told, evidence="attributed" if told.evidence == "exact" else told.evidence)

    def _blank(self) -> dict[str, Scorer]:
        return {"of": self.config.inner()}

    def _learn(self, train: Dataset, run: RunOptions) -> None:
        self._counts = train.item_counts.astype(np.int64)

    def _numbers(self) -> Arrays:
        return {"counts": self._counts}

    def _take_numbers(self, arrays: Arrays) -> None:
        self._counts = arrays["counts"]

    def _factors(self, items: np.ndarray | None) -> np.ndarray:
        """Return float32 (m,) or (n, m): what a positive score is multiplied by."""
        counts = self._counts if items is None else self._counts[items]
        return np.asarray(np.power(counts + 1.0, -self.config.exponent), np.float32)

    def score(self, q: QueryBatch, items: np.ndarray | None = None) -> Scores:
        """Return the wrapped scores, positive ones lowered by the popularity of their items."""
        self.require_fitted()
        found = self._inner["of"].score(q, items)
        values = np.where(found.values > 0, found.values * self._factors(items), found.values)
        return replace(found, values=values.astype(np.float32))

    def predict(self, q: QueryBatch, items: np.ndarray) -> np.ndarray:
        """Return the ratings that the wrapped scorer predicts: they keep their scale."""
        return self._inner["of"].predict(q, items)

    def evidence(self, q: QueryBatch, items: np.ndarray) -> list[list[list[Evidence]]]:
        """Return the wrapped rows, scaled as the score is.

        They stay ``exact`` where all have one sign: taking one away cannot turn the sign of the score then, so the
        factor is the same without it. Where for and against stand together they are attributed.
        """
        self.require_fitted()
        inner = self._inner["of"]
        scores, rows = inner.score(q, items).values, inner.evidence(q, items)
        factors = np.where(scores > 0, self._factors(items), 1.0)
        return [
            [self._scaled(cell, float(factor)) for cell, factor in zip(cells, line, strict=True)]
            for cells, line in zip(rows, factors.tolist(), strict=True)
        ]

    def _scaled(self, rows: list[Evidence], factor: float) -> list[Evidence]:
        """Return the rows of one score times its factor."""
        mixed = (
            self.config.exponent > 0 and len({row.contribution > 0 for row in rows if row.contribution}) > 1
        )
        return [
            Evidence(
                self.name,
                row.kind,
                row.key,
                row.contribution * factor,
                "attributed" if mixed and row.method == "exact" else row.method,
            )
            for row in rows
        ]
