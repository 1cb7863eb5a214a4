"""The report's table of folds or windows: the metric that decides, round by round."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fuserec.evaluation import wording
from fuserec.evaluation.markup import Html, element
from fuserec.evaluation.tables import NOTHING, cell, ranked, table

if TYPE_CHECKING:
    from fuserec.evaluation.results import EvaluationResults


def rounds_table(results: EvaluationResults) -> Html:
    """Make a row a round: who was asked, what was known, and the figure of each model, best model first."""
    metric = wording.primary_of(results)
    names = ranked(results, metric)
    head = [element("th", title, scope="col") for title in ("Round", "Users", "Targets", "Known", *names)]
    rows = [
        element(
            "tr",
            element("th", one.name, scope="row"),
            [element("td", f"{count:,}") for count in (one.users, one.targets, one.train)],
            [cell(metric, one.models.get(name, {}).get(metric, NOTHING), False) for name in names],
        )
        for one in results.rounds
    ]
    return table(head, rows, "figures")
