"""Rating prediction on MovieLens 100K: RMSE on the peers' random 90/10 split and on the folds u1 to u5.

    python bench/ratings.py --data ../shared/data/ml-100k [--json OUT]
    python bench/ratings.py --data ../shared/data/ml-100k --model fm --model fm_ids --compare fm:fm_ids

``--compare`` gives the difference of two models with its paired 95 % interval, users drawn anew.

The random split draws as the peer benchmark does: rows by user, time and row, ``default_rng(20240501)``, one
uniform number a row, test below 0.1.
"""

from __future__ import annotations

import argparse
import json
import lzma
import sys
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
DRAWS = 2000
BETWEEN: dict[str, Any] = {"order": "shuffled", "context_columns": []}
"""For gaps in known ratings: a history reaches beyond the moment of the question, and so the time says nothing."""

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
    "fm": ("factorization_machine", BETWEEN),
    "fm_ids": ("factorization_machine", BETWEEN | {"columns": "ids"}),
    "trees": ("trees", BETWEEN | {"turns": 2}),
    "trees_ids": ("trees", BETWEEN | {"turns": 2, "columns": "ids"}),
    "language_pair": ("language_pair", TEXT),
    "language_pair_text": ("language_pair", TEXT | {"rating_ids": False}),
}
"""Name in the table to scorer and configuration; all else is the default."""

RANDOM_ALONE = frozenset({"language_pair", "language_pair_text"})
"""Models that are tuned for many minutes: on the page they stand with the random split alone."""

COMPARED = ("fm:fm_ids", "trees:trees_ids", "language_pair:language_pair_text")
"""Pairs on the page: what columns and ids bring."""


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


def squared_errors(scorer: Scorer, train: Dataset, test: Dataset) -> np.ndarray:
    """Return float64 (n_test,): the squared error of a fitted scorer on every row of a test set."""
    return (predicted(scorer, train, test).astype(np.float64) - test.interactions.rating) ** 2


def rmse(scorer: Scorer, train: Dataset, test: Dataset) -> float:
    """Return the root mean squared error of a fitted scorer over a test set."""
    return float(np.sqrt(np.mean(squared_errors(scorer, train, test))))


def paired(first: np.ndarray, second: np.ndarray, users: np.ndarray) -> tuple[float, float, float]:
    """Return the RMSE of the first less that of the second, and its 95 % interval; whole users are drawn anew.

    Parameters
    ----------
    first, second : float64 (n,)
        Squared errors on the same rows.
    users : int (n,)
        Whose row each is.
    """
    _, who = np.unique(users, return_inverse=True)
    sums = np.stack([np.bincount(who, values) for values in (first, second, np.ones(first.size))])
    drawn = np.random.default_rng(0).integers(0, sums.shape[1], (DRAWS, sums.shape[1]))
    totals = sums[:, drawn].sum(axis=2)
    differences = np.sqrt(totals[0] / totals[2]) - np.sqrt(totals[1] / totals[2])
    low, high = np.quantile(differences, [0.025, 0.975])
    return float(np.sqrt(first.mean()) - np.sqrt(second.mean())), float(low), float(high)


def measured(
    name: str, splits: list[tuple[str, Dataset, Dataset]], run: RunOptions
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Return the RMSE of one model on each split, the mean over the folds, the seconds of a fit; and squared errors."""
    scorer, config = MODELS[name]
    figures: dict[str, float] = {}
    errors: dict[str, np.ndarray] = {}
    for split, train, test in splits:
        features = features_of(train, run)
        started = time.perf_counter()
        fitted = create(scorer, config).fit(train, features, run)
        figures.setdefault("fit_s", time.perf_counter() - started)
        errors[split] = squared_errors(fitted, train, test)
        figures[split] = float(np.sqrt(errors[split].mean()))
    if all(fold in figures for fold in FOLDS):
        figures["folds"] = float(np.mean([figures[fold] for fold in FOLDS]))
    return figures, errors


def compared(
    pair: str, errors: dict[str, dict[str, np.ndarray]], splits: list[tuple[str, Dataset, Dataset]]
) -> dict[str, tuple[float, float, float]]:
    """Return the paired differences of ``A:B`` on the random split and on all folds together."""
    first, second = (errors[name] for name in pair.split(":"))
    users = {name: test.interactions.user for name, _, test in splits}
    parts = {"random": ["random"], "folds": [name for name in users if name in FOLDS]}
    return {
        part: paired(*(np.concatenate([rows[name] for name in names]) for rows in (first, second, users)))
        for part, names in parts.items()
        if names
    }


def page_figures(folder: Path, run: RunOptions) -> dict[str, Any]:
    """Return the table of the benchmarks page: figures of every model, and differences of some on the same rows."""
    splits = [("random", *random_split(folder)), *folds(folder)]
    models, errors = {}, {}
    for name in MODELS:
        models[name], errors[name] = measured(name, splits[:1] if name in RANDOM_ALONE else splits, run)
        print(f"{name}: {models[name]}", file=sys.stderr, flush=True)
    differences = {
        pair: compared(pair, errors, [split for split in splits if split[0] in errors[pair.split(":")[0]]])
        for pair in COMPARED
    }
    return {"models": models, "differences": differences}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="RMSE of the rating scorers on MovieLens 100K")
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with u.data.xz and u1.base.xz to u5.test.xz"
    )
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("--model", action="append", choices=list(MODELS), help="only these (default: all)")
    parser.add_argument("--threads", type=int, help="worker threads (default: all cores)")
    parser.add_argument("--random-only", action="store_true", help="without the five folds")
    parser.add_argument(
        "--compare",
        action="append",
        default=[],
        metavar="A:B",
        help="RMSE of A less that of B, with its interval",
    )
    options = parser.parse_args()
    run = RunOptions(threads=options.threads) if options.threads else RunOptions()
    splits = [("random", *random_split(options.data))]
    if not options.random_only:
        splits += folds(options.data)
    columns = ["random", "fit_s"] if options.random_only else ["random", *FOLDS, "folds", "fit_s"]
    print("RMSE, ratings 1 to 5; fit_s includes compiling where the cache is cold")
    print(f"{'model':<10}" + "".join(f"{column:>9}" for column in columns))
    table: dict[str, Any] = {}
    errors: dict[str, dict[str, np.ndarray]] = {}
    for name in options.model or MODELS:
        table[name], errors[name] = measured(name, splits, run)
        print(f"{name:<10}" + "".join(f"{table[name][column]:>9.4f}" for column in columns), flush=True)
    for pair in options.compare:
        table[pair] = compared(pair, errors, splits)
        for part, (difference, low, high) in table[pair].items():
            print(f"{pair} on {part}: {difference:+.4f} ({low:+.4f} to {high:+.4f})", flush=True)
    if options.json:
        options.json.write_text(json.dumps(table, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
