"""What the caller decides about cleaning."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fuserec.settings import Settings


class CleaningOptions(Settings):
    """Choices of cleaning; everything else is always done."""

    k_core: int = Field(
        default=0,
        ge=0,
        description="Keep only users and items with at least this many interactions with each other.",
    )
    drop_outliers: bool = Field(
        default=False,
        description="Leave out users and items with impossible counts or speed, instead of only naming them.",
    )
    unknown_items: Literal["drop", "keep"] = Field(
        default="drop", description="Interactions with items that the file of items does not list."
    )
    allow_empty: bool = Field(
        default=False, description="Accept data without any interaction: new items or users alone."
    )
