"""The report's tables: metrics by k, figures by segment, cost; and the table of the command line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from fuserec.evaluation import wording
from fuserec.evaluation.markup import Child, Html, element
from fuserec.evaluation.results import EvaluationResults, ModelResult
from fuserec.evaluation.statistics import Estimate
from fuserec.metrics import DEFINITIONS, base_name, definition, name_and_k

if TYPE_CHECKING:
    from rich.table import Table

NOTHING = Estimate(None)

LONGEST_NAME = 18
"""Characters of a model's name that the command line shows."""

APART = ("outcomes", "fairness", "information", "ethics", "stability", "text")
"""Families that have a panel of their own."""


def table(head: Iterable[Child], rows: Iterable[Html], kind: str = "") -> Html:
    """Make a table that scrolls within its own frame where the page is too narrow for it."""
    made = element(
        "table", element("thead", element("tr", head)), element("tbody", rows), class_=kind or None
    )
    return element("div", made, class_="frame", tabindex="0", role="region", aria_label="table")


def ranked(results: EvaluationResults, metric: str) -> list[str]:
    """Return the models from best to worst by a metric; those without a value last."""
    sign = 1.0 if definition(metric).better == "lower" else -1.0
    values = {name: model.metrics.get(metric, NOTHING).value for name, model in results.models.items()}
    found = {name: value for name, value in values.items() if value is not None}
    return [
        *sorted(found, key=lambda name: sign * found[name]),
        *(name for name in values if name not in found),
    ]


def panels(results: EvaluationResults) -> dict[str, list[str]]:
    """Return the metrics of each panel of the big table: one per k, one for those without, one per further family."""
    order = list(DEFINITIONS)
    every = dict.fromkeys(name for model in results.models.values() for name in model.metrics)
    names = [name for name in every if definition(name).family not in APART]
    found: dict[str, list[str]] = {}
    for k in [*results.cuts(), None]:
        chosen = [name for name in names if name_and_k(name)[1] == k]
        if chosen:
            rated = all(definition(name).family == "rating" for name in chosen)
            title = f"first {k}" if k is not None else "ratings" if rated else "whole ranking"
            found[title] = sorted(chosen, key=lambda name: order.index(base_name(name)))
    for family in APART:
        chosen = [name for name in every if definition(name).family == family]
        if chosen:
            found[family] = chosen
    return found


def metric_table(results: EvaluationResults, names: list[str]) -> Html:
    """Make one panel of the table of metrics."""
    head = [element("th", "Model", scope="col")]
    several = len({name_and_k(name)[1] for name in names}) > 1
    head += [
        element(
            "th",
            element(
                "abbr",
                wording.metric_title(name) if several else definition(name).title,
                title=wording.meaning(name),
            ),
            scope="col",
        )
        for name in names
    ]
    best = {name: results.best(name) for name in names}
    rows = [
        element(
            "tr",
            name_cell(results, model),
            [
                cell(name, results.models[model].metrics.get(name, NOTHING), best[name] == model)
                for name in names
            ],
        )
        for model in ranked(results, wording.primary_of(results))
    ]
    return table(head, rows, "figures")


def name_cell(results: EvaluationResults, name: str) -> Html:
    """Make the heading of a model's row."""
    return element(
        "th", name, scope="row", title=name, class_="lead-row" if name == wording.leading(results) else None
    )


def cell(metric: str, estimate: Estimate, best: bool) -> Html:
    """Make the cell of one figure."""
    ends = wording.interval(metric, estimate)
    value = element("b" if best else "span", wording.figure(metric, estimate.value))
    return element("td", value, element("small", ends) if ends else None, class_="best" if best else None)


def in_segment(model: ModelResult, name: str, metric: str) -> Estimate:
    """Return a model's figure on one segment."""
    segment = model.segments.get(name)
    return NOTHING if segment is None else segment.metrics.get(metric, NOTHING)


def best_of(metric: str, row: Mapping[str, Estimate]) -> str | None:
    """Return the model with the best figure; None where all are nothing."""
    sign = -1.0 if definition(metric).better == "lower" else 1.0
    values = {model: sign * it.value for model, it in row.items() if it.value is not None}
    return max(values, key=values.__getitem__) if any(values.values()) else None


def segment_table(
    results: EvaluationResults, found: Mapping[str, Mapping[str, Estimate]], metric: str
) -> Html:
    """Make the table of one metric by model and segment."""
    head = [element("th", "Model", scope="col")]
    head += [element("th", wording.segment_title(name), scope="col") for name in found]
    top = {name: best_of(metric, row) for name, row in found.items()}
    rows = [
        element(
            "tr",
            name_cell(results, model),
            [cell(metric, found[name][model], top[name] == model) for name in found],
        )
        for model in ranked(results, metric)
    ]
    return table(head, rows, "figures")


def cost_table(results: EvaluationResults) -> Html:
    """Make the table of what each model cost."""
    titles = ("Model", "Fit", "Scoring all users", "Users per second", "Peak memory")
    rows = []
    for name in ranked(results, wording.primary_of(results)):
        model = results.models[name]
        memory = "–" if model.peak_mb is None else f"{model.peak_mb:,.0f} MB"
        rows.append(
            element(
                "tr",
                name_cell(results, name),
                element("td", wording.duration(model.fit_s)),
                element("td", wording.duration(model.score_s)),
                element("td", f"{model.users / model.score_s:,.0f}" if model.score_s else "–"),
                element("td", memory),
            )
        )
    return table([element("th", title, scope="col") for title in titles], rows, "figures")


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
