"""The page of a curve: what it says in words, one plot with intervals, and the figures."""

from __future__ import annotations

import math
import os

from fuserec.evaluation import wording
from fuserec.evaluation.lines import Line, lines
from fuserec.evaluation.markup import Html, element
from fuserec.evaluation.page import Page
from fuserec.evaluation.plots import Axis, Bar, Format, axis, bars
from fuserec.evaluation.report import document
from fuserec.evaluation.results import Curve, EvaluationResults, ModelResult, write_text
from fuserec.evaluation.sections.background import about
from fuserec.evaluation.series import Point, Series
from fuserec.evaluation.series_wording import series_summary
from fuserec.evaluation.statistics import Difference
from fuserec.evaluation.tables import NOTHING, cell, table
from fuserec.evaluation.texts import texts_in

ASIDE = 0.006
"""How far the second curve stands aside, as a share of the axis, so that whiskers do not cover each other."""


def write_series_html(found: Series, path: str | os.PathLike[str], language: str = "en") -> None:
    """Write the page as one self-contained HTML file.

    Parameters
    ----------
    found : Series
        Every text in it is escaped.
    path : path
        The file; it is whole or not there.
    language : {"en", "zh"}

    Raises
    ------
    DataError
        If the file cannot be written.
    RequestError
        If there is no report in the language.
    """
    write_text(path, series_html(found, language))


def series_html(found: Series, language: str = "en") -> str:
    """Return the page of a curve as HTML text."""
    texts = texts_in(language)
    page = Page(_frame(found), texts)
    title = texts(f"series.title.{found.kind}", name=found.dataset.name or texts("a_dataset"))
    counts = (
        ("users", found.dataset.users),
        ("items", found.dataset.items),
        ("interactions", found.dataset.interactions),
    )
    facts = [element("span", texts(key, n=f"{n:,}")) for key, n in counts]
    facts += [element("span", texts("measured_on", date=texts.day(found.made)))] if found.made else []
    simulated = None
    if found.dataset.simulated:
        told = element("b", texts("simulated")), " ", texts("simulated_text")
        simulated = element("p", told, class_="banner", role="note")
    main = element(
        "main",
        element("header", element("h1", title), element("p", facts, class_="facts"), simulated),
        _summary(page, found),
        _plotted(page, found),
        about(page),
    )
    return document(title, main, language)


def _frame(found: Series) -> EvaluationResults:
    """Return the last point as results, for what a page says of data, settings and metrics."""
    last = found.points[-1]
    return EvaluationResults(
        dataset=found.dataset,
        split=found.split,
        models={name: ModelResult(metrics=own, users=last.users) for name, own in last.models.items()},
        primary=found.primary,
        level=found.level,
        configuration=found.configuration,
        environment=found.environment,
    )


def _summary(page: Page, found: Series) -> Html:
    """Say in words what was found."""
    said = series_summary(found, page.texts)
    notes = element("ul", [element("li", page.texts.note(note)) for note in found.notes], class_="notes")
    lines_ = [element("p", line, class_="headline" if at == 0 else None) for at, line in enumerate(said)]
    return element("section", lines_, notes if found.notes else None, class_="card", id="summary")


def _plotted(page: Page, found: Series) -> Html:
    """Draw the curve, or bars where the points have no order; the figures stand below."""
    plot = _lines(page, found) if all(point.at is not None for point in found.points) else _bars(page, found)
    lead = page.texts(f"series.lead.{found.kind}", level=page.level)
    return page.section("curve", page.texts("series.curve"), plot, _figures(page, found), lead=lead)


