"""The metric that decides: bars, and how every model differs from the leading one."""

from __future__ import annotations

from fuserec.evaluation import wording
from fuserec.evaluation.markup import Html, element
from fuserec.evaluation.page import Page
from fuserec.evaluation.plots import Bar, bars
from fuserec.evaluation.statistics import Difference, Estimate
from fuserec.evaluation.tables import NOTHING, ranked, table
from fuserec.metrics import definition

MARKS = {"better": "▲", "worse": "▼", "chance": "≈", "differs": "◆"}
"""Signs of the verdicts on a difference."""

EXTRAS = {
    "adjusted": "p_holm",
    "effect": "effect",
    "above": "above",
    "below": "below",
}
"""What a difference may carry beside its interval: column of the table, and what it is called there."""


def extra(found: Difference, kind: str) -> float | None:
    """Return a further figure of a difference, where it has it."""
    value = getattr(found, EXTRAS[kind])
    return None if value is None else float(value)


def verdict(metric: str, found: Difference) -> str:
    """Return whether a model is ``better``, ``worse``, merely ``differs``, or is within ``chance``."""
    if found.difference is None or not wording.clear(found):
        return "chance"
    better = definition(metric).better
    if better == "neither":
        return "differs"
    return "better" if (found.difference > 0) == (better == "higher") else "worse"


def bar(page: Page, name: str, estimate: Estimate, note: str = "") -> Bar:
    """Make one row of a bar plot for a model."""
    return Bar(name, estimate.value, estimate.low, estimate.high, name == page.lead, note)


def decides(page: Page) -> Html | None:
    """Draw the metric that decides, with paired differences from the leading model."""
    results, metric, lead, texts = page.results, page.primary, page.lead, page.texts
    if lead is None:
        return None
    rows = [
        bar(page, name, results.models[name].metrics.get(metric, NOTHING), _note(page, name, lead))
        for name in ranked(results, metric)
    ]
    said = [wording.meaning(metric, texts), texts("primary.interval", level=page.level)]
    if any(row.note for row in rows):
        said.append(texts("primary.paired", lead=lead))
    dots = definition(metric).family == "rating"
    plot = bars(rows, *page.formats(metric), dots=dots, missing=texts("no_value"))
    lead_text = texts("sentence_join").join(said)
    return page.section("primary", page.metric(metric), plot, _differences(page, lead), lead=lead_text)


def _note(page: Page, name: str, lead: str) -> str:
    """Say how a model differs from the leading one."""
    found = wording.versus(page.results, name, lead) if name != lead else None
    if found is None or found.difference is None:
        return ""
    change = page.signed(page.primary, found)
    if verdict(page.primary, found) == "chance":
        return page.texts("chance_note", change=change)
    return change


def _differences(page: Page, lead: str) -> Html | None:
    """Make the table of all paired differences from the leading model, with what they carry."""
    found = [
        (comparison.metric, name, difference)
        for comparison in page.results.comparisons
        if comparison.reference == lead
        for name, difference in comparison.models.items()
        if difference.difference is not None
    ]
    if not found:
        return None
    several = len({metric for metric, _, _ in found}) > 1
    kinds = [
        kind for kind in EXTRAS if any(extra(difference, kind) is not None for _, _, difference in found)
    ]
    head = page.heads("col.model", *(["col.metric"] if several else []), "col.difference", "col.p")
    head += page.heads(*(f"col.{kind}" for kind in kinds), "col.users", "col.verdict")
    rows = [
        element(
            "tr",
            page.model_name(name),
            element("td", page.term(metric)) if several else None,
            _cells(page, metric, difference, kinds),
        )
        for metric, name, difference in found
    ]
    alpha = f"{1 - page.results.level:.2g}"
    corrected = page.texts("differences.corrected", alpha=alpha) if "adjusted" in kinds else ""
    told = [page.texts("differences.lead", lead=lead, level=page.level, corrected=corrected)]
    told += [page.texts("differences.further")] if "effect" in kinds else []
    title = page.texts("differences", lead=lead)
    return element(
        "details",
        element("summary", title),
        element("p", page.texts("sentence_join").join(told), class_="lead"),
        table(head, rows, "figures", label=title),
    )


def _cells(page: Page, metric: str, found: Difference, kinds: list[str]) -> list[Html]:
    """Make the cells of one difference."""
    texts = page.texts
    ends = [
        page.texts.percent(wording.plus(metric, end)) for end in (found.low, found.high) if end is not None
    ]
    said = verdict(metric, found)
    seen = None
    if found.detectable is not None:
        seen = element("small", texts("detectable", value=page.figure(metric, found.detectable)))
    values = [
        wording.p_value(found.p) or "–",
        *(_further(page, found, kind) for kind in kinds),
        f"{found.users:,}",
    ]
    return [
        element("td", page.signed(metric, found), element("small", " … ".join(ends) or "–"), seen),
        *(element("td", value) for value in values),
        element("td", f"{MARKS[said]} {texts(f'verdict.{said}')}", class_=said),
    ]


def _further(page: Page, found: Difference, kind: str) -> str:
    """Write what a difference carries beside its interval."""
    value = extra(found, kind)
    if value is None:
        return "–"
    if kind in ("above", "below"):
        return page.share(value)
    return wording.p_value(value) if kind == "adjusted" else f"{round(value, 2) + 0.0:+.2f}".replace("-", "−")
