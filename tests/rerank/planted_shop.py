"""A small shop with every bias that rerankers are there for, planted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from fuserec import Dataset
from fuserec.config import RecommenderConfig
from fuserec.data.query import QueryBatch
from fuserec.encoders.features import ItemFeatures
from fuserec.rerank.base import Pool

KINDS = ("crime", "space", "kitchen", "garden")
WORDS = {
    "crime": ("detective", "murder", "alibi", "witness", "police"),
    "space": ("galaxy", "robot", "orbit", "alien", "planet"),
    "kitchen": ("bread", "chef", "spice", "soup", "butter"),
    "garden": ("rose", "spade", "seed", "hedge", "lawn"),
}
N_ITEMS, N_USERS = 80, 120


@dataclass(frozen=True)
class Shop:
    """The dataset, its features, queries, and a pool whose scores prefer what is popular and of the main kind."""

    dataset: Dataset
    features: ItemFeatures
    queries: QueryBatch
    pool: Pool


def planted() -> Dataset:
    """Return users who take two thirds of one kind and a third of another, the popular items far more often."""
    rng = np.random.default_rng(5)
    kind = np.arange(N_ITEMS) % len(KINDS)
    appeal = 1.0 / (1 + np.arange(N_ITEMS) // len(KINDS)) ** 0.8
    rows = []
    for user in range(N_USERS):
        main, side = user % len(KINDS), (user + 1) % len(KINDS)
        chance = appeal * np.where(kind == main, 1.0, np.where(kind == side, 0.5, 0.02))
        taken = rng.choice(N_ITEMS, 12, replace=False, p=chance / chance.sum())
        rows += [(f"u{user}", f"i{item}", 1.6e9 + 1000.0 * user + step) for step, item in enumerate(taken)]
    items = [
        {
            "item_id": f"i{item}",
            "title": f"{WORDS[KINDS[k]][item // 4 % 5]} {WORDS[KINDS[k]][item // 20 % 5]} {item}",
            "categories": [KINDS[k], "adult"] if item % 7 == 0 else [KINDS[k]],
            "brand": f"brand {item % 5}",
        }
        for item, k in enumerate(kind)
    ]
    users = [{"user_id": f"u{user}", "age": 12.0 + user % 30} for user in range(N_USERS)]
    return Dataset.from_frames(
        pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row"),
        pl.DataFrame(items),
        pl.DataFrame(users),
    )


def lexical(**tables: dict[str, object]) -> RecommenderConfig:
    """Return a configuration without a language model, of quick parts, with tables of rerankers."""
    return RecommenderConfig.parse(
        {
            "features": {"use_sentence": "never"},
            "parts": {"item_knn": {}, "popularity": {}},
            "rerank": tables,
        },
        "test",
    )
