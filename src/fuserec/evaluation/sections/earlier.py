"""What changed since an earlier run: on each metric, for whom, and how sure that is."""

from __future__ import annotations

from fuserec.evaluation import wording
from fuserec.evaluation.compared import Change, ModelPair, UserChange
from fuserec.evaluation.comparison_tables import MOST_DETAILED, gains
from fuserec.evaluation.markup import Html, element
from fuserec.evaluation.page import Page
from fuserec.evaluation.results import THIS_RUN
from fuserec.evaluation.sections.decides import MARKS, verdict
from fuserec.evaluation.tables import table


def earlier(page: Page) -> Html | None:
    """Show the comparison with an earlier run, where one was asked for."""
    found = page.results.baseline
    if found is None or not found.pairs:
        return None
    told = [element("p", _verdict(page, pair)) for pair in found.pairs]
    parts = [_segments(page, pair) for pair in found.pairs[:MOST_DETAILED]]
    remarks = [element("li", page.texts.note(remark)) for remark in found.remarks]
    return page.section(
        "baseline",
        page.texts("baseline.title"),
        told,
        _figures(page, found.pairs),
        parts,
        element("ul", remarks, class_="notes") if remarks else None,
        lead=page.texts("baseline.lead", level=page.level),
    )


def _name(page: Page, name: str) -> str:
    """Return a model's name, that of this run in the language of the page."""
    here = f"{THIS_RUN}:"
    return f"{page.texts('baseline.this')}:{name.removeprefix(here)}" if name.startswith(here) else name


def _verdict(page: Page, pair: ModelPair) -> str:
    """Say in one sentence what the deciding metric says."""
    change = pair.changes[0]
    return page.texts.percent(
        page.texts(
            "baseline.said",
            model=_name(page, pair.model),
            reference=_name(page, pair.reference),
            metric=page.metric(change.metric),
            verdict=wording.verdict(change.metric, change.difference, page.texts),
        )
    )


def _figures(page: Page, pairs: list[ModelPair]) -> Html:
    """Make a row a metric and pair of models."""
    heads = (
        "col.model",
        "col.metric",
        "baseline.before",
        "baseline.after",
        "col.difference",
        "col.p",
        "col.verdict",
    )
    rows = [
        element(
            "tr",
            element("th", _name(page, pair.model), scope="row", title=pair.model),
            element("td", page.term(change.metric)),
            _cells(page, change),
            _judged(page, change),
        )
        for pair in pairs
        for change in pair.changes
    ]
    return table(page.heads(*heads), rows, "figures", label=page.texts("baseline.title"))


def _cells(page: Page, change: Change) -> list[Html]:
    """Make the cells of both figures, their difference with its interval, and its p-value."""
    gap, metric = change.difference, change.metric
    ends = None
    if gap.low is not None and gap.high is not None:
        both = [page.texts.percent(wording.plus(metric, end)) for end in (gap.low, gap.high)]
        ends = element("small", page.texts("range_below", low=both[0], high=both[1]))
    p = gap.p if gap.p_holm is None else gap.p_holm
    return [
        element("td", page.figure(metric, change.before)),
        element("td", page.figure(metric, change.after)),
        element("td", page.signed(metric, gap) or "–", ends),
        element("td", wording.p_value(p) or "–"),
    ]


def _judged(page: Page, change: Change) -> Html:
    """Make the cell of the verdict."""
    said = verdict(change.metric, change.difference)
    return element("td", f"{MARKS[said]} {page.texts(f'verdict.{said}')}", class_=said)


def _segments(page: Page, pair: ModelPair) -> Html | None:
    """Make the table of who gains and who loses, and name users where their ids were kept."""
    if not pair.segments:
        return None
    texts, everybody = page.texts, pair.changes[0].difference.users
    parts = [change for change in pair.segments if change.difference.users < everybody]
    heads = ("baseline.whom", "col.users", "baseline.before", "baseline.after", "col.difference", "col.p")
    rows = []
    for change in (pair.changes[0], *parts):
        title = (
            wording.segment_title(change.segment, texts) if change.segment else texts("baseline.everybody")
        )
        shares = [element("td", "–" if share is None else page.share(share)) for share in gains(change)]
        cells = element("td", f"{change.difference.users:,}"), _cells(page, change), shares
        rows.append(element("tr", element("th", title, scope="row", title=title), cells))
    named = [
        element("li", _person(page, key, one))
        for key, people in (("gained", pair.gained), ("lost", pair.lost))
        for one in people
    ]
    title = texts(
        "baseline.people", model=_name(page, pair.model), metric=page.metric(pair.changes[0].metric)
    )
    head = page.heads(*heads, "baseline.gain", "baseline.lose")
    return element(
        "details",
        element("summary", title),
        table(head, rows, "figures", label=title),
        element("ul", named, class_="notes") if named else None,
        open=True,
    )


def _person(page: Page, key: str, one: UserChange) -> str:
    """Say how much a user gained or lost."""
    return page.texts(
        f"baseline.{key}",
        user=one.user,
        before=f"{one.before:.4f}",
        after=f"{one.after:.4f}",
        history=f"{one.history:,}",
        times=f"{one.target_interactions:,}",
    )
