"""Dials on the command line: options of ``fuserec recommend``, and ``fuserec control``, which keeps a user's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fuserec.alone import alone
from fuserec.cli.screen import Debug, Json, Quiet, Screen
from fuserec.errors import RequestError

if TYPE_CHECKING:
    from fuserec.control.controls import Controls

STRENGTH = 0.5
"""How strong a topic is without a number."""

More = Annotated[
    list[str] | None,
    typer.Option(
        "--more",
        help='More of a topic: "COLUMN: VALUE", a category, tag or brand, or any words; with its strength behind "=", '
        "0.5 without; may be given again.",
        metavar="TOPIC[=S]",
    ),
]
Less = Annotated[
    list[str] | None, typer.Option("--less", help="Less of a topic, as --more.", metavar="TOPIC[=S]")
]
Never = Annotated[
    list[str] | None,
    typer.Option("--never", help='Never this item id, "COLUMN: VALUE", condition, category, tag or brand.'),
]
Diversity = Annotated[
    float | None, typer.Option("--diversity", help="How different items are, 0 to 1.", show_default=False)
]
Novelty = Annotated[
    float | None, typer.Option("--novelty", help="How little known items are, 0 to 1.", show_default=False)
]
Freshness = Annotated[
    float | None, typer.Option("--freshness", help="How new items are, 0 to 1.", show_default=False)
]
Fatigue = Annotated[
    float | None,
    typer.Option("--fatigue", help="How far what was shown and not taken sinks, 0 to 1.", show_default=False),
]
MaxShown = Annotated[
    int | None,
    typer.Option("--max-shown", help="Show an item that is not taken at most so often.", show_default=False),
]
NewShare = Annotated[
    float | None,
    typer.Option("--new-share", help="Share of places for new items, 0 to 1.", show_default=False),
]
Shown = Annotated[
    list[str] | None,
    typer.Option(
        "--shown", help="An item that was shown before: ID, or ID@UNIX_SECONDS; may be given again."
    ),
]
Model = Annotated[Path, typer.Argument(help="A model folder, made by `fuserec fit`.", show_default=False)]


def control(
    model: Model,
    user: Annotated[str, typer.Option("--user", "-u", help="The user's id.", show_default=False)],
    more: More = None,
    less: Less = None,
    never: Never = None,
    diversity: Diversity = None,
    novelty: Novelty = None,
    freshness: Freshness = None,
    fatigue: Fatigue = None,
    max_shown: MaxShown = None,
    new_share: NewShare = None,
    clear: Annotated[
        bool, typer.Option("--clear", help="Take away what is kept; options beside it start anew.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Keep a user's dials in a model, added to those kept already; without options show them."""
    screen = Screen(json, quiet, debug)
    from fuserec.recommender import Recommender

    said = controls_from(
        more,
        less,
        never,
        diversity=diversity,
        novelty=novelty,
        freshness=freshness,
        fatigue=fatigue,
        max_shown=max_shown,
        new_share=new_share,
    )
    if said is None and not clear:
        found = Recommender.load(model).controls(user)
    else:
        with alone(model):
            loaded = Recommender.load(model)
            loaded.set_controls(user, said if clear or said is None else said.over(loaded.controls(user)))
            found = loaded.controls(user)
            loaded.save(model)
    screen.result({"user": user, "controls": found.told()}, *([] if screen.json else [table(found)]))


def controls_from(
    more: Sequence[str] | None, less: Sequence[str] | None, never: Sequence[str] | None, **numbers: Any
) -> Controls | None:
    """Return the dials that options name; None where there are none.

    Raises
    ------
    ConfigError, RequestError
        For a strength or value that is not allowed.
    """
    from fuserec.control.controls import Controls

    values: dict[str, Any] = {name: value for name, value in numbers.items() if value is not None}
    for name, topics in (("more", more), ("less", less)):
        if topics:
            values[name] = dict(map(_topic, topics))
    if never:
        values["never"] = list(never)
    return Controls.parse(values, "dials") if values else None


def _topic(text: str) -> tuple[str, float]:
    """Return topic and strength of ``Jazz=0.8``; a condition such as ``year>=1990`` is a topic as a whole."""
    named, sign, number = text.rpartition("=")
    try:
        strength = float(number)
    except ValueError:
        strength = float("nan")
    if sign and named.strip() and named[-1] not in "<>!" and 0 <= strength <= 1:
        return named, strength
    return text, STRENGTH


def shown_from(values: Sequence[str] | None) -> list[Any]:
    """Return what was shown: ids, and pairs of id and moment.

    Raises
    ------
    RequestError
        For a moment that is no number.
    """
    found: list[Any] = []
    for value in values or ():
        item, sign, moment = value.rpartition("@")
        if not sign:
            found.append(value)
            continue
        try:
            found.append((item, float(moment)))
        except ValueError:
            raise RequestError(f"--shown {value!r}: behind @ stands a moment in unix seconds") from None
    return found


def table(controls: Controls) -> Any:
    """Return the dials as a table."""
    from fuserec.cli.show import pairs

    rows = []
    for name, value in controls.told().items():
        if isinstance(value, dict):
            rows += [(name, f"{topic}  {strength:g}") for topic, strength in value.items()]
        else:
            rows.append((name, ", ".join(map(str, value)) if isinstance(value, list) else f"{value}"))
    return pairs(rows or [("dials", "none is set")])
