"""Evidence read back in the caller's words: rows with ids, and one sentence that says no more than they do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from fuserec.answers import EvidenceRow

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.rerank.chain import Move
    from fuserec.scorers.base import Evidence

Language = Literal["en", "zh"]

MAX_ROWS = 12
"""Rows shown for an item; what is beyond collapses into one ``rest`` row."""

NAMED = 0.25
"""A second history item is named where it contributes at least this share of the first one's part."""

MAX_WORDS = 3

_OTHERS = {"word": "text", "tag": "text", "text": "text", "popularity": "popularity"}
"""Which clause a kind of evidence counts for, besides items and telling words."""

_SENTENCES: dict[str, dict[str, str]] = {
    "en": {
        "items": "because of {names}",
        "item_join": " and ",
        "word": "matches your word {names}",
        "words": "matches your words {names}",
        "text": "fits what you describe",
        "tag": "you take to {names}",
        "popularity": "others choose it too",
        "pattern": "a learnt pattern speaks for it",
        "none": "Nothing is known that speaks for it",
        "quote": "“{}”",
        "word_quote": "“{}”",
        "word_join": ", ",
        "join": "; ",
        "end": ".",
        "moved": "{reason} Moved up from {place}: {because}.",
    },
    "zh": {
        "items": "因为您关注过{names}",
        "item_join": "和",
        "word": "符合您的用词{names}",
        "words": "符合您的用词{names}",
        "text": "符合您的描述",
        "tag": "您常选{names}",
        "popularity": "其他人也选它",
        "pattern": "学到的规律支持它",
        "none": "尚无依据",
        "quote": "“{}”",
        "word_quote": "“{}”",
        "word_join": "、",
        "join": "；",
        "end": "。",
        "moved": "{reason}由第{place}位上移：{because}。",
    },
}


_FUNCTION_WORDS = (
    "a about after all am an and any are as at be been but by can could did do does for from had has have he her his "
    "how i if in into is it its just like me more most my no not of on or our out she should so some than that the "
    "their them then there these they this those to too up us very want was we were what when where which while who "
    "will with would you your 的 了 是 在 和 与 我 你 他 她 它 们 有 也 都 就 这 那 不 一 着 个 想 要"
)
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
"""Words that say nothing by themselves: what they contribute counts as the text's, and none is named."""


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
    by_tag: dict[str, float] = {}
    other = {"text": 0.0, "popularity": 0.0, "pattern": 0.0}
    for row in rows:
        if row.contribution <= 0:
            continue
        if row.kind == "item" and isinstance(row.key, int):
            by_item[row.key] = by_item.get(row.key, 0.0) + row.contribution
        elif row.kind in ("word", "tag") and str(row.key) not in FUNCTION_WORDS:
            found = by_word if row.kind == "word" else by_tag
            found[str(row.key)] = found.get(str(row.key), 0.0) + row.contribution
        else:
            other[_OTHERS.get(row.kind, "pattern")] += row.contribution
    clauses = {
        "items": (sum(by_item.values()), _items(by_item, titles, words)),
        "words": (sum(by_word.values()), _words(by_word, words)),
        "tag": (sum(by_tag.values()), words["tag"].format(names=_quoted(_named(by_tag), words))),
        "text": (other["text"], words["text"]),
        "popularity": (other["popularity"], words["popularity"]),
    }
    present = sorted(((value, text) for value, text in clauses.values() if value > 0), reverse=True)
    if not present:
        present = [(1.0, words["pattern" if other["pattern"] > 0 else "none"])]
    chosen = [text for value, text in present if value >= NAMED * present[0][0]][:2]
    sentence = words["join"].join(chosen)
    return sentence[0].upper() + sentence[1:] + words["end"]


def with_move(said: str, moves: Sequence[Move], language: Language = "en") -> str:
    """Return the reason with the largest move up of the item, if there is one: what lifted it beside its score."""
    lifted = max(moves, key=lambda move: move.before - move.after, default=None)
    if lifted is None or lifted.before <= lifted.after:
        return said
    return _SENTENCES[language]["moved"].format(reason=said, place=lifted.before, because=lifted.because)


def _items(by_item: dict[int, float], titles: Sequence[str], words: dict[str, str]) -> str:
    """Return the clause that names one or two items of the history."""
    ranked = sorted(by_item.items(), key=lambda pair: -pair[1])[:2]
    kept = [item for item, value in ranked if value >= NAMED * ranked[0][1]] if ranked else []
    names = words["item_join"].join(words["quote"].format(titles[item]) for item in kept)
    return words["items"].format(names=names)


def _words(by_word: dict[str, float], words: dict[str, str]) -> str:
    """Return the clause that names words of the query."""
    named = _named(by_word)
    return words["word" if len(named) == 1 else "words"].format(names=_quoted(named, words))


def _named(by_word: dict[str, float]) -> list[str]:
    """Return up to three words, strongest first; a run of characters that a named one holds is left out."""
    named: list[str] = []
    for word in sorted(by_word, key=lambda word: -by_word[word]):
        longer = [other for other in by_word if word in other and other != word and not word.isascii()]
        if not longer and len(named) < MAX_WORDS:
            named.append(word)
    return named


def _quoted(named: Sequence[str], words: dict[str, str]) -> str:
    """Return words in quotation marks."""
    return words["word_join"].join(words["word_quote"].format(word) for word in named)
