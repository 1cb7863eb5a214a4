"""What attention over the history compares items by: who took them, and what their texts say; without PyTorch."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from fuserec.errors import DataError
from fuserec.neural.fitted_semantic import told_by
from fuserec.neural.text_basis import TextBasis
from fuserec.numerics.item_similarity import Similarities, similarities
from fuserec.numerics.similar import Kept

if TYPE_CHECKING:
    from fuserec.encoders.features import ItemFeatures
    from fuserec.neural.attention_config import HistoryAttentionConfig
    from fuserec.run import RunOptions

log = logging.getLogger("fuserec")

NAME = "history_attention"


@dataclass(frozen=True)
class Contents:
    """What items are.

    Parameters
    ----------
    basis : TextBasis or None
        How texts are read; None where none is.
    vectors : float32 (n_items, k)
        Of unit length, or zero; k is 0 without a basis.
    """

    basis: TextBasis | None
    vectors: np.ndarray

    @property
    def compared(self) -> np.ndarray | None:
        """What content similarity is made of, if anything."""
        return None if self.basis is None else self.vectors


def contents_of(config: HistoryAttentionConfig, features: ItemFeatures, run: RunOptions) -> Contents:
    """Return what the items' texts say, where the configuration compares by it.

    Raises
    ------
    DataError
        Where there is too little text, and nothing else to compare by.
    """
    basis = None
    if config.similarity != "cooccurrence":
        basis = TextBasis.fit(features, config.text_dim, config.reads, run.rng(f"{NAME} text"))
        if basis is None and config.similarity == "content":
            raise DataError(
                f'{NAME}: similarity = "content", and the items have too little text; give titles or descriptions, or '
                'set similarity = "cooccurrence"'
            )
        if basis is None:
            log.warning("%s: the items have too little text, co-occurrence alone is used", NAME)
    if basis is None:
        return Contents(None, np.zeros((features.n_items, 0), np.float32))
    return Contents(basis, told_by(basis, features.lexical, features.sentence))


def likeness(
    config: HistoryAttentionConfig,
    taken: sparse.csr_matrix,
    contents: Contents,
    ties: np.ndarray,
    run: RunOptions,
) -> Similarities:
    """Return S of a catalogue.

    Parameters
    ----------
    config : HistoryAttentionConfig
    taken : CSR (n_users, n_items)
        Who took what.
    contents : Contents
    ties : uint64 (n_items,)
    run : RunOptions
    """
    kept = Kept(config.n_neighbors, config.min_similarity, config.content_sharpness)
    who = None if config.similarity == "content" else taken
    return similarities(who, contents.compared, kept, config.shrinkage, ties, run)


def taken_by(
    users: np.ndarray, items: np.ndarray, weights: np.ndarray, shape: tuple[int, int]
) -> sparse.csr_matrix:
    """Return CSR (n_users, n_items) of what anybody took with a positive weight, once at least."""
    liked = weights > 0
    ones = np.ones(int(liked.sum()), np.float32)
    matrix = sparse.csr_matrix((ones, (users[liked], items[liked])), shape=shape)
    matrix.sum_duplicates()
    return matrix
