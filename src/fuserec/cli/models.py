"""``fuserec models``: language models, fetched once (here), tuned, made smaller and compared (``language``)."""

from __future__ import annotations

from typing import Annotated

import typer

from fuserec.cli.screen import Debug, Json, Quiet, Screen
from fuserec.errors import RequestError, nearest

models = typer.Typer(help="Language models that read text.", no_args_is_help=True)

NAMES = ("minilm",)


@models.callback()
def _group() -> None:
    """Language models that read text."""


@models.command()
def install(
    name: Annotated[str, typer.Argument(help="Which model: minilm.", show_default=False)],
    json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Fetch the weights of a model into the cache, check them, and convert them; does nothing the second time."""
    screen = Screen(json, quiet, debug)
    if name not in NAMES:
        raise RequestError(
            f"there is no model {name!r} to install{nearest(name, NAMES)} (known: {', '.join(NAMES)})"
        )
    from fuserec.cli.show import pairs
    from fuserec.encoders import minilm
    from fuserec.encoders.sentence import SentenceEncoder

    with screen.working(f"{name} is ready") as run:
        folder = minilm.install(run)
        encoder = SentenceEncoder().load(run)
    facts = {"name": minilm.REPOSITORY, "folder": str(folder), "sha256": minilm.SHA256}
    facts |= {"encoder": encoder.fingerprint}
    screen.result(facts, pairs(list(facts.items())))
