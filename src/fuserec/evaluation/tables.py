"""What tables are made of, and the table of the command line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from fuserec.evaluation import wording
from fuserec.evaluation.markup import Child, Html, element
from fuserec.evaluation.results import EvaluationResults, ModelResult
from fuserec.evaluation.statistics import Estimate
from fuserec.metrics import definition, name_and_k

if TYPE_CHECKING:
    from rich.table import Table

    from fuserec.evaluation.page import Page

NOTHING = Estimate(None)

LONGEST_NAME = 18
"""Characters of a model's name that the command line shows."""


def table(head: Iterable[Child], rows: Iterable[Html], kind: str = "", label: str = "table") -> Html:
    """Make a table that scrolls within its own frame where the page is too narrow for it."""
    return framed(
        element("table", element("thead", element("tr", head)), element("tbody", rows), class_=kind or None),
        label,
    )


def framed(made: Html, label: str) -> Html:
    """Put a table into a frame that scrolls, by touch and by keyboard."""
    return element("div", made, class_="frame", tabindex="0", role="region", aria_label=label)


def ranked(results: EvaluationResults, metric: str) -> list[str]:
    """Return the models from best to worst by a metric; those without a value last."""
    sign = 1.0 if definition(metric).better == "lower" else -1.0
    values = {name: model.metrics.get(metric, NOTHING).value for name, model in results.models.items()}
    found = {name: value for name, value in values.items() if value is not None}
    return [
        *sorted(found, key=lambda name: sign * found[name]),
        *(name for name in values if name not in found),
    ]


def cell(page: Page, metric: str, estimate: Estimate, best: bool, mark: Child = None) -> Html:
    """Make the cell of one figure: value, mark, and interval below."""
    ends = page.interval(metric, estimate)
    value = element("b" if best else "span", page.figure(metric, estimate.value))
    told = element("span", page.texts("best_value"), class_="unseen") if best else None
    return element(
        "td", value, mark, told, element("small", ends) if ends else None, class_="best" if best else None
    )


def in_segment(model: ModelResult, name: str, metric: str) -> Estimate:
    """Return a model's figure on one segment."""
    segment = model.segments.get(name)
    return NOTHING if segment is None else segment.metrics.get(metric, NOTHING)


def best_of(metric: str, row: Mapping[str, Estimate]) -> str | None:
    """Return the model with the best figure; None where all are nothing."""
    sign = -1.0 if definition(metric).better == "lower" else 1.0
    values = {model: sign * it.value for model, it in row.items() if it.value is not None}
    return max(values, key=values.__getitem__) if any(values.values()) else None


def terminal_table(
    results: EvaluationResults, k: int | None = None, primary: str | None = None, *, width: int = 100
) -> Table:
    """Return the table that the command line prints: as wide as asked, best values bold, intervals as ±.

    Parameters
    ----------
    results : EvaluationResults
        What the evaluation found.
    k : int or None
        Which cut to show; by default that of the metric that decides.
    primary : str or None
        The metric that orders the models, taken at ``k``; by default the one that the results name.
    width : int
        Columns of the screen; metrics that do not fit are left out, the one that decides never.
    """
    from rich.table import Table
    from rich.text import Text

    chosen, own_k = name_and_k(primary or results.primary)
    cut = own_k if k is None else k
    wanted = chosen if own_k is None else f"{chosen}@{cut}"
    results = results.model_copy(update={"primary": wanted})
    order = wording.primary_of(results)
    shown = _fitting(results, _terminal_columns(results, order, cut), width)
    data = results.dataset
    title = f"{data.name or 'dataset'}: {data.users:,} users, {data.items:,} items"
    made = Table(title=Text(title + (" (simulated data)" if data.simulated else "")), title_justify="left")
    made.add_column("model", no_wrap=True, max_width=LONGEST_NAME, overflow="ellipsis")
    for name in shown:
        made.add_column(wording.metric_title(name), justify="right", no_wrap=True)
    made.add_column("fit", justify="right", no_wrap=True)
    best = {name: results.best(name) for name in shown}
    for model in ranked(results, order):
        found = results.models[model]
        cells = [
            Text(
                _with_margin(name, found.metrics.get(name, NOTHING)),
                style="bold" if best[name] == model else "",
            )
            for name in shown
        ]
        made.add_row(
            Text(model, style="bold" if model == wording.leading(results) else ""),
            *cells,
            wording.duration(found.fit_s),
        )
    return made


def _terminal_columns(results: EvaluationResults, primary: str, k: int | None) -> list[str]:
    """Return the metrics worth showing first, the one that decides before all."""
    present = {name for model in results.models.values() for name in model.metrics}
    wanted = [
        primary,
        *(f"{name}@{k}" for name in ("recall", "ndcg", "coverage", "novelty")),
        "rmse",
        "mae",
        "auc",
        "mrr",
    ]
    return [name for name in dict.fromkeys(wanted) if name in present][:4]


def _fitting(results: EvaluationResults, names: list[str], width: int) -> list[str]:
    """Return the first metrics whose columns, with those of the name and the time, are no wider than asked."""
    edge = 3  # a border and a blank on either side of a cell
    models = results.models.values()
    taken = 1 + 2 * edge + max([len("model"), *(min(len(name), LONGEST_NAME) for name in results.models)])
    taken += max([len("fit"), *(len(wording.duration(model.fit_s)) for model in models)])
    fitting: list[str] = []
    for name in names:
        cells = (len(_with_margin(name, model.metrics.get(name, NOTHING))) for model in models)
        taken += edge + max([len(wording.metric_title(name)), *cells])
        if fitting and taken > width:
            break
        fitting.append(name)
    return fitting


def _with_margin(metric: str, estimate: Estimate) -> str:
    """Write a figure with half the width of its interval."""
    text = wording.figure(metric, estimate.value)
    if estimate.low is None or estimate.high is None:
        return text
    return f"{text} ±{wording.figure(metric, (estimate.high - estimate.low) / 2)}"
