"""Whether an answer can be used: not empty, about as long as what it was made of, in the same script."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

_THOUGHT = re.compile(r"^\s*<think>.*?</think>", re.DOTALL)
_MARK = re.compile(r"</?data-[0-9a-f]{12}>")
_QUOTES = {'"': '"', "'": "'", "“": "”", "«": "»", "「": "」"}

SHORTEST, LONGEST = 0.4, 2.5
"""Letters of a rewritten text, as a share of those it was made of; a dozen more are always allowed."""

SAME_SCRIPT = 0.5
"""Least share of the letters that are of the script that most letters of the other text are of."""


def plain(answer: str) -> str:
    """Return an answer without what models put about it: thoughts, our own marks, one pair of quotes, blanks."""
    text = _MARK.sub(" ", _THOUGHT.sub("", answer)).strip()
    if len(text) > 2 and _QUOTES.get(text[0]) == text[-1] and text[0] not in text[1:-1]:
        text = text[1:-1]
    return " ".join(text.split())


def usable(answer: str, source: str) -> bool:
    """Return whether a rewritten text may stand for its source: length and script are kept."""
    if not answer:
        return False
    n, m = len(answer), len(source)
    if not (n >= SHORTEST * m - 12 and n <= LONGEST * m + 12):
        return False
    wanted, found = _scripts(source), _scripts(answer)
    if not wanted:
        return True
    main = wanted.most_common(1)[0][0]
    return bool(found) and found[main] >= SAME_SCRIPT * found.total()


def _scripts(text: str) -> Counter[str]:
    """Return how many letters are of which script (the first word of a letter's name says it)."""
    return Counter(
        unicodedata.name(letter, "NONE").split("-")[0].split()[0] for letter in text if letter.isalpha()
    )
