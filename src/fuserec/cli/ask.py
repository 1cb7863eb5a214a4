"""``fuserec recommend``, ``similar``, ``search`` and ``explain``: questions to a model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from fuserec.cli.controls import (
    Diversity,
    Fatigue,
    Freshness,
    Less,
    MaxShown,
    More,
    Never,
    NewShare,
    Novelty,
    Shown,
    controls_from,
    shown_from,
)
from fuserec.cli.screen import Debug, Json, Quiet, Screen
from fuserec.errors import RequestError

if TYPE_CHECKING:
    from fuserec.answers import Answer
    from fuserec.reasons import Language
    from fuserec.recommender import Recommender

Model = Annotated[Path, typer.Argument(help="A model folder, made by `fuserec fit`.", show_default=False)]
K = Annotated[int, typer.Option("-k", "--k", help="How many items; fewer come where fewer are eligible.")]
User = Annotated[str | None, typer.Option("--user", "-u", help="A stored user's id.")]
History = Annotated[
    list[str] | None,
    typer.Option("--history", help="Item ids, oldest first, divided by commas; may be given again."),
]
Wanted = Annotated[str | None, typer.Option("--text", "-t", help="What is wanted, in words.")]
Searches = Annotated[
    list[str] | None, typer.Option("--search", help="An earlier search; may be given again, oldest first.")
]
Explain = Annotated[bool, typer.Option("--explain", help="With a reason and the evidence of each item.")]
Filter = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        help='A condition on an item column, e.g. "year>=1990"; may be given again: all have to hold.',
    ),
]
Context = Annotated[
    list[str] | None,
    typer.Option(
        "--context",
        help="Circumstances, e.g. device=mobile,place=home or age=25,month=12; may be given again.",
        metavar="NAME=VALUE,...",
    ),
]
InLanguage = Annotated[str, typer.Option("--language", help="Of the reasons: en or zh.")]


def recommend(
    model: Model,
    user: User = None,
    history: History = None,
    text: Wanted = None,
    search: Searches = None,
    context: Context = None,
    at: Annotated[
        float | None,
        typer.Option("--at", help="The moment of the request, unix seconds.", show_default=False),
    ] = None,
    k: Annotated[
        int | None,
        typer.Option("-k", "--k", help="How many items: 10, or with --min-probability all that reach it."),
    ] = None,
    explain: Explain = False,
    min_probability: Annotated[
        float | None,
        typer.Option("--min-probability", help="Only items at least this probable, from 0 to 1."),
    ] = None,
    filter: Filter = None,
    exclude: Annotated[
        list[str] | None, typer.Option("--exclude", help="Never these item ids, divided by commas.")
    ] = None,
    candidates: Annotated[
        list[str] | None,
        typer.Option(
            "--candidates", help="Only these item ids, divided by commas, or @FILE with one a line."
        ),
    ] = None,
    more: More = None,
    less: Less = None,
    never: Never = None,
    diversity: Diversity = None,
    novelty: Novelty = None,
    freshness: Freshness = None,
    fatigue: Fatigue = None,
    max_shown: MaxShown = None,
    new_share: NewShare = None,
    shown: Shown = None,
    language: InLanguage = "en",
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Recommend items: to a stored user, for a history, a text, searches, or any mix of them."""
    screen = Screen(json, quiet, debug)
    loaded = loaded_model(model)
    answer = loaded.recommend(
        user=user,
        history=_history(loaded, history, search),
        text=text,
        context=context_of(context),
        at=at,
        k=k,
        candidates=None if candidates is None else candidate_ids(loaded, candidates),
        exclude=item_ids(loaded, exclude),
        filters=_filters(filter),
        min_probability=min_probability,
        explain=explain,
        language=cast("Language", language),
        controls=controls_from(
            more,
            less,
            never,
            diversity=diversity,
            novelty=novelty,
            freshness=freshness,
            fatigue=fatigue,
            max_shown=max_shown,
            new_share=new_share,
        ),
        shown=shown_from(shown),
    )
    _show(screen, answer)


