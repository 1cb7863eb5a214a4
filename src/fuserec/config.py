"""The configuration of a Recommender: TOML, validated; without one, parts are chosen by the data."""

from __future__ import annotations

import logging
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from fuserec.control.controls import Controls
from fuserec.encoders.features import FeatureConfig
from fuserec.errors import ConfigError
from fuserec.fusion.config import FusionConfig
from fuserec.neural import available
from fuserec.rerank.config import RerankConfig
from fuserec.scorers import create, scorer_class
from fuserec.settings import Settings
from fuserec.tracking.config import TrackingConfig

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.scorers.base import Scorer

log = logging.getLogger("fuserec")

SECONDS_PER_DAY = 86_400.0
TREND_DAYS = 30.0
"""Half-life of the part ``trending``, which is there where the data spans at least four of them."""

ENOUGH_TO_TRAIN = 20_000
"""Interactions below which a neural part has too little to learn from."""

LONG_HISTORY = 40.0
"""Mean events a person from which histories are long ones."""

_NAME = re.compile(r"\w[\w.-]{0,63}")


class RecommenderConfig(Settings):
    """Everything that can be configured.

    ``[parts.NAME]`` tables hold a part's hyperparameters; ``scorer`` names the scorer where NAME is not one itself, so
    that one scorer can stand in the fusion several times. Without any, :func:`default_parts` chooses.
    """

    features: FeatureConfig = Field(
        default=FeatureConfig(), description="What of an item is read, and by what."
    )
    fusion: FusionConfig = Field(
        default=FusionConfig(), description="The form of the fusion, and how it learns."
    )
    parts: dict[str, dict[str, Any]] = Field(default={}, description="The parts of the fusion.")
    rerank: RerankConfig = Field(
        default=RerankConfig(),
        description="What puts scored candidates into the list that is shown; see docs/reranking.md.",
    )
    control: Controls = Field(
        default=Controls(), description="The operator's dials, for every list; see docs/control.md."
    )
    tune: dict[str, dict[str, Any]] = Field(
        default={}, description="Ranges that `fuserec tune` searches, by part."
    )
    tracking: TrackingConfig = Field(
        default=TrackingConfig(), description="Where the figures of a fit, an evaluation or a tuning go."
    )

    def scorers(self, dataset: Dataset) -> dict[str, Scorer]:
        """Return the unfitted parts, configured ones or the defaults for this data."""
        return create_parts(self.parts or default_parts(dataset))


def create_parts(tables: Mapping[str, Mapping[str, Any]]) -> dict[str, Scorer]:
    """Return unfitted scorers by part name, each table validated.

    Two keys stand beside the hyperparameters of any scorer: ``seeds = N`` averages N copies of it, and
    ``debias = 0.0`` to ``1.0`` lowers its scores of popular items (the scorers ``averaged`` and ``debiased``).
    """
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
        parts[name] = _created(scorer, values, f"[parts.{name}]")
    return parts


def _created(scorer: str, values: dict[str, Any], where: str) -> Scorer:
    """Return a scorer, averaged over seeds and debiased where the table says so."""
    fields = scorer_class(scorer).Config.model_fields
    wrapping = {key: values.pop(key) for key in ("seeds", "debias") if key in values and key not in fields}
    made = create(scorer, values, where)
    for key, wrapper, field in (("seeds", "averaged", "seeds"), ("debias", "debiased", "exponent")):
        if key in wrapping:
            made = create(wrapper, {"of": scorer, "options": values, field: wrapping[key]}, f"{where} {key}")
            scorer, values = made.name, made.config.model_dump(exclude_unset=True)
    return made


def default_parts(dataset: Dataset) -> dict[str, dict[str, Any]]:
    """Return the parts that serve data of this shape best, as the benchmarks show them.

    Popularity, co-occurrence, item neighbours, matrix factorisation, EASE (up to its catalogue limit) and content
    always; a sequence model where there is enough to train one on; a trend where there is time for one; rating
    predictors where most interactions carry ratings.
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
    if dataset.n_interactions >= ENOUGH_TO_TRAIN:
        if available():
            parts["sequence"] = sequence_shape(dataset)
        else:
            log.warning(
                "the part sequence is left out: PyTorch is not installed (pip install 'fuserec[deep]')"
            )
    if dataset.has_time:
        time = dataset.interactions.time
        if float(time.max() - time.min()) >= 4 * TREND_DAYS * SECONDS_PER_DAY:
            parts["trending"] = {"scorer": "popularity", "half_life_days": TREND_DAYS}
    if dataset.has_ratings:
        parts |= {"svd": {}, "nmf": {}}
    return parts


def sequence_shape(dataset: Dataset) -> dict[str, Any]:
    """Return the size of a sequence model for data of this shape.

    Short histories in large catalogues (a shop) want one layer and strong dropout; long ones (films) more layers and a
    longer window. A batch is a share of the data, so that an epoch has about a hundred steps or more.
    """
    people = max(1, int((np.diff(dataset.indptr) > 0).sum()))
    step = dataset.n_interactions / 100
    shape: dict[str, Any] = {"batch_size": int(2 ** np.clip(np.ceil(np.log2(step)), 7, 12))}
    if dataset.n_interactions / people >= LONG_HISTORY:
        shape |= {"blocks": 2, "max_length": 128, "dropout": 0.2, "epochs": 30}
    return shape


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
