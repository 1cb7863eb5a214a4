"""Evidence for nonlinear forms: what a part is given for its score, shared among the rows that make the score."""

from __future__ import annotations

from collections.abc import Sequence

from fuserec.scorers.base import Evidence

CLEAR = 0.5
"""Rows are shared out among only where their sum is at least this share of their sizes: what cancels tells nothing."""


def shared_out(name: str, rows: Sequence[Evidence], amount: float) -> list[Evidence]:
    """Return rows that sum to an amount, in proportion to the rows of a part's score.

    Parameters
    ----------
    name : str
        The part, as the fusion calls it.
    rows : sequence of Evidence
        They sum to the part's score.
    amount : float
        What the part brings to the fused score.

    Returns
    -------
    list of Evidence
        Marked ``attributed``; one row marked ``scorer`` where the part's own rows speak neither for nor against.
    """
    if amount == 0:
        return []
    total = sum(row.contribution for row in rows)
    size = sum(abs(row.contribution) for row in rows)
    if total * amount <= 0 or abs(total) < CLEAR * size:
        return [Evidence(name, "scorer", None, amount, "scorer")]
    return [
        Evidence(name, row.kind, row.key, row.contribution / total * amount, "attributed")
        for row in rows
        if row.contribution
    ]
