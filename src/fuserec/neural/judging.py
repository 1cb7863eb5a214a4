"""The figure by which trainings are judged: NDCG of held-out items among all that could have been taken."""

from __future__ import annotations

import numpy as np

from fuserec.neural.semantic.examples import Bags

DEPTH = 10
"""A held-out item that comes later counts nothing."""


def held_out_ndcg(scores: np.ndarray, bags: Bags, targets: np.ndarray, able: np.ndarray) -> np.ndarray:
    """Return float64 (n,): NDCG@10 of each held-out item.

    Parameters
    ----------
    scores : float32 (n, n_items)
        Overwritten.
    bags : Bags
        The histories, which are never recommended.
    targets : int64 (n,)
    able : bool (n_items,)
        What may be recommended.
    """
    mine = scores[np.arange(targets.size), targets][:, None].copy()
    scores[:, ~able] = -np.inf
    scores[bags.rows, bags.items] = -np.inf
    above, level = (scores > mine).sum(axis=1), (scores == mine).sum(axis=1)
    rank = above + 0.5 * (np.maximum(level, 1) + 1)  # equal scores share their ranks
    return np.where(rank <= DEPTH, 1.0 / np.log2(1.0 + rank), 0.0)
