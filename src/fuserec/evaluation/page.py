"""What all sections of the report share: the results, the words of a language, and terms that explain themselves."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from itertools import count

from fuserec.evaluation import wording
from fuserec.evaluation.markup import Child, Html, element
from fuserec.evaluation.plots import Format
from fuserec.evaluation.results import EvaluationResults
from fuserec.evaluation.statistics import Difference, Estimate
from fuserec.evaluation.texts import Texts
from fuserec.metrics import definition


@dataclass(frozen=True)
class Page:
    """One report while it is made.

    Parameters
    ----------
    results : EvaluationResults
    texts : Texts
    """

    results: EvaluationResults
    texts: Texts
    _ids: count[int] = field(default_factory=count)

    @property
    def primary(self) -> str:
        """The metric that decides."""
        return wording.primary_of(self.results)

    @property
    def lead(self) -> str | None:
        """The model that is put forward."""
        return wording.leading(self.results)

    @property
    def level(self) -> str:
        """Confidence of the intervals, such as ``95 %``."""
        return self.texts("percent", value=f"{100 * self.results.level:g}")

    def section(self, anchor: str, title: str, *children: Child, lead: Child = None) -> Html:
        """Make a section with its heading and what says how to read it."""
        opening = element("p", lead, class_="lead") if lead else None
        heading = element("h2", title, id=f"{anchor}-title")
        return element("section", heading, opening, *children, id=anchor, aria_labelledby=f"{anchor}-title")

    def metric(self, metric: str) -> str:
        """Return a metric's name for readers."""
        return wording.metric_title(metric, self.texts)

    def figure(self, metric: str, value: float | None) -> str:
        """Write a metric's figure."""
        return self.texts.percent(wording.figure(metric, value))

    def interval(self, metric: str, estimate: Estimate) -> str:
        """Write the ends of an interval; nothing where there is none."""
        return self.texts.percent(wording.interval(metric, estimate, self.texts))

    def formats(self, metric: str) -> tuple[Format, Format]:
        """Return how figures of a metric, and figures below an axis of it, are written."""
        return partial(self.figure, metric), lambda value: self.texts.percent(wording.tick(metric, value))

    def signed(self, metric: str, difference: Difference) -> str:
        """Write a difference with its sign."""
        return self.texts.percent(wording.signed(metric, difference))

    def share(self, value: float) -> str:
        """Write a share of one as a percentage."""
        return self.texts("percent", value=_hundredth(value))

    def share_range(self, low: float, high: float) -> str:
        """Write the two ends of shares of one as percentages."""
        both = self.texts("range", low=_hundredth(low), high=_hundredth(high))
        return self.texts("percent", value=both)

    def share_tick(self, value: float) -> str:
        """Write a share below an axis, as short as it can be."""
        return self.texts("percent", value=f"{100 * value:.4g}")

    def term(self, metric: str, shown: str | None = None) -> Html:
        """Make a metric's name that explains itself: on hover, on a tap, and by the keyboard, without a script.

        A press opens it above everything (``popovertarget``), Escape closes it; pointing at it and focus show the same
        text; a screen reader reads it as the description of the button.
        """
        name = f"term{next(self._ids)}"
        arrow = {"higher": "↑", "lower": "↓", "neither": None}[definition(metric).better]
        return element(
            "span",
            element(
                "button",
                self.metric(metric) if shown is None else shown,
                type="button",
                class_="term",
                popovertarget=name,
                aria_describedby=name,
            ),
            element("i", arrow, class_="way", aria_hidden="true") if arrow else None,
            element(
                "span",
                element("b", self.metric(metric)),
                " ",
                wording.meaning(metric, self.texts),
                class_="tip",
                role="tooltip",
                id=name,
                popover="auto",
            ),
            class_="explained",
        )

    def model_name(self, name: str) -> Html:
        """Make the heading of a model's row."""
        return element("th", name, scope="row", title=name, class_="lead-row" if name == self.lead else None)

    def heads(self, *keys: str) -> list[Html]:
        """Make column headings by the keys of their texts."""
        return [element("th", self.texts(key), scope="col") for key in keys]


def _hundredth(value: float) -> str:
    """Write a share of one in hundredths."""
    return f"{100 * value:.{1 if value >= 0.0995 else 2}f}"
