"""What a reader hands to cleaning: a source's tables in FuseRec's column names, nothing judged yet."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fuserec.data.dataset import DatasetInfo

if TYPE_CHECKING:
    import polars as pl

INTERACTION_COLUMNS = ("user_id", "item_id", "rating", "timestamp", "kind", "value", "text", "split")
"""Columns of interactions with a role; others are kept as the context of their row."""

LINK_COLUMNS = ("head", "relation", "tail")
IMPRESSION_COLUMNS = ("request_id", "user_id", "item_id", "position")


@dataclass(frozen=True)
class RawTables:
    """The tables of one source.

    Parameters
    ----------
    interactions : polars.DataFrame
        ``user_id``, ``item_id``; ``rating``, ``timestamp``, ``kind``, ``value``, ``text`` where there are; further
        columns are circumstances.
    items, users, links, impressions : polars.DataFrame or None
        None where the source has no such file: then ids come from the interactions.
    info : DatasetInfo
    repeats : bool
        The rows are ordered events in which an item may come again: equal rows without time are no
        duplicates.
    """

    interactions: pl.DataFrame
    items: pl.DataFrame | None = None
    users: pl.DataFrame | None = None
    links: pl.DataFrame | None = None
    impressions: pl.DataFrame | None = None
    info: DatasetInfo = field(default_factory=DatasetInfo)
    repeats: bool = False
