"""Rows of evidence for scorers whose parts are exact once something is held, and what rounding leaves."""

from __future__ import annotations

from collections.abc import Iterable

from fuserec.scorers.base import Evidence, EvidenceKind

ROUNDING = 1e-6
"""A residual below this, relative to the score, is no evidence of anything."""


Source = tuple[EvidenceKind, int | str | None, float]
"""(kind, key, contribution)."""


def attributed(scorer: str, sources: Iterable[Source], score: float) -> list[Evidence]:
    """Return one row a source that contributes, and a residual row where they do not sum to the score.

    Parameters
    ----------
    scorer : str
    sources : (kind, key, contribution)
    score : float
        What the rows have to sum to.
    """
    rows = [Evidence(scorer, kind, key, part, "attributed") for kind, key, part in sources if part]
    residual = score - sum(row.contribution for row in rows)
    if abs(residual) > ROUNDING * max(1.0, abs(score)):
        rows.append(Evidence(scorer, "residual", None, residual, "attributed"))
    return rows
