"""The words of the report: one table a language; whatever a language lacks is said in English."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import get_args

from fuserec.errors import RequestError, nearest
from fuserec.evaluation.texts import chinese, chinese_metrics, chinese_notes, english
from fuserec.metrics import base_name, definition, name_and_k
from fuserec.reasons import Language

__all__ = ["CHINESE", "ENGLISH", "LANGUAGES", "Texts", "texts_in"]

LANGUAGES: tuple[Language, ...] = get_args(Language)
PLACES: dict[str, str] = {
    "days": r"(?P<start>\d{4}-\d\d-\d\d) to (?P<end>\d{4}-\d\d-\d\d)",
    "moments": r"(?P<start>-?\d[\d.e+-]*) to (?P<end>-?\d[\d.e+-]*)",
    "fold": r"fold (?P<n>\d+)",
}
"""How folds and windows are named, by the key of their text."""

VALUES: dict[str, str] = {
    "group.between": r"(?P<low>\S+) to under (?P<high>\S+)",
    "group.under": r"under (?P<high>-?\d\S*)",
    "group.from": r"(?P<low>-?\d\S*)\+",
    "group.other": r"other",
}
"""How bands of numbers and the rest of a column are named as groups, by the key of their text."""

_ENGLISH_WITHOUT_K = " (0 beyond the first {k})"


@dataclass(frozen=True)
class Texts:
    """The words of one language.

    Parameters
    ----------
    language : {"en", "zh"}
    table : mapping
        Sentences by key.
    names : mapping
        Names that data and configuration bring along, as ``kind.name``.
    metrics : mapping
        Title and meaning of metrics, by name.
    notes : mapping
        Remarks of an evaluation in English, with ``{}`` for what varies, and in this language.
    without_k : str
        What the meaning of a metric says of its cut in brackets; left out where there is none.
    """

    language: Language
    table: Mapping[str, str]
    names: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    without_k: str = _ENGLISH_WITHOUT_K

    def __call__(self, key: str, /, **fields: object) -> str:
        """Return a sentence, filled in."""
        return self.table.get(key, english.TEXTS[key]).format(**fields)

    def name(self, kind: str, name: str) -> str:
        """Return what a name of the data is called; by default as it is."""
        _, colon, rest = name.rpartition(": ")  # of several configurations, whose names stand before
        if colon and rest:
            return name[: -len(rest)] + self.names.get(f"{kind}.{rest}", rest)
        return self.names.get(f"{kind}.{name}", name)

    def title(self, metric: str) -> str:
        """Return a metric's title without its k."""
        told, column = self.metrics.get(base_name(metric)), name_and_k(metric)[0].partition(":")[2]
        if told is None:
            return definition(metric).title
        return self("by_column", title=told[0], column=column) if column else told[0]

    def meaning(self, metric: str) -> str:
        """Return one sentence that says what a metric is, and which way is better."""
        about, told = definition(metric), self.metrics.get(base_name(metric))
        if told is None and self.metrics:
            return ENGLISH.meaning(metric)
        _, k = name_and_k(metric)
        text = about.meaning if told is None else told[1]
        text = (text if k is not None else text.replace(self.without_k, "")).replace(
            "{k}", "k" if k is None else str(k)
        )
        return text if about.better == "neither" else text + self("sentence_join") + self(about.better)

    def place(self, name: str) -> str:
        """Return the name of a fold or window in this language; any other name as it is."""
        return self._named(PLACES, name)

    def group(self, name: str) -> str:
        """Return a group of users, ``column=value``, for reading."""
        column, _, value = name.partition("=")
        return self("group", column=column, value=self._named(VALUES, value))

    def _named(self, known: Mapping[str, str], name: str) -> str:
        """Return a name that was put together, put together in this language."""
        for key, pattern in known.items():
            if found := re.fullmatch(pattern, name):
                return self(key, **found.groupdict())
        return name

    def _of_places(self, note: str) -> str | None:
        """Return a remark on some folds or windows alone, which are named before it; None for any other."""
        before, colon, rest = note.partition(": ")
        names = before.split(", ")
        if not colon or not all(any(re.fullmatch(it, name) for it in PLACES.values()) for name in names):
            return None
        return self("join").join(self.place(name) for name in names) + self("colon") + self.note(rest)

    def note(self, note: str) -> str:
        """Return a remark of the evaluation in this language, where it is a known one."""
        if (told := self._of_places(note)) is not None:
            return told
        for told, here in self.notes.items():
            parts = [re.escape(part) for part in told.split("{}")]
            found = re.fullmatch("(.+?)".join(parts), note, re.DOTALL)
            if found is not None:
                return here.format(*(self.note(part) for part in found.groups()))
        parts = note.split("; ")
        if len(parts) > 1 and all(self.note(part) != part for part in parts):
            return self("clause_join").join(self.note(part) for part in parts)
        return note

    def percent(self, text: str) -> str:
        """Write percentages as this language does."""
        return re.sub(r"(?<=\d) %", self("percent", value=""), text)

    def day(self, iso: str) -> str:
        """Write a day such as ``2026-03-31`` for reading; anything else stays as it is."""
        try:
            found = date.fromisoformat(iso)
        except ValueError:
            return iso
        month = self("months").split()[found.month - 1]
        return self("date", day=found.day, month=month, number=found.month, year=found.year)


ENGLISH = Texts("en", english.TEXTS, english.NAMES)
CHINESE = Texts(
    "zh",
    chinese.TEXTS,
    chinese.NAMES,
    chinese_metrics.METRICS,
    chinese_notes.NOTES,
    chinese_metrics.WITHOUT_K,
)


def texts_in(language: str) -> Texts:
    """Return the words of a language.

    Raises
    ------
    RequestError
        If there is no report in it.
    """
    if language not in LANGUAGES:
        known = " or ".join(LANGUAGES)
        raise RequestError(f"language {language!r}{nearest(language, LANGUAGES)}: a report is in {known}")
    return {"en": ENGLISH, "zh": CHINESE}[language]
