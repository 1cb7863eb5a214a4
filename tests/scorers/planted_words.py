"""People whose words or newest item tell, in other words, what they take next: it has to be learnt."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import polars as pl

from fuserec.run import RunOptions
from fuserec.testing import dataset_of
from fuserec.testing.language import tiny_model

RUN = RunOptions(seed=5, threads=1)
TASTES = (
    ("galaxy", "robot", "orbit", "alien"),
    ("murder", "alibi", "witness", "police"),
    ("bread", "spice", "soup", "butter"),
)
N_ITEMS = 24
WORDS = tuple(word for taste in TASTES for word in taste)

LEARNS = {
    "epochs": 6,
    "examples": 0,
    "learning_rate": 5e-3,
    "head_rate": 2.0,
    "batch_size": 16,
    "negatives": 3,
    "held_out": 0,
    "head_dim": 0,
    "user_length": 5,
    "item_length": 8,
    "candidates": 0,
    "tuning": {"method": "full"},
}
"""Reads little, learns fast: of a history the newest title alone fits into ``user_length``."""


def ring_of_tastes(seed=0, shuffled=False, n_users=120, length=6, ratings=False):
    """Item j is of taste j % 3; after an item of one taste comes one of the next, round and round."""
    rng = np.random.default_rng(seed)
    titles = [" ".join(rng.permutation(TASTES[j % 3])[:3]) for j in range(N_ITEMS)]
    rows = [
        [int(rng.integers(N_ITEMS // 3)) * 3 + (u + step) % 3 for step in range(length)]
        for u in range(n_users)
    ]
    if shuffled:
        mixed = rng.permutation([item for row in rows for item in row])
        rows = [row.tolist() for row in np.split(mixed, n_users)]
    stars = [[2.0 if item % 3 == 0 else 5.0 for item in row] for row in rows] if ratings else None
    weights = [[1.0] * length] * n_users
    data = dataset_of(rows, N_ITEMS, titles=titles, ratings=stars, weights=weights)
    tastes = pl.Series("categories", [[f"taste {j % 3}"] for j in range(N_ITEMS)])
    return replace(data, item_table=data.item_table.with_columns(tastes))


def with_profiles(data, said):
    """Return the dataset with what each user says."""
    return replace(data, user_table=pl.DataFrame({"text": said}, schema={"text": pl.String}))


def tiny(folder, kind="bert"):
    """Return the folder of a tiny language model that knows the words of the tastes, and drops nothing out."""
    made = tiny_model(folder / kind, kind, [*WORDS, "taste", "0", "1", "2"])
    told = json.loads((made / "config.json").read_text())
    still = {
        name: 0.0 for name in told if name.endswith(("dropout", "_pdrop", "dropout_prob", "dropout_rate"))
    }
    (made / "config.json").write_text(json.dumps({**told, **still}))
    return str(made)


def share_of(values, taste, among):
    """Return the share of a taste among the five best items."""
    best = among[np.argsort(-values[among])[:5]]
    return float((best % 3 == taste).mean())
