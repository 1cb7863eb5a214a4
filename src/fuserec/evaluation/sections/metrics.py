"""All metrics: a fold a family, a row a metric, a column a model; the length of the list is chosen once for all."""

from __future__ import annotations

from collections.abc import Sequence

from fuserec.evaluation import wording
from fuserec.evaluation.markup import Html, element
from fuserec.evaluation.page import Page
from fuserec.evaluation.sections.decides import MARKS, verdict
from fuserec.evaluation.tables import NOTHING, cell, framed, ranked
from fuserec.metrics import DEFINITIONS, base_name, definition, name_and_k

OPEN = frozenset({"accuracy", "rating", "probability", "beyond"})
"""Families that are not folded."""


def metrics(page: Page) -> Html | None:
    """Make the tables of all metrics."""
    families = by_family(page)
    if not families:
        return None
    cuts = page.results.cuts()
    own = name_and_k(page.primary)[1]
    first = cuts.index(own) if own in cuts else 0
    title = page.texts("metrics.title")
    inputs = [
        element("input", type="radio", name="panel", id=f"tab{at}", checked=at == first, class_="tab")
        for at in range(len(cuts))
    ]
    labels = [element("label", page.texts("first_k", k=k), for_=f"tab{at}") for at, k in enumerate(cuts)]
    choice = element("div", labels, class_="tabs", role="group", aria_label=page.texts("k_legend"))
    folds = [_family(page, family, names, cuts) for family, names in families.items()]
    compared = (*page.results.comparisons, *page.results.further)
    marked = any(comparison.reference == page.lead for comparison in compared)
    marks = page.texts("metrics.marks", lead=page.lead) if marked else ""
    lead = page.texts("metrics.lead", level=page.level, marks=marks)
    return page.section(
        "metrics", title, inputs, choice if len(cuts) > 1 else None, element("div", folds), lead=lead
    )


def by_family(page: Page) -> dict[str, list[str]]:
    """Return the metrics that any model has, by family, in the order of their definitions."""
    order = list(DEFINITIONS)
    present = dict.fromkeys(name for model in page.results.models.values() for name in model.metrics)
    ordered = sorted(present, key=lambda it: (order.index(base_name(it)), name_and_k(it)[1] or 0))
    found: dict[str, list[str]] = {}
    for family in dict.fromkeys(it.family for it in DEFINITIONS.values()):
        names = [name for name in ordered if definition(name).family == family]
        if names:
            found[family] = names
    return found


def tab_rules(n: int) -> str:
    """Return the style rules that show the rows of the chosen length; only numbers go into them."""
    rules = [f"#tab{at}:checked~div .panel{at}{{display:table-row-group}}" for at in range(n)]
    rules += [
        f"#tab{at}:checked~.tabs label[for=tab{at}]{{color:var(--ink);border-color:var(--accent)}}"
        for at in range(n)
    ]
    rules += [
        f"#tab{at}:focus-visible~.tabs label[for=tab{at}]{{outline:2px solid var(--accent);outline-offset:3px}}"
        for at in range(n)
    ]
    return "@media screen{" + "".join(rules) + "}"


def _family(page: Page, family: str, names: Sequence[str], cuts: Sequence[int]) -> Html:
    """Make the table of one family."""
    models = ranked(page.results, page.primary)
    head = [element("th", page.texts("col.metric"), scope="col")]
    head += [
        element("th", name, scope="col", title=name, class_="lead-row" if name == page.lead else None)
        for name in models
    ]
    bodies = []
    for at, k in enumerate(cuts):
        chosen = [name for name in names if name_and_k(name)[1] == k]
        bodies.append(_body(page, chosen, models, page.texts("first_k", k=k), f"panel panel{at}"))
    whole = [name for name in names if name_and_k(name)[1] is None]
    label = (
        page.texts("ratings" if family == "rating" else "whole") if family in ("rating", "accuracy") else ""
    )
    bodies.append(_body(page, whole, models, label, "always"))
    title = page.texts(f"family.{family}")
    n = len({name_and_k(name)[0] for name in names})
    made = element("table", element("thead", element("tr", head)), bodies, class_="figures metrics")
    return element(
        "details",
        element("summary", title, element("small", page.texts("count_metrics", n=n))),
        framed(made, title),
        open=family in OPEN,
        class_="family",
    )


def _body(page: Page, names: Sequence[str], models: Sequence[str], label: str, kind: str) -> Html | None:
    """Make the rows of one length of list."""
    if not names:
        return None
    head = element("tr", element("th", label, scope="colgroup", colspan=len(models) + 1), class_="sub")
    return element(
        "tbody", head if label else None, [_row(page, name, models) for name in names], class_=kind
    )


def _row(page: Page, metric: str, models: Sequence[str]) -> Html:
    """Make the row of one metric."""
    best = page.results.best(metric)
    cells = [
        cell(
            page,
            metric,
            page.results.models[model].metrics.get(metric, NOTHING),
            best == model,
            _mark(page, metric, model),
        )
        for model in models
    ]
    shown = page.texts.title(metric)
    return element("tr", element("th", page.term(metric, shown), scope="row"), cells)


def _mark(page: Page, metric: str, model: str) -> Html | None:
    """Say in a sign how a model differs from the leading one, where that was tested."""
    if page.lead is None or model == page.lead:
        return None
    found = wording.versus_on(page.results, metric, model, page.lead)
    if found is None or found.difference is None:
        return None
    kind = verdict(metric, found)
    told = page.texts(f"mark.{kind}", lead=page.lead)
    return element(
        "span",
        element("span", MARKS[kind], aria_hidden="true"),
        element("span", told, class_="unseen"),
        class_=f"mark {kind}",
        title=told,
    )
