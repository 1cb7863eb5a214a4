"""What are 0, 4, 16, 64 labelled examples worth beside all of them? ``python -m bench.few_labels --data FOLDER``.

    python -m bench.few_labels --data ../shared/data --dataset ml-100k [--labels 0,4,16,64,all] [--seeds 5]
        [--what pair,encoder] [--stage test] [--queries 2000] [--steps 60] [key=value ...]

``pair`` is the scorer ``language_pair`` (bi), ``encoder`` the encoder that ``models tune`` tunes, as a content scorer.
Labels are drawn anew with each seed. From 20 labels on a fifth of them is kept to judge by; nothing else is chosen, so
no figure has seen more labels than it says: batches, rates and steps (``--steps``, at least) are the same for all
sizes. Histories are the words of who asks and are given in full. ``key=value`` are settings of the pair scorer.

Figures are NDCG@10 over the whole catalogue on held-out last items: the mean over seeds, with an interval of 95 % from
resamples of seeds and of people, and its difference to no labels on the same resamples.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench import datasets
from bench.language_pairs import columns, hyperparameters
from fuserec.data.splits import Split, SplitConfig
from fuserec.data.splits import split as split_data
from fuserec.encoders.cache import CacheConfig
from fuserec.encoders.features import FeatureConfig, ItemFeatures
from fuserec.encoders.sentence import SentenceConfig
from fuserec.fusion.base import held_with_words
from fuserec.neural.language.adapt import AdaptConfig, adapt
from fuserec.neural.language.few import FEWEST_LABELS
from fuserec.run import RunOptions
from fuserec.scorers import create

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.splits import Holdout
    from fuserec.scorers.base import Scorer

DRAWS = 2000
ALONE = {"sentence_share": 1.0, "text_sentence_share": 1.0}
"""A content scorer that reads meanings alone."""

PAIR = {"form": "bi", "batch_size": 16, "negative_popularity": 0.0, "examples": 5000, "epochs": 1}
"""Negatives are drawn uniformly: how popular an item is would be told by labels that are not given."""


@dataclass
class Curve:
    """Figures of one model by number of labels: NDCG@10 of each seed and query, and seconds of each fit."""

    gains: dict[str, list[np.ndarray]] = field(default_factory=dict)
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def add(self, labels: str, gains: np.ndarray, seconds: float) -> None:
        """Take in one fit."""
        self.gains.setdefault(labels, []).append(gains)
        self.seconds.setdefault(labels, []).append(seconds)

    def told(self, rng: np.random.Generator) -> dict[str, dict[str, Any]]:
        """Return mean, interval and difference to no labels of every number of labels."""
        tables = {name: np.stack(rows) for name, rows in self.gains.items()}
        drawn = {
            name: resampled(table, np.random.default_rng(rng.integers(2**63)))
            for name, table in tables.items()
        }
        seed = int(rng.integers(2**63))
        found = {}
        for name, table in tables.items():
            told: dict[str, Any] = {"ndcg@10": float(table.mean()), **ends(drawn[name])}
            told |= {
                "seeds": len(table),
                "spread": float(table.mean(axis=1).std()),
                "fit_s": np.mean(self.seconds[name]),
            }
            if "0" in tables and name != "0":
                base = np.broadcast_to(tables["0"].mean(axis=0), table.shape)
                told["gain"] = {
                    "difference": float((table - base).mean()),
                    **ends(resampled(table - base, np.random.default_rng(seed))),
                }
            found[name] = told
        return found


def resampled(table: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return float64 (DRAWS,): means of a table (seeds, people) whose rows and columns are drawn with replacement."""
    seeds, people = table.shape
    found = np.empty(DRAWS)
    for draw in range(DRAWS):
        rows = np.bincount(rng.integers(seeds, size=seeds), minlength=seeds) / seeds
        found[draw] = (
            (rows @ table) @ np.bincount(rng.integers(people, size=people), minlength=people) / people
        )
    return found


def ends(values: np.ndarray) -> dict[str, float]:
    """Return the ends of the interval of 95 %."""
    low, high = np.quantile(values, [0.025, 0.975])
    return {"low": float(low), "high": float(high)}


