"""What reading a dataset found: every dropped, mended or remarkable row, with its reason and an example."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Level = Literal["dropped", "mended", "noted"]

_LEVELS: tuple[Level, ...] = ("dropped", "mended", "noted")
_EXAMPLE_LENGTH = 120


@dataclass(frozen=True)
class Finding:
    """One reason for which rows were dropped, mended or remarked on.

    Parameters
    ----------
    reason : str
        In plain words.
    level : {"dropped", "mended", "noted"}
    count : int
        Rows (or values, for text) that it concerns.
    example : str
        The first of them, shortened.
    where : str
        The file or table.
    """

    reason: str
    level: Level
    count: int
    example: str
    where: str


@dataclass
class Findings:
    """Collects findings while a dataset is being read; equal reasons at one place are added up."""

    _found: dict[tuple[str, str, str], Finding] = field(default_factory=dict)

    def add(self, level: Level, reason: str, count: int, where: str, example: object = "") -> None:
        """Count rows under a reason; nothing is recorded where the count is 0."""
        if count <= 0:
            return
        key = (level, reason, where)
        before = self._found.get(key)
        if before is not None:
            self._found[key] = Finding(reason, level, before.count + int(count), before.example, where)
        else:
            self._found[key] = Finding(reason, level, int(count), shortened(example), where)

    def sorted(self) -> tuple[Finding, ...]:
        """Return the findings: dropped first, then mended, then noted; within each in the order found."""
        return tuple(f for level in _LEVELS for f in self._found.values() if f.level == level)

    def dropped(self) -> str:
        """Return the reasons for dropped rows in one line, or an empty string."""
        return "; ".join(f"{f.reason}: {f.count:,}" for f in self.sorted() if f.level == "dropped")


@dataclass(frozen=True)
class CheckReport:
    """The outcome of reading and cleaning a dataset.

    Parameters
    ----------
    name : str
        Of the dataset.
    source : str
        Where it was read from.
    findings : tuple of Finding
    totals : mapping
        Figures of the cleaned dataset: ``users``, ``items``, ``interactions``, ``searches``, ``links``, ...
    """

    name: str
    source: str
    findings: tuple[Finding, ...]
    totals: Mapping[str, Any]

    @property
    def dropped(self) -> int:
        """Rows that were left out."""
        return sum(f.count for f in self.findings if f.level == "dropped")

    @property
    def mended(self) -> int:
        """Values that were changed."""
        return sum(f.count for f in self.findings if f.level == "mended")

    def count(self, reason: str) -> int:
        """Return how many rows the reasons that contain ``reason`` concern."""
        return sum(f.count for f in self.findings if reason in f.reason)

    def to_json(self) -> dict[str, Any]:
        """Return plain data that ``json.dumps`` takes."""
        return {
            "name": self.name,
            "source": self.source,
            "totals": dict(self.totals),
            "dropped": self.dropped,
            "mended": self.mended,
            "findings": [
                {
                    "level": f.level,
                    "reason": f.reason,
                    "count": f.count,
                    "where": f.where,
                    "example": f.example,
                }
                for f in self.findings
            ],
        }

    def rows(self) -> list[tuple[str, str, str, str, str]]:
        """Return rows for a terminal: level, count, reason, where, example."""
        return [(f.level, f"{f.count:,}", f.reason, f.where, f.example) for f in self.findings]

    def total_rows(self) -> list[tuple[str, str]]:
        """Return rows for a terminal: what, figure."""
        return [
            (name.replace("_", " "), _figure(value))
            for name, value in self.totals.items()
            if value is not None
        ]


def shortened(value: object) -> str:
    """Return a value on one line, cut to a length that a terminal bears."""
    text = " ".join(str(value).split())
    return text if len(text) <= _EXAMPLE_LENGTH else text[: _EXAMPLE_LENGTH - 1] + "…"


def _figure(value: object) -> str:
    """Return a figure as text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_figure(part)}" for name, part in value.items())
    if isinstance(value, (list, tuple)):
        return " to ".join(_figure(part) for part in value)
    return str(value)
