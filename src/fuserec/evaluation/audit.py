"""What an evaluation asks beside accuracy: declared settings, and the facts of data and split that answer them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from pydantic import Field

from fuserec.data.dataset import SECONDS_PER_DAY
from fuserec.data.impressions import Impressions
from fuserec.data.weights import KINDS
from fuserec.errors import ConfigError, DataError
from fuserec.evaluation.groups import Groups, item_groups, popularity_groups, require_column, user_groups
from fuserec.filters import allowed_items, parse_filters
from fuserec.metrics.debiased import popularity_propensities
from fuserec.metrics.masses import distributions
from fuserec.settings import Settings

if TYPE_CHECKING:
    import polars as pl

    from fuserec.data.dataset import Dataset
    from fuserec.data.splits import Holdout, Split

FloatArray = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

TOPICS = 30
"""Categories that are told apart, the most frequent ones."""

EVERYWHERE = 0.9
"""A category of more items than this share tells nothing."""

TEXTS = ("title", "description", "categories", "brand", "tags")
"""Columns of items in which words are looked for."""


class AuditConfig(Settings):
    """Groups, flagged content, worth, propensities and reasons that an evaluation measures."""

    groups: tuple[str, ...] | None = Field(
        default=None,
        description="Columns of users whose values are groups; without it those with few values, numbers in bands. "
        "An empty list means none.",
    )
    max_groups: int = Field(default=12, ge=2, le=100, description="Groups of a column, at most.")
    smallest_group: int = Field(
        default=30, ge=2, description="Test users (or targets, for items) that a group needs to be judged."
    )
    providers: tuple[str, ...] | None = Field(
        default=None,
        description="Columns of items whose values are providers; without it `brand`, where items have one.",
    )
    flagged: tuple[str, ...] = Field(
        default=(), description='Conditions that flag an item, any of them, such as `["adult=1"]`.'
    )
    flagged_words: tuple[str, ...] = Field(
        default=(),
        description="Words or phrases that flag an item whose title, description, categories, brand or tags hold one.",
    )
    protected: tuple[str, ...] = Field(
        default=(), description='Conditions that a protected user meets, all of them, such as `["age<18"]`.'
    )
    worth: str | None = Field(
        default=None,
        description="A column of numbers that says what a held-out interaction is worth (a price, seconds): a further "
        "column of interactions, else one of items.",
    )
    propensities: Literal["popularity", "logged"] = Field(
        default="popularity",
        description="What debiased accuracy divides by: a power of popularity, or what impressions have logged.",
    )
    propensity_exponent: float = Field(default=0.5, ge=0, le=2, description="The power of popularity.")
    propensity_floor: float = Field(
        default=0.05, gt=0, le=1, description="Smaller propensities are raised to this."
    )
    permutations: int = Field(default=199, ge=19, description="Permutations of a null.")
    seeds: int = Field(
        default=1, ge=1, le=20, description="Seeds that models are fitted with; 2 and more measure stability."
    )
    reasons: int = Field(default=0, ge=0, description="Test users whose reasons are checked; 0 checks none.")


def load_audit(path: Path) -> AuditConfig:
    """Read the settings from a TOML file.

    Raises
    ------
    ConfigError
        Where it cannot be read, is not TOML, or holds an unknown key or a value that is not allowed.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"audit {path}: cannot be read ({error})") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"audit {path}: not TOML: {error}") from None
    return AuditConfig.parse(values, f"audit {path}")


@dataclass(frozen=True)
class Targets:
    """What the data know of each held-out target.

    Parameters
    ----------
    kinds : dict of bool (n_targets,)
        Whether it was of that kind, for the kinds that occur among them.
    later : bool (n_targets,) or None
        Whether it was taken on a later day than the user's first target; None without times.
    worth : float64 (n_targets,) or None
        NaN where nobody knows; None where no column was named.
    """

    kinds: dict[str, Mask]
    later: Mask | None
    worth: FloatArray | None


