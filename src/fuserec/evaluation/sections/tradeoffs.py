"""Accuracy against what else a list is good for, with the Pareto front."""

from __future__ import annotations

from fuserec.evaluation.markup import Html, element
from fuserec.evaluation.page import Page
from fuserec.evaluation.plots import axis
from fuserec.evaluation.scatter import Point, front, scatter
from fuserec.evaluation.tables import NOTHING
from fuserec.metrics import definition, name_and_k

AGAINST = ("ild", "novelty", "coverage")
"""What accuracy is set against."""


def trade_offs(page: Page) -> Html | None:
    """Draw one plot per metric of which more is a gain for somebody."""
    metric = page.primary
    _, k = name_and_k(metric)
    if definition(metric).family != "accuracy":
        return None
    drawn = [plot for name in AGAINST if (plot := _plot(page, metric, f"{name}@{k}")) is not None]
    if not drawn:
        return None
    plots = element("div", drawn, class_="grid wide")
    return page.section("trade-offs", page.texts("trade.title"), plots, lead=page.texts("trade.lead"))


def _plot(page: Page, metric: str, other: str) -> Html | None:
    """Draw the models that have both metrics; None where there are not two of them."""
    points = []
    for name, model in page.results.models.items():
        x, y = model.metrics.get(other, NOTHING).value, model.metrics.get(metric, NOTHING).value
        if x is not None and y is not None:
            points.append(Point(name, x, y, name == page.lead))
    if len(points) < 2:
        return None
    across = axis([point.x for point in points], from_zero=other.startswith("coverage"))
    up = axis([point.y for point in points])
    ticks = page.formats(other)[1], page.formats(metric)[1]
    title = page.texts("against", up=page.metric(metric), across=page.metric(other))
    names = page.texts("join").join(point.label for point in front(points))
    return scatter(points, across, up, ticks, (title, page.metric(other)), page.texts("front", names=names))
