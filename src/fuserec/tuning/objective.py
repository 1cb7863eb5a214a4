"""What a tuning maximises: one ranking metric, parsed from its name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from fuserec.errors import ConfigError, RequestError, nearest
from fuserec.metrics import name_and_k
from fuserec.metrics.ranking import AT_K, WHOLE

if TYPE_CHECKING:
    from fuserec.metrics.ranking import TargetRanks


@dataclass(frozen=True)
class Objective:
    """A metric over ranks, higher is better.

    Parameters
    ----------
    metric : str
        Of :data:`fuserec.metrics.ranking.AT_K`, or of ``WHOLE`` where ``k`` is None.
    k : int or None
    """

    metric: str = "ndcg"
    k: int | None = 10

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the objective that a text such as ``ndcg@10`` names.

        Raises
        ------
        ConfigError
            Where there is no such metric, with the nearest that is.
        """
        known = [*(f"{name}@10" for name in AT_K), *WHOLE]
        if re.search(r"[-+*/,()<>\s]", text.strip()):
            raise ConfigError(
                f"objective {' '.join(text.split())[:80]!r}: parts are tuned by one ranking metric; sums, limits and "
                "several aims are for lists: tune_lists, which `fuserec tune` calls for them"
            )
        try:
            metric, k = name_and_k(text.strip().lower())
        except RequestError as error:
            raise ConfigError(f"objective: {error}") from None
        if metric not in (WHOLE if k is None else AT_K):
            raise ConfigError(
                f"objective {text!r}: no such ranking metric{nearest(text, known)} (known: {', '.join(known)}, "
                "with any k)"
            )
        return cls(metric, k)

    def __str__(self) -> str:
        return self.metric if self.k is None else f"{self.metric}@{self.k}"

    def values(self, ranks: TargetRanks) -> np.ndarray:
        """Return float64 (n_queries,): the metric of each query, NaN without a target."""
        return WHOLE[self.metric](ranks) if self.k is None else AT_K[self.metric](ranks, self.k)