@dataclass(frozen=True)
class Audit:
    """Facts of one split, made once for all models.

    Parameters
    ----------
    config : AuditConfig
    dataset : Dataset
        All of it: what came of held-out targets stands in it.
    test : Holdout
    train : Dataset
    groups : tuple of Groups
        Of the test queries.
    """

    config: AuditConfig
    dataset: Dataset
    test: Holdout
    train: Dataset
    groups: tuple[Groups, ...] = field(default=())

    @classmethod
    def of(cls, dataset: Dataset, held: Split, config: AuditConfig) -> Audit:
        """Check the settings against the data, before anything is fitted.

        Raises
        ------
        ConfigError, DataError, RequestError
            For a column that is not there, a condition that cannot be read, or groups that are all too small.
        """
        users = held.test.queries.users
        groups = user_groups(
            dataset.user_table, users, config.groups, config.max_groups, config.smallest_group
        )
        made = cls(config, dataset, held.test, held.train, groups)
        for fact in ("item_groups", "flagged", "protected", "targets", "propensity"):
            getattr(made, fact)
        return made

    @cached_property
    def item_groups(self) -> tuple[Groups, ...]:
        """Groups of items: by popularity, and by each column of providers."""
        table, config = self.dataset.item_table, self.config
        named = config.providers
        if named is None:
            named = ("brand",) if _filled(table, "brand") else ()
        found = [item_groups(table, name, config.max_groups) for name in named]
        return (popularity_groups(self.train.item_counts), *(groups for groups in found if len(groups) >= 2))

    @cached_property
    def topics(self) -> Any:
        """CSR float64 (n_items, n_topics): each item's categories (else tags) in equal shares; or None."""
        table = self.dataset.item_table
        name = next((name for name in ("categories", "tags") if _filled(table, name)), None)
        return None if name is None else topic_shares(table[name].to_list())

    def history_topics(self, k: int) -> Any:
        """CSR float64 (n, n_topics): topics of the newest k events of each history."""
        q = self.test.queries
        newest = q.steps < k
        indptr = np.concatenate(([0], np.cumsum(np.minimum(q.lengths, k))))
        items = q.items[newest].astype(np.int64)
        return (
            sp.csr_array((np.ones(items.size), items, indptr), shape=(len(q), self.topics.shape[0]))
            @ self.topics
        )

    @cached_property
    def flagged(self) -> Mask | None:
        """Bool (n_items,): flagged items; None where nothing flags any."""
        config, table = self.config, self.dataset.item_table
        if not config.flagged and not config.flagged_words:
            return None
        found = np.zeros(table.height, dtype=bool)
        for condition in config.flagged:
            found |= allowed_items(table, parse_filters([condition]))
        return found | _holding(table, config.flagged_words)

    @cached_property
    def protected(self) -> Mask | None:
        """Bool (n,): whether each query is that of a protected user; None where nobody is said to be."""
        if not self.config.protected:
            return None
        table, users = self.dataset.user_table, self.test.queries.users
        filters = parse_filters(self.config.protected)
        for column in filters:
            require_column(table, column, "protected", "users")
        inside = np.append(allowed_items(table, filters), False)  # the last place answers -1
        return np.asarray(inside[users], dtype=bool)

    @cached_property
    def targets(self) -> Targets:
        """What the data know of each target: kind, return, worth."""
        rows = self.dataset.interactions
        target, row = _matched(self.dataset, self.test)
        size = self.test.items.size
        kinds = {}
        for code in np.unique(rows.kind[row]):
            mask = np.zeros(size, dtype=bool)
            mask[target[rows.kind[row] == code]] = True
            kinds[KINDS[int(code)]] = mask
        return Targets(kinds, self._later(target, row), self._worth(target, row))

    def _later(self, target: npt.NDArray[np.int64], row: npt.NDArray[np.int64]) -> Mask | None:
        """Return which targets were taken on a later day than the user's first one."""
        if not self.dataset.has_time:
            return None
        first = np.full(self.test.items.size, np.inf)
        np.minimum.at(first, target, self.dataset.interactions.time[row])
        day = np.floor(first / SECONDS_PER_DAY)
        begin = np.full(len(self.test), np.inf)
        np.minimum.at(begin, self.test.rows, day)
        return np.asarray(np.isfinite(day) & (day > begin[self.test.rows]), dtype=bool)

    def _worth(self, target: npt.NDArray[np.int64], row: npt.NDArray[np.int64]) -> FloatArray | None:
        """Return what each target is worth: the sum over its interactions, or the value of its item."""
        name = self.config.worth
        if name is None:
            return None
        context = self.dataset.interactions.context
        if context is not None and name in context.columns:
            values = _numbers(context[name], name)[row]
            known = np.isfinite(values)
            worth = np.full(self.test.items.size, np.nan)
            worth[target[known]] = 0.0
            np.add.at(worth, target[known], values[known])
            return worth
        if name == "value" and name not in self.dataset.item_table.columns:
            raise ConfigError(
                "worth = value: `value` became the weight of an interaction; keep what it measures in a column of its "
                "own too, such as `seconds`, and name that one"
            )
        own = require_column(self.dataset.item_table, name, "worth", "interactions and items")
        found = _numbers(self.dataset.item_table[own], name)
        return np.asarray(found[self.test.items])

    @cached_property
    def propensity(self) -> FloatArray:
        """float64 (n_targets,): how likely each target was to be observed; NaN where impressions do not tell."""
        config, test = self.config, self.test
        if config.propensities == "popularity":
            counts = self.train.item_counts
            made = popularity_propensities(counts, config.propensity_exponent, config.propensity_floor)
            return np.asarray(made[test.items])
        shown = Impressions.of(self.dataset)
        known = np.isfinite(shown.propensity) & (shown.propensity > 0) & (shown.user >= 0)
        keys = shown.user[known].astype(np.int64) * self.dataset.n_items + shown.item[known]
        pairs, place = np.unique(keys, return_inverse=True)
        wanted = test.queries.users[test.rows].astype(np.int64) * self.dataset.n_items + test.items
        at = np.searchsorted(pairs, wanted)
        there = np.isin(wanted, pairs)
        if not there.any():
            raise DataError(
                "propensities = logged: no held-out target has an impression with a propensity; "
                "add `propensity` to impressions.*, or choose popularity"
            )
        mean = np.bincount(place, weights=shown.propensity[known]) / np.bincount(place)
        found = np.full(test.items.size, np.nan)
        found[there] = np.clip(mean[at[there]], config.propensity_floor, 1.0)
        return found


