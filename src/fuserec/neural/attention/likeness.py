"""What attention over the history compares items by: who took them, and what their texts say; without PyTorch."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from fuserec.errors import DataError
from fuserec.numerics.item_similarity import Similarities, similarities
from fuserec.numerics.similar import Kept

if TYPE_CHECKING:
    from fuserec.encoders.features import ItemFeatures
    from fuserec.neural.attention.config import HistoryAttentionConfig
    from fuserec.run import RunOptions

log = logging.getLogger("fuserec")

NAME = "history_attention"


Content = Mapping[str, "np.ndarray | sparse.csr_matrix"]
"""What items are, by the name of each kind: ``words`` CSR (n_items, n_terms), ``sentence`` float32 (n_items, dim)."""


def contents_of(config: HistoryAttentionConfig, features: ItemFeatures) -> Content:
    """Return what the items' texts say, where the configuration compares by it.

    Raises
    ------
    DataError
        Where there is no text, and nothing else to compare by.
    """
    if config.similarity == "cooccurrence":
        return {}
    found: dict[str, np.ndarray | sparse.csr_matrix] = {}
    if config.reads != "sentence" or features.sentence is None:
        found["words"] = features.lexical
    if config.reads != "words" and features.sentence is not None:
        found["sentence"] = features.sentence
    if features.has_text.any():
        return found
    if config.similarity == "content":
        raise DataError(
            f'{NAME}: similarity = "content", and the items have no text; give titles or descriptions, or '
            'set similarity = "cooccurrence"'
        )
    log.warning("%s: the items have no text, co-occurrence alone is used", NAME)
    return {}


def speaking(contents: Content, n_items: int) -> np.ndarray:
    """Return bool (n_items,): items whose text says anything."""
    said = np.zeros(n_items, dtype=bool)
    for rows in contents.values():
        said |= rows.any(axis=1) if isinstance(rows, np.ndarray) else np.diff(rows.indptr) > 0
    return said


def likeness(
    config: HistoryAttentionConfig,
    taken: sparse.csr_matrix,
    contents: Content,
    ties: np.ndarray,
    run: RunOptions,
) -> Similarities:
    """Return S of a catalogue.

    Parameters
    ----------
    config : HistoryAttentionConfig
    taken : CSR (n_users, n_items)
        Who took what.
    contents : mapping
    ties : uint64 (n_items,)
    run : RunOptions
    """
    kept = Kept(config.n_neighbors, config.min_similarity, config.content_sharpness)
    who = None if config.similarity == "content" else taken
    return similarities(who, contents, kept, config.shrinkage, ties, run)


def taken_by(
    users: np.ndarray, items: np.ndarray, weights: np.ndarray, shape: tuple[int, int]
) -> sparse.csr_matrix:
    """Return CSR (n_users, n_items) of what anybody took with a positive weight, once at least."""
    liked = weights > 0
    ones = np.ones(int(liked.sum()), np.float32)
    matrix = sparse.csr_matrix((ones, (users[liked], items[liked])), shape=shape)
    matrix.sum_duplicates()
    return matrix
