"""Line plots of the report: curves of several models on common axes, as SVG that stretches but keeps its text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fuserec.evaluation.markup import Html, element
from fuserec.evaluation.plots import Axis, Format, tick_labels, upright
from fuserec.evaluation.results import Curve

HEIGHT, TOP = 280, 14
BOTTOM = HEIGHT - TOP


@dataclass(frozen=True)
class Line:
    """One curve of a plot.

    Attributes
    ----------
    label : str
        What the legend calls it.
    curve : Curve
        Its points; intervals are drawn where it has them.
    kind : str
        Its class: ``own``, ``c0`` to ``c7``, ``people`` or ``ideal``.
    dots : bool
        Whether its points are marked.
    """

    label: str
    curve: Curve
    kind: str
    dots: bool = False


def lines(
    drawn: Sequence[Line],
    across: Axis,
    up: Axis,
    ticks: tuple[Format, Format],
    caption: str,
    titles: tuple[str, str],
) -> Html:
    """Draw curves with a legend.

    Parameters
    ----------
    drawn : sequence of Line
        The first lies on top.
    across, up : Axis
    ticks : pair of formats
        Of the two axes, across first.
    caption : str
    titles : pair of str
        Names of the two axes, across first.
    """
    marks = [upright(across.share(tick), "grid", BOTTOM, TOP) for tick in across.ticks]
    for tick in up.ticks:
        y = f"{_height(up, tick):.1f}"
        marks.append(element("line", x1="0%", x2="100%", y1=y, y2=y, class_="grid"))
    paths = [_path(line, across, up) for line in reversed(drawn)]
    marks.append(
        element(
            "svg",
            paths,
            y=TOP,
            width="100%",
            height=BOTTOM - TOP,
            viewBox="0 0 100 100",
            preserveAspectRatio="none",
        )
    )
    marks.extend(mark for line in reversed(drawn) if line.dots for mark in _dots(line, across, up))
    marks.extend(
        element(
            "text", ticks[1](tick), x=-7, y=f"{_height(up, tick) + 4:.1f}", text_anchor="end", class_="tick"
        )
        for tick in up.ticks
    )
    legend = [element("span", element("i", class_=f"stroke {line.kind}"), line.label) for line in drawn]
    return element(
        "figure",
        element("figcaption", element("b", caption)),
        element("div", legend, class_="legend"),
        element("div", titles[1], class_="axis"),
        element("svg", marks, height=HEIGHT, aria_hidden="true"),
        tick_labels(across, ticks[0], across.ticks),
        element("div", titles[0], class_="axis across"),
        class_="scatter",
    )


def _height(up: Axis, value: float) -> float:
    """Return where a value stands, in pixels from the top."""
    return BOTTOM - (BOTTOM - TOP) * up.share(value) / 100


def _path(line: Line, across: Axis, up: Axis) -> Html:
    """Draw a curve in percent of the plot; strokes keep their width however it is stretched."""
    points = [
        f"{across.share(x):.2f},{100 - up.share(y):.2f}"
        for x, y in zip(line.curve.x, line.curve.y, strict=True)
    ]
    return element(
        "polyline", points=" ".join(points), class_=f"line {line.kind}", vector_effect="non-scaling-stroke"
    )


def _dots(line: Line, across: Axis, up: Axis) -> list[Html]:
    """Mark the points of a curve, and their intervals."""
    marks = []
    for at, (x, y) in enumerate(zip(line.curve.x, line.curve.y, strict=True)):
        share = f"{across.share(x):.2f}%"
        if line.curve.low and line.curve.high:
            ends = _height(up, line.curve.low[at]), _height(up, line.curve.high[at])
            marks.append(
                element(
                    "line", x1=share, x2=share, y1=f"{ends[0]:.1f}", y2=f"{ends[1]:.1f}", class_="whisker"
                )
            )
        marks.append(element("circle", cx=share, cy=f"{_height(up, y):.1f}", r=4, class_=f"mark {line.kind}"))
    return marks