def topic_shares(cells: list[list[str] | None]) -> Any:
    """Return lists of topics as equal shares: CSR float64 (n, up to :data:`TOPICS`).

    A topic that nearly all have tells nothing and is left out, as are rare ones; an item of only such topics has none.
    """
    import polars as pl

    frame = pl.DataFrame({"topic": pl.Series(cells, dtype=pl.List(pl.String))}).with_row_index("item")
    pairs = frame.explode("topic").drop_nulls().unique(maintain_order=True)
    sizes = (
        pairs.group_by("topic", maintain_order=True).len().filter(pl.col("len") <= EVERYWHERE * frame.height)
    )
    chosen = sizes.sort("len", "topic", descending=[True, False]).head(TOPICS)["topic"].to_list()
    code = {topic: at for at, topic in enumerate(chosen)}
    kept = pairs.filter(pl.col("topic").is_in(chosen))
    columns = np.array([code[topic] for topic in kept["topic"].to_list()], dtype=np.int64)
    rows = kept["item"].to_numpy().astype(np.int64)
    counts = sp.csr_array((np.ones(rows.size), (rows, columns)), shape=(frame.height, max(1, len(chosen))))
    return distributions(counts)


def _filled(table: pl.DataFrame, name: str) -> bool:
    """Return whether a column is there and says something."""
    import polars as pl

    if name not in table.columns:
        return False
    column = table[name]
    if isinstance(column.dtype, pl.List):
        return bool((column.list.len() > 0).any())
    return bool((column.cast(pl.String).fill_null("") != "").any())


def _holding(table: pl.DataFrame, words: tuple[str, ...]) -> Mask:
    """Return bool (n_items,): whose texts hold one of the words, as words of their own, in any case."""
    import re

    import polars as pl

    found = np.zeros(table.height, dtype=bool)
    if not words:
        return found
    # An ASCII word ends where its letters do; Chinese has no such ends.
    parts = [rf"\b{re.escape(word)}\b" if word.isascii() else re.escape(word) for word in words]
    pattern = re.compile("|".join(parts), re.IGNORECASE)
    for name in TEXTS:
        if name in table.columns:
            column = table[name]
            texts = column.list.join(" \n ") if isinstance(column.dtype, pl.List) else column.cast(pl.String)
            found |= np.array([bool(text and pattern.search(text)) for text in texts.to_list()], dtype=bool)
    return found


def _numbers(column: pl.Series, name: str) -> FloatArray:
    """Return a column as float64, NaN where it says nothing."""
    import polars as pl

    numbers = column.cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy().astype(np.float64)
    if not np.isfinite(numbers).any():
        raise DataError(f"worth: column {name!r} holds no number; name one that does")
    return np.where(np.isfinite(numbers), numbers, np.nan)


def _matched(dataset: Dataset, test: Holdout) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return (target, row): the interactions of each target's user and item, all of them held out."""
    rows = dataset.interactions
    wanted = test.queries.users[test.rows].astype(np.int64) * dataset.n_items + test.items
    order = np.argsort(wanted, kind="stable")
    asked = np.zeros(dataset.n_users, dtype=bool)
    asked[test.queries.users] = True
    near = np.flatnonzero(asked[rows.user])
    keys = rows.user[near].astype(np.int64) * dataset.n_items + rows.item[near]
    at = np.minimum(np.searchsorted(wanted[order], keys), max(0, wanted.size - 1))
    hit = wanted[order][at] == keys
    return order[at[hit]], near[hit]
