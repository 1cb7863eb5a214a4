"""Figures of others that stand beside ours: the table ``published.toml``, validated and written out."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

TABLE = Path(__file__).resolve().parent / "published.toml"

EVIDENCE = {
    "read": "",
    "second-hand": " (second-hand)",
    "draft": " (unpublished draft, second-hand)",
    "measured": "",
}
"""What is written behind a source."""


class _Entry(BaseModel):
    """Base: immutable, and an unknown key is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Figure(_Entry):
    """Recall and NDCG at 10 of one published model, of the same protocol."""

    on: str
    model: str = Field(min_length=1)
    recall: float = Field(gt=0, lt=1)
    ndcg: float | None = Field(default=None, gt=0, lt=1)
    source: str = Field(min_length=1)
    evidence: Literal["read", "second-hand", "draft", "measured"]


class Beside(_Entry):
    """A published figure that is not comparable, and why."""

    on: tuple[str, ...] = Field(min_length=1)
    what: str = Field(min_length=1)
    why: str = Field(min_length=1)
    source: str = Field(min_length=1)


class Published(_Entry):
    """Everything in the file; ``on`` names dataset and protocol, such as ``beauty-last-out``."""

    protocol: dict[str, str]
    figure: tuple[Figure, ...]
    beside: tuple[Beside, ...]

    def section(self, on: str) -> list[str]:
        """Return the lines on what others published: a table, then what is not comparable."""
        figures = sorted((f for f in self.figure if f.on == on), key=lambda f: f.recall)
        lines: list[str] = []
        if figures:
            lines += [
                f"Published. {self.protocol[on]}\n",
                "| published | recall@10 | NDCG@10 | source |",
                "| --- | ---: | ---: | --- |",
            ]
            lines += [
                f"| {f.model} | {f.recall:.4f} | {_or_dash(f.ndcg)} | {f.source}{EVIDENCE[f.evidence]} |"
                for f in figures
            ]
            lines.append("")
        else:
            lines += ["No published figure of these data and this protocol was found.\n"]
        notes = [b for b in self.beside if on in b.on]
        if notes:
            lines.append("Not comparable, and so not in a table:\n")
            lines += [f"- {b.what}: {b.why} ({b.source})." for b in notes]
            lines.append("")
        return lines


def published(path: Path = TABLE) -> Published:
    """Read the file."""
    return Published.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))


def _or_dash(value: float | None) -> str:
    """Return a figure, or a dash where there is none."""
    return "–" if value is None else f"{value:.4f}"
