"""LambdaMART (Burges 2010) on top of the blend: boosted trees that see how scores, rarity and query go together.

The trees start from the blend's scores, so that a forest of none is the blend. Their Shapley values (Lundberg, Erion,
Lee 2018) are the evidence: they sum to what the trees say.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fuserec.errors import MissingExtraError
from fuserec.fusion.config import Kind
from fuserec.fusion.crossfit import Correction, StackTable
from fuserec.fusion.stacking import Stacker
from fuserec.scorers.base import EvidenceMethod

if TYPE_CHECKING:
    from fuserec.run import RunOptions
    from fuserec.types import Arrays

MARGIN = 0.01
"""Between the lowest leaf and what is not re-scored."""

MIN_LEAF = 20
"""Candidates a leaf."""


def lightgbm() -> Any:
    """Return the library, or say how to get it."""
    try:
        import lightgbm as library
    except ImportError:
        raise MissingExtraError("the fusion of kind lambdamart", "deep") from None
    return library


class Trees(Correction):
    """A forest, kept as LightGBM's own text: nothing is executed when it is read.

    Parameters
    ----------
    text : uint8 (n_bytes,)
    """

    def __init__(self, text: np.ndarray) -> None:
        self.text = text

    @cached_property
    def booster(self) -> Any:
        """The forest, built from its text when it is first asked."""
        return lightgbm().Booster(model_str=self.text.tobytes().decode("utf-8"))

    @cached_property
    def lowest(self) -> float:
        """The sum of every tree's lowest leaf, and a margin."""
        return float(self.booster.lower_bound()) - MARGIN

    def values(self, features: np.ndarray) -> np.ndarray:
        """Return the sum of the trees."""
        if not len(features):
            return np.zeros(0)
        return np.asarray(self.booster.predict(features, raw_score=True, num_threads=1), np.float64)

    def shares(self, features: np.ndarray) -> np.ndarray:
        """Return Shapley values and the mean."""
        if not len(features):
            return np.zeros((0, features.shape[1] + 1))
        return np.asarray(self.booster.predict(features, pred_contrib=True, num_threads=1), np.float64)

    def arrays(self) -> Arrays:
        """Return the text."""
        return {"text": self.text}


class LambdaMART(Stacker):
    """A blend whose best items are re-scored by boosted trees; needs the extra ``deep`` (LightGBM)."""

    kind: ClassVar[Kind] = "lambdamart"
    method: ClassVar[EvidenceMethod] = "shapley"

    def _require(self) -> None:
        lightgbm()

    def _learner(self, table: StackTable, slope: float, run: RunOptions) -> Correction:
        """Boost from the blend's scores, towards NDCG."""
        settings, library = self.config.stack, lightgbm()
        parameters = {
            "objective": "lambdarank",
            "lambdarank_truncation_level": 3 * self.config.depth,
            "num_leaves": settings.leaves,
            "learning_rate": settings.learning_rate,
            "min_data_in_leaf": MIN_LEAF,
            "lambda_l2": 1.0,
            "num_threads": run.threads,
            "seed": int(run.rng("lambdamart").integers(2**31)),
            "deterministic": True,
            "force_row_wise": True,
            "verbosity": -1,
        }
        data = library.Dataset(
            table.features,
            label=table.target.astype(np.int32),
            group=np.diff(table.indptr),
            init_score=slope * table.first.astype(np.float64),
            params=parameters,
        )
        forest = library.train(
            parameters, data, num_boost_round=settings.trees, callbacks=[lambda _: run.check()]
        )
        text = forest.model_to_string().encode("utf-8")
        return Trees(np.frombuffer(text, dtype=np.uint8))

    def _read(self, arrays: Arrays) -> Correction:
        return Trees(arrays["text"])