def _lines(page: Page, found: Series) -> Html:
    """Draw a line a model."""
    learning = found.kind == "learning-curve"
    stands = [point.at or 0.0 for point in found.points]
    positions = [math.log10(share) for share in stands] if learning else stands
    ends = [
        end
        for point in found.points
        for model in found.models
        if (it := point.models.get(model, {}).get(found.primary)) is not None
        for end in (it.value, it.low, it.high)
        if end is not None
    ]
    if learning:
        low, high = min(positions), max(positions)
        pad = 0.04 * (high - low or 1.0)
        across = Axis(low - pad, high + pad, tuple(positions))
    else:
        across = axis(positions)
    width = across.stop - across.start
    drawn = [
        Line(
            page.texts.name("series", model),
            _curve(found, model, [at + ASIDE * width * number for at in positions]),
            ("c0", "c1")[number],
            dots=True,
        )
        for number, model in enumerate(found.models)
    ]
    ticks = (_share_tick(page) if learning else "{:g}".format), page.formats(found.primary)[1]
    titles = page.texts(f"series.across.{found.kind}"), page.metric(found.primary)
    return lines(drawn, across, axis(ends or [0.0]), ticks, page.metric(found.primary), titles)


def _share_tick(page: Page) -> Format:
    """Return how a share is written below an axis of its logarithms."""
    return lambda value: page.share_tick(10**value)


def _curve(found: Series, model: str, positions: list[float]) -> Curve:
    """Return the points of one model that have a figure with an interval."""
    there = [
        (at, it)
        for at, point in zip(positions, found.points, strict=True)
        if (it := point.models.get(model, {}).get(found.primary)) is not None and it.value is not None
    ]
    whole = all(it.low is not None and it.high is not None for _, it in there)
    return Curve(
        x=[at for at, _ in there],
        y=[it.value or 0.0 for _, it in there],
        low=[it.low or 0.0 for _, it in there] if whole else [],
        high=[it.high or 0.0 for _, it in there] if whole else [],
    )


def _bars(page: Page, found: Series) -> Html:
    """Draw a bar for each point and model."""
    rows = []
    for point in found.points:
        for number, model in enumerate(found.models):
            it = point.models.get(model, {}).get(found.primary, NOTHING)
            label = f"{page.texts.place(point.name)} · {page.texts.name('series', model)}"
            rows.append(Bar(label, it.value, it.low, it.high, strong=number == 0))
    return bars(rows, *page.formats(found.primary), missing=page.texts("no_value"))


def _figures(page: Page, found: Series) -> Html:
    """Make the table of all points."""
    texts = page.texts
    head = page.heads(f"series.at.{found.kind}", "rounds.known", "col.users")
    head += [element("th", texts.name("series", model), scope="col") for model in found.models]
    two = len(found.models) > 1
    head += page.heads("series.paired", "col.adjusted") if two else []
    stepped = any(point.steps for point in found.points)
    head += [
        element("th", f"{texts.name('series', model)}{texts('colon')}{texts('series.step')}", scope="col")
        for model in (found.models if stepped else ())
    ]
    rows = [
        element(
            "tr",
            element("th", texts.percent(texts.place(point.name)), scope="row"),
            [element("td", f"{n:,}") for n in (max(point.train.values(), default=0), point.users)],
            [
                cell(page, found.primary, point.models.get(model, {}).get(found.primary, NOTHING), False)
                for model in found.models
            ],
            _paired(page, found, point) if two else None,
            [element("td", _gap(page, found, point.steps.get(m))) for m in (found.models if stepped else ())],
        )
        for point in found.points
    ]
    return table(head, rows, "figures", label=texts("figures_intervals"))


def _paired(page: Page, found: Series, point: Point) -> list[Html]:
    """Make the cells of the paired difference and its p-value."""
    gap = point.difference
    p = None if gap is None else gap.p_holm
    told = "–" if p is None else wording.probability(p, page.texts)
    return [element("td", _gap(page, found, gap)), element("td", told)]


def _gap(page: Page, found: Series, gap: Difference | None) -> Html:
    """Write a difference and its interval; bold where it is more than chance."""
    if gap is None or gap.difference is None:
        return element("span", "–")
    figure = element("b" if wording.clear(gap) else "span", page.signed(found.primary, gap))
    if gap.low is None or gap.high is None:
        return figure
    ends = [page.texts.percent(wording.plus(found.primary, end)) for end in (gap.low, gap.high)]
    return element("span", figure, element("small", f"{ends[0]} … {ends[1]}"))
