"""Frames of pandas, polars or pyarrow to a Dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from fuserec.data.check import CheckReport, Findings
from fuserec.data.dataset import Dataset, DatasetInfo
from fuserec.data.json_lines import plain_columns, value_column
from fuserec.data.raw import IMPRESSION_COLUMNS, LINK_COLUMNS, RawTables
from fuserec.errors import DataError, nearest

if TYPE_CHECKING:
    from fuserec.data.cleaning import CleaningOptions

Frame = Any
"""A pandas.DataFrame, polars.DataFrame or LazyFrame, or pyarrow.Table; no release of any is required."""


def from_frames(
    interactions: Frame | None,
    items: Frame | None = None,
    users: Frame | None = None,
    links: Frame | None = None,
    *,
    impressions: Frame | None = None,
    name: str = "dataset",
    options: CleaningOptions | None = None,
    info: DatasetInfo | None = None,
) -> tuple[Dataset, CheckReport]:
    """Clean and index frames whose columns are those of a dataset folder.

    Parameters
    ----------
    interactions : frame or None
        ``user_id``, ``item_id``; ``rating``, ``timestamp``, ``kind``, ``value``, ``text`` where there are.
        None, with ``options.allow_empty``, where only items or users are given.
    items, users, links, impressions : frame, optional
    name : str
    options : CleaningOptions, optional
    info : DatasetInfo, optional
        In place of ``name``, where the rating scale or the weights of kinds are to be given too.

    Raises
    ------
    DataError
        For something that is no frame, a missing column, or data of which nothing is left.
    """
    from fuserec.data.cleaning import CleaningOptions, clean

    rows = _table(interactions, "interactions", ("user_id",))
    if rows is None:
        rows = pl.DataFrame(schema={"user_id": pl.String, "item_id": pl.String})
    elif "item_id" not in rows.columns and "text" not in rows.columns:
        raise _missing("interactions", "item_id", rows.columns)
    raw = RawTables(
        rows,
        _table(items, "items", ("item_id",)),
        _table(users, "users", ("user_id",)),
        _table(links, "links", LINK_COLUMNS),
        _table(impressions, "impressions", IMPRESSION_COLUMNS),
        info=info or DatasetInfo(name=name),
    )
    cleaned, report = clean(raw, options or CleaningOptions(), Findings(), "frames")
    return cleaned.dataset(), report


def _table(frame: Frame | None, what: str, required: tuple[str, ...]) -> pl.DataFrame | None:
    """Return a frame as polars, with the required columns."""
    if frame is None:
        return None
    import narwhals as nw
    from narwhals.exceptions import NarwhalsError

    try:
        native = nw.from_native(frame)
    except (TypeError, NarwhalsError):
        raise DataError(
            f"{what}: a {type(frame).__name__} came; give a pandas, polars or pyarrow frame, or use "
            "fuserec.data.readers.read for files"
        ) from None
    eager = native.collect() if isinstance(native, nw.LazyFrame) else native
    columns = [str(column) for column in eager.columns]
    for column in required:
        if column not in columns:
            raise _missing(what, column, columns)
    if eager.implementation.is_pandas_like():
        return _from_pandas(eager.to_native(), what)
    return plain_columns(eager.to_polars())


def _from_pandas(frame: Frame, what: str) -> pl.DataFrame:
    """Return a pandas frame as polars without pyarrow: numbers and times as arrays, the rest by value."""
    out = []
    for place, label in enumerate(frame.columns):
        column, name = frame.iloc[:, place], str(label)
        kind = getattr(column.dtype, "kind", "O")
        if kind == "M":
            if getattr(column.dt, "tz", None) is not None:
                column = column.dt.tz_convert("UTC").dt.tz_localize(None)
            out.append(pl.Series(name, column.to_numpy().astype("datetime64[us]")))
        elif kind in "iufb" and isinstance(column.dtype, np.dtype):
            out.append(pl.Series(name, column.to_numpy()))
        else:
            out.append(_values(name, column.astype(object).tolist(), column.isna().to_numpy()))
    if len({column.name for column in out}) < len(out):
        raise DataError(
            f"{what}: two columns bear the same name ({', '.join(column.name for column in out)})"
        )
    return pl.DataFrame(out)


def _values(name: str, values: list[Any], absent: np.ndarray) -> pl.Series:
    """Return a column of Python values; nested arrays and sets become lists."""
    filled: list[Any] = [None if gone else value for value, gone in zip(values, absent, strict=True)]
    try:
        return pl.Series(name, filled, dtype=pl.String, strict=True)
    except TypeError:  # not all of them are strings
        return value_column(name, [_plain(value) for value in filled])


def _plain(value: Any) -> Any:
    """Return a cell as JSON would hold it."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    return list(value) if isinstance(value, (tuple, set, frozenset)) else value


def _missing(what: str, column: str, found: list[str]) -> DataError:
    """Return the error for a column that is not there."""
    return DataError(
        f"{what}: no column {column!r}{nearest(column, found)} (columns: {', '.join(found[:20])})"
    )
