"""The report: one HTML file that opens offline, in English or Chinese; and the table that the command line prints."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from importlib.resources import files

from fuserec.evaluation.markup import Html, element
from fuserec.evaluation.page import Page
from fuserec.evaluation.results import EvaluationResults, write_text
from fuserec.evaluation.sections.background import about, cost, split_kind, weights
from fuserec.evaluation.sections.believed import believed
from fuserec.evaluation.sections.decides import decides
from fuserec.evaluation.sections.earlier import earlier
from fuserec.evaluation.sections.metrics import metrics, tab_rules
from fuserec.evaluation.sections.people import people
from fuserec.evaluation.sections.places import places
from fuserec.evaluation.sections.rounds import rounds
from fuserec.evaluation.sections.segments import segments
from fuserec.evaluation.sections.tradeoffs import trade_offs
from fuserec.evaluation.summary import summary
from fuserec.evaluation.tables import terminal_table
from fuserec.evaluation.texts import texts_in

__all__ = ["terminal_table", "to_html", "write_html"]

SECTIONS: tuple[tuple[str, Callable[[Page], Html | None]], ...] = (
    ("primary", decides),
    ("baseline.title", earlier),
    ("rounds.title", rounds),
    ("segments.title", segments),
    ("trade.title", trade_offs),
    ("calibration.title", believed),
    ("popularity.title", places),
    ("metrics.title", metrics),
    ("sample.title", people),
    ("weights.title", weights),
    ("cost.title", cost),
    ("about.title", about),
)
"""What stands on the page, from top to bottom, by the text of its entry in the contents."""


def write_html(results: EvaluationResults, path: str | os.PathLike[str], language: str = "en") -> None:
    """Write the report as one self-contained HTML file: no script and no request, for screen and paper.

    Parameters
    ----------
    results : EvaluationResults
        What the evaluation found; every text in it is escaped.
    path : path
        The file; it is whole or not there.
    language : {"en", "zh"}
        Of everything but what the data say themselves.

    Raises
    ------
    DataError
        If the file cannot be written.
    RequestError
        If there is no report in the language.
    """
    write_text(path, to_html(results, language))


def to_html(results: EvaluationResults, language: str = "en") -> str:
    """Return the report as HTML text."""
    page = Page(results, texts_in(language))
    texts = page.texts
    title = texts("title", name=results.dataset.name or texts("a_dataset"))
    made = [(key, section) for key, make in SECTIONS if (section := make(page)) is not None]
    main = element(
        "main", _header(page, title), _summary(page), _contents(page, made), [section for _, section in made]
    )
    return document(title, main, language, tab_rules(len(results.cuts())))


def document(title: str, main: Html, language: str, rules: str = "") -> str:
    """Return a whole page around its main part: style, and a policy that forbids scripts and requests.

    Parameters
    ----------
    title : str
    main : Html
    language : {"en", "zh"}
    rules : str
        Style rules of this page alone.
    """
    # The page forbids itself every request and every script, whatever it were to contain.
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    style = files("fuserec.evaluation").joinpath("report.css").read_text("utf-8")
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", Html(style + rules)),
    )
    whole = element("html", head, element("body", main), lang={"zh": "zh-CN"}.get(language, language))
    return f"<!doctype html>\n{whole}\n"


def _header(page: Page, title: str) -> Html:
    """Say what was evaluated, on what, when, and whether the data are made up."""
    data, texts = page.results.dataset, page.texts
    counts = (("users", data.users), ("items", data.items), ("interactions", data.interactions))
    facts = [texts(key, n=f"{n:,}") for key, n in counts]
    split = split_kind(page)
    facts += [texts("split", name=texts.name("split_kind", split))] if split else []
    facts += [texts("measured_on", date=texts.day(page.results.made))] if page.results.made else []
    marked = None
    if data.simulated:
        told = element("b", texts("simulated")), " ", texts("simulated_text")
        marked = element("p", told, class_="banner", role="note")
    shown = [element("span", fact) for fact in facts]
    return element("header", element("h1", title), element("p", shown, class_="facts"), marked)


def _summary(page: Page) -> Html:
    """Say in words what was found."""
    first, *rest = summary(page.results, page.texts)
    notes = page.results.notes
    told = element("ul", [element("li", page.texts.note(note)) for note in notes], class_="notes")
    return element(
        "section",
        element("p", first, class_="headline"),
        [element("p", line) for line in rest],
        told if notes else None,
        class_="card",
        id="summary",
    )


def _contents(page: Page, made: Sequence[tuple[str, Html]]) -> Html:
    """Make the contents: a link to each section."""
    anchors = {
        "primary": ("primary", page.metric(page.primary) if page.results.models else ""),
        "trade.title": ("trade-offs", page.texts("trade.title")),
        "popularity.title": ("places", page.texts("popularity.title")),
    }
    links = []
    for key, _ in made:
        anchor, title = anchors.get(key) or (key.split(".")[0], page.texts(key))
        links.append(element("li", element("a", title, href=f"#{anchor}")))
    return element("nav", element("ul", links), class_="contents", aria_label=page.texts("contents"))
