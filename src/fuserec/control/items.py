"""What dials know of items: how rare they are, when they came, how many took them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fuserec.data.dataset import SECONDS_PER_DAY
from fuserec.errors import RequestError, nearest
from fuserec.numerics.diverse import Space, space_of

if TYPE_CHECKING:
    import polars as pl

    from fuserec.data.dataset import Dataset
    from fuserec.encoders.features import ItemFeatures

TIMES = (
    "timestamp",
    "time",
    "date",
    "published",
    "published_at",
    "release_date",
    "released",
    "created_at",
    "added",
    "year",
)
"""Names of columns that say when an item came, the most exact first."""

DATES = (
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%d-%b-%Y",
    "%d %b %Y",
    "%b %d, %Y",
)
"""How dates are written that are read."""

LAST_YEAR = 3_000
"""A number up to this one is a year, a larger one unix seconds."""


@dataclass(frozen=True)
class Items:
    """The catalogue as the dials see it; everything is computed when it is first asked for.

    Parameters
    ----------
    dataset : Dataset
    features : ItemFeatures
    """

    dataset: Dataset
    features: ItemFeatures
    _times: dict[str | None, np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    @property
    def vectors(self) -> Any:
        """What likeness is judged by, as in evaluation: sentence vectors (n_items, dim), or the CSR of words."""
        return self.features.lexical if self.features.sentence is None else self.features.sentence

    @cached_property
    def space(self) -> Space:
        """The same, as the kernel of lists reads it."""
        return space_of(self.vectors)

    @cached_property
    def users(self) -> np.ndarray:
        """int64 (n_items,): how many people took each item."""
        return np.bincount(self.dataset.matrix("one").indices, minlength=self.dataset.n_items)

    @cached_property
    def people(self) -> int:
        """How many people took anything, at least 1."""
        return max(1, int(np.count_nonzero(np.diff(self.dataset.matrix("one").indptr))))

    @cached_property
    def rarity(self) -> np.ndarray:
        """float32 (n_items,), 0 to 1: self-information as a share of its maximum, that of an item nobody took."""
        bits = -np.log2(np.maximum(self.users, 0.5) / self.people)
        return np.asarray(bits / np.log2(2 * self.people), np.float32)

    def times(self, column: str | None) -> np.ndarray:
        """Return float64 (n_items,): when each item came, in unix seconds; NaN where nobody knows.

        Raises
        ------
        RequestError
            For an unknown column, and where neither items nor interactions have a time.
        """
        if column not in self._times:
            self._times[column] = self._found_times(column)
        return self._times[column]

    def _found_times(self, column: str | None) -> np.ndarray:
        table = self.dataset.item_table
        if column is not None and column not in table.columns:
            raise RequestError(
                f"time_column {column!r}: items have no such column{nearest(column, table.columns)} "
                f"(columns: {', '.join(table.columns)})"
            )
        chosen = column or next((name for name in TIMES if name in table.columns), None)
        found = self._first_seen() if chosen is None else seconds_of(table[chosen])
        if not np.isfinite(found).any():
            raise RequestError(
                "freshness and new_days need times: items have no column that says when they came "
                f"({', '.join(TIMES)}, or the one that time_column names), and interactions have none"
            )
        return found

    def _first_seen(self) -> np.ndarray:
        """Return float64 (n_items,): the first interaction of each item."""
        rows = self.dataset.interactions
        first = np.full(self.dataset.n_items, np.inf)
        dated = np.isfinite(rows.time)
        np.minimum.at(first, rows.item[dated], rows.time[dated])
        return np.where(np.isfinite(first), first, np.nan)

    def freshness(self, column: str | None) -> np.ndarray:
        """Return float32 (n_items,), 0 to 1: the share of the dated catalogue that is older; undated items have 0."""
        times = self.times(column)
        dated = np.isfinite(times)
        ordered = np.sort(times[dated])
        older = np.searchsorted(ordered, times[dated], side="left")
        out = np.zeros(times.size, np.float32)
        out[dated] = older / max(1, ordered.size - 1)
        return out

    def new(self, days: float | None, interactions: int, column: str | None, at: float) -> np.ndarray:
        """Return bool (n_items,): the items that are new, by their age at a moment or by their interactions."""
        if days is None:
            return np.asarray(self.dataset.item_counts <= interactions)
        times = self.times(column)
        now = at if np.isfinite(at) else self.newest(column)
        age = (now - times) / SECONDS_PER_DAY
        return np.asarray((age <= days) & (age >= 0))

    def newest(self, column: str | None) -> float:
        """Return the newest moment that the data know."""
        times = self.dataset.interactions.time
        seen = times[np.isfinite(times)]
        return float(seen.max()) if seen.size else float(np.nanmax(self.times(column)))


def seconds_of(series: pl.Series) -> np.ndarray:
    """Return float64 (n,): a column of unix seconds, years or dates as unix seconds, NaN where it is none of them."""
    import polars as pl

    if series.dtype.is_temporal():
        return (
            series.cast(pl.Datetime("us")).dt.epoch("ms").cast(pl.Float64).fill_null(np.nan).to_numpy() / 1e3
        )
    values = series.cast(pl.Float64, strict=False)
    if values.null_count() < series.len() or series.dtype != pl.String:
        numbers = values.fill_null(np.nan).to_numpy().astype(np.float64)
        years = numbers <= LAST_YEAR
        seconds = (np.where(years, numbers, 1970) - 1970) * 365.2425 * SECONDS_PER_DAY
        return np.where(years, seconds, numbers)
    texts = series.str.strip_chars().str.slice(0, 19)  # without fractions of seconds and zones
    tries = [texts.str.to_datetime(form, strict=False, time_unit="us") for form in DATES]
    read = pl.select(pl.coalesce(tries)).to_series()
    return read.dt.epoch("ms").cast(pl.Float64).fill_null(np.nan).to_numpy() / 1e3
