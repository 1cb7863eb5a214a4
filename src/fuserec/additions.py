"""What an update brings: frames or lists of dicts, cleaned as any data are."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import polars as pl

from fuserec.data.cleaning import CleaningOptions
from fuserec.data.frames import from_frames
from fuserec.errors import RequestError

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset, DatasetInfo

log = logging.getLogger("fuserec")

Rows = Any
"""A pandas, polars or pyarrow frame, or a list of dicts."""


def additions(
    interactions: Rows | None, items: Rows | None, users: Rows | None, info: DatasetInfo
) -> Dataset:
    """Return what an update brings as a Dataset; its items need not be listed in it."""
    tables = [pl.DataFrame(rows) if isinstance(rows, list) else rows for rows in (interactions, items, users)]
    if all(table is None for table in tables):
        raise RequestError("update: nothing is given; name interactions, items or users")
    options = CleaningOptions(unknown_items="keep", allow_empty=True)
    dataset, report = from_frames(*tables, options=options, info=info)
    for finding in report.findings:
        if finding.level == "dropped":
            log.warning("update: %d rows of %s dropped: %s", finding.count, finding.where, finding.reason)
    return dataset
