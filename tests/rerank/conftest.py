"""Lets the tests import the planted shop beside them, and gives it to them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from planted_shop import Shop, planted

from fuserec import RunOptions
from fuserec.encoders.features import FeatureConfig, ItemFeatures
from fuserec.rerank.base import Pool


@pytest.fixture(scope="session")
def shop() -> Shop:
    """Return the planted shop with 40 queries and their 60 candidates."""
    dataset = planted()
    config = FeatureConfig.parse({"use_sentence": "never"}, "test")
    features = ItemFeatures.build(dataset, config, RunOptions(threads=1))
    q = dataset.queries(np.arange(40))
    rng = np.random.default_rng(3)
    counts = np.log1p(dataset.item_counts)
    main = (np.arange(dataset.n_items) % 4)[None, :] == (np.arange(40) % 4)[:, None]
    values = (counts[None, :] + 1.5 * main + 0.3 * rng.random((40, dataset.n_items))).astype(np.float32)
    values[q.rows, q.items] = -np.inf
    items = np.argsort(-values, axis=1, kind="stable")[:, :60].astype(np.int32)
    scores = np.take_along_axis(values, items.astype(np.int64), axis=1)
    there = np.isfinite(scores)
    pool = Pool.of(np.where(there, items, -1), scores, there.sum(axis=1).astype(np.int32))
    return Shop(dataset, features, q, pool)
