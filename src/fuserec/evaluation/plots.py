"""The report's plots: inline SVG whose lengths are shares of the width, so that text keeps its size."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fuserec.evaluation.markup import Html, element, join

Format = Callable[[float], str]


@dataclass(frozen=True)
class Bar:
    """One row of a bar plot.

    Attributes
    ----------
    label : str
        What it is.
    value, low, high : float or None
        The figure, and its interval where it has one.
    strong : bool
        Whether it is the one to look at.
    note : str
        A remark beside the figure.
    """

    label: str
    value: float | None
    low: float | None = None
    high: float | None = None
    strong: bool = False
    note: str = ""


@dataclass(frozen=True)
class Point:
    """One labelled point of a scatter plot."""

    label: str
    x: float
    y: float
    strong: bool = False


@dataclass(frozen=True)
class Axis:
    """A linear axis with round ticks.

    Attributes
    ----------
    start, stop : float
        Its ends.
    ticks : tuple of float
        Where it is labelled.
    """

    start: float
    stop: float
    ticks: tuple[float, ...]

    def share(self, value: float) -> float:
        """Return where a value lies, in percent of the length, within 0 to 100."""
        return min(100.0, max(0.0, 100 * (value - self.start) / (self.stop - self.start)))


def axis(values: Sequence[float], from_zero: bool = True) -> Axis:
    """Choose an axis that holds all values and has three to six round ticks.

    Examples
    --------
    >>> axis([0.012, 0.0633]).ticks
    (0.0, 0.02, 0.04, 0.06, 0.08)
    """
    low = min(0.0, *values) if from_zero else min(values)
    high = max(0.0, *values) if from_zero else max(values)
    if high <= low:
        low, high = (low, low + 1.0) if from_zero else (low - 0.5, low + 0.5)
    rough = (high - low) / 4
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= rough * 0.8)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = tuple(float(f"{step * at:.12g}") for at in range(first, last + 1))
    return Axis(ticks[0], ticks[-1], ticks)


def bars(
    rows: Sequence[Bar],
    write: Format,
    tick: Format,
    *,
    scale: Axis | None = None,
    dots: bool = False,
    narrow: bool = False,
) -> Html:
    """Draw rows of a label, a bar with its interval, and the figure; rows without a figure say so.

    Parameters
    ----------
    rows : sequence of Bar
        From top to bottom.
    write, tick : callable
        Format a figure, and a figure below the axis.
    scale : Axis or None
        A common axis for several plots; by default one that fits.
    dots : bool
        Draw points on an axis that need not start at 0 (for errors, where bars would hide what differs).
    narrow : bool
        Lower rows, and labels at the ends of the axis only.
    """
    shown = [part for row in rows for part in (row.value, row.low, row.high) if part is not None]
    scale = scale or axis(shown or [0.0], from_zero=not dots)
    below = _ticks(scale, tick, (scale.ticks[0], scale.ticks[-1]) if narrow else scale.ticks)
    return element(
        "div", [_bar_row(row, write, scale, dots, 22 if narrow else 28) for row in rows], below, class_="bars"
    )


def _bar_row(row: Bar, write: Format, scale: Axis, dots: bool, height: int) -> Html:
    """Draw one row."""
    marks = [_vertical(scale.share(tick), "grid", height) for tick in scale.ticks]
    if row.value is None:
        marks.append(element("text", "no value", x=4, y=height // 2 + 4, class_="muted"))
    else:
        marks.extend(_figure(row, row.value, scale, dots, height))
    figure = "–" if row.value is None else write(row.value)
    told = figure if row.value is not None else "no value"
    if row.low is not None and row.high is not None:
        told += f" [{write(row.low)}, {write(row.high)}]"
    return element(
        "div",
        element("div", row.label, class_="label", title=row.label),
        element("svg", marks, height=height, aria_hidden="true"),
        element(
            "div",
            element("b", figure),
            element("small", row.note) if row.note else None,
            class_="figure",
        ),
        class_="bar strong" if row.strong else "bar",
        title=f"{row.label}: {told}",
    )


def _figure(row: Bar, value: float, scale: Axis, dots: bool, height: int) -> list[Html]:
    """Draw the bar or the point of one row, and its interval."""
    zero, end = scale.share(max(0.0, scale.start)), scale.share(value)
    left, width, middle = min(zero, end), abs(end - zero), height // 2
    marks = (
        []
        if dots
        else [
            element(
                "rect",
                x=f"{left:.2f}%",
                y=middle - height // 3,
                width=f"{width:.2f}%",
                height=height // 3 * 2,
                rx=2,
                class_="fill",
            )
        ]
    )
    if row.low is not None and row.high is not None:
        low, high = scale.share(row.low), scale.share(row.high)
        marks.append(
            element("line", x1=f"{low:.2f}%", x2=f"{high:.2f}%", y1=middle, y2=middle, class_="whisker")
        )
        marks.extend(_vertical(at, "whisker", middle + 4, middle - 4) for at in (low, high))
    if dots:
        marks.append(element("circle", cx=f"{end:.2f}%", cy=middle, r=5, class_="dot"))
    return marks


def _vertical(share: float, kind: str, stop: int, start: int = 0) -> Html:
    """Draw an upright line at a share of the width."""
    return element("line", x1=f"{share:.2f}%", x2=f"{share:.2f}%", y1=start, y2=stop, class_=kind)


def _ticks(scale: Axis, write: Format, ticks: Sequence[float]) -> Html:
    """Draw the labels of an axis below a plot."""
    labels = []
    for tick in ticks:
        share = scale.share(tick)
        anchor = "start" if share < 1 else "end" if share > 99 else "middle"
        labels.append(
            element("text", write(tick), x=f"{share:.2f}%", y=12, text_anchor=anchor, class_="tick")
        )
    return element("div", element("svg", labels, height=16, aria_hidden="true"), class_="bar ticks")


_HEIGHT, _TOP = 300, 14
_LABEL_HEIGHT, _LABEL_SHARE = 14, 2.1
"""Height of a label in pixels, and width of one of its letters in percent of a narrow plot."""


@dataclass(frozen=True)
class _Label:
    """Where a label stands beside its point: to which side, and how many pixels lower."""

    left: bool
    lower: int


def scatter(
    points: Sequence[Point], across: Axis, up: Axis, ticks: tuple[Format, Format], titles: tuple[str, str]
) -> Html:
    """Draw labelled points; a label moved out of another's way is joined to its point by a line.

    Parameters
    ----------
    points : sequence of Point
        In any order.
    across, up : Axis
        The two axes.
    ticks, titles : pairs
        Formats and names of the two axes, across first.
    """
    bottom = _HEIGHT - _TOP
    places = [(across.share(point.x), bottom - (bottom - _TOP) * up.share(point.y) / 100) for point in points]
    marks = [_vertical(across.share(tick), "grid", bottom, _TOP) for tick in across.ticks]
    for tick in up.ticks:
        y = bottom - (bottom - _TOP) * up.share(tick) / 100
        marks.append(element("line", x1="0%", x2="100%", y1=f"{y:.1f}", y2=f"{y:.1f}", class_="grid"))
        marks.append(element("text", ticks[1](tick), x=2, y=f"{y - 3:.1f}", class_="tick"))
    labels = _labels(points, places)
    marks.extend(_point(*row) for row in zip(points, places, labels, strict=True))
    return element(
        "figure",
        element("figcaption", element("b", titles[1]), " against ", element("b", titles[0])),
        element("svg", marks, height=_HEIGHT, aria_hidden="true"),
        _ticks(across, ticks[0], across.ticks),
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
            "text", point.label, x=11 * side, y=label.lower + 4, text_anchor="end" if label.left else "start"
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
        (x, y), width = places[at], _LABEL_SHARE * len(points[at].label) + 2
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
        best = next(free, 0)
        chosen[at] = options[best]
        taken.append(boxes[best])
    return [chosen[at] for at in range(len(points))]


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


def shares(rows: Mapping[str, Mapping[str, float]], parts: Sequence[str]) -> Html:
    """Draw one stacked bar per row: the share of each part of its positive total, with a legend."""
    colours = {part: f"c{at % 8}" for at, part in enumerate(parts)}
    legend = [element("span", element("i", class_=f"swatch {colours[part]}"), part) for part in parts]
    drawn = []
    for label, weights in rows.items():
        total = sum(max(0.0, weights.get(part, 0.0)) for part in parts)
        start, marks = 0.0, []
        for part in parts:
            share = 100 * max(0.0, weights.get(part, 0.0)) / total if total > 0 else 0.0
            marks.append(_share(part, share, start, colours[part]))
            start += share
        drawn.append(
            element(
                "div",
                element("div", label, class_="label", title=label),
                element("svg", marks, height=28, aria_hidden="true"),
                class_="bar stacked",
            )
        )
    return join(element("div", legend, class_="legend"), element("div", drawn, class_="bars"))


def _share(part: str, share: float, start: float, colour: str) -> Html | None:
    """Draw one part of a stacked bar, with its figure where there is room."""
    if share <= 0:
        return None
    return element(
        "g",
        element("title", f"{part}: {share:.0f} %"),
        element("rect", x=f"{start:.2f}%", y=3, width=f"{share:.2f}%", height=22, class_=colour),
        element("text", f"{share:.0f} %", x=f"{start + share / 2:.2f}%", y=18, text_anchor="middle")
        if share >= 13
        else None,
    )
