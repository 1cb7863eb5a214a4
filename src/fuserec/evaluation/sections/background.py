"""What stands behind the figures: fusion weights, cost, data, split, environment, configuration, definitions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fuserec.evaluation import wording
from fuserec.evaluation.markup import Html, element
from fuserec.evaluation.page import Page
from fuserec.evaluation.plots import shares
from fuserec.evaluation.tables import ranked, table
from fuserec.metrics import DEFINITIONS, base_name


def weights(page: Page) -> Html | None:
    """Draw what the fusion trusts, by kind of query."""
    texts, found = page.texts, page.results.weights
    if not found:
        return None
    named = {texts.name("cohort", cohort): row for cohort, row in found.items()}
    parts = list(dict.fromkeys(part for row in found.values() for part in row))
    head = page.heads("weights.kind") + [element("th", part, scope="col") for part in parts]
    rows = [
        element(
            "tr",
            element("th", cohort, scope="row"),
            [element("td", f"{row[part]:.3f}" if part in row else "–") for part in parts],
        )
        for cohort, row in named.items()
    ]
    title = texts("figures")
    figures = element("details", element("summary", title), table(head, rows, "figures", label=title))
    drawn = shares(named, parts, lambda share: texts("percent", value=f"{share:.0f}"))
    return page.section("weights", texts("weights.title"), drawn, figures, lead=texts("weights.lead"))


def cost(page: Page) -> Html:
    """Show time and memory."""
    texts = page.texts
    rows = []
    for name in ranked(page.results, page.primary):
        model = page.results.models[name]
        cells = [
            wording.duration(model.fit_s, texts),
            wording.duration(model.score_s, texts),
            f"{model.users / model.score_s:,.0f}" if model.score_s else "–",
            "–" if model.peak_mb is None else f"{model.peak_mb:,.0f} MB",
        ]
        rows.append(element("tr", page.model_name(name), [element("td", text) for text in cells]))
    head = page.heads("col.model", "cost.fit", "cost.score", "cost.rate", "cost.memory")
    made = table(head, rows, "figures", label=texts("cost.title"))
    return page.section("cost", texts("cost.title"), made, lead=texts("cost.lead"))


def about(page: Page) -> Html:
    """Say what a reader needs to judge the figures and to get them again."""
    texts, results = page.texts, page.results
    data = results.dataset
    facts = {
        texts("about.users"): f"{data.users:,}",
        texts("about.items"): f"{data.items:,}",
        texts("about.interactions"): f"{data.interactions:,}",
        texts("about.per_user"): f"{data.interactions / data.users:.1f}" if data.users else "–",
        texts("about.density"): page.share(data.interactions / (data.users * data.items))
        if data.users and data.items
        else "–",
        texts("about.fingerprint"): data.fingerprint,
    }
    split = {texts.name("fact", name): _fact(value) for name, value in results.split.items()}
    environment = {texts.name("fact", name): value for name, value in results.environment.items()}
    used = dict.fromkeys(base_name(name) for model in results.models.values() for name in model.metrics)
    terms = {texts.title(name): wording.meaning(name, texts) for name in DEFINITIONS if name in used}
    configuration = (
        element(
            "details",
            element("summary", texts("about.configuration")),
            element("pre", _as_json(results.configuration), tabindex="0"),
        )
        if results.configuration
        else None
    )
    told = split_text(page)
    return page.section(
        "about",
        texts("about.title"),
        element("p", told) if told else None,
        element("p", texts("about.intervals", level=page.level)),
        element(
            "div",
            _pairs(texts("about.data"), facts),
            _pairs(texts("about.split"), split),
            _pairs(texts("about.environment"), environment),
            class_="grid",
        ),
        element("details", element("summary", texts("about.metrics")), _pairs("", terms), open=True),
        configuration,
    )


def split_kind(page: Page) -> str:
    """Return the name of the split."""
    split = page.results.split
    return str(split.get("kind") or split.get("name") or "")


def split_text(page: Page) -> str:
    """Return what a known split does, and what targets competed with."""
    kind, texts = split_kind(page), page.texts
    named = texts.name("split", kind)
    told = wording.SPLITS.get(kind, "") if named == kind else named
    candidates = page.results.split.get("candidates")
    if candidates is not None:
        return told + texts("sentence_join") * bool(told) + texts("about.sampled", candidates=candidates)
    return told and told + texts("sentence_join") + texts("about.everything")


def _fact(value: Any) -> str:
    """Write a setting for reading: numbers in groups of three digits."""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return value if isinstance(value, str) else _as_json(value)


def _pairs(title: str, values: Mapping[str, str]) -> Html | None:
    """Show names and values."""
    if not values:
        return None
    rows = [(element("dt", name), element("dd", value)) for name, value in values.items()]
    return element("div", element("h3", title) if title else None, element("dl", rows), class_="pairs")


def _as_json(value: Any) -> str:
    """Write settings for reading."""
    return json.dumps(value, ensure_ascii=False, indent=1, default=str)
