"""Small worlds with something planted in columns: a season, a device, products of two columns."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import polars as pl

from fuserec.data.dataset import Dataset
from fuserec.encoders.features import FeatureConfig, ItemFeatures
from fuserec.run import RunOptions

RUN = RunOptions(seed=3, threads=1)


def features(data: Dataset) -> ItemFeatures:
    return ItemFeatures.build(data, FeatureConfig(use_sentence="never"), RUN)


def noon(month: int, day: int = 10, year: int = 2021) -> float:
    """Unix seconds of a day's noon."""
    return datetime(year, month, day, 12, tzinfo=UTC).timestamp()


def seasonal_world(seed: int = 0, users: int = 150, each: int = 8) -> Dataset:
    """Items s0 to s5 are taken from May to August, w0 to w5 else; m-items on a mobile only. Who asks says nothing."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(users):
        for _ in range(each):
            month, device = int(rng.integers(1, 13)), ("mobile", "desk")[int(rng.integers(2))]
            kind = "m" if device == "mobile" and rng.random() < 0.5 else ("s" if 5 <= month <= 8 else "w")
            rows.append(
                (f"u{user}", f"{kind}{rng.integers(6)}", noon(month, int(rng.integers(1, 28))), device)
            )
    table = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp", "device"], orient="row")
    return Dataset.from_frames(table, name="seasons")


def product_world(seed: int = 0, users: int = 400, items: int = 40, each: int = 12) -> Dataset:
    """Ratings are 3 + 1 where age group and genre fit and 3 - 1 where they do not, plus noise: a product alone."""
    rng = np.random.default_rng(seed)
    young, loud = rng.random(users) < 0.5, np.arange(items) % 2 == 0
    user = np.repeat(np.arange(users), each)
    item = np.concatenate([rng.permutation(items)[:each] for _ in range(users)])
    rating = 3 + np.where(young[user] == loud[item], 1.0, -1.0) + rng.choice([-1, 0, 0, 0, 1], user.size)
    rows = pl.DataFrame(
        {
            "user_id": [f"u{u}" for u in user],
            "item_id": [f"i{i}" for i in item],
            "rating": np.clip(rating, 1, 5),
            "timestamp": 1.5e9 + 1e5 * rng.permutation(user.size),
        }
    )
    people = pl.DataFrame(
        {
            "user_id": [f"u{u}" for u in range(users)],
            "group": ["young" if y else "old" for y in young],
            "age": np.where(young, rng.integers(12, 30, users), rng.integers(50, 80, users)),
        }
    )
    things = pl.DataFrame(
        {
            "item_id": [f"i{i}" for i in range(items)] + ["new loud", "new quiet", "bare"],
            "title": [f"item {i}" for i in range(items)] + ["new", "new", "new"],
            "genre": ["loud" if x else "quiet" for x in loud] + ["loud", "quiet", None],
        }
    )
    return Dataset.from_frames(rows, items=things, users=people, name="products")
