"""Options that say how data are split, and what they mean together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from fuserec.errors import ConfigError

if TYPE_CHECKING:
    from fuserec.data.splits import SplitConfig

Split = Annotated[
    str,
    typer.Option(
        "--split",
        help="last-out, temporal, random, users, cold-users, cold-items or predefined.",
        metavar="PROTOCOL",
    ),
]
Share = Annotated[
    float | None,
    typer.Option(
        "--share",
        help="What is held out (temporal, random, users, cold-users, cold-items); 0.1 unless given.",
        metavar="SHARE",
    ),
]
Given = Annotated[
    float | None,
    typer.Option(
        "--given",
        help="users: the share of a held-out user's history given; 0.8 unless given.",
        metavar="SHARE",
    ),
]
GivenEvents = Annotated[
    int | None,
    typer.Option(
        "--given-events",
        help="cold-users: how many of the first events are given; 0 unless given.",
        metavar="N",
    ),
]
Targets = Annotated[
    str,
    typer.Option(
        "--targets", help="all of a user's held-out events, or the next one only.", metavar="all|next"
    ),
]
Folds = Annotated[
    int,
    typer.Option(
        "--folds",
        help="Deal everything into so many folds, each test once (random, users, cold-users, cold-items).",
    ),
]


@dataclass(frozen=True)
class Options:
    """The options as they were given; None where one was left out."""

    split: str
    share: float | None = None
    given: float | None = None
    given_events: int | None = None
    targets: str = "all"
    folds: int = 1

    def config(self) -> SplitConfig:
        """Return the split that they ask for.

        Raises
        ------
        ConfigError
            For a protocol that does not exist, a value that is not allowed, or values that do not go together.
        """
        from fuserec.data.splits import SplitConfig

        if self.split in ("k-fold", "kfold"):
            raise ConfigError(
                f"--split {self.split}: folds are dealt by what is held out: name --folds 5 with --split random "
                "(interactions), users, cold-users or cold-items"
            )
        for name, protocol in (("given", "users"), ("given_events", "cold-users")):
            if getattr(self, name) is not None and self.split != protocol:
                raise ConfigError(
                    f"--{name.replace('_', '-')} goes with --split {protocol}, not with {self.split}"
                )
        values = {"share": self.share, "given": self.given, "given_events": self.given_events}
        told = {name: value for name, value in values.items() if value is not None}
        return SplitConfig.parse(
            {"protocol": self.split, "targets": self.targets, "folds": self.folds, **told}, "--split"
        )
