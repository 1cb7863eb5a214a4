"""How sure a figure is, and whether two models differ.

``confidence.py`` has the intervals of means, ratios and paired differences, ``pooled.py`` those of means over several
answers of each person, ``groups.py`` of how far groups lie apart, ``worst.py`` of what two models' worst groups differ
by, ``paired.py`` the paired tests between models, ``signflip.py`` the permutation distribution behind them,
``resampling.py`` the bootstrap, ``multiple.py`` the correction for many comparisons. NaN means "no value for this
user" and is left out; a segment is the same column with NaN outside the segment.
"""

from __future__ import annotations

from fuserec.evaluation.statistics.confidence import Within, interval, intervals, ratio_interval
from fuserec.evaluation.statistics.groups import Spread, spread_of_groups
from fuserec.evaluation.statistics.multiple import holm
from fuserec.evaluation.statistics.paired import (
    ALPHA,
    paired_difference,
    paired_differences,
    paired_ratio_difference,
    permuted_differences,
    unpaired_difference,
)
from fuserec.evaluation.statistics.pooled import pooled_intervals
from fuserec.evaluation.statistics.resampling import resampled_sums
from fuserec.evaluation.statistics.signflip import sign_flip_p
from fuserec.evaluation.statistics.values import Difference, Estimate
from fuserec.evaluation.statistics.worst import worst_difference

__all__ = [
    "ALPHA",
    "Difference",
    "Estimate",
    "Spread",
    "Within",
    "holm",
    "interval",
    "intervals",
    "paired_difference",
    "paired_differences",
    "paired_ratio_difference",
    "permuted_differences",
    "pooled_intervals",
    "ratio_interval",
    "resampled_sums",
    "sign_flip_p",
    "spread_of_groups",
    "unpaired_difference",
    "worst_difference",
]
