"""The report: one HTML file that opens offline, and the table that the command line prints."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import partial
from importlib.resources import files
from typing import Any

from fuserec.evaluation import wording
from fuserec.evaluation.markup import Child, Html, element
from fuserec.evaluation.plots import Bar, Point, axis, bars, scatter, shares
from fuserec.evaluation.results import EvaluationResults, SampleItem, SampleUser, write_text
from fuserec.evaluation.rounds_table import rounds_table
from fuserec.evaluation.statistics import Estimate
from fuserec.evaluation.tables import (
    NOTHING,
    cost_table,
    in_segment,
    metric_table,
    panels,
    ranked,
    segment_table,
    table,
    terminal_table,
)
from fuserec.metrics import DEFINITIONS, base_name, definition, name_and_k

__all__ = ["terminal_table", "to_html", "write_html"]


def write_html(results: EvaluationResults, path: str | os.PathLike[str]) -> None:
    """Write the report as one self-contained HTML file: no script and no request, for screen and paper.

    Parameters
    ----------
    results : EvaluationResults
        What the evaluation found; every text in it is escaped.
    path : path
        The file; it is whole or not there.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    write_text(path, to_html(results))


def to_html(results: EvaluationResults) -> str:
    """Return the report as HTML text."""
    title = f"Evaluation of {results.dataset.name or 'a dataset'}"
    # The page forbids itself every request and every script, whatever it were to contain.
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    style = files("fuserec.evaluation").joinpath("report.css").read_text("utf-8") + _tab_rules(
        len(panels(results))
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", Html(style)),
    )
    parts = [
        _header(results, title),
        _summary(results),
        _primary(results),
        _rounds(results),
        _metrics(results),
        _segments(results),
    ]
    parts += [_trade_offs(results), _weights(results), _cost(results), _sample(results), _about(results)]
    page = element("html", head, element("body", element("main", parts)), lang="en")
    return f"<!doctype html>\n{page}\n"


def _section(anchor: str, title: str, *children: Child, lead: str = "") -> Html:
    """Make a section with its heading and one sentence that says how to read it."""
    opening = element("p", lead, class_="lead") if lead else None
    return element("section", element("h2", title), opening, *children, id=anchor)


def _header(results: EvaluationResults, title: str) -> Html:
    """Say what was evaluated, on what, and whether the data are made up."""
    data = results.dataset
    facts = [f"{data.users:,} users", f"{data.items:,} items", f"{data.interactions:,} interactions"]
    split = _split_kind(results)
    facts += [f"split: {split}"] if split else []
    marked = None
    if data.simulated:
        text = "A program made up the interactions: the figures show that it works, not how people choose."
        marked = element("p", element("b", "Simulated data. "), text, class_="banner", role="note")
    return element("header", element("h1", title), element("p", " · ".join(facts), class_="facts"), marked)


def _split_kind(results: EvaluationResults) -> str:
    """Return the name of the split."""
    return str(results.split.get("kind") or results.split.get("name") or "")


def _summary(results: EvaluationResults) -> Html:
    """Say in words what was found."""
    first, *rest = wording.summary(results)
    notes = (
        element("ul", [element("li", note) for note in results.notes], class_="notes")
        if results.notes
        else None
    )
    return element(
        "section",
        element("p", first, class_="headline"),
        [element("p", line) for line in rest],
        notes,
        class_="card",
        id="summary",
    )


def _rounds(results: EvaluationResults) -> Html | None:
    """Show the folds or windows, where there are several."""
    if not results.rounds:
        return None
    lead = "Below each figure stands its interval over the users of that round alone; known is what models learnt from."
    return _section("rounds", "Round by round", rounds_table(results), lead=lead)


def _bar(results: EvaluationResults, name: str, estimate: Estimate, note: str = "") -> Bar:
    """Make one row of a bar plot for a model."""
    strong = name == wording.leading(results)
    return Bar(name, estimate.value, estimate.low, estimate.high, strong, note)


