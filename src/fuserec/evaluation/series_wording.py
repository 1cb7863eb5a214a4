"""What a curve says in plain words, and its table for the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fuserec.evaluation import wording
from fuserec.evaluation.series import Point, Series
from fuserec.evaluation.statistics import Difference
from fuserec.evaluation.texts import ENGLISH, Texts

if TYPE_CHECKING:
    from rich.table import Table


def series_summary(found: Series, texts: Texts = ENGLISH) -> list[str]:
    """Return what was found as a few sentences, the most important first."""
    lines = _learning(found, texts) if found.kind == "learning-curve" else _shifted(found, texts)
    return [texts.percent(line) for line in lines if line]


def _learning(found: Series, texts: Texts) -> list[str]:
    """Say whether text helps with little and with all data, and whether more data would."""
    first, last = found.points[0], found.points[-1]
    ends = [first] if first is last else [first, last]
    lines = [_helped(found, point, texts) for point in ends]
    for model in found.models:
        gap = last.steps.get(model)
        if gap is not None:
            lines.append(
                texts(
                    f"series.{_way(found, gap)}",
                    model=texts.name("series", model),
                    before=found.points[-2].name,
                    after=last.name,
                    verdict=wording.verdict(found.primary, gap, texts),
                )
            )
    return lines


def _way(found: Series, gap: Difference) -> str:
    """Return whether a curve rises, falls, or cannot be seen to do either."""
    if not wording.clear(gap) or gap.difference is None:
        return "level"
    rises = (gap.difference > 0) != wording.lower_is_better(found.primary)
    return "rising" if rises else "falling"


def _helped(found: Series, point: Point, texts: Texts) -> str:
    """Say what text adds at one share."""
    if point.difference is None:
        return ""
    verdict = wording.verdict(found.primary, point.difference, texts)
    return texts(
        "series.text", share=point.name, metric=wording.metric_title(found.primary, texts), verdict=verdict
    )


def _shifted(found: Series, texts: Texts) -> list[str]:
    """Say what the distance costs over all points, and where most."""
    away, known = (texts.name("series", model) for model in found.models)
    lines = []
    if found.overall is not None:
        verdict = wording.verdict(found.primary, found.overall, texts)
        metric = wording.metric_title(found.primary, texts)
        lines.append(texts("series.overall", away=away, known=known, metric=metric, verdict=verdict))
    gaps = [point for point in found.points if point.difference is not None and point.difference.difference]
    if gaps:
        sign = -1 if wording.lower_is_better(found.primary) else 1
        worst = min(gaps, key=lambda point: sign * (_gap(point).difference or 0.0))
        lines.append(
            texts(
                "series.most",
                name=texts.place(worst.name),
                verdict=wording.verdict(found.primary, _gap(worst), texts),
            )
        )
        lines.append(_kept(found, worst, texts))
    return lines


def _gap(point: Point) -> Difference:
    """Return the difference of a point that has one."""
    return point.difference or Difference(None, None, None, None, 0)


def _kept(found: Series, point: Point, texts: Texts) -> str:
    """Say which share of the accuracy is left at one point."""
    away, known = (point.value(model, found.primary) for model in found.models)
    if away is None or not known:
        return ""
    return texts("series.kept", share=f"{100 * away / known:.0f} %")


def series_table(found: Series) -> Table:
    """Return the figures of all points, and the paired difference of the two models."""
    from rich.table import Table
    from rich.text import Text

    metric = found.primary
    title = f"{found.dataset.name or 'dataset'}: {wording.metric_title(metric)}"
    made = Table(title=Text(title), title_justify="left")
    made.add_column({"learning-curve": "data"}.get(found.kind, "test"), overflow="fold")
    for name in ("known", "users", *found.models):
        made.add_column(name, justify="right")
    if len(found.models) > 1:
        made.add_column(f"{found.models[0]}, paired", overflow="fold")
    for point in found.points:
        cells = [_cell(point, model, metric) for model in found.models]
        known = max(point.train.values(), default=0)
        row = [point.name, f"{known:,}", f"{point.users:,}", *cells]
        row += [_paired(metric, point.difference)] if len(found.models) > 1 else []
        made.add_row(*(Text(cell) for cell in row))
    return made


def _cell(point: Point, model: str, metric: str) -> str:
    """Write a figure with its interval."""
    found = point.models.get(model, {}).get(metric)
    if found is None:
        return "–"
    return f"{wording.figure(metric, found.value)} {wording.interval(metric, found)}".rstrip()


def _paired(metric: str, gap: Difference | None) -> str:
    """Write a difference with its ends."""
    if gap is None or gap.difference is None:
        return "–"
    ends = (
        ""
        if gap.low is None or gap.high is None
        else f" [{wording.plus(metric, gap.low)}, {wording.plus(metric, gap.high)}]"
    )
    return f"{wording.signed(metric, gap)}{ends}{'' if wording.clear(gap) else ' (chance)'}"
