"""What cleaning leaves: columns in codes, ready to be a Dataset or to be written as a folder."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from fuserec.data.cleaning.circumstances import contexts_in, prefixed
from fuserec.data.cleaning.events import NO_ITEM
from fuserec.data.cleaning.graph import dataset_impressions, written_impressions
from fuserec.data.contexts import stacked_contexts
from fuserec.data.dataset import Dataset, DatasetInfo, Interactions, Searches
from fuserec.data.vocabulary import Vocabulary
from fuserec.data.weights import HALF_SECONDS, KINDS, TIMED, signed_weights, strongest


@dataclass(frozen=True)
class Cleaned:
    """A cleaned source, with what a Dataset does not hold.

    Parameters
    ----------
    events : polars.DataFrame
        As in :class:`fuserec.data.cleaning.events.Events`; codes are positions in ``users`` and ``items``.
    users, items : polars.Series of String
    user_table, item_table : polars.DataFrame
        Row ``i`` describes id ``i``.
    links : polars.DataFrame
    impressions : polars.DataFrame or None
    info : DatasetInfo
    repeats : bool
        See :class:`fuserec.data.raw.RawTables`.
    """

    events: pl.DataFrame
    users: pl.Series
    items: pl.Series
    user_table: pl.DataFrame
    item_table: pl.DataFrame
    links: pl.DataFrame
    impressions: pl.DataFrame | None
    info: DatasetInfo
    repeats: bool = False

    def dataset(self) -> Dataset:
        """Return the Dataset: vocabularies, signed weights, rows by user and time."""
        search = self.events["item"] == NO_ITEM
        rows = self.events.filter(~search) if search.any() else self.events
        column = {
            name: rows[name].to_numpy()
            for name in ("user", "item", "kind", "rating", "time", "seconds", "part")
        }
        info = self.info
        unit = info.weight_unit or strongest(column["kind"], info.weights)
        weight = signed_weights(
            column["kind"], column["rating"], column["seconds"], info.rating_scale, info.weights, unit
        )
        interactions = Interactions(
            column["user"],
            column["item"],
            weight,
            column["rating"],
            column["time"],
            column["kind"],
            column["part"],
            contexts_in(rows),
        )
        return Dataset(
            Vocabulary.from_ids(self.users),
            Vocabulary.from_ids(self.items),
            interactions,
            self.item_table,
            self.user_table,
            self.links,
            self._searches(search),
            replace(info, weight_unit=unit),
            dataset_impressions(self.impressions),
        )

    def _searches(self, search: pl.Series) -> Searches:
        """Return the searches by user, oldest first."""
        if not search.any():
            return Searches.none()
        rows = self.events.filter(search).sort("user", "time", maintain_order=True, nulls_last=False)
        return Searches(rows["user"].to_numpy(), rows["time"].to_numpy(), tuple(rows["text"]))

    @classmethod
    def of(cls, data: Dataset) -> Cleaned:
        """Return the columns of a Dataset; durations are recovered from the weights they gave."""
        rows, searches = data.interactions, data.searches
        found = len(searches.text)
        nan = np.full(found, np.nan)
        columns = {
            "user": np.concatenate([rows.user, searches.user]).astype(np.int32),
            "item": np.concatenate([rows.item, np.full(found, NO_ITEM)]).astype(np.int32),
            "kind": np.concatenate([rows.kind, np.full(found, KINDS.index("search"))]).astype(np.uint8),
            "rating": np.concatenate([rows.rating, nan]).astype(np.float32),
            "time": np.concatenate([rows.time, searches.time]).astype(np.float64),
            "seconds": np.concatenate([_durations(data), nan]).astype(np.float32),
            "part": np.concatenate([rows.part, np.zeros(found)]).astype(np.uint8),
        }
        events = pl.DataFrame(columns)
        every = stacked_contexts([(rows.context, len(rows)), (None, found)])
        if every is not None:
            events = events.with_columns(prefixed(every))
        if found:
            events = events.with_columns(
                pl.Series("text", [""] * len(rows) + list(searches.text), dtype=pl.String)
            )
        return cls(
            events,
            pl.Series("user_id", data.users.ids(), dtype=pl.String),
            pl.Series("item_id", data.items.ids(), dtype=pl.String),
            data.user_table,
            data.item_table,
            data.links,
            written_impressions(data.impressions),
            data.info,
            repeats=not data.has_time,
        )


def _durations(data: Dataset) -> np.ndarray:
    """Return float64 (n,): the seconds that a weight speaks of, NaN where it speaks of none.

    Solves ``weight = full * s / (s + HALF_SECONDS)`` for ``s``; ``full`` is the weight without a duration.
    """
    rows = data.interactions
    out = np.full(len(rows), np.nan)
    timed = np.isin(rows.kind, [KINDS.index(kind) for kind in TIMED])
    if not timed.any():
        return out
    unknown = np.full(len(rows), np.nan, dtype=np.float32)
    info = data.info
    full = signed_weights(
        rows.kind, rows.rating, unknown, info.rating_scale, info.weights, info.weight_unit
    ).astype(np.float64)
    share = np.divide(rows.weight, full, out=np.ones(len(rows)), where=full != 0)
    shortened = timed & (share < 1.0)
    out[shortened] = HALF_SECONDS * share[shortened] / (1.0 - share[shortened])
    return out
