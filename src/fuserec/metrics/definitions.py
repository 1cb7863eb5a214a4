"""What a metric is called, means, and which way is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Family = Literal[
    "accuracy",
    "rating",
    "probability",
    "beyond",
    "concentration",
    "outcomes",
    "fairness",
    "information",
    "ethics",
    "text",
    "stability",
]
"""Groups of metrics, in the order of tables."""

INFINITE = float("inf")


@dataclass(frozen=True)
class Definition:
    """What a metric measures, in words for a reader of the report.

    Attributes
    ----------
    title : str
        How tables name it, without its k.
    meaning : str
        One sentence; ``{k}`` stands for the cut.
    better : {"higher", "lower", "neither"}
        Direction; ``neither`` where more is a matter of taste.
    low, high : float
        Range of its values.
    family : str
        One of :data:`FAMILIES`: where tables put it.
    """

    title: str
    meaning: str
    better: Literal["higher", "lower", "neither"]
    low: float
    high: float
    family: Family
