"""``fuserec judge``: what a fine-tuned language model says of somebody and an item."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fuserec.cli.ask import (
    Context,
    History,
    Model,
    User,
    Wanted,
    context_of,
    item_ids,
    loaded_model,
    tell_left_out,
)
from fuserec.cli.screen import Debug, Json, Quiet, Screen

if TYPE_CHECKING:
    from fuserec.judged import Judgement

SHOWN = 3
"""Classes that are told, the likeliest ones."""

MOST_DIGITS = 6
"""Behind the point of a percentage, where a chance and its threshold are nearly the same."""


def judge(
    model: Model,
    item: Annotated[str, typer.Option("--item", "-i", help="The item's id.", show_default=False)],
    user: User = None,
    history: History = None,
    text: Wanted = None,
    context: Context = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Judge how well an item suits somebody: what each head of the part language_pair says of their texts."""
    from fuserec.cli.show import pairs

    screen = Screen(json, quiet, debug)
    loaded, circumstances = loaded_model(model), context_of(context)
    events = item_ids(loaded, history)
    found = loaded.judge(item, user=user, history=events, text=text, context=circumstances)
    title = loaded.fitted.titles[loaded.fitted.item(item)]
    value = {"item_id": item, "title": title, "heads": [one.to_json() for one in found]}
    screen.result(value, pairs([("item", f"{title}  ({item})"), *((one.head, _said(one)) for one in found)]))
    tell_left_out(screen, loaded, user, events, text, circumstances)
    if all(one.value is None and not one.shares for one in found):
        screen.remark(
            "note: there is no text of who asks (a --user who liked something, a --history, a --text), or none of the "
            "item"
        )


def _said(one: Judgement) -> str:
    """Return what a head says in words."""
    from fuserec.cli.show import percent

    if one.shares:
        best = sorted(one.shares.items(), key=lambda pair: -pair[1])[:SHOWN]
        return ", ".join(f"{name} {percent(share)}" for name, share in best)
    if one.value is None:
        return "no text to read"
    if one.meaning == "value":
        return f"{one.value:.2f}"
    if one.threshold is None:
        return percent(one.value)
    said, ends = _apart(one.value, one.threshold)
    return f"{said} ({'yes' if one.value > one.threshold else 'no'}, from {ends} on)"


def _apart(value: float, threshold: float) -> tuple[str, str]:
    """Return two probabilities in words, with more digits where fewer would make them look alike."""
    from fuserec.cli.show import percent

    few = percent(value), percent(threshold)
    more = [(f"{100 * value:.{n}f} %", f"{100 * threshold:.{n}f} %") for n in range(1, MOST_DIGITS + 1)]
    return next((told for told in (few, *more) if told[0] != told[1]), few)
