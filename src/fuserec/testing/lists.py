"""What every list that is shown has to keep: whoever ranks, whatever was asked."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from fuserec.testing.subject import require


def check_list(
    items: np.ndarray,
    scores: np.ndarray,
    *,
    k: int,
    seen: Collection[int],
    n_items: int,
    eligible: Collection[int] | None = None,
) -> None:
    """Check one recommended list: nothing seen, nothing twice, nothing filtered out, best first, as long as can be.

    Parameters
    ----------
    items : int (n,)
        Item indices in the order shown.
    scores : float (n,)
    k : int
        How many were asked for.
    seen : collection of int
        Items of the history and excluded ones.
    n_items : int
        Size of the catalogue.
    eligible : collection of int, optional
        What the filters leave; everything where it is not given.

    Raises
    ------
    AssertionError
        Naming the promise that is broken.
    """
    listed = [int(i) for i in items]
    allowed = set(range(n_items)) if eligible is None else {int(i) for i in eligible}
    forbidden = {int(i) for i in seen}
    require(len(set(listed)) == len(listed), f"an item stands in the list twice: {listed}")
    back = sorted(forbidden.intersection(listed))
    require(not back, f"items of the history or excluded ones came back: {back}")
    strange = sorted(set(listed) - allowed)
    require(not strange, f"items that the filters leave out came back: {strange}")
    possible = len(allowed - forbidden)
    require(
        len(listed) == min(k, possible), f"{len(listed)} items for k = {k}, where {possible} may be returned"
    )
    require(bool(np.all(np.diff(np.asarray(scores, np.float64)) <= 0)), "the list is not sorted, best first")
