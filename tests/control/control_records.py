"""A small catalogue of records with topics, brands and years."""

from __future__ import annotations

import numpy as np
import polars as pl

from fuserec import Dataset

KINDS = ("Jazz", "Rock", "Folk")
USERS, ITEMS = 40, 60
CONFIG = {"features": {"use_sentence": "never"}, "parts": {"popularity": {}, "item_knn": {}, "content": {}}}


def catalogue(seed: int = 0) -> Dataset:
    """Return 60 records of three kinds; nobody has the last six."""
    rng = np.random.default_rng(seed)
    items = [
        {
            "item_id": f"r{i}",
            "title": f"{KINDS[i % 3]} record {i}",
            "description": f"{KINDS[i % 3].lower()} " * 2 + " ".join(rng.choice(list("abcdefghij"), 3)),
            "categories": [KINDS[i % 3], "Music"],
            "brand": f"Label {i % 5}",
            "year": 1960 + i,
        }
        for i in range(ITEMS)
    ]
    chance = 1.0 / np.arange(1, ITEMS - 5)
    rows = []
    for user in range(USERS):
        liked = np.where(np.arange(ITEMS - 6) % 3 == user % 3, 3.0, 1.0) * chance
        taken = rng.choice(ITEMS - 6, 8, replace=False, p=liked / liked.sum())
        rows += [
            {"user_id": f"u{user}", "item_id": f"r{i}", "timestamp": 1_700_000_000 + 3600 * step + user}
            for step, i in enumerate(taken)
        ]
    shown = [
        {
            "request_id": f"q{step}",
            "user_id": "u1",
            "item_id": f"r{i}",
            "position": 1,
            "timestamp": 1_700_020_000 + step,
        }
        for step, i in enumerate([50, 50, 51])
    ]
    frames = (pl.DataFrame(rows), pl.DataFrame(items))
    return Dataset.from_frames(*frames, impressions=pl.DataFrame(shown), name="records")
