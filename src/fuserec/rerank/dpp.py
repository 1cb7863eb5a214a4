"""A determinantal point process: lists whose items span a large volume, taken greedily."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from fuserec.numerics.diverse import dpp_order
from fuserec.rerank.base import Language, Pool, RerankerSettings
from fuserec.rerank.spaces import SPACE, Diverse, SpaceName

if TYPE_CHECKING:
    from fuserec.data.query import QueryBatch


class DPPConfig(RerankerSettings):
    """Settings of the determinantal point process."""

    strength: float = Field(
        default=0.2, ge=0.0, le=1.0, description="0: the order of scores; 1: the largest volume of vectors."
    )
    space: SpaceName = Field(default="text", description=SPACE, json_schema_extra={"tune": False})
    ridge: float = Field(
        default=0.01,
        gt=0.0,
        le=1.0,
        description="How unlike two items with one vector count as: the smaller, the harder repeats are shunned.",
        json_schema_extra={"tune": [0.001, 0.5]},
    )


class DPP(Diverse):
    """Weighs relevance against the determinant of the list's likenesses (Chen, Zhang and Zhou 2018).

    MMR looks at the nearest item above; here all of them count together.
    """

    name: ClassVar[str] = "dpp"
    Config = DPPConfig
    said: ClassVar[Mapping[Language, tuple[str, str]]] = {
        "en": ("widens what the list spans", "what widens the list more went first"),
        "zh": ("拓宽了列表的范围", "更能拓宽列表的条目排到了前面"),
    }
    config: DPPConfig

    def order(self, pool: Pool, q: QueryBatch, places: int, threads: int = 1) -> np.ndarray:
        """Return the order in which the process takes the pool."""
        config = self.config
        return dpp_order(
            pool.items,
            pool.counts,
            pool.relevance,
            self._space,
            config.strength,
            config.ridge,
            places,
            threads,
        )
