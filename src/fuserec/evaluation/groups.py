"""Groups of users and of items that an evaluation tells apart: values of columns, bands of numbers, popularity."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fuserec.errors import ConfigError, DataError, nearest

if TYPE_CHECKING:
    import polars as pl

Codes = npt.NDArray[np.int64]

NUMERIC_SHARE = 0.95
"""A column of text that is named is one of numbers where at least this share of its values reads as such."""

BANDS = (0.25, 0.5, 0.75)
"""A number with many values falls into bands of equally many users, which end at these quantiles."""

OTHER = "other"
PROFILE = "text"


@dataclass(frozen=True)
class Groups:
    """Values of one column.

    Parameters
    ----------
    name : str
        The column, as names of metrics and segments write it.
    values : tuple of str
    codes : int64 (n,)
        Index into ``values``; -1 for none, or one of a group too small to say anything of.
    """

    name: str
    values: tuple[str, ...]
    codes: Codes

    def __len__(self) -> int:
        return len(self.values)

    def kept(self, smallest: int) -> Groups:
        """Return the groups of at least so many; the codes of others become -1."""
        sizes = np.bincount(self.codes[self.codes >= 0], minlength=len(self.values))
        large = np.flatnonzero(sizes >= smallest)
        moved = np.full(len(self.values) + 1, -1, np.int64)  # the last place answers -1
        moved[large] = np.arange(large.size)
        return Groups(self.name, tuple(self.values[int(code)] for code in large), moved[self.codes])


def user_groups(
    table: pl.DataFrame, users: npt.NDArray[Any], named: Sequence[str] | None, most: int, smallest: int
) -> tuple[Groups, ...]:
    """Return the groups of those who are asked about, one for each column.

    Parameters
    ----------
    table : polars.DataFrame
        Of all users.
    users : int (n,)
        Row of each query, -1 for somebody unknown.
    named : sequence of str, or None
        Columns; None takes those with few values, and numbers in bands, and leaves out what has no two groups.
    most : int
        Groups of a column at most. Of a column that is named the largest are kept, and the rest is ``other``.
    smallest : int
        Queries that a group needs.

    Raises
    ------
    ConfigError
        For a column that users do not have.
    DataError
        For a named column without two groups that are large enough.
    """
    if named is None:
        made = (
            _of_column(table[name], users, most, named=False) for name in table.columns if name != PROFILE
        )
        found = (groups.kept(smallest) for groups in made if groups is not None)
        return tuple(groups for groups in found if len(groups) >= 2)
    out = []
    for name in named:
        column = table[require_column(table, name, "groups", "users")]
        groups = _of_column(column, users, most, named=True)
        groups = None if groups is None else groups.kept(smallest)
        if groups is None or len(groups) < 2:
            raise DataError(
                f"groups: column {name!r} of users has no two values with at least {smallest} test users each; "
                "name another column, or lower smallest_group"
            )
        out.append(groups)
    return tuple(out)


def item_groups(table: pl.DataFrame, name: str, most: int) -> Groups:
    """Return the items by the values of a column, the rarest of them together as ``other``.

    Raises
    ------
    ConfigError
        For a column that items do not have.
    """
    column = table[require_column(table, name, "providers", "items")]
    found = _of_column(column, np.arange(table.height), most, named=True)
    return Groups(safe(name), (), np.full(table.height, -1, np.int64)) if found is None else found


def popularity_groups(item_counts: npt.ArrayLike) -> Groups:
    """Return the items by how often training has them: head, middle, tail, and cold ones.

    Head are the most popular items that make up 20 % of the interactions, tail the least popular ones that do.
    Source: Abdollahpouri, Burke, Mobasher (2019), Managing popularity bias in recommender systems with personalized
    re-ranking.
    """
    counts = np.asarray(item_counts, np.float64)
    order = np.argsort(-counts, kind="stable")
    before = np.cumsum(counts[order]) - counts[order]
    share = np.empty(counts.size)
    share[order] = before / max(1.0, counts.sum())
    codes = np.where(share < 0.2, 0, np.where(share < 0.8, 1, 2))
    return Groups(
        "popularity", ("head", "middle", "tail", "cold"), np.where(counts > 0, codes, 3).astype(np.int64)
    )


def safe(name: str) -> str:
    """Return the name of a column as names of metrics hold it: letters, digits, and . _ -.

    Examples
    --------
    >>> safe("age (years)")
    'age_years'
    """
    return re.sub(r"[^\w.-]+", "_", name).strip("_")[:40] or "column"


def require_column(table: pl.DataFrame, name: str, setting: str, whose: str) -> str:
    """Return the name of a column that has to be there, or refuse it with the nearest that is."""
    if name not in table.columns:
        raise ConfigError(
            f"{setting}: {whose} have no column {name!r}{nearest(name, table.columns)} "
            f"(columns: {', '.join(table.columns) or 'none'})"
        )
    return name


def _of_column(column: pl.Series, users: npt.NDArray[Any], most: int, *, named: bool) -> Groups | None:
    """Return the groups of one column; None where it holds lists, nothing, or too many values for a default."""
    import polars as pl

    if isinstance(column.dtype, pl.List):
        column = column.list.first()
    numbers = column.cast(pl.Float64, strict=False)
    given = column.drop_nulls().len()
    readable = numbers.drop_nulls().len() >= NUMERIC_SHARE * given if given else False
    distinct = column.drop_nulls().n_unique()
    if (column.dtype.is_numeric() or (named and readable)) and distinct > most:
        if not named and distinct > 0.9 * given:  # an id
            return None
        return _bands(column.name, numbers.to_numpy().astype(np.float64), users)
    if distinct > most and not named:
        return None
    texts = [None if value is None or value == "" else _shown(value) for value in column.to_list()]
    return _values(column.name, texts, users, most)


def _shown(value: object) -> str:
    """Return a value as a label; a whole number has no point."""
    return f"{value:g}" if isinstance(value, float) else str(value)[:60]


def _values(name: str, texts: Sequence[str | None], users: npt.NDArray[Any], most: int) -> Groups | None:
    """Return groups by value, of those asked about the largest first come into ``values``; the rest is ``other``."""
    cells = np.array(["" if text is None else text for text in texts], dtype=object)
    asked = np.where(users >= 0, cells[users], "") if len(cells) else np.full(users.size, "", dtype=object)
    found, codes = np.unique(asked.astype(str), return_inverse=True)
    sizes = np.bincount(codes, minlength=found.size)
    order = [int(at) for at in np.argsort(-sizes, kind="stable") if found[at]]
    if not order:
        return None
    kept = order if len(order) <= most else order[: most - 1]
    ordered = sorted(kept, key=lambda at: str(found[at]))
    moved = np.full(found.size, len(ordered) if len(kept) < len(order) else -1, np.int64)
    moved[ordered] = np.arange(len(ordered))
    moved[found == ""] = -1
    names = [str(found[at]) for at in ordered] + ([OTHER] if len(kept) < len(order) else [])
    return Groups(safe(name), tuple(names), moved[codes])


def _bands(name: str, numbers: npt.NDArray[np.float64], users: npt.NDArray[Any]) -> Groups | None:
    """Return groups of about equally many of those asked about, by a number."""
    asked = np.where(users >= 0, numbers[users], np.nan)
    known = np.isfinite(asked)
    if not known.any():
        return None
    edges = np.unique(np.quantile(asked[known], BANDS, method="higher"))
    edges = edges[edges > asked[known].min()]
    codes = np.where(known, np.searchsorted(edges, asked, side="right"), -1).astype(np.int64)
    ends = [f"{edge:g}" for edge in edges]
    if not ends:
        return None
    names = [
        f"under {ends[0]}",
        *(f"{low} to under {high}" for low, high in pairwise(ends)),
        f"{ends[-1]}+",
    ]
    return Groups(safe(name), tuple(names), codes)