def pair_scorer(
    labels: str, table: dict[str, Any], steps: int, train: Dataset, features: ItemFeatures, run: RunOptions
) -> Scorer:
    """Return the model of pairs after so many labels; short sets are passed over until the steps are made."""
    told = {**PAIR, **table}
    if labels != "all":
        count = int(labels)
        kept = count - count // 5 if count >= FEWEST_LABELS else count
        batches = max(1, -(-kept // told["batch_size"]))
        told |= {
            "labels": count,
            "examples": 0,
            "epochs": max(told["epochs"], -(-steps // batches)) if count else 1,
        }
        if count < FEWEST_LABELS:
            told.pop("self_training", None)  # nothing could tell what is sure
    return create("language_pair", told).fit(train, features, run)


def encoder_scorer(
    labels: str, steps: int, data: Dataset, split: SplitConfig, held: Split, run: RunOptions
) -> Scorer:
    """Return the content scorer of an encoder that was tuned on so many labels."""
    with tempfile.TemporaryDirectory() as place:
        model = "minilm"
        if labels != "0":
            told: dict[str, Any] = {"batch_size": 32}
            if labels == "all":
                told |= {"epochs": 1, "batch_size": 128}
            else:
                told |= {"labels": int(labels), "epochs": max(1, -(-steps // max(1, int(labels) // 32)))}
            adapted = adapt(data, AdaptConfig.parse(told, "the bench"), run, split=split)
            model = str(adapted.save(Path(place) / "tuned"))
        config = FeatureConfig(
            sentence=SentenceConfig(model=model, compute_type="float32"), cache=CacheConfig(enabled=False)
        )
        features = ItemFeatures.build(held.train, config, run)
        return create("content", ALONE).fit(held.train, features, run)


def main(arguments: list[str] | None = None) -> int:
    """Fit, ask, print; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the public datasets")
    parser.add_argument("--dataset", default="ml-100k", help="a name of bench/datasets.py")
    parser.add_argument("--labels", default="0,4,16,64,all")
    parser.add_argument("--what", default="pair,encoder")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--stage", choices=("validation", "test"), default="validation")
    parser.add_argument("--queries", type=int, default=2000, help="drawn from those that are held out")
    parser.add_argument("--steps", type=int, default=60, help="of a training, at least")
    parser.add_argument("--threads", type=int, default=RunOptions().threads)
    parser.add_argument("values", nargs="*", metavar="key=value")
    asked = parser.parse_args(arguments)
    data = datasets.load(asked.dataset, asked.data)
    told = curves(data, asked, hyperparameters(asked.values))
    print(json.dumps({"dataset": asked.dataset, "stage": asked.stage, "curves": told}, indent=1))
    return 0


def curves(data: Dataset, asked: argparse.Namespace, table: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of every model asked for."""
    split, run = SplitConfig(), RunOptions(threads=asked.threads, device="auto")
    held = split_data(data, split, run.seed)
    words = ItemFeatures.build(held.train, FeatureConfig(use_sentence="never"), run)
    some: Holdout = held.test if asked.stage == "test" else held.validation
    drawn = np.sort(np.random.default_rng(0).permutation(len(some))[: asked.queries])
    some = held_with_words(some.take(drawn), data, words, run)
    found: dict[str, Curve] = {}
    for what in asked.what.split(","):
        for labels in asked.labels.split(","):
            for seed in range(1 if labels == "0" else asked.seeds):
                began, own = time.perf_counter(), run.with_seed(seed)
                if what == "pair":
                    scorer = pair_scorer(labels, table, asked.steps, held.train, words, own)
                else:
                    scorer = encoder_scorer(labels, asked.steps, data, split, held, own)
                gains = columns(scorer, some, run)["ndcg@10"]
                took = time.perf_counter() - began
                found.setdefault(what, Curve()).add(labels, gains, took)
                print(
                    f"{what} {labels} labels, seed {seed}: {gains.mean():.4f}, {took:.0f} s", file=sys.stderr
                )
    return {what: curve.told(run.rng("bootstrap")) for what, curve in found.items()}


if __name__ == "__main__":
    sys.exit(main())
