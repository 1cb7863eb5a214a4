"""What is a scorer worth for people of whom 0 to 5 events are known? ``python -m bench.short_histories FOLDER``.

A fifth of the people is kept from training altogether. Of each the first events are given, none to five, and always the
same later ones are asked for, so that the figures differ by what is known alone. ``meta_learned`` also stands there
without its local steps: what adaptation gains is the difference, with an interval over people.
"""

from __future__ import annotations

import argparse
import sys
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import fuserec
from fuserec.data.query import QueryBatch
from fuserec.encoders.features import FeatureConfig, ItemFeatures
from fuserec.run import RunOptions
from fuserec.scorers import create
from fuserec.scorers.meta_learned import MetaLearned

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.scorers.base import Scorer

GIVEN = 5
ASKED = 10
DEPTH = 10
SHARE = 0.2
DRAWS = 2000


@dataclass(frozen=True)
class Strangers:
    """People who are not in training: their first ``GIVEN`` items (n, GIVEN), and the ``ASKED`` after them."""

    given: np.ndarray
    asked: np.ndarray


def apart(data: Dataset, rng: np.random.Generator) -> tuple[Dataset, Strangers]:
    """Return the data without some of the people who have enough events, and those people."""
    rows, order = data.interactions, rng.permutation(data.n_users)
    chosen = np.sort(order[: int(SHARE * data.n_users)])
    train = data.with_rows(~np.isin(rows.user, chosen))
    given, asked = [], []
    for user in chosen:
        span = slice(int(data.indptr[user]), int(data.indptr[user + 1]))
        taken = rows.item[span][rows.weight[span] > 0]
        taken = taken[np.sort(np.unique(taken, return_index=True)[1])]
        if taken.size >= GIVEN + ASKED:
            given.append(taken[:GIVEN])
            asked.append(taken[GIVEN : GIVEN + ASKED])
    return train, Strangers(np.stack(given), np.stack(asked))


def gains(scorer: Scorer, people: Strangers, length: int) -> np.ndarray:
    """Return float64 (n,): NDCG of each person's later items, each for itself, after ``length`` events."""
    scores = scorer.score(QueryBatch.of_histories(list(people.given[:, :length])))
    values = np.where(scores.answered, scores.values, -np.inf)
    np.put_along_axis(values, people.given.astype(np.int64), -np.inf, axis=1)
    found = np.zeros(len(people.given))
    for column in range(ASKED):
        mine = np.take_along_axis(values, people.asked[:, [column]].astype(np.int64), axis=1)
        above, level = (values > mine).sum(axis=1), (values == mine).sum(axis=1)
        rank = above + 0.5 * (level + 1)
        found += np.where(rank <= DEPTH, 1.0 / np.log2(1.0 + rank), 0.0) / ASKED
    return found


def interval(values: np.ndarray, rng: np.random.Generator) -> str:
    """Return the mean with its bootstrap interval of 95 %."""
    means = values[rng.integers(values.size, size=(DRAWS, values.size))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{values.mean():+.4f} [{low:+.4f}, {high:+.4f}]"


def unadapted(scorer: MetaLearned) -> MetaLearned:
    """Return the scorer whose head stays the one that all share."""
    other = copy(scorer)
    other._model = replace(scorer._model, steps=0)
    return other


def main(arguments: list[str] | None = None) -> int:
    """Fit, ask, print; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--format", default="movielens")
    parser.add_argument("--scorer", action="append", default=None, help="may be given again")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(arguments)
    data, _ = fuserec.read(asked.folder, asked.format)
    run = RunOptions(seed=asked.seed)
    train, people = apart(data, run.rng("strangers"))
    features = ItemFeatures.build(train, FeatureConfig(), run)
    names = asked.scorer or ["popularity", "item_knn", "als", "neural_cf", "meta_learned"]
    models = {name: create(name).fit(train, features, run) for name in names}
    meta = models.get("meta_learned")
    if isinstance(meta, MetaLearned):
        models["unadapted"] = unadapted(meta)
    print(f"{len(people.given)} people who are not in training; NDCG@{DEPTH} of their {ASKED} later items")
    print(f"{'events':>6}  " + "  ".join(f"{name:>12}" for name in models) + "  adapted - unadapted")
    for length in range(GIVEN + 1):
        found = {name: gains(model, people, length) for name, model in models.items()}
        line = "  ".join(f"{values.mean():12.4f}" for values in found.values())
        gain = found["meta_learned"] - found["unadapted"] if "unadapted" in found else np.zeros(1)
        print(f"{length:6d}  {line}  {interval(gain, run.rng('bootstrap'))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
