"""What a Recommender answers: items with score, probability, reason and evidence, or questions."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class EvidenceRow:
    """One row of evidence, in the caller's own ids.

    Parameters
    ----------
    scorer : str
        The part of the fusion it comes from.
    source : str
        What spoke: an item id, a word, a tag, ``popularity``, ``your words``, ... (``from`` in JSON).
    contribution : float
        In units of the score; all rows of an item sum to its score.
    method : str
        ``exact``, ``attributed``, ``scorer`` or ``shapley``.
    """

    scorer: str
    source: str
    contribution: float
    method: str

    def to_json(self) -> dict[str, Any]:
        """Return the row as the JSON format names it."""
        return {
            "scorer": self.scorer,
            "from": self.source,
            "contribution": self.contribution,
            "method": self.method,
        }


@dataclass(frozen=True)
class RecommendedItem:
    """One item of a list.

    Parameters
    ----------
    item_id, title : str
    rank : int
        From 1.
    score : float
        The fused score; rerankers never alter it.
    probability : float
        Calibrated on validation: how often an item with such a score was what the person took next.
    reason : str
        One sentence read from the evidence; empty unless asked for.
    evidence : tuple of EvidenceRow
        Empty unless asked for.
    moves : tuple of str
        What rerankers did to the item's place.
    """

    item_id: str
    title: str
    rank: int
    score: float
    probability: float
    reason: str = ""
    evidence: tuple[EvidenceRow, ...] = ()
    moves: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the item as the JSON format names it."""
        return {
            **{key: value for key, value in asdict(self).items() if key not in ("evidence", "moves")},
            "evidence": [row.to_json() for row in self.evidence],
            "moves": list(self.moves),
        }


@dataclass(frozen=True)
class Answer:
    """A list of items for one query.

    Parameters
    ----------
    query : dict
        What was asked, as understood.
    known : bool
        Whether the user is known, or no user was named and the history or text carried the query.
    items : tuple of RecommendedItem
    warnings : tuple of str
        What of the query could not be used.
    note : str
        Set where the data are simulated.
    """

    query: dict[str, Any]
    known: bool
    items: tuple[RecommendedItem, ...]
    warnings: tuple[str, ...] = ()
    note: str = field(default="")

    def to_json(self) -> dict[str, Any]:
        """Return the answer as the JSON format names it."""
        out: dict[str, Any] = {
            "query": self.query,
            "known": self.known,
            "items": [item.to_json() for item in self.items],
            "warnings": list(self.warnings),
        }
        return {**out, "note": self.note} if self.note else out


@dataclass(frozen=True)
class Question:
    """An item to ask somebody about.

    Parameters
    ----------
    item_id, title : str
    rank : int
        From 1: the first tells most.
    gain : float
        What the answer is expected to tell about the person's taste, in bits.
    probability : float
        That they know the item and like it.
    """

    item_id: str
    title: str
    rank: int
    gain: float
    probability: float


@dataclass(frozen=True)
class Questions:
    """What to ask somebody next.

    Parameters
    ----------
    query : dict
        The answers so far, as understood.
    items : tuple of Question
        The first is the one to ask; the others could stand in for it. Empty where nothing is left to learn.
    doubt : float
        How open it is still which group of people theirs is, in bits.
    warnings : tuple of str
        What of the answers could not be used.
    note : str
        Set where the data are simulated.
    """

    query: dict[str, Any]
    items: tuple[Question, ...]
    doubt: float
    warnings: tuple[str, ...] = ()
    note: str = field(default="")

    def to_json(self) -> dict[str, Any]:
        """Return the questions as the JSON format names them."""
        out = {
            **asdict(self),
            "items": [asdict(item) for item in self.items],
            "warnings": list(self.warnings),
        }
        if not self.note:
            del out["note"]
        return out