def _primary(results: EvaluationResults) -> Html | None:
    """Draw the metric that decides."""
    metric, lead = wording.primary_of(results), wording.leading(results)
    if lead is None:
        return None
    rows = [
        _bar(results, name, results.models[name].metrics.get(metric, NOTHING), _compared(results, name, lead))
        for name in ranked(results, metric)
    ]
    text = f"{wording.meaning(metric)} The thin line is the {100 * results.level:g} % interval over users."
    if any(row.note for row in rows):
        text += f" Beside each figure stands its paired difference from {lead}."
    dots = definition(metric).family == "rating"
    plot = bars(rows, partial(wording.figure, metric), partial(wording.tick, metric), dots=dots)
    return _section("primary", wording.metric_title(metric), plot, lead=text)


def _compared(results: EvaluationResults, name: str, lead: str) -> str:
    """Say how a model differs from the leading one."""
    found = wording.versus(results, name, lead) if name != lead else None
    if found is None or found.difference is None:
        return ""
    change = wording.signed(wording.primary_of(results), found)
    return change if wording.clear(found) else f"{change}, within chance"


def _tab_rules(n: int) -> str:
    """Return the style rules that show the chosen panel; only numbers go into them."""
    rules = [f"#tab{at}:checked~.panel{at}{{display:block}}" for at in range(n)]
    rules += [
        f"#tab{at}:checked~.tabs label[for=tab{at}]{{color:var(--ink);border-color:var(--accent)}}"
        for at in range(n)
    ]
    return "@media screen{" + "".join(rules) + "}"


def _metrics(results: EvaluationResults) -> Html:
    """Make the table of all metrics, a panel per k."""
    found = panels(results)
    n = len(found)
    primary = wording.primary_of(results)
    first = next((at for at, names in enumerate(found.values()) if primary in names), 0)
    inputs = [
        element("input", type="radio", name="panel", id=f"tab{at}", checked=at == first, class_="tab")
        for at in range(n)
    ]
    labels = [element("label", title, for_=f"tab{at}") for at, title in enumerate(found)]
    tables = [
        element("div", element("h3", title), metric_table(results, names), class_=f"panel panel{at}")
        for at, (title, names) in enumerate(found.items())
    ]
    lead = "The best value of each column is marked; below each value stands its interval."
    return _section(
        "metrics", "All metrics", inputs, element("div", labels, class_="tabs"), tables, lead=lead
    )


def _segments(results: EvaluationResults) -> Html | None:
    """Draw the metric that decides for each segment, on one scale, and the table behind it."""
    metric = wording.primary_of(results)
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
    write, tick = partial(wording.figure, metric), partial(wording.tick, metric)
    plots = []
    for name in names:
        users = max(model.segments[name].users for model in results.models.values() if name in model.segments)
        rows = [_bar(results, model, found[name][model]) for model in order]
        plot = bars(rows, write, tick, scale=scale, dots=dots, narrow=True)
        caption = element("h3", wording.segment_title(name), element("small", f"{users:,} users"))
        plots.append(element("div", caption, plot, class_="card small"))
    figures = element(
        "details", element("summary", "Figures and intervals"), segment_table(results, found, metric)
    )
    lead = (
        f"{wording.metric_title(metric)} by kind of user and of item: an average hides who is served badly."
    )
    return _section("segments", "For whom it works", element("div", plots, class_="grid"), figures, lead=lead)


def _trade_offs(results: EvaluationResults) -> Html | None:
    """Draw accuracy against what else a list is good for."""
    metric = wording.primary_of(results)
    _, k = name_and_k(metric)
    if definition(metric).family != "accuracy":
        return None
    drawn = []
    for other in (f"coverage@{k}", f"novelty@{k}", f"ild@{k}"):
        points = []
        for name, model in results.models.items():
            x, y = model.metrics.get(other, NOTHING).value, model.metrics.get(metric, NOTHING).value
            if x is not None and y is not None:
                points.append(Point(name, x, y, name == wording.leading(results)))
        if len(points) > 1:
            across = axis([point.x for point in points], from_zero=other.startswith("coverage"))
            up = axis([point.y for point in points])
            ticks = partial(wording.tick, other), partial(wording.tick, metric)
            drawn.append(
                scatter(
                    points, across, up, ticks, (wording.metric_title(other), wording.metric_title(metric))
                )
            )
    if not drawn:
        return None
    lead = "Upwards: more of what people chose. To the right: more of the catalogue, or rarer items."
    return _section(
        "trade-offs", "Accuracy is not everything", element("div", drawn, class_="grid wide"), lead=lead
    )


