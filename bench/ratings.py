"""Rating prediction on MovieLens 100K: RMSE on the peers' random 90/10 split and on the folds u1 to u5.

    python bench/ratings.py --data ../shared/data/ml-100k [--json OUT]

The random split draws as the peer benchmark does: rows by user, time and row, ``default_rng(20240501)``, one
uniform number a row, test below 0.1.
"""

from __future__ import annotations

import argparse
import json
import lzma
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from fuserec.data.dataset import Dataset, DatasetInfo, Interactions
from fuserec.data.query import QueryBatch
from fuserec.data.readers import read
from fuserec.data.vocabulary import Vocabulary
from fuserec.data.weights import DEFAULT_WEIGHTS, KINDS, signed_weights
from fuserec.encoders.features import FeatureConfig, ItemFeatures
from fuserec.run import RunOptions
from fuserec.scorers import create
from fuserec.scorers.base import Scorer

SCALE = (1.0, 5.0)
SPLIT_SEED = 20240501
TEST_SHARE = 0.1
FOLDS = ("u1", "u2", "u3", "u4", "u5")
TEXT: dict[str, Any] = {
    "form": "pair",
    "heads": {"rating": 1.0},
    "user_length": 64,
    "item_length": 24,
    "examples": 10_000,
    "epochs": 1,
}
"""A modest setting: some minutes a fit on one core."""

MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "item_knn": ("item_knn", {"values": "ratings"}),
    "user_knn": ("user_knn", {"values": "ratings"}),
    "svd": ("svd", {}),
    "nmf": ("nmf", {}),
    "language_pair": ("language_pair", TEXT),
    "language_pair_text": ("language_pair", TEXT | {"rating_ids": False}),
}
"""Name in the table to scorer and configuration; all else is the default."""


def read_rows(path: Path) -> np.ndarray:
    """Return int64 (n, 4) of user, item, rating, time, as the file has them."""
    with lzma.open(path, "rt", encoding="latin-1") as lines:
        return np.array([line.split() for line in lines], dtype=np.int64)


@cache
def described(folder: Path) -> Dataset:
    """Return the dataset as the reader has it: its tables of users and items."""
    return read(folder, "movielens")[0]


def as_dataset(rows: np.ndarray, ids: np.ndarray, folder: Path) -> Dataset:
    """Return a Dataset of rows; users and items are those of ``ids``, in the order of their numbers."""
    users, items = np.unique(ids[:, 0]), np.unique(ids[:, 1])
    source = described(folder)
    ratings = rows[:, 2].astype(np.float32)
    kinds = np.full(len(rows), KINDS.index("rating"), np.uint8)
    nan = np.full(len(rows), np.nan, np.float32)
    interactions = Interactions(
        np.searchsorted(users, rows[:, 0]).astype(np.int32),
        np.searchsorted(items, rows[:, 1]).astype(np.int32),
        signed_weights(kinds, ratings, nan, SCALE, DEFAULT_WEIGHTS),
        ratings,
        rows[:, 3].astype(np.float64),
        kinds,
    )
    return Dataset(
        Vocabulary.from_ids(map(str, users.tolist())),
        Vocabulary.from_ids(map(str, items.tolist())),
        interactions,
        source.item_table[source.items.indices(map(str, items.tolist()))],
        source.user_table[source.users.indices(map(str, users.tolist()))],
        pl.DataFrame(schema={"head": pl.String, "relation": pl.String, "tail": pl.String}),
        info=DatasetInfo(name="ml-100k", rating_scale=SCALE),
    )


def random_split(folder: Path) -> tuple[Dataset, Dataset]:
    """Return (training, test) of the peers' random 90/10 split."""
    rows = read_rows(folder / "u.data.xz")
    rows = rows[np.lexsort((np.arange(len(rows)), rows[:, 3], rows[:, 0]))]
    test = np.random.default_rng(SPLIT_SEED).random(len(rows)) < TEST_SHARE
    return as_dataset(rows[~test], rows, folder), as_dataset(rows[test], rows, folder)


def folds(folder: Path) -> Iterator[tuple[str, Dataset, Dataset]]:
    """Yield (name, training, test) of the five folds that the dataset's makers cut."""
    ids = read_rows(folder / "u.data.xz")
    for name in FOLDS:
        train, test = (read_rows(folder / f"{name}.{part}.xz") for part in ("base", "test"))
        yield name, as_dataset(train, ids, folder), as_dataset(test, ids, folder)


def features_of(train: Dataset, run: RunOptions) -> ItemFeatures:
    """Return the words of the titles: rating scorers don't read them, but a fit takes them."""
    return ItemFeatures.build(train, FeatureConfig(use_sentence="never"), run)


def predicted(scorer: Scorer, train: Dataset, test: Dataset) -> np.ndarray:
    """Return float32 (n_test,): the prediction for every row of a test set, histories taken from training."""
    rows, n = test.interactions, len(test.interactions)
    users, inverse = np.unique(rows.user, return_inverse=True)
    place = np.arange(n) - test.indptr[rows.user]
    candidates = np.zeros((users.size, int(place.max()) + 1), np.int32)
    candidates[inverse, place] = rows.item
    return scorer.predict(histories(train, users), candidates)[inverse, place]


def histories(train: Dataset, users: np.ndarray) -> QueryBatch:
    """Return the training histories of users as queries."""
    return train.queries(users)


def rmse(scorer: Scorer, train: Dataset, test: Dataset) -> float:
    """Return the root mean squared error of a fitted scorer over a test set."""
    errors = predicted(scorer, train, test).astype(np.float64) - test.interactions.rating
    return float(np.sqrt(np.mean(errors**2)))


def measured(name: str, splits: list[tuple[str, Dataset, Dataset]], run: RunOptions) -> dict[str, float]:
    """Return the RMSE of one model on each split, the mean over the folds, and the seconds of a fit."""
    scorer, config = MODELS[name]
    figures: dict[str, float] = {}
    for split, train, test in splits:
        features = features_of(train, run)
        started = time.perf_counter()
        fitted = create(scorer, config).fit(train, features, run)
        figures.setdefault("fit_s", time.perf_counter() - started)
        figures[split] = rmse(fitted, train, test)
    figures["folds"] = float(np.mean([figures[fold] for fold in FOLDS]))
    return figures


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="RMSE of the rating scorers on MovieLens 100K")
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with u.data.xz and u1.base.xz to u5.test.xz"
    )
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("--model", action="append", choices=list(MODELS), help="only these (default: all)")
    options = parser.parse_args()
    run = RunOptions()
    splits = [("random", *random_split(options.data)), *folds(options.data)]
    columns = ["random", *FOLDS, "folds", "fit_s"]
    print("RMSE, ratings 1 to 5; fit_s includes compiling where the cache is cold")
    print(f"{'model':<10}" + "".join(f"{column:>9}" for column in columns))
    table = {}
    for name in options.model or MODELS:
        table[name] = measured(name, splits, run)
        print(f"{name:<10}" + "".join(f"{table[name][column]:>9.4f}" for column in columns), flush=True)
    if options.json:
        options.json.write_text(json.dumps(table, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
