"""Options of ``fuserec evaluate`` that ask for more than accuracy: groups, seeds, reasons, a file for the rest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fuserec.evaluation.audit import AuditConfig

GroupColumns = Annotated[
    str | None,
    typer.Option(
        "--groups",
        help="Columns of users whose values are groups, divided by commas, such as gender,age; none for none. Without "
        "it those with few values, numbers in bands.",
    ),
]
AuditFile = Annotated[
    Path | None,
    typer.Option(
        "--audit",
        help="Settings of groups, providers, flagged content, protected users, worth and propensities (TOML).",
    ),
]
Seeds = Annotated[
    int | None,
    typer.Option(
        "--seeds", help="Fit with so many seeds, and measure how far lists and figures stay the same."
    ),
]
Reasons = Annotated[
    int | None, typer.Option("--reasons", help="Check the reasons of so many test users: are they true?")
]


def audit_of(file: Path | None, groups: str | None, seeds: int | None, reasons: int | None) -> AuditConfig:
    """Return the settings of a file, with what the command line says in their place.

    Raises
    ------
    ConfigError
        For an unknown key or a value that is not allowed.
    """
    from fuserec.evaluation.audit import AuditConfig, load_audit

    base = AuditConfig() if file is None else load_audit(file)
    given: dict[str, object] = {"seeds": seeds, "reasons": reasons}
    if groups is not None:
        names = tuple(part.strip() for part in groups.split(",") if part.strip())
        given["groups"] = () if names == ("none",) else names
    said = {key: value for key, value in given.items() if value is not None}
    return AuditConfig.parse({**base.model_dump(), **said}, "--groups, --seeds and --reasons")
