"""Maximal marginal relevance: each place goes to what is relevant and unlike what stands above it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from fuserec.numerics.diverse import mmr_order
from fuserec.rerank.base import Language, Pool, RerankerSettings
from fuserec.rerank.spaces import SPACE, Diverse, SpaceName

if TYPE_CHECKING:
    from fuserec.data.query import QueryBatch


class MMRConfig(RerankerSettings):
    """Settings of maximal marginal relevance."""

    strength: float = Field(
        default=0.3,
        ge=0.0,
        le=1.0,
        description="0: the order of scores; 1: unlike what stands above, whatever the score.",
    )
    space: SpaceName = Field(default="text", description=SPACE, json_schema_extra={"tune": False})


class MMR(Diverse):
    """Weighs relevance against the highest likeness to what stands above (Carbonell and Goldstein 1998)."""

    name: ClassVar[str] = "mmr"
    Config = MMRConfig
    said: ClassVar[Mapping[Language, tuple[str, str]]] = {
        "en": ("less like what stands above it", "what is less like the items above went first"),
        "zh": ("与前面的条目差异更大", "与前面差异更大的条目排到了前面"),
    }
    config: MMRConfig

    def order(self, pool: Pool, q: QueryBatch, places: int, threads: int = 1) -> np.ndarray:
        """Return the order of maximal marginal relevance."""
        return mmr_order(
            pool.items, pool.counts, pool.relevance, self._space, self.config.strength, places, threads
        )
