"""Groups of people whose accuracies are compared: by taste for the popular, by history, or by a column of users."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from fuserec.errors import DataError

if TYPE_CHECKING:
    from fuserec.data.query import QueryBatch

TASTE, HISTORY = "taste", "history"
MOST_VALUES = 8
"""So many values of a column have a group of their own."""


@dataclass(frozen=True)
class UserGroups:
    """A rule that tells the group of a query.

    Parameters
    ----------
    by : str
    bounds : tuple of float
        Where groups of a number begin, the first one left out; empty where groups are values.
    values : tuple of str
    """

    by: str
    bounds: tuple[float, ...] = ()
    values: tuple[str, ...] = ()

    @classmethod
    def of(cls, by: str, parts: int, q: QueryBatch, percentile: np.ndarray) -> UserGroups:
        """Return the rule that parts these queries evenly (numbers), or gives each frequent value a group.

        Raises
        ------
        DataError
            Where no query has the column.
        """
        found = _of_queries(by, q, percentile)
        if isinstance(found, np.ndarray):
            known = found[np.isfinite(found)]
            edges = np.quantile(known, np.arange(1, parts) / parts) if known.size else np.empty(0)
            return cls(by, bounds=tuple(float(edge) for edge in np.unique(edges)))
        names, sizes = np.unique([one for one in found if one is not None], return_counts=True)
        if not names.size:
            raise DataError(f"[rerank.worst_group] by = {by!r}: no user has a value in this column")
        frequent = names[np.argsort(-sizes, kind="stable")][:MOST_VALUES]
        return cls(by, values=tuple(str(name) for name in frequent))

    @property
    def names(self) -> tuple[str, ...]:
        """What the groups are called."""
        if self.values:
            return (*self.values, "other")
        edges = [f"{edge:.3g}" for edge in self.bounds]
        if not edges:
            return ("all", "unknown")
        middle = [f"{low} to {high}" for low, high in pairwise(edges)]
        return (f"below {edges[0]}", *middle, f"from {edges[-1]}", "unknown")

    def group(self, q: QueryBatch, percentile: np.ndarray) -> np.ndarray:
        """Return int64 (n,): the group of each query, an index into ``names``."""
        found = _of_queries(self.by, q, percentile)
        last = len(self.names) - 1
        if isinstance(found, np.ndarray) and not self.values:
            return np.where(np.isfinite(found), np.searchsorted(self.bounds, found, side="right"), last)
        place = {value: index for index, value in enumerate(self.values)}
        return np.array([place.get(str(one), last) for one in found], np.int64)

    def to_json(self) -> dict[str, Any]:
        """Return the rule as JSON."""
        return {"by": self.by, "bounds": list(self.bounds), "values": list(self.values)}

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> UserGroups:
        """Return the rule that :meth:`to_json` wrote."""
        return cls(str(said["by"]), tuple(map(float, said["bounds"])), tuple(map(str, said["values"])))


def _of_queries(by: str, q: QueryBatch, percentile: np.ndarray) -> np.ndarray | list[str | None]:
    """Return what queries are told apart by: float64 (n,), NaN where unknown, or texts."""
    if by == HISTORY:
        return q.lengths.astype(np.float64)
    if by == TASTE:
        liked = np.maximum(q.weights, 0.0).astype(np.float64)
        sums = np.bincount(q.rows, weights=liked * percentile[q.items], minlength=len(q))
        total = np.bincount(q.rows, weights=liked, minlength=len(q))
        mean: np.ndarray = np.divide(sums, total, out=np.full(len(q), np.nan), where=total > 0)
        return mean
    contexts = q.contexts or ({},) * len(q)
    found = [one.get(by) for one in contexts]
    if all(one is None or (isinstance(one, int | float) and not isinstance(one, bool)) for one in found):
        numbers = np.array([np.nan if one is None else float(one) for one in found])
        if np.unique(numbers[np.isfinite(numbers)]).size > MOST_VALUES:
            return numbers
    return [None if one is None or one == "" else str(one) for one in found]
