"""The Dataset: what people did and what things are, as columns with id vocabularies; immutable."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from fuserec.data.contexts import TIME_KEYS, rows_of, stacked_contexts, user_columns, user_contexts
from fuserec.data.impressions import no_impressions
from fuserec.data.query import QueryBatch
from fuserec.data.vocabulary import Vocabulary
from fuserec.data.weights import DEFAULT_WEIGHTS
from fuserec.errors import DataError

if TYPE_CHECKING:
    import polars as pl

SECONDS_PER_DAY = 86_400.0
PARTS = ("train", "validation", "test")
"""What the column ``split`` of interactions may say; the position is the code stored with a row."""

ROW_ARRAYS = ("user", "item", "weight", "rating", "time", "kind", "part")
"""The columns of interactions that are arrays."""


@dataclass(frozen=True)
class Interactions:
    """Columns of interactions with items, grouped by user, oldest first within a user.

    Parameters
    ----------
    user, item : int32 (n,)
        Indices into the vocabularies.
    weight : float32 (n,)
        Signed; computed once, by :func:`fuserec.data.weights.signed_weights`.
    rating : float32 (n,)
        In the dataset's scale; NaN where there is none.
    time : float64 (n,)
        Unix seconds; NaN where there is none.
    kind : uint8 (n,)
        Codes of :data:`fuserec.data.weights.KINDS`.
    part : uint8 (n,), optional
        What the files say of a row: 0 train, 1 validation, 2 test (for the split ``predefined``).
    context : polars.DataFrame of n rows, or None
        Circumstances of each row, from further columns of the files: strings and float64, null where there is none.
    """

    user: np.ndarray
    item: np.ndarray
    weight: np.ndarray
    rating: np.ndarray
    time: np.ndarray
    kind: np.ndarray
    part: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint8))
    context: pl.DataFrame | None = None

    def __post_init__(self) -> None:
        if self.part.size != self.user.size:
            object.__setattr__(self, "part", np.zeros(self.user.size, np.uint8))

    def __len__(self) -> int:
        return self.user.size

    def take(self, rows: np.ndarray) -> Interactions:
        """Return some rows (indices or a mask), keeping their order."""
        context = None if self.context is None else rows_of(self.context, rows)
        arrays: dict[str, Any] = {name: getattr(self, name)[rows] for name in ROW_ARRAYS}
        return Interactions(**arrays, context=context)

    @classmethod
    def concatenate(cls, parts: Sequence[Interactions]) -> Interactions:
        """Return all rows, one part after the other."""
        arrays: dict[str, Any] = {n: np.concatenate([getattr(p, n) for p in parts]) for n in ROW_ARRAYS}
        return cls(**arrays, context=stacked_contexts([(p.context, len(p)) for p in parts]))

    def ordered(self) -> Interactions:
        """Return the rows by user, then time, then their present order (rows without time keep it)."""
        time = np.where(np.isfinite(self.time), self.time, 0.0)
        if self.user.size and bool(
            np.all((np.diff(self.user) > 0) | ((np.diff(self.user) == 0) & (np.diff(time) >= 0)))
        ):
            return self
        order = np.argsort(time, kind="stable")
        for shift in (0, 16):  # sixteen bits at a time numpy sorts by radix: three times as fast as lexsort
            if shift == 0 or int(self.user.max(initial=0)) >> shift:
                digit = ((self.user >> shift) & 0xFFFF).astype(np.uint16)
                order = order[np.argsort(digit[order], kind="stable")]
        return self.take(order)


@dataclass(frozen=True)
class Searches:
    """Searches: events with words and no item. Columns ``user`` int32, ``time`` float64, ``text``."""

    user: np.ndarray
    time: np.ndarray
    text: tuple[str, ...]

    @classmethod
    def none(cls) -> Searches:
        """Return no searches."""
        return cls(np.empty(0, np.int32), np.empty(0, np.float64), ())

    def take(self, rows: np.ndarray) -> Searches:
        """Return some rows (indices or a mask)."""
        kept = np.flatnonzero(rows) if rows.dtype == bool else rows
        return Searches(self.user[kept], self.time[kept], tuple(self.text[int(i)] for i in kept))

    def ordered(self) -> Searches:
        """Return the rows by user, then time, then their present order (rows without time come last)."""
        order = np.lexsort((self.time, self.user))  # stable, and NaN sorts last
        return self if np.array_equal(order, np.arange(order.size)) else self.take(order)


@dataclass(frozen=True)
class DatasetInfo:
    """What a dataset says of itself.

    ``weight_unit`` is the weight of its strongest kind, by which all are divided: it is set once, so that what an
    update brings is weighed as the first data were.
    """

    name: str = "dataset"
    licence: str = ""
    note: str = ""
    simulated: bool = False
    rating_scale: tuple[float, float] | None = None
    weights: dict[str, float] = field(default_factory=lambda: dict(DEFAULT_WEIGHTS))
    weight_unit: float | None = None


@dataclass(frozen=True)
class Dataset:
    """Interactions, items, users and links as columnar tables, with id vocabularies; immutable.

    Parameters
    ----------
    users, items : Vocabulary
    interactions : Interactions
        Ordered by user, then time, then row.
    item_table, user_table : polars.DataFrame
        Row ``i`` belongs to index ``i``; the id column is left out (the vocabulary holds it). ``categories`` and
        ``tags`` are lists of strings, ``title``, ``description``, ``brand`` and ``text`` strings.
    links : polars.DataFrame
        Knowledge graph: ``head``, ``relation``, ``tail`` (strings).
    searches : Searches
        Ordered like the interactions.
    info : DatasetInfo
    impressions : polars.DataFrame
        What was shown: :func:`fuserec.data.impressions.no_impressions` has its columns.
    """

    users: Vocabulary
    items: Vocabulary
    interactions: Interactions
    item_table: pl.DataFrame
    user_table: pl.DataFrame
    links: pl.DataFrame
    searches: Searches = field(default_factory=Searches.none)
    info: DatasetInfo = field(default_factory=DatasetInfo)
    impressions: pl.DataFrame = field(default_factory=no_impressions)

    @classmethod
    def from_frames(
        cls,
        interactions: Any,
        items: Any = None,
        users: Any = None,
        links: Any = None,
        *,
        impressions: Any = None,
        name: str = "dataset",
    ) -> Dataset:
        """Return the cleaned dataset of pandas, polars or pyarrow frames with the columns of a dataset folder.

        :func:`fuserec.data.frames.from_frames` also gives the check report and takes options.
        """
        from fuserec.data.frames import from_frames

        return from_frames(interactions, items, users, links, impressions=impressions, name=name)[0]

    def __post_init__(self) -> None:
        if self.item_table.height != len(self.items) or self.user_table.height != len(self.users):
            raise DataError(
                "the tables of items and users need one row an id, in the order of the vocabularies"
            )
        object.__setattr__(self, "interactions", self.interactions.ordered())
        object.__setattr__(self, "searches", self.searches.ordered())

    def __repr__(self) -> str:
        return (
            f"Dataset({self.info.name!r}: {self.n_users:,} users, {self.n_items:,} items, "
            f"{self.n_interactions:,} interactions)"
        )

    @property
    def n_users(self) -> int:
        """Users in the vocabulary."""
        return len(self.users)

    @property
    def n_items(self) -> int:
        """Items in the vocabulary, those without interactions included."""
        return len(self.items)

    @property
    def n_interactions(self) -> int:
        """Rows of interactions with items."""
        return len(self.interactions)

    @cached_property
    def indptr(self) -> np.ndarray:
        """int64 (n_users + 1,): rows ``indptr[u]:indptr[u + 1]`` are user ``u``'s, oldest first."""
        counts = np.bincount(self.interactions.user, minlength=self.n_users)
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    @cached_property
    def search_indptr(self) -> np.ndarray:
        """int64 (n_users + 1,): searches ``search_indptr[u]:search_indptr[u + 1]`` are user ``u``'s, oldest first."""
        counts = np.bincount(self.searches.user, minlength=self.n_users)
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    @cached_property
    def context_keys(self) -> tuple[str, ...]:
        """What the context of a query may name: columns of users and of interactions, and parts of the time."""
        rows = self.interactions.context
        circumstances = () if rows is None else rows.columns
        return tuple(dict.fromkeys([*user_columns(self.user_table), *circumstances, *TIME_KEYS]))

    @cached_property
    def item_counts(self) -> np.ndarray:
        """int64 (n_items,): interactions an item."""
        return np.bincount(self.interactions.item, minlength=self.n_items)

    @property
    def has_time(self) -> bool:
        """Whether every interaction has a time."""
        return self.n_interactions > 0 and bool(np.all(np.isfinite(self.interactions.time)))

    @property
    def has_ratings(self) -> bool:
        """Whether most interactions carry a rating."""
        return self.n_interactions > 0 and float(np.mean(np.isfinite(self.interactions.rating))) > 0.5

    def require_time(self, purpose: str) -> None:
        """Raise a DataError that says what needs timestamps, where some are missing."""
        if not self.has_time:
            missing = int(np.sum(~np.isfinite(self.interactions.time)))
            raise DataError(
                f"{purpose} needs a time for every interaction: {missing:,} of {self.n_interactions:,} have none; "
                "add a `timestamp` column, or choose last-out, random, users or cold-items"
            )

    def matrix(self, values: str = "one") -> sparse.csr_matrix:
        """Return CSR float32 (n_users, n_items) of the interactions; repeated pairs become one entry.

        Parameters
        ----------
        values : {"one", "weight", "positive", "rating"}
            ``one``: 1 for every pair that occurs. ``weight``: the sum of signed weights, cut to [-1, 1].
            ``positive``: the positive part of that, entries without any left out. ``rating``: the newest rating.
        """
        rows = self.interactions
        shape = (self.n_users, self.n_items)
        if values == "rating":
            rated = np.isfinite(rows.rating)
            key = rows.user[rated].astype(np.int64) * self.n_items + rows.item[rated]
            _, newest = np.unique(key[::-1], return_index=True)
            kept = np.flatnonzero(rated)[rated.sum() - 1 - newest]
            return sparse.csr_matrix((rows.rating[kept], (rows.user[kept], rows.item[kept])), shape=shape)
        data = np.ones(len(rows), np.float32) if values == "one" else rows.weight
        matrix = sparse.csr_matrix((data.astype(np.float32), rows.item, self.indptr), shape=shape, copy=True)
        matrix.sum_duplicates()
        if values == "one":
            matrix.data[:] = 1.0
        else:
            np.clip(matrix.data, 0.0 if values == "positive" else -1.0, 1.0, out=matrix.data)
            if values == "positive":
                matrix.eliminate_zeros()
        return matrix

    def queries(self, users: np.ndarray | None = None, at: np.ndarray | None = None) -> QueryBatch:
        """Return the stored histories of users as queries (without text: ItemFeatures reads the words).

        The columns of ``user_table`` come along as the context of each query.

        Parameters
        ----------
        users : int (n,), optional
            Indices; all users where it is not given.
        at : float64 (n,), optional
            Moment of each query; by default that of the user's newest event.
        """
        users = np.arange(self.n_users) if users is None else np.asarray(users, dtype=np.int64)
        lengths = np.diff(self.indptr)[users]
        indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        source = np.arange(int(indptr[-1])) + np.repeat(self.indptr[users] - indptr[:-1], lengths)
        rows = self.interactions
        if at is None:
            at = np.full(users.size, np.nan)
            filled = lengths > 0
            at[filled] = rows.time[self.indptr[users + 1][filled] - 1]
        ages = (np.repeat(at, lengths) - rows.time[source]) / SECONDS_PER_DAY
        return QueryBatch(
            indptr,
            rows.item[source],
            rows.weight[source],
            rows.rating[source],
            np.maximum(ages, 0.0).astype(np.float32),
            users.astype(np.int32),
            at,
            contexts=user_contexts(self.user_table, users),
        )

    def with_rows(self, rows: np.ndarray) -> Dataset:
        """Return the dataset with some of its interactions (indices or a mask); ids and tables stay."""
        return replace(self, interactions=self.interactions.take(rows))

    def without_user(self, user: int) -> Dataset:
        """Return the dataset with nothing of one user: no interaction, no search, no profile, no id.

        The items keep their order; later users move up by one.
        """
        kept = np.arange(self.n_users) != user
        moved = np.cumsum(kept) - 1
        rows = self.interactions.take(self.interactions.user != user)
        searches = self.searches.take(self.searches.user != user)
        names = [name for index, name in enumerate(self.users.ids()) if kept[index]]
        return replace(
            self,
            users=Vocabulary.from_ids(names),
            user_table=self.user_table[np.flatnonzero(kept)],
            interactions=replace(rows, user=moved[rows.user].astype(np.int32)),
            searches=replace(searches, user=moved[searches.user].astype(np.int32)),
            impressions=self.impressions.filter(self.impressions["user_id"] != self.users.ids()[user]),
        )

    def extended(self, new: Dataset) -> Dataset:
        """Return this dataset with another one's ids, rows, searches and links added after its own.

        Items and users keep their indices; of a known item or user the newer row of the table counts. Where this
        dataset has times, a new row without one is taken to have happened at the newest moment known.
        """
        import polars as pl

        from fuserec.data.tables import merged_table

        users, items = self.users.extended(new.users.ids()), self.items.extended(new.items.ids())
        user_of, item_of = users.indices(new.users.ids()), items.indices(new.items.ids())
        rows = replace(
            new.interactions,
            user=user_of[new.interactions.user],
            item=item_of[new.interactions.item],
            time=self._dated(new.interactions.time),
        )
        searches = Searches(
            np.concatenate([self.searches.user, user_of[new.searches.user]]).astype(np.int32),
            np.concatenate([self.searches.time, self._dated(new.searches.time)]),
            self.searches.text + new.searches.text,
        )
        return replace(
            self,
            users=users,
            items=items,
            interactions=Interactions.concatenate([self.interactions, rows]),
            item_table=merged_table(self.item_table, new.item_table, item_of, len(items)),
            user_table=merged_table(self.user_table, new.user_table, user_of, len(users)),
            links=pl.concat([self.links, new.links]).unique(maintain_order=True),
            searches=searches,
            impressions=pl.concat([self.impressions, new.impressions]),
        )

    def _dated(self, times: np.ndarray) -> np.ndarray:
        """Return float64 (n,): times of new rows, missing ones set to the newest moment known."""
        if not self.has_time:
            return times
        known = times[np.isfinite(times)]
        newest = max(float(self.interactions.time.max()), float(known.max(initial=-np.inf)))
        return np.where(np.isfinite(times), times, newest)

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that change with any interaction, id or column of the dataset."""
        digest = hashlib.blake2b(digest_size=8)
        for vocabulary in (self.users, self.items):
            digest.update(vocabulary.hashes.tobytes())
        for name in ROW_ARRAYS:
            digest.update(np.ascontiguousarray(getattr(self.interactions, name)).tobytes())
        sometimes = (self.interactions.context, self.impressions if self.impressions.height else None)
        for table in (self.item_table, self.user_table, self.links, *(t for t in sometimes if t is not None)):
            digest.update(table.write_json().encode("utf-8") if table.width else b"-")
        digest.update("\0".join(self.searches.text).encode("utf-8"))
        return digest.hexdigest()
