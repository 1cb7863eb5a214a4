"""What an update brings: frames or lists of dicts, cleaned as any data are."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

from fuserec.data.cleaning import CleaningOptions
from fuserec.data.dataset import Dataset
from fuserec.data.frames import from_frames
from fuserec.data.json_lines import columns_of
from fuserec.errors import RequestError

if TYPE_CHECKING:
    from fuserec.data.dataset import DatasetInfo

log = logging.getLogger("fuserec")

Rows = Any
"""A pandas, polars or pyarrow frame, or a list of dicts."""


def additions(
    interactions: Rows | None,
    items: Rows | None,
    users: Rows | None,
    info: DatasetInfo,
    whole: Dataset | None = None,
) -> Dataset:
    """Return what an update brings as a Dataset, which may be given whole; its items need not be listed in it."""
    given = {"interactions": interactions, "items": items, "users": users}
    tables = [_table(rows, what) if isinstance(rows, list) else rows for what, rows in given.items()]
    if whole is not None:
        if not isinstance(whole, Dataset) or any(rows is not None for rows in given.values()):
            raise RequestError("update: give either a Dataset, or rows as interactions, items and users")
        return whole
    if all(table is None for table in tables):
        raise RequestError("update: nothing is given; name interactions, items or users")
    options = CleaningOptions(unknown_items="keep", allow_empty=True)
    dataset, report = from_frames(*tables, options=options, info=info)
    for finding in report.findings:
        if finding.level == "dropped":
            log.warning("update: %d rows of %s dropped: %s", finding.count, finding.where, finding.reason)
    return dataset


def _table(rows: list[Any], what: str) -> pl.DataFrame | None:
    """Return a list of dicts as a table; an empty one brings nothing.

    Every row is looked at for the types of the columns, and values of mixed types become text, as in JSON Lines.
    """
    if not all(isinstance(row, Mapping) for row in rows):
        raise RequestError(f"{what}: has to be a frame or a list of dicts, one a row")
    if not rows:
        return None
    try:
        return pl.DataFrame(rows, infer_schema_length=None)
    except (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError):
        return columns_of([dict(row) for row in rows], what)
