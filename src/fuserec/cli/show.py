"""How answers, reports and models look on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from fuserec.cli.screen import shown

if TYPE_CHECKING:
    from fuserec.answers import Answer, EvidenceRow, Questions, RecommendedItem
    from fuserec.data.check import CheckReport

ROWS = 4
"""Rows of evidence that are shown of an item; ``--json`` gives them all."""


def answer_table(answer: Answer, about: Mapping[str, str] | None = None, *, evidence: bool = True) -> Table:
    """Return the list of an answer: rank, item, how probable; with reason and evidence where it has them.

    Parameters
    ----------
    answer : Answer
    about : mapping, optional
        What is said of an item beside its title, by id; by default the id itself.
    evidence : bool
        Whether the strongest rows of evidence are shown too, where the answer has them.
    """
    table = plain_table("", "item", "chance", "score", wide=True)
    for item in answer.items:
        table.add_row(
            str(item.rank), _item(item, about, evidence), percent(item.probability), f"{item.score:.3f}"
        )
    if not answer.items:
        table.add_row("", Text("nothing is eligible", style="dim"), "", "")
    return table


def hits_table(answer: Answer, about: Mapping[str, str] | None = None) -> Table:
    """Return what a search found; ranks only, since its scores compare nothing but places."""
    table = plain_table("", "item", wide=True)
    for item in answer.items:
        table.add_row(str(item.rank), _item(item, about, False))
    if not answer.items:
        table.add_row("", Text("nothing was found", style="dim"))
    return table


def questions_table(found: Questions) -> Table:
    """Return what to ask next: the item, what its answer tells, and how likely it is to be liked."""
    table = plain_table("", "item", "chance", "bits", wide=True)
    for item in found.items:
        text = Text(shown(item.title), style="bold")
        if item.item_id != item.title:
            text.append(f"  {shown(item.item_id, 40)}", style="not bold dim")
        table.add_row(str(item.rank), text, percent(item.probability), f"{item.gain:.3f}")
    if not found.items:
        table.add_row("", Text("nothing is left to ask", style="dim"), "", "")
    return table


def evidence_table(item: RecommendedItem) -> Table:
    """Return all evidence of one item: what spoke, through which part, how much, and how that is known."""
    table = plain_table("from", "scorer", "contribution", "method")
    for row in item.evidence:
        table.add_row(Text(shown(row.source)), row.scorer, f"{row.contribution:+.4f}", row.method)
    table.add_section()
    table.add_row("sum", "", f"{sum(row.contribution for row in item.evidence):+.4f}", "")
    return table


def report_tables(report: CheckReport) -> list[Table]:
    """Return what a dataset holds, and what was dropped, mended or noted while it was read."""
    totals = pairs(report.total_rows(), title=f"{shown(report.name)}: what it holds")
    if not report.findings:
        return [totals]
    found = plain_table("", "count", "reason", "where", "for example", title="what was found while reading")
    styles = {"dropped": "red", "mended": "yellow", "noted": "cyan"}
    for level, count, reason, where, example in report.rows():
        found.add_row(Text(level, style=styles[level]), count, reason, shown(where, 24), shown(example, 40))
    return [totals, found]


def pairs(rows: Iterable[tuple[str, str]], title: str = "") -> Table:
    """Return names with their values."""
    table = Table(
        box=None, show_header=False, title=Text(title, style="bold") if title else None, title_justify="left"
    )
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, Text(shown(value, 500)))
    return table


def plain_table(*columns: str, title: str = "", wide: bool = False) -> Table:
    """Return an empty table in the one style of the command line; columns of figures are set to the right.

    With ``wide`` the column of items takes what room there is, so that several tables stand in line.
    """
    from rich import box

    figures = ("", "count", "chance", "score", "bits", "contribution")
    table = Table(
        box=box.SIMPLE_HEAD,
        title=Text(title, style="bold") if title else None,
        title_justify="left",
        pad_edge=False,
        expand=wide,
    )
    for column in columns:
        table.add_column(
            column,
            ratio=1 if wide and column == "item" else None,
            justify="right" if column in figures else "left",
            no_wrap=column in figures,
            overflow="fold",
        )
    return table


def percent(probability: float) -> str:
    """Return a probability as people read it."""
    return "< 1 %" if probability < 0.01 else f"{100 * probability:.0f} %"


def warnings_of(answer: Answer) -> Sequence[str]:
    """Return what has to be said beside an answer: what could not be used, and that data are simulated."""
    return (*answer.warnings, *([answer.note] if answer.note else []))


def _item(item: RecommendedItem, about: Mapping[str, str] | None, evidence: bool) -> Text:
    """Return title, what is said beside it, and underneath the reason and the strongest evidence."""
    beside = about.get(item.item_id, "") if about is not None else item.item_id
    text = Text(shown(item.title), style="bold")
    if beside and beside != item.title:
        text.append(f"  {shown(beside, 40)}", style="not bold dim")
    if item.reason:
        text.append(f"\n{shown(item.reason, 300)}", style="not bold")
    if item.moves and not item.reason:
        text.append(f"\n{shown('; '.join(item.moves), 300)}", style="not bold dim")
    if evidence and item.evidence:
        text.append(f"\n{_evidence(item.evidence)}", style="not bold dim")
    return text


def _evidence(rows: Sequence[EvidenceRow]) -> str:
    """Return the strongest rows, and the sum of the others."""
    parts = [f"{shown(row.source, 30)} {row.contribution:+.3f} ({row.scorer})" for row in rows[:ROWS]]
    rest = rows[ROWS:]
    if rest:
        parts.append(f"{len(rest)} more {sum(row.contribution for row in rest):+.3f}")
    return " · ".join(parts)
