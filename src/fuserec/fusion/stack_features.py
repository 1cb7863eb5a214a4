"""What a stacker sees of a candidate: the parts' scores, the blend's, the item's rarity, and who asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fuserec.fusion.cohorts import ITEM_COHORTS
from fuserec.numerics.orders import competing_ranks
from fuserec.scorers.base import EvidenceKind, Scores

if TYPE_CHECKING:
    from fuserec.data.query import QueryBatch


class Column(NamedTuple):
    """What a feature counts for in evidence; features of equal columns make one row."""

    scorer: str
    kind: EvidenceKind
    key: str | None


PER_PART = 3
"""Features of a part: its score over its constant, whether it knows the item, and 1 / rank among the candidates."""


def columns(parts: Mapping[str, object], fused: str) -> tuple[Column, ...]:
    """Return the column of each feature, in their order."""
    own = [Column(name, "scorer", None) for name in parts for _ in range(PER_PART)]
    first = Column(fused, "scorer", "first stage")
    rarity = [Column(fused, "popularity", None)] * ITEM_COHORTS.index("head")
    query = [Column(fused, "offset", "query")] * 2
    return (*own, first, Column(fused, "popularity", None), *rarity, *query)


@dataclass(frozen=True)
class Candidates:
    """The blend's best items of each query, and what a stacker sees of them.

    Parameters
    ----------
    rows : int64 (n_candidates,)
        The query of each.
    items : int32 (n_candidates,)
        Best first within a query.
    first : float32 (n_candidates,)
        The blend's score.
    features : float32 (n_candidates, n_features)
    """

    rows: np.ndarray
    items: np.ndarray
    first: np.ndarray
    features: np.ndarray


def candidates(
    pool: np.ndarray,
    first: Scores,
    scores: Mapping[str, Scores],
    constants: np.ndarray,
    q: QueryBatch,
    cohorts: np.ndarray,
    popularity: np.ndarray,
) -> Candidates:
    """Return the features of a pool of items.

    Parameters
    ----------
    pool : int32 (n, depth)
        Items of each query, -1 after the end.
    first : Scores (n, n_items)
        Of the blend.
    scores : mapping
        Scores (n, n_items) of each part.
    constants : float64 (n, n_parts)
        What part scores are divided by.
    q : QueryBatch (n)
    cohorts : int8 (n_items,)
    popularity : float32 (n_items,)
    """
    rows, places = np.nonzero(pool >= 0)
    items = pool[rows, places]
    table = np.empty((rows.size, PER_PART * len(scores) + 2 + ITEM_COHORTS.index("head") + 2), np.float32)
    for p, part in enumerate(scores.values()):
        known = np.zeros(pool.shape, dtype=bool)
        known[rows, places] = part.answered[rows, items]
        scaled = np.zeros(pool.shape, np.float32)
        scaled[rows, places] = part.values[rows, items] / constants[rows, p]
        scaled[~known] = 0.0
        ranks = competing_ranks(scaled, known, np.ones(pool.shape, dtype=bool))
        for at, values in enumerate((scaled, known, 1.0 / ranks)):
            table[:, PER_PART * p + at] = values[rows, places]
    values = first.values[rows, items]
    rest = [values, popularity[items]]
    rest += [cohorts[items] == code for code in range(ITEM_COHORTS.index("head"))]
    rest += [np.log1p(q.lengths)[rows], q.has_text[rows]]
    table[:, PER_PART * len(scores) :] = np.stack(rest, axis=1)
    return Candidates(rows, items, values, table)
