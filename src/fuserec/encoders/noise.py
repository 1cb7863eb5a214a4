"""Texts with faults: mistyped letters, words left out, a run of words cut away. Chance comes from the caller.

Belinkov, Bisk 2018, "Synthetic and natural noise both break neural machine translation" (typing errors); Wei, Zou 2019,
"EDA" (words left out); spans as Joshi et al. 2020, "SpanBERT", hides them.
"""

from __future__ import annotations

import re
from typing import Literal

import numpy as np

from fuserec.encoders.lexical import SPACELESS
from fuserec.errors import RequestError, nearest
from fuserec.settings import Settings

WORD = re.compile(rf"[{SPACELESS}]|(?:(?![{SPACELESS}])\w)+(?:['’]\w+)*")
"""A word, or one character of a script without spaces."""

SHORTEST = 3
"""Letters of a word that is mistyped: of a shorter one nothing would be left."""

LETTERS = "abcdefghijklmnopqrstuvwxyz"

Fault = Literal["typos", "words", "span"]


class Shift(Settings):
    """How texts differ from those that were learnt from.

    Parameters
    ----------
    fault : {"typos", "words", "span"}
        Words that are mistyped; words that are left out; one run of words that is cut away.
    share : float
        Of the words.
    """

    fault: Fault
    share: float

    @property
    def name(self) -> str:
        """How it is written, e.g. ``typos:0.1``."""
        return f"{self.fault}:{self.share:g}"


def shift_named(text: str) -> Shift:
    """Return the shift of a word like ``typos:0.1``.

    Raises
    ------
    RequestError
        For another one.
    """
    fault, _, share = text.partition(":")
    try:
        value = float(share)
    except ValueError:
        value = -1.0
    if fault not in FAULTS or not 0 < value < 1:
        hint = "" if fault in FAULTS else nearest(fault, FAULTS)
        raise RequestError(
            f"--shift {text!r}{hint}: write what is done to the texts and to which share of their words, above 0 and "
            f"below 1, e.g. typos:0.1 (known: {', '.join(FAULTS)})"
        )
    return Shift.model_validate({"fault": fault, "share": value})


def faulty(text: str, shift: Shift, rng: np.random.Generator) -> str:
    """Return the text with faults; one word of it stays at least."""
    return FAULTS[shift.fault](text, shift.share, rng)


def mistyped(text: str, share: float, rng: np.random.Generator) -> str:
    """Return the text with a share of its longer words mistyped: a letter swapped, lost, doubled or wrong."""

    def typed(match: re.Match[str]) -> str:
        word = match[0]
        if len(word) < SHORTEST or rng.random() >= share:
            return word
        at, how = int(rng.integers(len(word) - 1)), int(rng.integers(4))
        if how == 0:
            return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        if how == 1:
            return word[:at] + word[at + 1 :]
        if how == 2:
            return word[:at] + word[at] + word[at:]
        return word[:at] + LETTERS[int(rng.integers(len(LETTERS)))] + word[at + 1 :]

    return WORD.sub(typed, text)


def thinned(text: str, share: float, rng: np.random.Generator) -> str:
    """Return the text with each word left out with a chance of ``share``."""
    found = list(WORD.finditer(text))
    gone = rng.random(len(found)) < share
    if found and gone.all():
        gone[rng.integers(len(found))] = False
    return _without(text, [match for match, out in zip(found, gone, strict=True) if out])


def cut(text: str, share: float, rng: np.random.Generator) -> str:
    """Return the text without one run of words, ``share`` of them (one at least, where there are two)."""
    found = list(WORD.finditer(text))
    n = min(max(1, round(share * len(found))), len(found) - 1)
    if n < 1:
        return text
    begin = int(rng.integers(len(found) - n + 1))
    return _without(text, found[begin : begin + n])


FAULTS = {"typos": mistyped, "words": thinned, "span": cut}


def _without(text: str, matches: list[re.Match[str]]) -> str:
    """Return the text without some of its words."""
    pieces, end = [], 0
    for match in matches:
        pieces.append(text[end : match.start()])
        end = match.end()
    return " ".join("".join([*pieces, text[end:]]).split())
