"""The same data and configuration without a word: what behaviour alone can do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fuserec.config import RecommenderConfig, default_parts
from fuserec.data.contexts import PROFILE
from fuserec.data.dataset import Searches
from fuserec.encoders.augment import AugmentConfig
from fuserec.encoders.codes import CodesConfig
from fuserec.encoders.text import DEFAULT_COLUMNS, LAST_RESORT_COLUMNS, item_text
from fuserec.errors import ConfigError

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset

TEXT_ALONE = frozenset({"content", "language_pair"})
"""Scorers that have nothing to say without text: they are left out, all others learn from behaviour."""

OTHER_COLUMNS = ("text",)


def resolved(config: RecommenderConfig, dataset: Dataset) -> RecommenderConfig:
    """Return the configuration with its parts named: those of the whole data, however little of it is learnt from."""
    return config.model_copy(update={"parts": config.parts or default_parts(dataset)})


def has_text(dataset: Dataset, config: RecommenderConfig) -> bool:
    """Return whether any item says anything."""
    return any(item_text(dataset.item_table, config.features.text))


def text_columns(config: RecommenderConfig) -> tuple[str, ...]:
    """Return the columns of items that are read as text, by this configuration or by default."""
    named = config.features.text.columns or ()
    return tuple(dict.fromkeys((*named, *DEFAULT_COLUMNS, *LAST_RESORT_COLUMNS, *OTHER_COLUMNS)))


def textless_data(dataset: Dataset, config: RecommenderConfig) -> Dataset:
    """Return the dataset without the columns that are read as text, without profiles in words and without searches.

    Categories, brands and tags are read as text, so they go too; prices, other columns and all behaviour stay.
    """
    import polars as pl

    table, people = dataset.item_table, dataset.user_table
    gone = [name for name in text_columns(config) if name in table.columns]
    kept = table.drop(gone)
    if not kept.width:  # a table without columns would have no rows either
        kept = pl.DataFrame({"text": pl.Series([None] * table.height, dtype=pl.String)})
    if PROFILE in people.columns:
        people = people.with_columns(pl.lit(None, dtype=pl.String).alias(PROFILE))
    return replace(dataset, item_table=kept, user_table=people, searches=Searches.none())


def textless(config: RecommenderConfig) -> RecommenderConfig:
    """Return the configuration (parts named) without the language model and without parts that text alone feeds.

    Raises
    ------
    ConfigError
        Where no part is left.
    """
    parts = {name: table for name, table in config.parts.items() if _scorer(name, table) not in TEXT_ALONE}
    if not parts:
        raise ConfigError(
            f"learning curve: without text none of the parts is left ({', '.join(config.parts)} read text alone): "
            "add one that learns from behaviour, such as [parts.item_knn]"
        )
    features = config.features.model_copy(
        update={
            "use_sentence": "never",
            "text": config.features.text.model_copy(update={"columns": None}),
            "augment": AugmentConfig(),
            "codes": CodesConfig(),
        }
    )
    return config.model_copy(update={"parts": parts, "features": features})


def _scorer(name: str, table: Mapping[str, Any]) -> str:
    """Return the scorer of a part; of a wrapper, the one inside."""
    scorer = str(table.get("scorer", name))
    if scorer in ("averaged", "debiased"):
        return _scorer(str(table.get("of", "")), table.get("options", {}) or {})
    return scorer
