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
    missing: str = "no value",
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
    missing : str
        What stands where there is no figure.
    """
    shown = [part for row in rows for part in (row.value, row.low, row.high) if part is not None]
    scale = scale or axis(shown or [0.0], from_zero=not dots)
    below = tick_labels(scale, tick, (scale.ticks[0], scale.ticks[-1]) if narrow else scale.ticks)
    height = 22 if narrow else 28
    drawn = [_bar_row(row, write, scale, dots, height, missing) for row in rows]
    return element("div", drawn, below, class_="bars")


def _bar_row(row: Bar, write: Format, scale: Axis, dots: bool, height: int, missing: str) -> Html:
    """Draw one row."""
    marks = [upright(scale.share(tick), "grid", height) for tick in scale.ticks]
    if row.value is None:
        marks.append(element("text", missing, x=4, y=height // 2 + 4, class_="muted"))
    else:
        marks.extend(_figure(row, row.value, scale, dots, height))
    figure = "–" if row.value is None else write(row.value)
    told = figure if row.value is not None else missing
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
        marks.extend(upright(at, "whisker", middle + 4, middle - 4) for at in (low, high))
    if dots:
        marks.append(element("circle", cx=f"{end:.2f}%", cy=middle, r=5, class_="dot"))
    return marks


def upright(share: float, kind: str, stop: int, start: int = 0) -> Html:
    """Draw an upright line at a share of the width."""
    return element("line", x1=f"{share:.2f}%", x2=f"{share:.2f}%", y1=start, y2=stop, class_=kind)


def tick_labels(scale: Axis, write: Format, ticks: Sequence[float]) -> Html:
    """Draw the labels of an axis below a plot."""
    labels = [
        element("text", write(tick), x=f"{scale.share(tick):.2f}%", y=12, text_anchor="middle", class_="tick")
        for tick in ticks
    ]
    return element("div", element("svg", labels, height=16, aria_hidden="true"), class_="bar ticks")


def shares(rows: Mapping[str, Mapping[str, float]], parts: Sequence[str], write: Format) -> Html:
    """Draw one stacked bar per row: the share of each part of its positive total, with a legend."""
    colours = {part: f"c{at % 8}" for at, part in enumerate(parts)}
    legend = [element("span", element("i", class_=f"swatch {colours[part]}"), part) for part in parts]
    drawn = []
    for label, weights in rows.items():
        total = sum(max(0.0, weights.get(part, 0.0)) for part in parts)
        start, marks = 0.0, []
        for part in parts:
            share = 100 * max(0.0, weights.get(part, 0.0)) / total if total > 0 else 0.0
            marks.append(_share(part, share, start, colours[part], write(share)))
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


def _share(part: str, share: float, start: float, colour: str, figure: str) -> Html | None:
    """Draw one part of a stacked bar, with its figure where there is room."""
    if share <= 0:
        return None
    return element(
        "g",
        element("title", f"{part}: {figure}"),
        element("rect", x=f"{start:.2f}%", y=3, width=f"{share:.2f}%", height=22, class_=colour),
        element("text", figure, x=f"{start + share / 2:.2f}%", y=18, text_anchor="middle")
        if share >= 13
        else None,
    )
