"""Data on which hyperparameters matter, and one configuration for all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fuserec import RecommenderConfig, RunOptions
from fuserec.data.dataset import Dataset
from fuserec.testing.planted import dataset_of

USERS, ITEMS, LENGTH = 240, 50, 10
PARTS: dict[str, dict[str, Any]] = {
    # far from what serves these data: the last event alone says what comes next
    "cooccurrence": {"window": 50, "decay": 1.0, "backward": 1.0, "recency": 1.0, "popularity_exponent": 0.0},
    "popularity": {},
}


def chains(seed: int = 0) -> Dataset:
    """Return histories, without repeats, in which an item is mostly followed by the one that it is chained to."""
    rng = np.random.default_rng(seed)
    follower = rng.permutation(ITEMS)
    histories = []
    for _ in range(USERS):
        history = [int(rng.integers(ITEMS))]
        while len(history) < LENGTH:
            following = int(follower[history[-1]]) if rng.random() < 0.7 else int(rng.integers(ITEMS))
            new = np.setdiff1d(np.arange(ITEMS), history)
            history.append(following if following in new else int(rng.choice(new)))
        histories.append(history)
    return dataset_of(histories, ITEMS)


@pytest.fixture(scope="session")
def chained() -> Dataset:
    return chains()


@pytest.fixture
def config() -> RecommenderConfig:
    return RecommenderConfig.parse({"features": {"use_sentence": "never"}, "parts": PARTS}, "test")


@pytest.fixture
def run() -> RunOptions:
    return RunOptions(threads=1)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return tmp_path / "study.db"
