"""Columns that were computed from rows which are held out, or that say which item was taken."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import rankdata

from fuserec.evaluation.leakage.base import Leak
from fuserec.metrics.grouping import ratio

if TYPE_CHECKING:
    import polars as pl

    from fuserec.data.dataset import Dataset
    from fuserec.data.splits import Split

AT_LEAST = 20
"""Items or users with held-out rows that are needed to tell an aggregate of all rows from one of the training rows."""

CLOSE, CLOSER = 0.9, 0.5
"""A column is such an aggregate where R² with that of all rows is at least this, and what that leaves open is less
than this part of what the aggregate of the training rows leaves."""


def columns_of_the_future(dataset: Dataset, held: Split) -> Iterator[Leak]:
    """Find columns that follow an aggregate of all rows more closely than one of the known rows.

    Popularity, mean rating, mean weight, and the moment of the newest event are tried on the number columns of items
    and users, as they are and by rank.
    """
    sides = (
        ("items", dataset.item_table, "item", dataset.n_items),
        ("users", dataset.user_table, "user", dataset.n_users),
    )
    for name, table, side, size in sides:
        columns = {
            column: values for column in table.columns if (values := _numbers(table[column])) is not None
        }
        if not columns:
            continue
        whole, known = (_aggregates(data, side, size) for data in (dataset, held.test.train))
        for column, values in columns.items():
            for what in whole:
                told = _follows(values, whole[what], known[what])
                if told is not None:
                    yield Leak(
                        "column-of-the-future",
                        "leak",
                        1,
                        f"column {column!r} of {name} is the {what} over all rows, held-out ones included (R² "
                        f"{told[0]:.3f}; "
                        f"{told[1]:.3f} with the rows that are known): compute it from training rows, or leave it out",
                    )
                    break


def _numbers(column: pl.Series) -> np.ndarray | None:
    """Return float64 of a column of numbers, or of text that reads as numbers; None for others."""
    import polars as pl

    if not (column.dtype.is_numeric() or column.dtype == pl.String):
        return None
    values = column.cast(pl.Float64, strict=False)
    if values.null_count() > 0.5 * len(column):
        return None
    return values.fill_null(np.nan).to_numpy()


def _aggregates(data: Dataset, side: str, size: int) -> dict[str, np.ndarray]:
    """Return what a column might have been computed as, by name: float64 (size,), NaN where there is nothing."""
    rows = data.interactions
    who = getattr(rows, side)
    counts = np.bincount(who, minlength=size).astype(np.float64)
    rated = np.isfinite(rows.rating)
    sums = np.bincount(who[rated], rows.rating[rated], size)
    newest = np.full(size, -np.inf)
    timed = np.isfinite(rows.time)
    np.maximum.at(newest, who[timed], rows.time[timed])
    return {
        "number of interactions": counts,
        "mean rating": ratio(sums, np.bincount(who[rated], minlength=size)),
        "mean weight": ratio(np.bincount(who, rows.weight, size), counts),
        "moment of the newest event": np.where(np.isfinite(newest), newest, np.nan),
    }


def _follows(values: np.ndarray, whole: np.ndarray, known: np.ndarray) -> tuple[float, float] | None:
    """Return R² of a column with both aggregates where it follows that of all rows, where the two differ."""
    there = np.isfinite(values) & np.isfinite(whole) & np.isfinite(known) & (whole != known)
    if there.sum() < AT_LEAST:
        return None
    v, w, k = values[there], whole[there], known[there]
    for made in (np.asarray, rankdata):
        with_all, with_known = _r2(made(v), made(w)), _r2(made(v), made(k))
        if with_all >= CLOSE and 1 - with_all < CLOSER * (1 - with_known):
            return with_all, with_known
    return None


def _r2(a: np.ndarray, b: np.ndarray) -> float:
    """Return the squared correlation; 0 where one of them is constant."""
    a, b = a - a.mean(), b - b.mean()
    scale = float((a @ a) * (b @ b))
    return min(1.0, float(a @ b) ** 2 / scale) if scale > 0 else 0.0


def answering_circumstances(dataset: Dataset, held: Split) -> Iterator[Leak]:
    """Find columns of interactions that say which item was taken: the same in all rows of an item, not of all items.

    Circumstances are given to the query, since they are known when it is asked: such a column is the answer.
    """
    import polars as pl

    context = dataset.interactions.context
    if context is None:
        return
    rows = context.with_columns(pl.Series("", dataset.interactions.item))
    repeated = rows.filter(pl.len().over("") >= 2)
    for name in context.columns:
        there = repeated.filter(pl.col(name).is_not_null())
        items, values, both = (
            there.select(columns).n_unique() if there.height else 0 for columns in ([""], [name], ["", name])
        )
        if items >= AT_LEAST and both == items and values >= 2:
            yield Leak(
                "answer-in-context",
                "leak",
                1,
                f"column {name!r} of interactions is the same in all rows of an item and takes {values:,} values: as a "
                "circumstance of the query it tells the answer; move it to items.*, or leave it out",
            )