def similar(
    model: Model,
    item: Annotated[str, typer.Argument(help="An item's id.", show_default=False)],
    k: K = 10,
    explain: Explain = False,
    language: InLanguage = "en",
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """List what goes with an item: what somebody who took only this one would be recommended."""
    screen = Screen(json, quiet, debug)
    _show(screen, loaded_model(model).similar(item, k, explain=explain, language=cast("Language", language)))


def search(
    model: Model,
    text: Annotated[str, typer.Argument(help="What is searched for.", show_default=False)],
    user: User = None,
    k: K = 10,
    filter: Filter = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Search the catalogue by words and by meaning; for a stored user, with their taste."""
    from fuserec.cli.show import hits_table, warnings_of

    screen = Screen(json, quiet, debug)
    answer = loaded_model(model).search(text, k, user=user, filters=_filters(filter))
    screen.result(answer.to_json(), *([] if screen.json else [hits_table(answer)]))
    for said in warnings_of(answer):
        screen.remark(f"note: {said}")


def explain(
    model: Model,
    item: Annotated[str, typer.Option("--item", "-i", help="The item's id.", show_default=False)],
    user: User = None,
    history: History = None,
    text: Wanted = None,
    context: Context = None,
    language: InLanguage = "en",
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Explain the score of one item: every row of evidence, summing to the score."""
    from fuserec.cli.show import evidence_table, pairs, percent

    screen = Screen(json, quiet, debug)
    loaded, circumstances = loaded_model(model), context_of(context)
    events = _history(loaded, history, None)
    found = loaded.explain(
        item,
        user=user,
        history=events,
        text=text,
        context=circumstances,
        language=cast("Language", language),
    )
    place = f"{found.rank} of {loaded.fitted.dataset.n_items:,}"
    facts = [("item", f"{found.title}  ({found.item_id})"), ("reason", found.reason), ("place", place)]
    facts += [("score", f"{found.score:.4f}"), ("chance", percent(found.probability))]
    screen.result(found.to_json(), pairs(facts), evidence_table(found))
    tell_left_out(screen, loaded, user, events, text, circumstances)


def tell_left_out(
    screen: Screen,
    loaded: Recommender,
    user: str | None,
    history: Sequence[Any],
    text: str | None,
    context: dict[str, str],
) -> None:
    """Say what of a question could not be used, where the answer does not hold it."""
    from fuserec.requests import query_of, resolve

    model, query = loaded.fitted, query_of(user, history, text, context)
    for said in resolve(query, model.dataset, model.reads_columns, model.chain.context_keys).warnings:
        screen.remark(f"note: {said}")


def loaded_model(model: Path) -> Recommender:
    """Read the model folder."""
    from fuserec.recommender import Recommender

    return Recommender.load(model)


def _show(screen: Screen, answer: Answer) -> None:
    """Print an answer."""
    from fuserec.cli.show import answer_table, warnings_of

    screen.result(answer.to_json(), *([] if screen.json else [answer_table(answer)]))
    for said in warnings_of(answer):
        screen.remark(f"note: {said}")


def item_ids(loaded: Recommender, values: Sequence[str] | None) -> list[str]:
    """Return the ids of a repeatable option: a value that is an id itself is one, others are divided at commas."""
    items = loaded.fitted.dataset.items
    found: list[str] = []
    for value in values or ():
        whole = "," not in value or items.index(value.encode("utf-8", "replace").decode("utf-8")) >= 0
        found += [value] if whole else [part.strip() for part in value.split(",")]
    return [identifier for identifier in found if identifier]


def _history(loaded: Recommender, values: Sequence[str] | None, searches: Sequence[str] | None) -> list[Any]:
    """Return the events of a query: items, then searches."""
    from fuserec.data.query import Event

    return [*item_ids(loaded, values), *(Event(text=text, kind="search") for text in searches or ())]


def context_of(values: Sequence[str] | None) -> dict[str, str]:
    """Return the circumstances of --context; a comma divides only where another NAME= follows it."""
    found: dict[str, str] = {}
    for value in values or ():
        for part in re.split(r",(?=[^,=]+=)", value):
            name, sign, said = part.partition("=")
            if not sign or not name.strip():
                raise RequestError(f"--context {part!r}: write NAME=VALUE, e.g. device=mobile,place=home")
            found[name.strip()] = said.strip()
    return found


def candidate_ids(loaded: Recommender, values: Sequence[str]) -> list[str]:
    """Return the ids of --candidates, read from a file where a value begins with @."""
    listed = [value for value in values if not value.startswith("@")]
    found = item_ids(loaded, listed)
    for value in values:
        if value.startswith("@"):
            found += _lines(Path(value[1:]))
    return found


def _lines(path: Path) -> list[str]:
    """Return the ids of a file, one a line."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise RequestError(f"--candidates @{path}: cannot be read ({reason}); give one id a line") from None
    return [line.strip() for line in text.splitlines() if line.strip()]


def _filters(conditions: Sequence[str] | None) -> dict[str, dict[str, list[str]]] | None:
    """Return the filters that the conditions make."""
    if not conditions:
        return None
    from fuserec.filters import parse_filters

    return parse_filters(conditions)
