"""Predicted probability against what was observed."""

from __future__ import annotations

from fuserec.evaluation.curves import CALIBRATION
from fuserec.evaluation.lines import Line, lines
from fuserec.evaluation.markup import Html, element
from fuserec.evaluation.page import Page
from fuserec.evaluation.plots import axis
from fuserec.evaluation.results import Curve
from fuserec.evaluation.tables import table


def believed(page: Page) -> Html | None:
    """Draw the calibration of every model that gives probabilities, each on its own."""
    found = {
        name: model.curves[CALIBRATION]
        for name, model in page.results.models.items()
        if CALIBRATION in model.curves and model.curves[CALIBRATION].x
    }
    if not found:
        return None
    parts = [_one(page, name, curve) for name, curve in found.items()]
    return page.section(
        "calibration",
        page.texts("calibration.title"),
        parts,
        lead=page.texts("calibration.lead"),
    )


def _one(page: Page, name: str, curve: Curve) -> Html:
    """Draw the calibration of one model, with the table behind it."""
    texts = page.texts
    scale = axis([*curve.x, *curve.y, *curve.high])
    ends = [scale.start, scale.stop]
    drawn = [
        Line(name, curve, "own", dots=True),
        Line(texts("perfect"), Curve(x=ends, y=ends), "ideal"),
    ]
    titles = texts("calibration.across"), texts("calibration.up")
    plot = lines(
        drawn,
        scale,
        scale,
        (page.share_tick, page.share_tick),
        f"{name}: {texts('calibration.caption')}",
        titles,
    )
    head = page.heads("calibration.across", "calibration.up", "col.interval", "about.items")
    rows = [
        element(
            "tr",
            element("th", page.share(x), scope="row"),
            element("td", page.share(y)),
            _rest(page, curve, at),
        )
        for at, (x, y) in enumerate(zip(curve.x, curve.y, strict=True))
    ]
    figures = table(head, rows, "figures", label=texts("figures"))
    return element("div", plot, element("div", _said(page, name, curve), figures), class_="grid wide")


def _rest(page: Page, curve: Curve, at: int) -> list[Html]:
    """Make the cells of interval and number of one point."""
    ends = page.share_range(curve.low[at], curve.high[at]) if curve.low else "–"
    return [element("td", ends), element("td", f"{curve.n[at]:,}" if curve.n else "–")]


def _said(page: Page, name: str, curve: Curve) -> Html | None:
    """Say in one sentence what was promised and what came of it."""
    total = sum(curve.n)
    if not total:
        return None
    told = sum(n * x for n, x in zip(curve.n, curve.x, strict=True)) / total
    seen = sum(n * y for n, y in zip(curve.n, curve.y, strict=True)) / total
    text = page.texts(
        "calibration.said", model=name, told=page.share(told), seen=page.share(seen), n=f"{total:,}"
    )
    return element("p", text, class_="said")
