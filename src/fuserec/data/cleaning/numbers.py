"""Numbers and times out of columns of any type."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

EARLIEST, LATEST = 631_152_000.0, 4_102_444_800.0
"""Unix seconds of 1990-01-01 and 2100-01-01: what lies outside is no time of an interaction."""

_LARGEST = float(np.finfo(np.float32).max)
"""What is larger would become infinite where it is stored."""

_UNITS = ((1e17, 1e9, "nanoseconds"), (1e14, 1e6, "microseconds"), (1e11, 1e3, "milliseconds"))
_PATTERNS = (
    "%Y-%m-%dT%H:%M:%S%.f%#z",
    "%Y-%m-%d %H:%M:%S%.f%#z",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d",
)
_SCALES = (
    *((0.0, 1.0), (1.0, 5.0), (0.5, 5.0), (0.0, 5.0), (1.0, 7.0), (1.0, 10.0), (0.5, 10.0), (0.0, 10.0)),
    *((-1.0, 1.0), (1.0, 100.0), (0.0, 100.0), (-10.0, 10.0)),
)
"""Usual rating scales, the one to prefer first."""


@dataclass(frozen=True)
class Numbers:
    """A column of numbers.

    Parameters
    ----------
    values : float64 (n,)
        NaN where there is none.
    missing : bool (n,)
        The field was empty.
    invalid : bool (n,)
        The field was filled with something that is no finite number.
    """

    values: np.ndarray
    missing: np.ndarray
    invalid: np.ndarray


def numbers(column: pl.Series) -> Numbers:
    """Return the numbers of a column; in text, an empty field is a missing one."""
    if not (column.dtype.is_numeric() or column.dtype == pl.Boolean):
        column = column.cast(pl.String)
    cast = column.cast(pl.Float64, strict=False)
    missing = cast.is_null().to_numpy()
    if column.dtype == pl.String and missing.any():
        column = column.str.strip_chars()
        cast = column.cast(pl.Float64, strict=False)
        missing = (column.fill_null("") == "").to_numpy()
    values = cast.fill_null(np.nan).to_numpy()
    finite = np.abs(values) <= _LARGEST  # never true of NaN
    return Numbers(np.where(finite, values, np.nan), missing, ~finite & ~missing)


@dataclass(frozen=True)
class Times:
    """A column of moments.

    Parameters
    ----------
    seconds : float64 (n,)
        Unix seconds, NaN where there is none.
    missing, invalid, impossible : bool (n,)
        Empty; not a time at all; outside 1990 to 2100.
    mended : dict
        How many were turned into seconds from what.
    """

    seconds: np.ndarray
    missing: np.ndarray
    invalid: np.ndarray
    impossible: np.ndarray
    mended: dict[str, int]


def times(column: pl.Series) -> Times:
    """Return the moments of a column of numbers (seconds to nanoseconds, by size), dates or ISO 8601 text.

    Text without a zone is taken as UTC.
    """
    if column.dtype.is_temporal():
        column = _seconds_of(column)
    read = numbers(column)
    values, invalid = read.values.copy(), read.invalid.copy()
    mended: dict[str, int] = {}
    if invalid.any() and column.dtype == pl.String:
        dates = _dates(column.filter(pl.Series(invalid)))
        values[invalid] = dates
        mended["dates"] = int(np.isfinite(dates).sum())
        invalid[invalid] = ~np.isfinite(dates)
    for least, divisor, name in _UNITS:
        large = values >= least
        if large.any():
            mended[name] = int(large.sum())
            values[large] /= divisor
    impossible = (values < EARLIEST) | (values > LATEST)  # never true of NaN
    return Times(values, read.missing, invalid, impossible, {k: n for k, n in mended.items() if n})


def rating_scale(low: float, high: float) -> tuple[float, float]:
    """Return the usual scale that ratings from ``low`` to ``high`` belong to, or just that range."""
    for scale in _SCALES:
        if scale[0] <= low and high <= scale[1]:
            return scale
    return (low, high)


def is_usual(scale: tuple[float, float]) -> bool:
    """Return whether a scale is one that people rate in."""
    return scale in _SCALES


def _seconds_of(column: pl.Series) -> pl.Series:
    """Return unix seconds of a column of dates or moments."""
    if column.dtype == pl.Date:
        return column.cast(pl.Int64).cast(pl.Float64) * 86_400.0
    if isinstance(column.dtype, pl.Datetime):
        return column.dt.epoch("us").cast(pl.Float64) / 1e6
    return column.cast(pl.String)


def _dates(texts: pl.Series) -> np.ndarray:
    """Return unix seconds of ISO 8601 texts, NaN where one is not."""
    # A final Z is the one zone that the patterns do not take.
    texts = texts.str.strip_chars().str.replace(r"[zZ]$", "+00:00").str.replace(r"\s*UTC$", "+00:00")
    out = np.full(texts.len(), np.nan)
    for pattern in _PATTERNS:
        open_ = np.isnan(out)
        if not open_.any():
            break
        parsed = texts.filter(pl.Series(open_)).str.to_datetime(pattern, strict=False, time_unit="us")
        out[open_] = (parsed.dt.epoch("us").cast(pl.Float64) / 1e6).fill_null(np.nan).to_numpy()
    return out
