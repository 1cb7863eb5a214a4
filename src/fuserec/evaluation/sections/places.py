"""Who gets the places of the lists: exposure against popularity, and its Lorenz curve."""

from __future__ import annotations

import math
from dataclasses import replace

from fuserec.evaluation.curves import LORENZ, POPULARITY
from fuserec.evaluation.lines import Line, lines
from fuserec.evaluation.markup import Html, element
from fuserec.evaluation.page import Page
from fuserec.evaluation.plots import Axis, axis
from fuserec.evaluation.results import Curve
from fuserec.evaluation.tables import ranked, table

COLOURS = ("own", "c1", "c2", "c3", "c5", "c6", "c7")
"""Of the leading model and of the others; so many curves can be told apart."""

MOST = len(COLOURS)

ROOTS = tuple(math.sqrt(share) for share in (0.0, 0.02, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0))
"""Where a stretched axis is labelled."""


def places(page: Page) -> Html | None:
    """Draw both plots; None where no model has their curves."""
    shown = _popularity(page)
    plots = [plot for plot in (shown[0] if shown else None, _lorenz(page)) if plot is not None]
    if not plots:
        return None
    return page.section(
        "places",
        page.texts("popularity.title"),
        element("div", plots, class_="grid wide"),
        shown[1] if shown else None,
        lead=page.texts("popularity.lead"),
    )


def _models(page: Page, name: str, dots: bool) -> list[Line]:
    """Return a curve of the models, the leading one on top and the best by the deciding metric after it."""
    order = [it for it in ranked(page.results, page.primary) if it != page.lead]
    order = ([page.lead] if page.lead is not None else []) + order
    found = {
        it: page.results.models[it].curves[name] for it in order if name in page.results.models[it].curves
    }
    kept = {it: curve for it, curve in found.items() if curve.x}
    own = [it for it in kept if it == page.lead]
    rest = [it for it in kept if it != page.lead][: MOST - 1]
    colours = dict(zip(rest, COLOURS[1:], strict=False)) | dict.fromkeys(own, COLOURS[0])
    return [Line(it, kept[it], colours[it], dots) for it in (*own, *rest)]


def _popularity(page: Page) -> tuple[Html, Html] | None:
    """Draw the share of places that each group of items gets, beside what people chose; and its table."""
    drawn = _models(page, POPULARITY, dots=True)
    if not drawn:
        return None
    texts, people = page.texts, page.results.curves.get(POPULARITY)
    new = people is not None and bool(people.y) and people.y[-1] == 0
    if people is not None and people.x:
        drawn.append(Line(texts("people_line"), people, "people"))
    ticks = tuple(drawn[0].curve.x)
    across = Axis(ticks[0] - 0.3, ticks[-1] + 0.3, ticks)
    titles = texts("popularity.across_new" if new else "popularity.across"), texts("popularity.up")
    ticks_of = "{:g}".format, lambda root: page.share_tick(root**2)
    stretched = [replace(line, curve=_rooted(line.curve)) for line in drawn]
    highest = max(y for line in stretched for y in line.curve.y)
    up = Axis(0.0, max(highest * 1.05, ROOTS[2]), tuple(root for root in ROOTS if root <= highest * 1.05))
    plot = lines(stretched, across, up, ticks_of, texts("popularity.caption"), titles)
    return element("div", plot, _cut(page, POPULARITY)), _figures(page, drawn)


def _rooted(curve: Curve) -> Curve:
    """Return a curve of square roots: a model that shows ten items only would press all others to the ground."""
    return curve.model_copy(update={"y": [math.sqrt(max(y, 0.0)) for y in curve.y]})


def _figures(page: Page, drawn: list[Line]) -> Html:
    """Make the table behind the popularity plot."""
    sizes = drawn[0].curve.n
    head = page.heads("popularity.group", *(["popularity.items"] if sizes else []))
    head += [element("th", line.label, scope="col") for line in drawn]
    rows = [
        element(
            "tr",
            element("th", f"{x:g}", scope="row"),
            element("td", f"{sizes[at]:,}") if sizes else None,
            [
                element("td", page.share(line.curve.y[at]) if at < len(line.curve.y) else "–")
                for line in drawn
            ],
        )
        for at, x in enumerate(drawn[0].curve.x)
    ]
    title = page.texts("figures")
    return element("details", element("summary", title), table(head, rows, "figures", label=title))


def _lorenz(page: Page) -> Html | None:
    """Draw how unequally the places are shared out."""
    drawn = _models(page, LORENZ, dots=False)
    if not drawn:
        return None
    texts, people = page.texts, page.results.curves.get(LORENZ)
    if people is not None and people.x:
        drawn.append(Line(texts("people_line"), people, "people"))
    drawn.append(Line(texts("equal"), Curve(x=[0.0, 1.0], y=[0.0, 1.0]), "ideal"))
    scale = axis([0.0, 1.0])
    titles = texts("lorenz.across"), texts("lorenz.up")
    plot = lines(drawn, scale, scale, (page.share_tick, page.share_tick), texts("lorenz.caption"), titles)
    return element("div", plot, _cut(page, LORENZ))


def _cut(page: Page, name: str) -> Html | None:
    """Say that not every model is drawn."""
    if sum(name in model.curves for model in page.results.models.values()) <= MOST:
        return None
    return element("p", page.texts("only_first", n=MOST), class_="said")
