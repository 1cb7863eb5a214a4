"""Folds or windows, where there are several: the metric that decides, round by round."""

from __future__ import annotations

from fuserec.evaluation.markup import Html, element
from fuserec.evaluation.page import Page
from fuserec.evaluation.tables import NOTHING, cell, ranked, table


def rounds(page: Page) -> Html | None:
    """Make a row a round: who was asked, what was known, and the figure of each model, best model first."""
    found, texts, metric = page.results.rounds, page.texts, page.primary
    if not found:
        return None
    names = ranked(page.results, metric)
    head = page.heads("rounds.round", "col.users", "rounds.targets", "rounds.known")
    head += [element("th", name, scope="col") for name in names]
    rows = [
        element(
            "tr",
            element("th", texts.place(one.name), scope="row"),
            [element("td", f"{count:,}") for count in (one.users, one.targets, one.train)],
            [cell(page, metric, one.models.get(name, {}).get(metric, NOTHING), False) for name in names],
        )
        for one in found
    ]
    title = texts("rounds.title")
    return page.section("rounds", title, table(head, rows, "figures", label=title), lead=texts("rounds.lead"))
