"""Evidence read back in the caller's words: rows with ids, and one sentence that says no more than they do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from fuserec.answers import EvidenceRow

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.scorers.base import Evidence

Language = Literal["en", "zh"]

MAX_ROWS = 12
"""Rows shown for an item; what is beyond collapses into one ``rest`` row."""

NAMED = 0.25
"""A second history item is named where it contributes at least this share of the first one's part."""

_SENTENCES: dict[str, dict[str, str]] = {
    "en": {
        "items": "Because you chose {names}",
        "item_join": " and ",
        "words": "matches your words {names}",
        "text": "fits what you describe",
        "tag": "you take to {names}",
        "popularity": "many people choose it",
        "trend": "",
        "none": "Nothing is known that speaks for it",
        "quote": "“{}”",
        "join": "; ",
        "end": ".",
    },
    "zh": {
        "items": "因为您选过{names}",
        "item_join": "和",
        "words": "符合您的用词{names}",
        "text": "符合您的描述",
        "tag": "您常选{names}",
        "popularity": "很多人选它",
        "trend": "",
        "none": "尚无依据",
        "quote": "《{}》",
        "join": "；",
        "end": "。",
    },
}


def readable(rows: Sequence[Evidence], dataset: Dataset) -> tuple[EvidenceRow, ...]:
    """Return rows in the caller's ids, largest first, the smallest collapsed into one ``rest`` row.

    The contributions still sum to the score.
    """
    named = [
        EvidenceRow(row.scorer, _source(row, dataset), row.contribution, row.method)
        for row in sorted(rows, key=lambda row: -abs(row.contribution))
    ]
    if len(named) <= MAX_ROWS:
        return tuple(named)
    kept, rest = named[: MAX_ROWS - 1], named[MAX_ROWS - 1 :]
    exact = all(row.method == "exact" for row in rest)
    total = sum(row.contribution for row in rest)
    return (
        *kept,
        EvidenceRow("fused", f"rest ({len(rest)} rows)", total, "exact" if exact else "attributed"),
    )


def _source(row: Evidence, dataset: Dataset) -> str:
    """Return what ``from`` says of a row."""
    if row.kind == "item":
        assert isinstance(row.key, int)
        return dataset.items[row.key]
    names = {
        "text": "your words",
        "popularity": "popularity",
        "scorer": "score",
        "bias": "bias",
        "residual": "residual",
    }
    if row.kind in names:
        return names[row.kind] if row.key is None else f"{names[row.kind]}:{row.key}"
    return f"{row.kind}:{row.key}"


def reason(rows: Sequence[Evidence], titles: Sequence[str], language: Language = "en") -> str:
    """Return one sentence that names the strongest positive evidence.

    Parameters
    ----------
    rows : sequence of Evidence
        Of one item.
    titles : sequence of str
        Title of every item, by index.
    language : {"en", "zh"}
    """
    words = _SENTENCES[language]
    by_item: dict[int, float] = {}
    by_word: dict[str, float] = {}
    other = {"text": 0.0, "popularity": 0.0}
    for row in rows:
        if row.contribution <= 0:
            continue
        if row.kind == "item" and isinstance(row.key, int):
            by_item[row.key] = by_item.get(row.key, 0.0) + row.contribution
        elif row.kind == "word":
            by_word[str(row.key)] = by_word.get(str(row.key), 0.0) + row.contribution
        elif row.kind in other:
            other[row.kind] += row.contribution
    clauses = {
        "items": (sum(by_item.values()), _items(by_item, titles, words)),
        "words": (sum(by_word.values()), words["words"].format(names=_quoted(by_word, words))),
        "text": (other["text"], words["text"]),
        "popularity": (other["popularity"], words["popularity"]),
    }
    present = sorted(((value, text) for value, text in clauses.values() if value > 0), reverse=True)
    if not present:
        return words["none"] + words["end"]
    chosen = [text for value, text in present if value >= NAMED * present[0][0]][:2]
    sentence = words["join"].join(chosen)
    return sentence[0].upper() + sentence[1:] + words["end"]


def _items(by_item: dict[int, float], titles: Sequence[str], words: dict[str, str]) -> str:
    """Return the clause that names one or two items of the history."""
    ranked = sorted(by_item.items(), key=lambda pair: -pair[1])[:2]
    kept = [item for item, value in ranked if value >= NAMED * ranked[0][1]] if ranked else []
    names = words["item_join"].join(words["quote"].format(titles[item]) for item in kept)
    return words["items"].format(names=names)


def _quoted(by_word: dict[str, float], words: dict[str, str]) -> str:
    """Return up to three words, strongest first."""
    ranked = sorted(by_word, key=lambda word: -by_word[word])[:3]
    return ", ".join(f"“{word}”" for word in ranked)
