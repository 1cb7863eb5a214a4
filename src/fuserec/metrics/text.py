"""Quality of generated texts (reasons, profiles): how varied, how alike, how long, and how many claims hold."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fuserec.errors import RequestError
from fuserec.metrics.definitions import INFINITE, Definition

FloatArray = npt.NDArray[np.float64]

_TOKEN = re.compile(r"[\u3400-\u9fff]|[^\W_]+(?:['’][^\W_]+)*")


def tokens(text: str) -> list[str]:
    """Return the words of a text in lower case; a Han character is a word.

    Examples
    --------
    >>> tokens("Don't miss “Up”: 因为")
    ["don't", 'miss', 'up', '因', '为']
    """
    return _TOKEN.findall(text.lower())


def ngrams(text: str, n: int) -> list[tuple[str, ...]]:
    """Return the runs of n words of a text, in order.

    Examples
    --------
    >>> ngrams("a b c", 2)
    [('a', 'b'), ('b', 'c')]
    """
    if n < 1:
        raise RequestError(f"n-grams need n of at least 1, got {n}")
    words = tokens(text)
    return list(zip(*(words[at:] for at in range(n)), strict=False))


def distinct_n(texts: Sequence[str], n: int) -> float:
    """Different n-grams over all n-grams of all texts: 0 to 1, higher is more varied; NaN without any.

    It falls with the number of texts, so only equal numbers compare. Source: Li, Galley, Brockett, Gao, Dolan (2016),
    A diversity-promoting objective function for neural conversation models.

    Examples
    --------
    Words a, b, a, c: three different ones of four.

    >>> distinct_n(["a b", "a c"], 1)
    0.75
    """
    found = [gram for text in texts for gram in ngrams(text, n)]
    return len(set(found)) / len(found) if found else float("nan")


def self_overlap(texts: Sequence[str], n: int) -> FloatArray:
    """Share of each text's different n-grams that some other text has too: float64 (n_texts,), NaN without n-grams.

    0 to 1; 1 where everybody is told the same. The idea of Self-BLEU (Zhu et al. 2018, Texygen) without its brevity
    penalty, at a cost that is linear in the texts.

    Examples
    --------
    >>> self_overlap(["a b c", "a b d", "e f"], 2).tolist()
    [0.5, 0.5, 0.0]
    """
    own = [set(ngrams(text, n)) for text in texts]
    held = Counter(gram for grams in own for gram in grams)
    shares = [sum(held[gram] > 1 for gram in grams) / len(grams) if grams else float("nan") for grams in own]
    return np.array(shares, np.float64)


def lengths(texts: Sequence[str]) -> FloatArray:
    """Return the number of words of each text: float64 (n_texts,), from 0 up; neither more nor less is better.

    Examples
    --------
    >>> lengths(["two words", ""]).tolist()
    [2.0, 0.0]
    """
    return np.array([len(tokens(text)) for text in texts], np.float64)


DEFINITIONS: dict[str, Definition] = {
    "reasons_true": Definition(
        "Reasons true",
        "Share of reasons every claim of which the record supports, first {k}.",
        "higher",
        0,
        1,
        "text",
    ),
    "claims_true": Definition(
        "Claims true",
        "Share of a reason's claims that the record supports, first {k}.",
        "higher",
        0,
        1,
        "text",
    ),
    "reason_faithful": Definition(
        "Cited item counts",
        "How often an item falls in rank where what its reason cites is taken out of the history, first {k}.",
        "higher",
        0,
        1,
        "text",
    ),
    "reason_control": Definition(
        "Uncited item counts",
        "How often it falls where another event of the history is taken out instead, first {k}.",
        "neither",
        0,
        1,
        "text",
    ),
    "reason_distinct": Definition(
        "Distinct-2",
        "Different pairs of words over all pairs of words of the reasons checked, first {k}.",
        "higher",
        0,
        1,
        "text",
    ),
    "reason_overlap": Definition(
        "Reasons alike",
        "Share of a reason's runs of three words that another one has too, first {k}.",
        "lower",
        0,
        1,
        "text",
    ),
    "reason_length": Definition("Words", "Words of a reason, first {k}.", "neither", 0, INFINITE, "text"),
}
"""What each of them means."""
