"""Scatter plots of the report: labelled points and the front of those that nobody beats on both counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fuserec.evaluation.markup import Html, element
from fuserec.evaluation.plots import Axis, Format, tick_labels, upright


@dataclass(frozen=True)
class Point:
    """One labelled point of a scatter plot."""

    label: str
    x: float
    y: float
    strong: bool = False


_HEIGHT, _TOP = 300, 14
_LABEL_HEIGHT, _LABEL_SHARE, _LONGEST = 14, 2.1, 20
"""Height of a label in pixels, width of one of its letters in percent of a narrow plot, and most letters."""


@dataclass(frozen=True)
class _Label:
    """Where a label stands beside its point: to which side, and how many pixels lower."""

    left: bool
    lower: int


def front(points: Sequence[Point]) -> list[Point]:
    """Return the points that no other beats on both counts, from left to right (the Pareto front).

    Examples
    --------
    >>> [it.label for it in front([Point("a", 1, 3), Point("b", 2, 2), Point("c", 1, 2), Point("d", 3, 1)])]
    ['a', 'b', 'd']
    """
    best, found = -math.inf, []
    for point in sorted(points, key=lambda it: (-it.x, -it.y)):
        if point.y > best:
            best = point.y
            found.append(point)
    return found[::-1]


def _front_line(points: Sequence[Point], across: Axis, up: Axis) -> Html:
    """Draw the edge of what nobody reaches: level up to each point of the front, then down to the next."""
    steps: list[tuple[float, float]] = []
    left = 0.0
    for point in front(points):
        x, y = across.share(point.x), 100 - up.share(point.y)
        steps += [(left, y), (x, y)]
        left = x
    steps.append((left, 100.0))
    return element(
        "svg",
        element(
            "polyline",
            points=" ".join(f"{x:.2f},{y:.2f}" for x, y in steps),
            class_="line front",
            vector_effect="non-scaling-stroke",
        ),
        y=_TOP,
        width="100%",
        height=_HEIGHT - 2 * _TOP,
        viewBox="0 0 100 100",
        preserveAspectRatio="none",
    )


def scatter(
    points: Sequence[Point],
    across: Axis,
    up: Axis,
    ticks: tuple[Format, Format],
    titles: tuple[str, str],
    caption: str = "",
) -> Html:
    """Draw labelled points and their Pareto front; a label moved out of another's way is joined to its point.

    Parameters
    ----------
    points : sequence of Point
        In any order.
    across, up : Axis
        The two axes.
    ticks, titles : pairs
        Formats of the two axes, across first; and what stands above the plot and below its axis.
    caption : str
        What stands below.
    """
    bottom = _HEIGHT - _TOP
    places = [(across.share(point.x), bottom - (bottom - _TOP) * up.share(point.y) / 100) for point in points]
    marks = [upright(across.share(tick), "grid", bottom, _TOP) for tick in across.ticks]
    for tick in up.ticks:
        y = bottom - (bottom - _TOP) * up.share(tick) / 100
        marks.append(element("line", x1="0%", x2="100%", y1=f"{y:.1f}", y2=f"{y:.1f}", class_="grid"))
        marks.append(
            element("text", ticks[1](tick), x=-7, y=f"{y + 4:.1f}", text_anchor="end", class_="tick")
        )
    labels = _labels(points, places)
    marks.append(_front_line(points, across, up))
    marks.extend(_point(*row) for row in zip(points, places, labels, strict=True))
    return element(
        "figure",
        element("figcaption", element("b", titles[0])),
        element("svg", marks, height=_HEIGHT, aria_hidden="true"),
        tick_labels(across, ticks[0], across.ticks),
        element("div", titles[1], class_="axis across"),
        element("p", caption, class_="said") if caption else None,
        class_="scatter",
    )


def _point(point: Point, place: tuple[float, float], label: _Label) -> Html:
    """Draw one point and its label, in pixels around the point's place."""
    x, y = place
    side = -1 if label.left else 1
    line = element("line", x1=0, y1=0, x2=9 * side, y2=label.lower, class_="lead") if label.lower else None
    return element(
        "svg",
        line,
        element("circle", cx=0, cy=0, r=6 if point.strong else 5, class_="dot"),
        element(
            "text",
            _shown(point.label),
            x=11 * side,
            y=label.lower + 4,
            text_anchor="end" if label.left else "start",
        ),
        element("title", point.label),
        x=f"{x:.2f}%",
        y=f"{y:.1f}",
        class_="point strong" if point.strong else "point",
    )


def _labels(points: Sequence[Point], places: Sequence[tuple[float, float]]) -> list[_Label]:
    """Choose for every point (x in percent, y in pixels) the nearest free place for its label."""
    taken = [(x - 1.5, x + 1.5, y - 6, y + 6) for x, y in places]
    chosen: dict[int, _Label] = {}
    for at in sorted(range(len(points)), key=lambda index: (not points[index].strong, places[index][1])):
        (x, y), width = places[at], _LABEL_SHARE * len(_shown(points[at].label)) + 2
        options = [
            _Label(left, lower) for lower in (0, -14, 14, -28, 28, -42, 42, -56, 56) for left in (False, True)
        ]
        boxes = [_box(option, x, y, width) for option in options]
        others = taken[:at] + taken[at + 1 :]
        free = (
            index
            for index, box in enumerate(boxes)
            if _inside(box) and not any(_meet(box, it) for it in others)
        )
        within = (index for index, box in enumerate(boxes) if _inside(box))
        best = next(free, next(within, 0))
        chosen[at] = options[best]
        taken.append(boxes[best])
    return [chosen[at] for at in range(len(points))]


def _shown(label: str) -> str:
    """Return a label short enough to stand beside its point on a narrow screen."""
    return label if len(label) <= _LONGEST else f"{label[: _LONGEST - 1]}…"


_Box = tuple[float, float, float, float]


def _box(label: _Label, x: float, y: float, width: float) -> _Box:
    """Return the box that a label takes: left, right (percent), top, bottom (pixels)."""
    start, end = (x - 2 - width, x - 2) if label.left else (x + 2, x + 2 + width)
    return start, end, y + label.lower - _LABEL_HEIGHT / 2, y + label.lower + _LABEL_HEIGHT / 2


def _inside(box: _Box) -> bool:
    """Return whether a box lies within the plot."""
    return box[0] >= 0 and box[1] <= 101 and box[2] >= 0 and box[3] <= _HEIGHT - _TOP + 2


def _meet(one: _Box, other: _Box) -> bool:
    """Return whether two boxes overlap."""
    return one[0] < other[1] and other[0] < one[1] and one[2] < other[3] and other[2] < one[3]
