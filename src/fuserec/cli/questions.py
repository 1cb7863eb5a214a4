"""``fuserec ask``: which item to ask somebody new about next."""

from __future__ import annotations

from typing import Annotated

import typer

from fuserec.cli.ask import (
    Context,
    History,
    Model,
    Wanted,
    candidate_ids,
    context_of,
    item_ids,
    loaded_model,
)
from fuserec.cli.screen import Debug, Json, Quiet, Screen

Ids = list[str] | None


def ask(
    model: Model,
    history: History = None,
    disliked: Annotated[
        Ids, typer.Option("--disliked", help="Ids of items they know and do not like, divided by commas.")
    ] = None,
    unknown: Annotated[
        Ids, typer.Option("--unknown", help="Ids of items they were asked about and do not know.")
    ] = None,
    text: Wanted = None,
    context: Context = None,
    k: Annotated[
        int,
        typer.Option("-k", "--k", help="How many; the first is the one to ask, the others stand in for it."),
    ] = 1,
    exclude: Annotated[
        Ids, typer.Option("--exclude", help="Never ask about these item ids, divided by commas.")
    ] = None,
    candidates: Annotated[
        Ids,
        typer.Option(
            "--candidates", help="Ask only about these item ids, divided by commas, or @FILE with one a line."
        ),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Choose what to ask somebody new about next: the item whose answer tells most about their taste.

    Ask, add the answer to --history, --disliked or --unknown, and call again.
    """
    from fuserec.cli.show import questions_table
    from fuserec.data.query import Event

    screen = Screen(json, quiet, debug)
    loaded = loaded_model(model)
    answers: list[str | Event] = [
        *item_ids(loaded, history),
        *(Event(item=one, kind="dislike") for one in item_ids(loaded, disliked)),
    ]
    found = loaded.ask(
        answers,
        text,
        k,
        None if candidates is None else candidate_ids(loaded, candidates),
        item_ids(loaded, exclude),
        unknown=item_ids(loaded, unknown),
        context=context_of(context),
    )
    screen.result(found.to_json(), *([] if screen.json else [questions_table(found)]))
    for said in (*found.warnings, *([found.note] if found.note else [])):
        screen.remark(f"note: {said}")
