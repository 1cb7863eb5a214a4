"""Flagged content in lists, the exposure of protected users to it, and whether topics narrow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fuserec.evaluation.measures.base import Measured
from fuserec.metrics.ethics import flagged_lists, list_topics, topic_change

if TYPE_CHECKING:
    from fuserec.evaluation.ranking_pass import Outcome
    from fuserec.evaluation.yardstick import Columns, Yardstick


def ethics(outcome: Outcome, yardstick: Yardstick) -> Measured:
    """Return flagged lists at every k where anything is flagged, and the change of topics where items have some."""
    audit = yardstick.audit
    columns: Columns = {}
    if audit.flagged is not None:
        for k in yardstick.ks:
            found = flagged_lists(outcome.lists, outcome.counts, k, audit.flagged)
            columns[f"flagged@{k}"] = found
            if audit.protected is not None:
                columns[f"flagged_protected@{k}"] = np.where(audit.protected, found, np.nan)
    if audit.topics is not None:
        k = yardstick.main_k
        shown = list_topics(outcome.lists, outcome.counts, k, audit.topics)
        change = topic_change(audit.history_topics(k), shown)
        columns[f"topic_change@{k}"] = np.where(yardstick.test.queries.lengths >= k, change, np.nan)
    return Measured(columns)
