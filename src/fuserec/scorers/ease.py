"""EASE: the linear autoencoder with a closed form.

Steck 2019, "Embarrassingly shallow autoencoders for sparse data".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from fuserec.scorers.base import Capabilities
from fuserec.scorers.history import DenseMap, HistoryScorer, decayed
from fuserec.settings import Settings

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.query import QueryBatch
    from fuserec.encoders.features import ItemFeatures
    from fuserec.run import RunOptions


class EASEConfig(Settings):
    """Hyperparameters of EASE."""

    regularization: float = Field(
        default=500.0, gt=0, description="λ, added to the diagonal of the Gram matrix."
    )
    recency: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="An event this many steps back counts recency^steps in x; 1 reads the history as a set.",
    )


class EASE(HistoryScorer):
    """score = x·B with B = I − P·diag(1 / diag P), P = (XᵀX + λI)⁻¹, diag B = 0 (Steck 2019, eq. 8)."""

    name: ClassVar[str] = "ease"
    Config = EASEConfig
    capabilities: ClassVar[Capabilities] = Capabilities(evidence="exact", max_items=15_000)
    tunable: ClassVar[Mapping[str, tuple[float, ...]]] = {"recency": (1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5)}
    config: EASEConfig

    def _fit(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> None:
        from fuserec.numerics.linear import ease_weights

        self._threads = run.threads
        self._items = train.item_counts > 0
        self._map = DenseMap(
            ease_weights(train.matrix("positive"), self.config.regularization, threads=run.threads)
        )

    def inputs(self, q: QueryBatch) -> np.ndarray:
        """Return float32 (n_events,): weight × recency^steps."""
        return decayed(q, self.config.recency)
