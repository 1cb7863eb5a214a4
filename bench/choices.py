"""Sections made from the figures: what a budget costs, and what is not in the default and why."""

from __future__ import annotations

from dataclasses import dataclass, field

from bench.datasets import DATASETS
from bench.page import cell, mark
from bench.readings import FUSED, PRIMARY, Board, Gap, Row

MOST_LOSS = 0.05
"""Share of the unlimited NDCG@10 that ``--budget 5m`` may lose."""


def budget_section(boards: list[Board]) -> str:
    """Return the section on ``--budget 5m``."""
    lines = [
        "## The choice of `--budget 5m`\n",
        "What `fuserec fit --budget 5m` chooses, beside the default without a limit, on the same test. The loss is a "
        f"share of the unlimited NDCG@10; more than {MOST_LOSS:.0%} is too much, and bold. The seconds of the fit "
        "within the budget are of everything: reading texts, learning, and fitting again on all but the test rows.\n",
        "| dataset | unlimited NDCG@10 | fit s | within 5 minutes | its fit s | loss | parts chosen |",
        "| --- | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for board in boards:
        whole, short, loss = board.default, board.budget, board.loss()
        if whole is None or short is None or loss is None:
            continue
        spent = (whole.models[FUSED]["fit_s"], short.made["budget_fit_s"])
        ends = [
            f"{cell(r.models[FUSED]['metrics'][PRIMARY])} | {seconds:,.0f}"
            for r, seconds in zip((whole, short), spent, strict=True)
        ]
        told = f"{loss:.1%}"
        told = f"**{told}**" if loss > MOST_LOSS else told
        title = f"{DATASETS[board.dataset].title}, {board.split}{mark(short)}"
        lines.append(f"| {title} | {ends[0]} | {ends[1]} | {told} | {', '.join(short.results['parts'])} |")
    return "\n".join(lines) + "\n"


@dataclass
class Case:
    """What is known of a scorer or variant that some default has not."""

    alone: list[tuple[Board, Row, Row]] = field(default_factory=list)
    added: list[tuple[Board, Gap]] = field(default_factory=list)
    inside: list[Board] = field(default_factory=list)


def cases(boards: list[Board]) -> dict[str, Case]:
    """Return the cases by name: what ran alone, with the best part of the default there; gains; where it is inside."""
    found: dict[str, Case] = {}
    for board in boards:
        best = board.best_part()
        for row in board.rows():
            if not row.in_default and best is not None:
                found.setdefault(row.model, Case()).alone.append((board, row, best))
        for part, gap in board.additions.items():
            found.setdefault(part, Case()).added.append((board, gap))
    for name, case in found.items():
        case.inside = [b for b in boards if b.default is not None and name in b.default.results["parts"]]
    return found


def absent_section(boards: list[Board]) -> str:
    """Return the section on what is not in the default."""
    lines = [
        "## What is not in the default, and why\n",
        "Made from the figures above: what a scorer or variant reaches alone beside the best part of the default, and "
        "what adding it to the default changes where that was measured (`python -m bench.quality --configurations "
        "with-NAME`). Each stays reachable by its name.\n",
    ]
    found = [f"- **{name}**: {reason(case)}" for name, case in sorted(cases(boards).items())]
    found += [f"- {line}" for line in narrow(boards)]
    return "\n".join([*lines, *(found or ["Not measured yet."])]) + "\n"


def reason(case: Case) -> str:
    """Return in words why a scorer is not in the default."""
    said = [_alone(case)] if case.alone else []
    if case.added:
        said.append(_added(case))
    elif any(_ratio(one) >= 1 for one in case.alone):
        said.append("it is above that part somewhere, and adding it has not been measured: an open case")
    else:
        said.append("adding it has not been measured")
    if case.inside:
        said.append(f"it is in the default of {_titles(case.inside)}")
    return "; ".join(said) + "."


def _alone(case: Case) -> str:
    """Return what a scorer reaches alone."""
    below = sum(_ratio(one) < 1 for one in case.alone)
    one = max(case.alone, key=_ratio)
    board, row, best = one
    return (
        f"alone below the default's best part on {below} of {len(case.alone)} datasets, nearest to it on "
        f"{DATASETS[board.dataset].title} ({_ndcg(row)} against {_ndcg(best)} of `{best.model}`: {_ratio(one):.0%})"
    )


def _added(case: Case) -> str:
    """Return what adding a scorer to the default changes."""
    told = "; ".join(f"{DATASETS[board.dataset].title} {gap.words()}" for board, gap in case.added)
    gains = [board for board, gap in case.added if gap.low > 0]
    verdict = f"a gain on {_titles(gains)}: an open case" if gains else "no gain"
    return f"added to the default it changes NDCG@10 by {told}: {verdict}"


def _titles(boards: list[Board]) -> str:
    """Return the titles of datasets, each once."""
    return ", ".join(dict.fromkeys(DATASETS[board.dataset].title for board in boards))


def narrow(boards: list[Board]) -> list[str]:
    """Return a line for each part that is in some defaults only, and for each that gets no weight anywhere."""
    inside: dict[str, list[Board]] = {}
    idle: dict[str, list[bool]] = {}
    for board in boards:
        assert board.default is not None
        for row in (r for r in board.rows() if r.in_default and r.model != FUSED):
            inside.setdefault(row.model, []).append(board)
            weights = row.weights()
            idle.setdefault(row.model, []).append(weights is not None and weights[1] == 0)
    lines = []
    for part, there in sorted(inside.items()):
        if len(there) < len(boards):
            lines.append(f"**{part}** is in the default where the data allow it: {_titles(there)}.")
    useless = [part for part, found in sorted(idle.items()) if all(found)]
    if useless:
        lines.append(f"In the default, and without weight on every dataset: {', '.join(useless)}.")
    return lines


def _ratio(one: tuple[Board, Row, Row]) -> float:
    """Return the NDCG@10 of a row as a share of the best part's."""
    _, row, best = one
    return (row.value(PRIMARY) or 0.0) / (best.value(PRIMARY) or 1.0)


def _ndcg(row: Row) -> str:
    """Return NDCG@10."""
    return f"{row.value(PRIMARY) or 0.0:.4f}"
