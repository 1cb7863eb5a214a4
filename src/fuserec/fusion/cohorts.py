"""Cohorts: which kind of query asks, and which kind of item is judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fuserec.data.query import QueryBatch

SHORT = 5
"""Histories up to this length are short."""

TAIL = 5
"""Items with at most this many training interactions are tail."""

HISTORY = ("none", "short", "long")
QUERY_COHORTS = (*HISTORY, *(f"{name}+text" for name in HISTORY))
ITEM_COHORTS = ("cold", "tail", "head")


def query_cohorts(q: QueryBatch) -> np.ndarray:
    """Return int8 (n,): index into :data:`QUERY_COHORTS`."""
    lengths = q.lengths
    base = (lengths > 0).astype(np.int8) + (lengths > SHORT).astype(np.int8)
    cohorts: np.ndarray = base + np.int8(len(HISTORY)) * q.has_text.astype(np.int8)
    return cohorts


def item_cohorts(counts: np.ndarray) -> np.ndarray:
    """Return int8 (n_items,): index into :data:`ITEM_COHORTS`, from training interactions an item."""
    cohorts: np.ndarray = (counts > 0).astype(np.int8) + (counts > TAIL).astype(np.int8)
    return cohorts
