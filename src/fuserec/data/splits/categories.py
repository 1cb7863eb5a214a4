"""A category that is held out: who had never touched it, and what they took of it then."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from fuserec.data.splits import assembled
from fuserec.data.splits.base import Holdout, Rows
from fuserec.errors import DataError, nearest

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset

COLUMNS = ("categories", "tags")
"""Columns that are read where none is named; the first that the items have."""

LARGEST_SHARE = 0.5
"""A category with more of the interactions is no part of the data, but the data."""


def category_column(dataset: Dataset, column: str | None) -> str:
    """Return the column of the items that holds the categories.

    Raises
    ------
    DataError
        Where the items do not have it.
    """
    table = dataset.item_table
    known = table.columns
    if column is None:
        found = next((name for name in COLUMNS if name in known and table[name].drop_nulls().len()), None)
        if found is None:
            raise DataError(
                f"shift: the items have neither categories nor tags: name a column, categories:COLUMN "
                f"(there are: {', '.join(known) or 'none'})"
            )
        return found
    if column not in known:
        raise DataError(
            f"shift: the items have no column {column!r}{nearest(column, known)} "
            f"(there are: {', '.join(known) or 'none'})"
        )
    return column


def members(dataset: Dataset, column: str) -> dict[str, np.ndarray]:
    """Return the items of every category, int64 (n,) by its name; an item may be in several."""
    values = dataset.item_table.select(pl.col(column).alias("category")).with_row_index("item")
    if isinstance(values.schema["category"], pl.List):
        values = values.explode("category")
    values = values.with_columns(pl.col("category").cast(pl.String)).drop_nulls().unique(maintain_order=True)
    grouped = values.group_by("category", maintain_order=True).agg(pl.col("item"))
    return {
        str(name): np.asarray(items.to_numpy(), np.int64)
        for name, items in zip(grouped["category"], grouped["item"], strict=True)
    }


def largest(dataset: Dataset, of: dict[str, np.ndarray], n: int) -> list[str]:
    """Return the categories with most interactions, those left out that hold more than half of all."""
    total = max(1, dataset.n_interactions)
    sizes = {name: int(dataset.item_counts[items].sum()) for name, items in of.items()}
    fit = [name for name, size in sizes.items() if 0 < size <= LARGEST_SHARE * total]
    return sorted(fit, key=lambda name: (-sizes[name], name))[:n]


def newcomers(dataset: Dataset, items: np.ndarray, share: float, rng: np.random.Generator) -> Holdout:
    """Hold out some people's whole way into a category.

    Of a share of the people who took something of the category after something else, all that came before their first
    item of it is given and learnt from; their items of it are to be found; what else came later is hidden. So nobody
    who is asked has touched the category, and no item of it is in a history.

    Parameters
    ----------
    dataset : Dataset
    items : int64 (n,)
        The items of the category.
    share : float
        Of these people; at least two are drawn.
    rng : numpy.random.Generator

    Raises
    ------
    DataError
        Where fewer than two people come to the category from elsewhere.
    """
    inside = np.isin(dataset.interactions.item, items)
    user, position = dataset.interactions.user, np.arange(dataset.n_interactions)
    first = np.full(dataset.n_users, dataset.n_interactions)
    np.minimum.at(first, user[inside], position[inside])
    began = dataset.indptr[:-1]
    people = np.flatnonzero((first < dataset.n_interactions) & (first > began))
    if people.size < 2:
        raise DataError("shift: fewer than two people come to the category from elsewhere")
    asked = np.zeros(dataset.n_users, dtype=bool)
    asked[rng.permutation(people)[: max(2, round(share * people.size))]] = True
    mine, before = asked[user], position < first[user]
    known = ~mine | before
    return assembled(dataset, Rows(known, mine & before, mine & inside))


def without_items(held: Holdout, items: np.ndarray) -> Holdout:
    """Return the same questions, and training without any interaction or impression of these items."""
    train = held.train
    rest = train.with_rows(~np.isin(train.interactions.item, items))
    shown = rest.impressions
    if shown.height:
        names = rest.items.ids(items)
        rest = replace(rest, impressions=shown.filter(~shown["item_id"].is_in(names)))
    return replace(held, train=rest)
