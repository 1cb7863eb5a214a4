"""The metric that decides for each kind of user and of item."""

from __future__ import annotations

from collections.abc import Mapping

from fuserec.evaluation import wording
from fuserec.evaluation.markup import Html, element
from fuserec.evaluation.page import Page
from fuserec.evaluation.plots import axis, bars
from fuserec.evaluation.sections.decides import bar
from fuserec.evaluation.statistics import Estimate
from fuserec.evaluation.tables import best_of, cell, in_segment, ranked, table
from fuserec.metrics import definition


def segments(page: Page) -> Html | None:
    """Draw all segments on one scale, and the table behind them."""
    results, metric, texts = page.results, page.primary, page.texts
    names = list(dict.fromkeys(name for model in results.models.values() for name in model.segments))
    if not names:
        return None
    order = ranked(results, metric)
    found = {
        name: {model: in_segment(results.models[model], name, metric) for model in order} for name in names
    }
    values = [
        end
        for row in found.values()
        for it in row.values()
        for end in (it.low, it.value, it.high)
        if end is not None
    ]
    dots = definition(metric).family == "rating"
    scale = axis(values or [0.0], from_zero=not dots)
    plots = []
    for name in names:
        users = max(model.segments[name].users for model in results.models.values() if name in model.segments)
        rows = [bar(page, model, found[name][model]) for model in order]
        missing = texts("no_value")
        plot = bars(rows, *page.formats(metric), scale=scale, dots=dots, narrow=True, missing=missing)
        title = wording.segment_title(name, texts)
        caption = element("h3", title, element("small", texts("users", n=f"{users:,}")))
        plots.append(element("div", caption, plot, class_="card small"))
    figures = element("details", element("summary", texts("figures_intervals")), _table(page, found, metric))
    lead = texts("segments.lead", metric=page.metric(metric))
    return page.section(
        "segments", texts("segments.title"), element("div", plots, class_="grid"), figures, lead=lead
    )


def _table(page: Page, found: Mapping[str, Mapping[str, Estimate]], metric: str) -> Html:
    """Make the table of one metric by model and segment; whichever there are fewer of are the columns."""
    if len(found) > len(page.results.models):
        return _long_table(page, found, metric)
    head = page.heads("col.model")
    head += [element("th", wording.segment_title(name, page.texts), scope="col") for name in found]
    top = {name: best_of(metric, row) for name, row in found.items()}
    rows = [
        element(
            "tr",
            page.model_name(model),
            [cell(page, metric, found[name][model], top[name] == model) for name in found],
        )
        for model in ranked(page.results, metric)
    ]
    return table(head, rows, "figures", label=page.texts("segments.title"))


def _long_table(page: Page, found: Mapping[str, Mapping[str, Estimate]], metric: str) -> Html:
    """Make a row a segment and a column a model."""
    models = ranked(page.results, metric)
    head = page.heads("segments.kind")
    head += [
        element("th", name, scope="col", title=name, class_="lead-row" if name == page.lead else None)
        for name in models
    ]
    rows = []
    for name, row in found.items():
        title, top = wording.segment_title(name, page.texts), best_of(metric, row)
        cells = [cell(page, metric, row[model], top == model) for model in models]
        rows.append(element("tr", element("th", title, scope="row", title=title), cells))
    return table(head, rows, "figures metrics", label=page.texts("segments.title"))
