"""A few users: what they did, what came next, and what each model showed them, side by side."""

from __future__ import annotations

from fuserec.evaluation.markup import Html, element
from fuserec.evaluation.page import Page
from fuserec.evaluation.results import SampleItem, SampleUser
from fuserec.evaluation.tables import ranked

WHY = frozenset({"gain", "loss", "cold", "short", "typical"})
"""What a user can be an example of."""


def people(page: Page) -> Html | None:
    """Show the sample of users."""
    if not page.results.sample:
        return None
    users = [_user(page, user) for user in page.results.sample]
    return page.section("sample", page.texts("sample.title"), users, lead=page.texts("sample.lead"))


def _user(page: Page, user: SampleUser) -> Html:
    """Show one user: why, the history, what came next, and the lists."""
    texts = page.texts
    places = {name: at for at, name in enumerate([page.lead, *ranked(page.results, page.primary)])}
    order = sorted(user.lists, key=lambda name: (name != page.lead, places.get(name, len(places))))
    title = texts("sample.user", user=user.user_id)
    why = None
    if user.why in WHY:
        badge = element("b", texts(f"why.{user.why}"), class_=f"badge {user.why}")
        why = element("p", badge, " ", texts(f"why.{user.why}.text", lead=page.lead), class_="why")
    facts = [
        (element("dt", texts(key)), element("dd", texts("item_join").join(told) or texts("none")))
        for key, told in (("sample.before", user.history), ("sample.then", user.targets))
    ]
    lists = [_list(page, name, user.lists[name]) for name in order]
    label = f"{title}{texts('colon')}{texts('sample.lists')}"
    return element(
        "article",
        element("h3", title),
        why,
        element("dl", facts),
        element("div", lists, class_="lists", tabindex="0", role="region", aria_label=label),
        class_="card",
    )


def _list(page: Page, name: str, items: list[SampleItem]) -> Html:
    """Show one model's list."""
    places = [_place(page, item) for item in items]
    shown = element("ol", places) if places else element("p", page.texts("sample.empty"), class_="said")
    return element("div", element("h4", name), shown, class_="list strong" if name == page.lead else "list")


def _place(page: Page, item: SampleItem) -> Html:
    """Show one place of a list."""
    told = item.reasons.get(page.texts.language) or item.reason
    hit = element("span", "✓ ", page.texts("sample.hit"), class_="taken") if item.hit else None
    reason = element("small", told) if told else None
    return element("li", item.title or item.item_id, hit, reason, class_="hit" if item.hit else None)
