"""The section on quality: a table for each dataset and protocol, and what it means."""

from __future__ import annotations

from typing import Any

from bench.datasets import DATASETS
from bench.published import Published, published
from bench.readings import FUSED, Board, Row
from bench.records import CURRENT, Record, source_digest

SHOWN = ("recall@10", "ndcg@10", "coverage@10")

INTRODUCTION = """## Quality

`fuserec evaluate DIR --split ...` without a configuration, whole catalogue ranked, 95 % bootstrap intervals over
users. `fused` is the default, its parts stand beneath it with the least and the largest weight that a group of users
gives them; scorers that are not in the default ran alone. Models fit on the training part; the fusion learns on the
validation part; nothing is fitted again before the test, whose histories hold the validation items.

`fit s` of `fused` is all its parts and learning; reading the texts is not in it, `in all` counts everything. `peak MB`
is how far memory rose while fitting; parts of one fusion are fitted one after another in one process, so that a part
behind a larger one shows less than it takes alone. What is marked *stale* was made with another configuration or
version, what is marked *older code* before the source changed; `python -m bench.quality --redo older` makes both
again."""


def boards(found: list[Record]) -> list[Board]:
    """Return the results by dataset and protocol, in the order of the page, those without a default left out."""
    every = [Board(key, split, found) for key, source in DATASETS.items() for split in source.splits]
    return [board for board in every if board.default is not None]


def section(found: list[Record]) -> str:
    """Return the section on quality."""
    table = published()
    lines = [INTRODUCTION, ""]
    for board in boards(found):
        lines += dataset_section(board, table)
    return "\n".join(lines)


def dataset_section(board: Board, others: Published) -> list[str]:
    """Return the lines of one dataset and protocol."""
    record = board.default
    assert record is not None
    source, data, held = DATASETS[board.dataset], record.results["dataset"], record.results["split"]
    return [
        f"### {source.title}, {board.split}\n",
        f"{data['users']:,} users, {data['items']:,} items, {data['interactions']:,} interactions; "
        f"{held['test']:,} test targets of {held['test_users']:,} users. {source.note} "
        f"Made at {record.made['commit']} on {record.made['date']}, {record.made['cores']} cores, "
        f"{record.made['seconds']:,.0f} s in all{mark(record)}.\n",
        "| model | in the default | recall@10 | NDCG@10 | coverage@10 | fit s | peak MB | seed |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(row_line(row) for row in board.rows()),
        "",
        *comparison(board),
        *(f"{note}\n" for note in record.results["notes"]),
        *others.section(f"{board.dataset}-{board.split}"),
    ]


def row_line(row: Row) -> str:
    """Return one row of a table."""
    cells = " | ".join(cell(row.figures["metrics"].get(metric)) for metric in SHOWN)
    cost = " | ".join(
        "–" if (v := row.figures[key]) is None else f"{v:,.{d}f}" for key, d in (("fit_s", 1), ("peak_mb", 0))
    )
    name = (
        row.model if row.in_default else f"{row.model}{mark(row.record)}"
    )  # the default is marked above its table
    return f"| {name} | {_place(row)} | {cells} | {cost} | {row.record.made['seed']} |"


def _place(row: Row) -> str:
    """Return whether a model is in the default, and with which weight."""
    if not row.in_default:
        return "no"
    weights = row.weights()
    if row.model == FUSED or weights is None:
        return "yes"
    low, high = (f"{w:.2f}" for w in weights)
    return f"yes, {low}" if low == high else f"yes, {low} to {high}"


def mark(record: Record) -> str:
    """Return what stands behind a name whose result no longer holds."""
    state = record.status(source_digest())
    return "" if state == CURRENT else f" (*{state}*)"


def comparison(board: Board) -> list[str]:
    """Return the lines that compare the fusion with its parts."""
    lead, above = board.lead(), board.above()
    lines = []
    if lead is not None:
        lines.append(f"`fused` less `{lead.second}`, its best part, NDCG@10, paired: {lead.words()}.")
    if above:
        names = "; ".join(f"`{gap.first}` {gap.words()}" for gap in above)
        lines.append(f"**Significantly above `fused`:** {names}.")
    elif lead is not None:
        lines.append("No part is significantly above `fused`.")
    return [" ".join(lines) + "\n"] if lines else []


def cell(metric: dict[str, Any] | None) -> str:
    """Return a figure with its interval."""
    if not metric or metric.get("value") is None:
        return "–"
    low, high = metric.get("low"), metric.get("high")
    interval = f" [{low:.4f}, {high:.4f}]" if low is not None and high is not None else ""
    return f"{metric['value']:.4f}{interval}"


def ratings_section(found: dict[str, Any], columns: list[str]) -> str:
    """Return the table of RMSE."""
    lines = [
        "### MovieLens 100K, ratings (RMSE)\n",
        f"`python bench/ratings.py --data ml-100k`: random 90/10 split, the makers' five folds and their mean. "
        f"Made at {found['commit']}.\n",
        "| model | " + " | ".join(columns) + " |",
        "| --- |" + " ---: |" * len(columns),
    ]
    for name, row in found["models"].items():
        cells = (f"{row[column]:.4f}" if column in row else "" for column in columns)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "| difference of RMSE, whole users drawn anew | on | difference | 95 % |",
        "| --- | --- | ---: | --- |",
    ]
    for pair, parts in found.get("differences", {}).items():
        first, second = pair.split(":")
        for part, (difference, low, high) in parts.items():
            lines.append(
                f"| {first} less {second} | {part} | {difference:+.4f} | {low:+.4f} to {high:+.4f} |"
            )
    return "\n".join(lines) + "\n"
