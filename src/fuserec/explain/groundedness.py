"""Is it true? Every claim of a text about a recommendation, checked against the record that it was made from.

:class:`Checker` is the interface: a text and a :class:`Record` in, :class:`Claim` objects with verdicts out. The
one here reads with rules, needs no language model, and is strict: what it cannot find in the record does not count as
true. It knows the sentences of :mod:`fuserec.reasons` in English and Chinese, and of any other text the names in
quotation marks, the proper names, the numbers, and whether the rest is told in words of the record. It does not
understand negations.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from fuserec.metrics.text import tokens

Verdict = Literal["supported", "unsupported", "unverifiable"]
ClaimKind = Literal[
    "history", "words", "topic", "popularity", "description", "pattern", "name", "number", "statement"
]

_CUES: tuple[tuple[ClaimKind, str], ...] = (
    ("words", r"matches your words?|符合您的用词"),
    ("topic", r"you take to|you often choose|您常选"),
    ("popularity", r"others (?:choose|chose|like|liked|bought) it|popular|其他人也选|热门"),
    ("description", r"fits what you describe|符合您的描述"),
    ("pattern", r"learnt pattern|学到的规律|nothing is known that speaks for it|尚无依据"),
    (
        "history",
        r"because of|because you|since you|similar to|like your|you (?:have )?(?:liked|loved|watched|bought|read|"
        r"took|chose|enjoyed|rated|saw)|因为|您(?:关注|喜欢|看|买|读)过?",
    ),
)
"""What a clause speaks of, by the words that it uses; the first that fits counts."""

_QUOTED = re.compile(r"“([^“”]+)”|\"([^\"]+)\"|「([^」]+)」|《([^》]+)》|‘([^‘’]+)’")
_NUMBER = re.compile(r"(?<![\w.])\d+(?:[.,]\d+)*(?![\w])")
_PROPER = re.compile(
    r"(?<![.!?;:“\"]\s)(?<!^)\b[A-Z][\w'’-]+(?:\s+(?:of|the|and|de|von|van)?\s*[A-Z][\w'’-]+)*"
)
_END = re.compile(r"(?:[;；。！？!?\n]|\.(?=\s|$))+\s*")
_MARK = "\ue000{}\ue001"
_MARKED = re.compile("\ue000(\\d+)\ue001")

TOLD = 0.6
"""A statement counts as told by the record where it has at least this share of the statement's words."""

_PLAIN_WORDS = (
    "a also an and are as at be because been but by for from had has have he her his i if in is it its just more of on "
    "or our so she that the their them they this to too very was we were what when which who will with you your"
)
_PLAIN = frozenset(_PLAIN_WORDS.split())
"""Words that claim nothing."""


@dataclass(frozen=True)
class Support:
    """A row of evidence in words.

    Parameters
    ----------
    kind : str
        ``item``, ``word``, ``tag``, ``popularity``, ... as evidence names it.
    name : str
        Title of the history item, the word, the tag; empty where the kind says all.
    contribution : float
        In units of the score.
    """

    kind: str
    name: str
    contribution: float


@dataclass(frozen=True)
class Record:
    """What is known of one recommendation: a claim is true where this says so.

    Parameters
    ----------
    item : mapping
        Columns of the recommended item: title, categories, ...; values are texts, numbers or lists.
    history : sequence of str
        Titles of what the user took.
    topics : sequence of str
        Categories and tags of what the user took, and interests that they declared.
    text : str
        What the user asked for or says of themselves.
    profile : mapping
        Columns of the user.
    evidence : sequence of Support, or None
        Why the item was recommended; None where it is not known, and claims on it are judged by the rest.
    """

    item: Mapping[str, object]
    history: Sequence[str] = ()
    topics: Sequence[str] = ()
    text: str = ""
    profile: Mapping[str, object] = field(default_factory=dict)
    evidence: Sequence[Support] | None = None


@dataclass(frozen=True)
class Claim:
    """One claim and its verdict.

    Parameters
    ----------
    text : str
        The claim as it stands in the text.
    kind : str
        What it speaks of.
    verdict : {"supported", "unsupported", "unverifiable"}
        ``unsupported`` where the record ought to have it and has not.
    """

    text: str
    kind: ClaimKind
    verdict: Verdict


class Checker(Protocol):
    """Whatever judges a text by a record: this module's rules, or a language model."""

    def check(self, text: str, record: Record) -> tuple[Claim, ...]:
        """Return the claims of a text with their verdicts; a text that claims nothing has none."""
        ...


