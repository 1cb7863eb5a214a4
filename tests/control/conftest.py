"""The records and a model fitted on them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fuserec import Dataset, Recommender, RecommenderConfig, RunOptions
from fuserec.control.items import Items
from fuserec.features import item_features

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode adds no folder: `control_records` lies here

from control_records import CONFIG, catalogue


@pytest.fixture(scope="session")
def records() -> Dataset:
    return catalogue()


@pytest.fixture(scope="session")
def run() -> RunOptions:
    return RunOptions(threads=1)


@pytest.fixture(scope="session")
def items(records: Dataset, run: RunOptions) -> Items:
    config = RecommenderConfig.parse(CONFIG, "test")
    return Items(records, item_features(records, config.features, run))


@pytest.fixture(scope="session")
def fitted(records: Dataset, run: RunOptions) -> Recommender:
    return Recommender(RecommenderConfig.parse(CONFIG, "test")).fit(records, run)
