"""The language model as a scorer of pairs on a public dataset, alone over the whole catalogue.

    python -m bench.language_pairs --data ../shared/data --dataset beauty [--stage test] [--queries 2000]
        [--shift typos:0.1] key=value ...

``key=value`` are hyperparameters of the scorer (TOML values, ``'tuning.method="lora"'``). Figures are of held-out last
items, ranked among the whole catalogue, on validation unless ``--stage test`` is given; ``--queries`` draws some. With
``--shift`` the trained scorer is asked again where titles and descriptions have faults.
"""

from __future__ import annotations

import argparse
import json
import time
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from bench import datasets
from fuserec.data.splits import SplitConfig
from fuserec.data.splits import split as split_data
from fuserec.encoders.features import FeatureConfig, ItemFeatures
from fuserec.encoders.noise import shift_named
from fuserec.evaluation.encoders import shifted_texts
from fuserec.fusion.base import held_with_words
from fuserec.fusion.judging import ndcg, pieces
from fuserec.numerics.ranks import target_ranks
from fuserec.run import RunOptions
from fuserec.scorers import create

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.splits import Holdout
    from fuserec.encoders.noise import Shift
    from fuserec.scorers.base import Scorer

SCORER = "language_pair"
K = 10


def columns(scorer: Scorer, held: Holdout, run: RunOptions) -> dict[str, np.ndarray]:
    """Return NDCG and recall at 10 over the whole catalogue, one value a query."""
    gains, hits = [], []
    for piece in pieces(held, 1):
        scores = scorer.score(piece.queries)
        visible = np.where(scores.answered, scores.values, np.float32(-np.inf))
        ranks = target_ranks(visible, piece.queries.seen(), (piece.indptr, piece.items), run.threads)[0]
        gains.append(ndcg(ranks, piece, K))
        hits.append(np.bincount(piece.rows, weights=ranks <= K, minlength=len(piece)) / np.diff(piece.indptr))
    return {"ndcg@10": np.concatenate(gains), "recall@10": np.concatenate(hits)}


def figures(scorer: Scorer, held: Holdout, run: RunOptions) -> dict[str, float]:
    """Return NDCG, recall and their standard errors at 10 over the whole catalogue, and the time of a query."""
    began = time.perf_counter()
    found = columns(scorer, held, run)
    told = {name: float(values.mean()) for name, values in found.items()}
    told |= {f"{name} error": float(values.std() / np.sqrt(values.size)) for name, values in found.items()}
    return {**told, "queries": len(held), "ms a query": 1000 * (time.perf_counter() - began) / len(held)}


def hyperparameters(pairs: list[str]) -> dict[str, Any]:
    """Return the table that ``key=value`` words make."""
    return tomllib.loads("\n".join(pairs))


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description="The scorer language_pair on a public dataset")
    parser.add_argument("--data", type=Path, required=True, help="folder of the public datasets")
    parser.add_argument("--dataset", default="beauty", help="a name of bench/datasets.py")
    parser.add_argument("--stage", choices=("validation", "test"), default="validation")
    parser.add_argument("--queries", type=int, default=2000, help="drawn from those that are held out")
    parser.add_argument("--shift", action="append", default=[], help="typos:0.1, words:0.2 or span:0.2")
    parser.add_argument("--threads", type=int, default=RunOptions().threads)
    parser.add_argument("--checkpoints", type=Path)
    parser.add_argument("values", nargs="*", metavar="key=value")
    options = parser.parse_args()
    run = RunOptions(threads=options.threads, checkpoints=options.checkpoints, device="auto")
    data = datasets.load(options.dataset, options.data)
    held = split_data(data, SplitConfig(), run.seed)
    features = ItemFeatures.build(held.train, FeatureConfig(), run)
    some = held.validation if options.stage == "validation" else held.test
    drawn = np.sort(np.random.default_rng(0).permutation(len(some))[: options.queries])
    some = held_with_words(some.take(drawn), data, features, run)
    table = hyperparameters(options.values)
    began = time.perf_counter()
    scorer = create(SCORER, table).fit(held.train, features, run)
    took = time.perf_counter() - began
    told = {"fit_s": took, **scorer.facts, **figures(scorer, some, run)}
    for shift in map(shift_named, options.shift):
        told[shift.name] = figures(under(shift, scorer, held.train, features, run), some, run)
    print(
        json.dumps({"dataset": options.dataset, "stage": options.stage, "options": table, **told}, indent=1)
    )


def under(shift: Shift, scorer: Scorer, train: Dataset, features: ItemFeatures, run: RunOptions) -> Scorer:
    """Return the trained scorer for the same catalogue with faulty titles and descriptions: nothing is learnt."""
    table = train.item_table
    named = [name for name in ("title", "description") if name in table.columns]
    faulty = [
        pl.Series(name, shifted_texts([text or "" for text in table[name].to_list()], shift, run))
        for name in named
    ]
    return scorer.updated(replace(train, item_table=table.with_columns(faulty)), features, run)


if __name__ == "__main__":
    main()
