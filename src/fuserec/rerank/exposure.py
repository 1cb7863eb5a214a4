"""Exposure fairness: providers, brands or the long tail get their share of the places."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from fuserec.errors import ConfigError, nearest
from fuserec.numerics.shares import rows_of, shared_order
from fuserec.rerank.base import Aim, Language, Pool, Reranker, RerankerSettings
from fuserec.rerank.groups import column_values, popularity_groups
from fuserec.rerank.popularity import THREE

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.query import QueryBatch
    from fuserec.encoders.features import ItemFeatures
    from fuserec.run import RunOptions
    from fuserec.types import Arrays, Meta, State

POPULARITY = "popularity"
NAMES = ("head", "middle", "tail")


class ExposureConfig(RerankerSettings):
    """Settings of exposure fairness."""

    column: str = Field(
        default=POPULARITY,
        description="The column of items that names who provides them (brand, for example), or popularity: its groups "
        "are head, middle and tail, with 20, 60 and 20 % of the interactions.",
        json_schema_extra={"tune": False},
    )
    target: Literal["catalogue", "interactions", "equal"] = Field(
        default="catalogue",
        description="A group's fair share: of the items, of the training interactions, or the same for each.",
        json_schema_extra={"tune": False},
    )
    shares: dict[str, float] = Field(
        default={},
        description="Shares of named groups instead, such as { tail = 0.4 }; every other group is owed nothing.",
    )
    method: Literal["minimum", "balance"] = Field(
        default="minimum",
        description="minimum: of the first k places at least ⌊strength · share · k⌋ go to each group (few groups); "
        "balance: what has less than its share is preferred (many providers).",
    )


class Exposure(Reranker):
    """Gives groups of items their share of the places of each list.

    ``minimum``: minimum representation at every prefix, as DetGreedy does (Geyik, Ambler and Kenthapadi 2019) and
    FA*IR for one protected group (Zehlike et al. 2017), here without its significance test. ``balance``: a
    fair-exposure penalty, (1 - strength) · relevance + strength · (share - what the group has of the list so far).
    Each list is made by itself: nothing is carried from one request to the next.
    """

    name: ClassVar[str] = "exposure"
    Config = ExposureConfig
    at_fit: ClassVar[frozenset[str]] = frozenset({"column"})
    aim: Aim = Aim(
        "Missing exposure",
        "By how much the groups that fall short of their fair share of a list do so, summed over them.",
        "lower",
    )
    said: ClassVar[Mapping[Language, tuple[str, str]]] = {
        "en": ("its group had less than its share", "groups with less than their share went first"),
        "zh": ("所属群体的曝光不足", "曝光不足的群体排到了前面"),
    }
    config: ExposureConfig

    def _fit(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> None:
        counts = train.item_counts
        if self.config.column == POPULARITY:
            self._group = popularity_groups(counts, THREE)
            self._names: tuple[str, ...] = NAMES
        else:
            where = f"[rerank.{self.name}]"
            members, self._names = column_values(train.item_table, self.config.column, where)
            some = np.diff(members.indptr) > 0
            self._group = np.full(train.n_items, -1, np.int32)
            self._group[some] = members.indices[
                members.indptr[:-1][some]
            ]  # the first where there are several
        own = self._group >= 0
        n = len(self._names)
        self._items = np.bincount(self._group[own], minlength=n)
        self._taken = np.bincount(self._group[own], weights=counts[own], minlength=n).astype(np.int64)

    def _prepare(self) -> None:
        self._shares = self._owed()

    def _owed(self) -> np.ndarray:
        """Return float64 (n_groups,): the fair share of each group."""
        named, n = self.config.shares, len(self._names)
        if named:
            place = {name: index for index, name in enumerate(self._names)}
            out = np.zeros(n)
            for name, share in named.items():
                if name not in place:
                    raise ConfigError(
                        f"[rerank.{self.name}] shares: no item has the {self.config.column} {name!r}"
                        f"{nearest(name, self._names)}"
                    )
                out[place[name]] = share
            return out
        if self.config.target == "equal":
            return np.full(n, 1.0 / max(1, n))
        amount = self._items if self.config.target == "catalogue" else self._taken
        return np.asarray(amount / max(1, amount.sum()))

    def order(self, pool: Pool, q: QueryBatch, places: int, threads: int = 1) -> np.ndarray:
        """Return the order in which groups get their share."""
        hard = self.config.method == "minimum"
        rows = rows_of(pool.items, pool.counts, pool.relevance)
        return shared_order(rows, self._group, self._shares, self.config.strength, hard, places, threads)

    def reached(self, lists: np.ndarray, counts: np.ndarray, q: QueryBatch) -> np.ndarray:
        """Return what the groups of each list fall short of their shares, 0 to 1."""
        from scipy import sparse

        n = len(self._names)
        group = np.where(np.arange(lists.shape[1]) < counts[:, None], self._group[np.maximum(lists, 0)], -1)
        rows, columns = np.nonzero(group >= 0)
        shape = (len(lists), n)
        has = sparse.csr_array((np.ones(rows.size), (rows, group[rows, columns])), shape=shape)
        at = np.repeat(np.arange(len(lists)), np.diff(has.indptr))
        got = np.minimum(has.data / np.maximum(counts, 1)[at], self._shares[has.indices])
        short = self._shares.sum() - np.bincount(at, weights=got, minlength=len(lists))
        return np.where(counts > 0, np.maximum(short, 0.0), np.nan)

    def because(self, item: int, up: bool, language: Language) -> str:
        """Return why an item was moved, with its group where it went up."""
        clause, group = super().because(item, up, language), int(self._group[item])
        return f"{clause} ({self._names[group]})" if up and group >= 0 else clause

    def state(self) -> State:
        """Return the group of each item, and what each group has."""
        arrays = {"group": self._group, "items": self._items, "taken": self._taken}
        return arrays, {"names": list(self._names)}

    def _restore(self, arrays: Arrays, meta: Meta) -> None:
        self._group, self._items, self._taken = arrays["group"], arrays["items"], arrays["taken"]
        self._names = tuple(meta["names"])