def _weights(results: EvaluationResults) -> Html | None:
    """Draw what the fusion trusts, by kind of query."""
    if not results.weights:
        return None
    parts = list(dict.fromkeys(part for row in results.weights.values() for part in row))
    head = [
        element("th", "Kind of query", scope="col"),
        *(element("th", part, scope="col") for part in parts),
    ]
    rows = [
        element(
            "tr",
            element("th", cohort, scope="row"),
            [element("td", f"{row[part]:.3f}" if part in row else "–") for part in parts],
        )
        for cohort, row in results.weights.items()
    ]
    figures = element("details", element("summary", "Figures"), table(head, rows, "figures"))
    lead = "How much each part is trusted, by kind of query; learnt on validation data."
    return _section("weights", "What the fusion trusts", shares(results.weights, parts), figures, lead=lead)


def _cost(results: EvaluationResults) -> Html:
    """Show time and memory."""
    lead = "Wall-clock time, and peak memory of fitting and scoring, on the machine named below."
    return _section("cost", "What it costs", cost_table(results), lead=lead)


def _sample(results: EvaluationResults) -> Html | None:
    """Show a few users with what each model showed them."""
    if not results.sample:
        return None
    lead = "A few users, whether well served or not. A marked item is one that the user went on to choose."
    return _section(
        "sample", "Some users and their lists", [_user(user) for user in results.sample], lead=lead
    )


def _user(user: SampleUser) -> Html:
    """Show one user: the history, what came next, and the lists side by side."""
    lists = [
        element("div", element("h4", name), element("ol", [_place(item) for item in items]), class_="list")
        for name, items in user.lists.items()
    ]
    return element(
        "article",
        element("h3", "User ", user.user_id),
        element("p", element("b", "Before: "), " · ".join(user.history) or "nothing"),
        element("p", element("b", "Then chose: "), " · ".join(user.targets) or "nothing"),
        element("div", lists, class_="lists"),
        class_="card",
    )


def _place(item: SampleItem) -> Html:
    """Show one place of a list."""
    reason = element("small", item.reason) if item.reason else None
    return element("li", item.title or item.item_id, reason, class_="hit" if item.hit else None)


def _about(results: EvaluationResults) -> Html:
    """Say what a reader needs to judge the figures and to get them again."""
    data = results.dataset
    split = _split_kind(results)
    facts = {
        "Users": f"{data.users:,}",
        "Items": f"{data.items:,}",
        "Interactions": f"{data.interactions:,}",
        "Interactions per user": f"{data.interactions / data.users:.1f}" if data.users else "–",
        "Density": f"{100 * data.interactions / (data.users * data.items):.3g} %"
        if data.users and data.items
        else "–",
        "Fingerprint": data.fingerprint,
    }
    used = dict.fromkeys(base_name(name) for model in results.models.values() for name in model.metrics)
    terms = {definition(name).title: wording.meaning(name) for name in DEFINITIONS if name in used}
    return _section(
        "about",
        "How it was measured",
        element("p", wording.protocol(results)) if split in wording.SPLITS else None,
        element(
            "div",
            _pairs("Data", facts),
            _pairs("Split", results.split),
            _pairs("Environment", results.environment),
            class_="grid",
        ),
        element("details", element("summary", "What the metrics mean"), _pairs("", terms), open=True),
        element(
            "details", element("summary", "Configuration"), element("pre", _as_json(results.configuration))
        )
        if results.configuration
        else None,
    )


def _pairs(title: str, values: Mapping[str, Any]) -> Html | None:
    """Show names and values."""
    if not values:
        return None
    rows = [
        (element("dt", str(name)), element("dd", value if isinstance(value, str) else _as_json(value)))
        for name, value in values.items()
    ]
    return element("div", element("h3", title) if title else None, element("dl", rows), class_="pairs")


def _as_json(value: Any) -> str:
    """Write settings for reading."""
    return json.dumps(value, ensure_ascii=False, indent=1, default=str)
