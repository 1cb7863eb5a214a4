"""The option ``--track``, which every command that learns has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fuserec.config import RecommenderConfig

Track = Annotated[
    list[str] | None,
    typer.Option(
        "--track",
        help="Where figures go, instead of what the configuration says: tensorboard, mlflow, wandb, jsonl, or the "
        "path of a .jsonl file; may be given again.",
        metavar="KIND",
    ),
]


def tracking(config: RecommenderConfig, kinds: Sequence[str] | None) -> RecommenderConfig:
    """Return the configuration with the trackers that the command line names, if it names any.

    Raises
    ------
    ConfigError
        For an unknown tracker, with the nearest known one.
    """
    if not kinds:
        return config
    from fuserec.tracking.config import TrackingConfig

    given = {**config.tracking.model_dump(), "to": tuple(kinds)}
    return config.model_copy(update={"tracking": TrackingConfig.parse(given, "--track")})
