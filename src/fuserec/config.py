"""The configuration of a Recommender: TOML, validated; without one, parts are chosen by the data."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from fuserec.encoders.features import FeatureConfig
from fuserec.errors import ConfigError
from fuserec.fusion.blend import BlendConfig
from fuserec.scorers import create
from fuserec.settings import Settings

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.scorers.base import Scorer

SECONDS_PER_DAY = 86_400.0
TREND_DAYS = 30.0
"""Half-life of the part ``trending``, which is there where the data spans at least four of them."""

_NAME = re.compile(r"\w[\w.-]{0,63}")


class RecommenderConfig(Settings):
    """Everything that can be configured.

    ``[parts.NAME]`` tables hold a part's hyperparameters; ``scorer`` names the scorer where NAME is not one itself, so
    that one scorer can stand in the fusion several times. Without any, :func:`default_parts` chooses.
    """

    features: FeatureConfig = Field(
        default=FeatureConfig(), description="What of an item is read, and by what."
    )
    fusion: BlendConfig = Field(default=BlendConfig(), description="How the fusion learns.")
    parts: dict[str, dict[str, Any]] = Field(default={}, description="The parts of the fusion.")

    def scorers(self, dataset: Dataset) -> dict[str, Scorer]:
        """Return the unfitted parts, configured ones or the defaults for this data."""
        return create_parts(self.parts or default_parts(dataset))


def create_parts(tables: Mapping[str, Mapping[str, Any]]) -> dict[str, Scorer]:
    """Return unfitted scorers by part name, each table validated."""
    parts: dict[str, Scorer] = {}
    for name, table in tables.items():
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"[parts.{name[:60]!r}]: a part's name has at most 64 letters, digits, and ._- (files bear it)"
            )
        values = dict(table)
        scorer = values.pop("scorer", name)
        if not isinstance(scorer, str):
            raise ConfigError(f"[parts.{name}]: scorer = {scorer!r} has to be the name of a scorer")
        parts[name] = create(scorer, values, f"[parts.{name}]")
    return parts


def default_parts(dataset: Dataset) -> dict[str, dict[str, Any]]:
    """Return the parts that serve data of this shape best, as the benchmarks show them.

    Popularity, co-occurrence, item neighbours, matrix factorisation, EASE (up to its catalogue limit) and content
    always; a trend where there is time for one; rating predictors where most interactions carry ratings.
    """
    if dataset.n_interactions == 0:  # a new catalogue: text is all there is
        return {"popularity": {}, "content": {}}
    parts: dict[str, dict[str, Any]] = {
        "popularity": {},
        "cooccurrence": {},
        "item_knn": {},
        "als": {},
        "ease": {},
        "content": {},
    }
    if dataset.has_time:
        time = dataset.interactions.time
        if float(time.max() - time.min()) >= 4 * TREND_DAYS * SECONDS_PER_DAY:
            parts["trending"] = {"scorer": "popularity", "half_life_days": TREND_DAYS}
    if dataset.has_ratings:
        parts |= {"svd": {}, "nmf": {}}
    return parts


def load_config(path: Path) -> RecommenderConfig:
    """Read a TOML file.

    Raises
    ------
    ConfigError
        Where it cannot be read, is not TOML, or holds an unknown key or a value that is not allowed.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"configuration {path}: cannot be read ({error})") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"configuration {path}: not TOML: {error}") from None
    except RecursionError:
        raise ConfigError(f"configuration {path}: not TOML: nested too deeply") from None
    config = RecommenderConfig.parse(values, f"configuration {path}")
    create_parts(config.parts)  # so that a wrong hyperparameter fails here, not after an hour
    return config