class GroundednessChecker:
    """Checks claims by rules; the same text and record always give the same verdicts.

    Examples
    --------
    >>> record = Record({"title": "Up"}, history=["Wall-E"], evidence=[Support("item", "Wall-E", 0.4)])
    >>> [claim.verdict for claim in GroundednessChecker().check("Because of “Wall-E”; because of “Cars”.", record)]
    ['supported', 'unsupported']
    """

    def check(self, text: str, record: Record) -> tuple[Claim, ...]:
        """Return every claim of a text with its verdict, in the order of the text."""
        known = _Known(record)
        quoted: list[str] = []

        def mark(found: re.Match[str]) -> str:
            quoted.append(next(group for group in found.groups() if group is not None))
            return _MARK.format(
                len(quoted) - 1
            )  # so that what stands in quotation marks is not read as a sentence

        marked = _QUOTED.sub(mark, text.translate({0xE000: None, 0xE001: None}))
        claims: list[Claim] = []
        for clause in _END.split(marked):
            names = [quoted[int(at)] for at in _MARKED.findall(clause)]
            claims += _claims(_MARKED.sub(" ", clause).strip(), names, known)
        return tuple(claims)


def grounded(claims: Sequence[Claim]) -> float:
    """Return the share of claims that the record supports, NaN where there is none.

    Examples
    --------
    >>> grounded([Claim("a", "name", "supported"), Claim("b", "number", "unsupported")])
    0.5
    """
    return sum(claim.verdict == "supported" for claim in claims) / len(claims) if claims else float("nan")


def _claims(clause: str, names: list[str], known: _Known) -> list[Claim]:
    """Return the claims of one clause; ``names`` stood in quotation marks."""
    kind = next((kind for kind, cue in _CUES if re.search(cue, clause, re.IGNORECASE)), None)
    if kind in ("popularity", "description", "pattern"):
        found = [Claim(clause, kind, _verdict(known.says(kind, clause)))]
    elif names:
        found = [Claim(name, kind or "name", _verdict(known.names(kind, name))) for name in names]
    else:
        found = []
    loose = [(text, "number") for text in _NUMBER.findall(clause)]
    loose += [(text, "name") for text in _PROPER.findall(clause) if text.casefold() not in _PLAIN]
    for text, what in loose:
        found.append(Claim(text, "number" if what == "number" else "name", _verdict(known.holds(text))))
    if not found and (words := [word for word in tokens(clause) if word not in _PLAIN]):
        told = sum(word in known.words for word in words) / len(words)
        found.append(Claim(clause, "statement", "supported" if told >= TOLD else "unverifiable"))
    return found


def _verdict(true: bool) -> Verdict:
    """Return the verdict on a claim that can be checked."""
    return "supported" if true else "unsupported"


class _Known:
    """What a record says, in the form that claims are looked up in."""

    def __init__(self, record: Record) -> None:
        self._record = record
        columns = [
            text for value in (*record.item.values(), *record.profile.values()) for text in _texts(value)
        ]
        everything = " \n ".join([*columns, *record.history, *record.topics, record.text])
        self._all = _folded(everything)
        self.words = frozenset(tokens(everything))
        self._history = {_folded(title) for title in record.history}
        self._topics = {_folded(topic) for topic in record.topics}
        self._item = {_folded(text) for text in columns}

    def names(self, kind: ClaimKind | None, name: str) -> bool:
        """Return whether a name in quotation marks is what its clause says it is."""
        folded = _folded(name)
        if kind == "history":
            return folded in self._history and self._speaks("item", folded)
        if kind == "words":
            return folded in _folded(self._record.text) and self._speaks("word", folded)
        if kind == "topic":
            return folded in self._topics and self._speaks("tag", folded)
        return folded in self._history | self._topics | self._item or folded in self._all

    def says(self, kind: ClaimKind, clause: str) -> bool:
        """Return whether the record bears out a clause that names nothing."""
        rows = self._record.evidence
        positive = None if rows is None else [row.kind for row in rows if row.contribution > 0]
        if kind == "popularity":
            return positive is not None and "popularity" in positive
        if kind == "description":
            wanted = positive is None or any(told in positive for told in ("text", "word", "tag"))
            return bool(self._record.text.strip()) and wanted
        nothing = re.search(r"nothing is known|尚无依据", clause, re.IGNORECASE) is not None
        return positive is not None and bool(positive) != nothing

    def holds(self, text: str) -> bool:
        """Return whether a number or a proper name occurs anywhere in the record, as words of its own."""
        return re.search(rf"(?<!\w){re.escape(_folded(text))}(?!\w)", self._all) is not None

    def _speaks(self, kind: str, folded: str) -> bool:
        """Return whether a row of evidence of that name speaks for the item; true where no evidence is known."""
        rows = self._record.evidence
        if rows is None:
            return True
        return sum(row.contribution for row in rows if row.kind == kind and _folded(row.name) == folded) > 0


def _texts(value: object) -> list[str]:
    """Return the texts of a cell."""
    if value is None:
        return []
    if isinstance(value, list | tuple):
        return [str(part) for part in value]
    return [str(value)]


def _folded(text: str) -> str:
    """Return a text without differences of case, width and spacing."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
