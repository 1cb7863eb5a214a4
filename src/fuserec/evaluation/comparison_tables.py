"""How the command line shows a comparison: figures before and after, verdicts, who gains and who loses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fuserec.evaluation import wording
from fuserec.evaluation.compared import Change, ModelPair, RunComparison, UserChange

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

MOST_DETAILED = 3
"""Up to this many pairs the segments are shown; JSON has them always."""

WIDEST_NAME = 26
"""Characters of a name that are shown."""


def shown(found: RunComparison) -> list[RenderableType]:
    """Return what the command line prints."""
    from rich.text import Text

    parts: list[RenderableType] = [_figures(found), Text("\n".join(verdicts(found)))]
    if len(found.pairs) <= MOST_DETAILED:
        for pair in found.pairs:
            parts += _detail(pair, len(found.runs) > 1)
    if found.remarks:
        parts.append(Text("\n".join(found.remarks)))
    return parts


def verdicts(found: RunComparison) -> list[str]:
    """Return one sentence for each pair of models: the verdict on the metric that decides."""
    title = wording.metric_title(found.primary)
    return [
        f"{pair.model} against {pair.reference}, {title}: {pair.changes[0].verdict}." for pair in found.pairs
    ]


def _figures(found: RunComparison) -> Table:
    """Make the table of all figures."""
    from rich.table import Table
    from rich.text import Text

    data, several = next(iter(found.runs.values())), len(found.runs) > 1
    title = f"{data.dataset or 'dataset'}: {data.users:,} test users"
    made = Table(title=Text(title), title_justify="left")
    for name in ("model", "against") if several else ("model",):
        made.add_column(name, no_wrap=True, max_width=WIDEST_NAME, overflow="ellipsis")
    made.add_column("metric", no_wrap=True)
    one = found.pairs[0]  # of one file all have the same reference
    heads = (
        ("before", "after") if several else (one.reference, one.model if len(found.pairs) == 1 else "model")
    )
    _add_figures(made, *heads)
    for pair in found.pairs:
        names = [Text(pair.model), Text(pair.reference)] if several else [Text(pair.model)]
        for change in pair.changes:
            made.add_row(*names, wording.metric_title(change.metric), *_cells(change))
    return made


def _add_figures(made: Table, reference: str, model: str) -> None:
    """Add the columns of a change: the figures of the reference and of the model, their difference, and its p."""
    from rich.text import Text

    for name in (reference, model):
        made.add_column(Text(name), justify="right", no_wrap=True, max_width=WIDEST_NAME, overflow="ellipsis")
    for name in ("difference", "p"):
        made.add_column(name, justify="right", no_wrap=True)


def _cells(change: Change) -> list[str]:
    """Return the cells of a change: before, after, difference with half its interval, corrected p."""
    gap = change.difference
    told = wording.signed(change.metric, gap)
    if gap.low is not None and gap.high is not None:
        told += f" ±{wording.amount(change.metric, (gap.high - gap.low) / 2)}"
    p = gap.p if gap.p_holm is None else gap.p_holm
    return [
        wording.figure(change.metric, change.before),
        wording.figure(change.metric, change.after),
        f"{told} *" if wording.clear(gap) else f"{told}  ",
        wording.p_value(p),
    ]


def _detail(pair: ModelPair, several: bool) -> list[RenderableType]:
    """Return the table of segments of a pair, and the users who changed most."""
    if not pair.segments:
        return []
    from rich.table import Table
    from rich.text import Text

    title = (
        f"{pair.model} against {pair.reference}: {wording.metric_title(pair.segments[0].metric)} by segment"
    )
    made = Table(title=Text(title), title_justify="left")
    made.add_column("segment")
    made.add_column("users", justify="right", no_wrap=True)
    _add_figures(made, *(("before", "after") if several else (pair.reference, pair.model)))
    for name in ("gain", "lose"):
        made.add_column(name, justify="right", no_wrap=True)
    everybody = pair.changes[0].difference.users
    parts = [change for change in pair.segments if change.difference.users < everybody]
    for change in (*pair.changes[:1], *parts):
        gain, lose = gains(change)
        heading = wording.segment_title(change.segment) if change.segment else "Everybody"
        made.add_row(
            Text(heading), f"{change.difference.users:,}", *_cells(change), _share(gain), _share(lose)
        )
    people = [*(_person("gained", one) for one in pair.gained), *(_person("lost", one) for one in pair.lost)]
    return [made, Text("\n".join(people))] if people else [made]


def gains(change: Change) -> tuple[float | None, float | None]:
    """Return the shares of users for whom the model is better, and worse, than its reference."""
    gap = change.difference
    return (gap.below, gap.above) if wording.lower_is_better(change.metric) else (gap.above, gap.below)


def _share(value: float | None) -> str:
    """Write a share of users."""
    return "" if value is None else f"{100 * value:.1f} %"


def _person(what: str, one: UserChange) -> str:
    """Say how much a user gained or lost."""
    return (
        f"{what}: user {one.user}, {one.before:.4f} to {one.after:.4f} ({one.history:,} in the history, rarest target "
        f"{one.target_interactions:,} times in training)"
    )
