"""FuseRec: recommendations from behaviour and language, fused, measured and explained."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fuserec.config import RecommenderConfig, load_config
    from fuserec.control.controls import Controls
    from fuserec.data.dataset import Dataset
    from fuserec.data.query import Event, Query
    from fuserec.data.readers import read
    from fuserec.data.sample import sample
    from fuserec.evaluation.runner import evaluate
    from fuserec.recommender import Recommender
    from fuserec.run import RunOptions
    from fuserec.tuning.lists import tune_lists
    from fuserec.tuning.tune import tune

__version__ = "0.1.0"

_HOMES = {
    "Controls": "control.controls",
    "Dataset": "data.dataset",
    "Event": "data.query",
    "Query": "data.query",
    "Recommender": "recommender",
    "RecommenderConfig": "config",
    "RunOptions": "run",
    "evaluate": "evaluation.runner",
    "load_config": "config",
    "read": "data.readers",
    "sample": "data.sample",
    "tune": "tuning.tune",
    "tune_lists": "tuning.lists",
}

__all__ = [
    "Controls",
    "Dataset",
    "Event",
    "Query",
    "Recommender",
    "RecommenderConfig",
    "RunOptions",
    "evaluate",
    "load_config",
    "read",
    "sample",
    "tune",
    "tune_lists",
]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used, so that ``import fuserec`` stays light."""
    if name not in _HOMES:
        raise AttributeError(f"module 'fuserec' has no attribute {name!r}")
    return getattr(import_module(f"fuserec.{_HOMES[name]}"), name)
