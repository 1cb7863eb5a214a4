"""What each model reached on each test query, kept in the JSON file so that later runs can be compared with it.

A column of numbers is written as base64 of zlib-packed float32 (or int32), bytes of equal rank together, so that runs
of zeros cost next to nothing: at most 5.4 bytes a query, model and metric, and about 1 where most queries miss.
At most :data:`KEPT_MB` of unpacked numbers are kept: where the metrics of all models take more, the one that decides is
kept alone, and where that takes more, nothing is. Who asked is not kept unless it is asked for: queries of two files
belong together by their fingerprint.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from fuserec.errors import DataError

if TYPE_CHECKING:
    from fuserec.data.splits import Holdout
    from fuserec.evaluation.figures import RatingErrors
    from fuserec.evaluation.yardstick import Columns, Yardstick

KEPT_MB = 64
"""Bound on the numbers kept, unpacked."""

BESIDE = ("recall", "mrr")
"""Metrics kept beside the one that decides, at its k."""

LONGEST_ID = 4096
"""Bound on the bytes of a user id that is read back."""


class Queries(BaseModel):
    """Values per test query, in the order of the queries.

    Attributes
    ----------
    n : int
        Number of queries.
    fingerprint : str
        Of who asked and what was to be found: equal where two files have the same queries.
    history, popularity : str
        Packed int32 (n,): events in the history; training interactions of the rarest target.
    values : dict of dict of str
        Packed float32 (n,) by model and metric; NaN for a query without a value.
    squared : dict of str
        Packed float32 (n,) by model: the sum of squared errors of the predicted ratings, where there are any.
    ratings : str
        Packed int32 (n,): predicted ratings of each query; empty where there are none.
    users : str
        Packed user ids; empty where they were not asked for.
    groups : dict of str
        Packed int32 (n,) by column of users: which group each query is of, -1 for none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    n: int = Field(ge=0)
    fingerprint: str
    history: str
    popularity: str
    values: dict[str, dict[str, str]]
    squared: dict[str, str] = Field(default_factory=dict)
    ratings: str = ""
    users: str = ""
    groups: dict[str, str] = Field(default_factory=dict)

    def column(self, model: str, metric: str) -> npt.NDArray[np.float64] | None:
        """Return a model's values of a metric, float64 (n,); None where they are not kept."""
        text = self.values.get(model, {}).get(metric)
        return None if text is None else unpacked(text, self.n, np.float32).astype(np.float64)

    def errors(self, model: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None:
        """Return a model's squared errors and the numbers of ratings, float64 (n,) each; None where there are none."""
        if model not in self.squared or not self.ratings:
            return None
        squared = unpacked(self.squared[model], self.n, np.float32).astype(np.float64)
        return squared, unpacked(self.ratings, self.n, np.int32).astype(np.float64)

    def codes(self, column: str) -> npt.NDArray[np.int64] | None:
        """Return the group of each query by a column of users, int64 (n,), -1 for none; None where not kept."""
        text = self.groups.get(column)
        return None if text is None else unpacked(text, self.n, np.int32).astype(np.int64)

    def lengths(self) -> npt.NDArray[np.int64]:
        """Return the number of events in each history, int64 (n,)."""
        return unpacked(self.history, self.n, np.int32).astype(np.int64)

    def counts(self) -> npt.NDArray[np.int64]:
        """Return the training interactions of each query's rarest target, int64 (n,)."""
        return unpacked(self.popularity, self.n, np.int32).astype(np.int64)

    def ids(self) -> list[str] | None:
        """Return the user ids; None where they are not kept."""
        if not self.users:
            return None
        try:
            found = json.loads(_inflated(self.users, (LONGEST_ID + 4) * self.n + 2))
        except ValueError:
            found = None
        if (
            not isinstance(found, list)
            or len(found) != self.n
            or not all(isinstance(one, str) for one in found)
        ):
            raise DataError("queries: the user ids are damaged; evaluate again")
        return found


def kept(
    yardstick: Yardstick,
    columns: Mapping[str, Columns],
    ratings: Mapping[str, RatingErrors],
    primary: str,
    *,
    user_ids: bool = False,
) -> Queries | None:
    """Return the values per query that a later comparison needs; None where they would take more than allowed.

    Parameters
    ----------
    yardstick : Yardstick
    columns : mapping of Columns
        Values per query of every model.
    ratings : mapping of RatingErrors
    primary : str
        The metric that decides.
    user_ids : bool
        Keep the ids of the users.
    """
    test, n = yardstick.test, len(yardstick.test)
    cut = primary.partition("@")[2]
    metrics = [primary, *(f"{name}@{cut}" for name in BESIDE)]
    groups = yardstick.audit.groups
    room = KEPT_MB * 2**20 // (4 * max(1, n))
    if room < len(columns) * len(metrics) + len(ratings) + len(groups):
        metrics, ratings, groups = metrics[:1], {}, ()
    if room < len(columns):
        return None
    return Queries(
        n=n,
        fingerprint=fingerprint(test),
        history=packed(test.queries.lengths, np.int32),
        popularity=packed(_rarest(test, yardstick.train.item_counts), np.int32),
        values={
            model: {m: packed(own[m], np.float32) for m in metrics if m in own}
            for model, own in columns.items()
        },
        squared={model: packed(own.squared, np.float32) for model, own in ratings.items()},
        ratings=packed(next(iter(ratings.values())).counts, np.int32) if ratings else "",
        users=_packed_ids(test) if user_ids else "",
        groups={one.name: packed(one.codes, np.int32) for one in groups},
    )


def fingerprint(test: Holdout) -> str:
    """Return a hash of who is asked about and what is to be found, whatever the data are that models learn from."""
    digest = hashlib.sha256()
    users, items = test.train.users.hashes, test.train.items.hashes
    for part in (users[test.queries.users], test.indptr, items[test.items]):
        digest.update(np.ascontiguousarray(part, "<i8" if part.dtype.kind == "i" else "<u8").tobytes())
    return digest.hexdigest()[:32]


def _rarest(test: Holdout, item_counts: np.ndarray) -> npt.NDArray[np.int64]:
    """Return the training interactions of each query's rarest target; every query has a target."""
    return np.minimum.reduceat(item_counts[test.items].astype(np.int64), test.indptr[:-1])


def _packed_ids(test: Holdout) -> str:
    """Return the ids of the users, packed."""
    text = json.dumps(test.train.users.ids(test.queries.users), ensure_ascii=False)
    return base64.b64encode(zlib.compress(text.encode("utf-8"))).decode("ascii")


def packed(values: npt.ArrayLike, kind: type[np.float32] | type[np.int32]) -> str:
    """Return numbers (n,) as text."""
    rows = np.ascontiguousarray(values, np.dtype(kind).newbyteorder("<")).view(np.uint8).reshape(-1, 4)
    return base64.b64encode(zlib.compress(np.ascontiguousarray(rows.T).tobytes())).decode("ascii")


def unpacked(
    text: str, n: int, kind: type[np.float32] | type[np.int32]
) -> npt.NDArray[np.float32 | np.int32]:
    """Return the numbers (n,) that :func:`packed` wrote.

    Raises
    ------
    DataError
        If the text is not that of n numbers; no more than those are ever unpacked.
    """
    raw = _inflated(text, 4 * n)
    if len(raw) != 4 * n:
        raise DataError(f"queries: a column holds {len(raw) / 4:g} numbers, not {n:,}; evaluate again")
    rows = np.frombuffer(raw, np.uint8).reshape(4, n).T
    numbers: npt.NDArray[np.float32 | np.int32] = np.ascontiguousarray(rows).view(
        np.dtype(kind).newbyteorder("<")
    )
    return numbers.ravel()


def _inflated(text: str, most: int) -> bytes:
    """Unpack base64 and zlib, at most so many bytes."""
    try:
        return zlib.decompressobj().decompress(base64.b64decode(text, validate=True), most + 1)[: most + 1]
    except (ValueError, zlib.error):
        raise DataError("queries: a column is damaged; evaluate again") from None
