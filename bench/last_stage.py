"""A language model that reads query and item together, as the last stage over the best of the fusion.

    python -m bench.last_stage --data ../shared/data --dataset beauty [--queries 2000] [--depth 50]
        [--parts popularity,cooccurrence,item_knn,content] [--label NAME] key=value ...

The default's parts (or those named) are fitted and fused once; beside that fusion stands the same one with the scorer
language_pair as a last stage, with the weight that validation gives it, also where validation would leave it out.
``key=value`` are hyperparameters of the scorer (TOML values, ``'tuning.method="full"'``). Both rank the whole catalogue
for the same test queries. Figures go to bench/results/last_stage.json.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench import datasets, records
from bench.language_pairs import SCORER, columns, hyperparameters
from fuserec.config import create_parts, default_parts
from fuserec.data.splits import SplitConfig
from fuserec.data.splits import split as split_data
from fuserec.encoders.features import FeatureConfig, ItemFeatures
from fuserec.evaluation.statistics import paired_differences
from fuserec.fusion import fusion_of
from fuserec.fusion.base import fit_parts, held_with_words
from fuserec.fusion.config import FusionConfig
from fuserec.fusion.last_stage import WITH_FIGURE, WITHOUT_FIGURE
from fuserec.run import RunOptions

DEFAULT = "default"
PRIMARY = "ndcg@10"
RESULT = records.RESULTS / "last_stage.json"


def run(
    data: Any, names: dict[str, Any], table: dict[str, Any], depth: int, queries: int, options: RunOptions
) -> dict[str, Any]:
    """Return the fusion alone and with a last stage on the same test queries, and what the last stage costs.

    Parameters
    ----------
    data : Dataset
    names : dict
        Parts, as a configuration has them.
    table : dict
        Hyperparameters of the last stage.
    depth : int
        Items that it reads for each query.
    queries : int
        Validation queries that its weight is learnt on, and test queries, at most.
    options : RunOptions
    """
    held = split_data(data, SplitConfig(), options.seed)
    features = ItemFeatures.build(held.train, FeatureConfig(), options)
    validation = held_with_words(held.validation, data, features, options)
    drawn = np.sort(options.rng("queries").permutation(len(held.test))[:queries])
    test = held_with_words(held.test.take(drawn), data, features, options)
    parts = fit_parts(create_parts(names), held.train, features, options)
    stage = {
        "scorer": {"scorer": SCORER, **table},
        "depth": depth,
        "max_queries": queries,
        "if_better": False,
    }
    alone, staged = (
        fusion_of(FusionConfig.parse({"tune": False, **more}, "bench.last_stage"), parts)
        for more in ({}, {"last_stage": stage})
    )
    alone = alone.taught(validation, options, features)
    began = time.perf_counter()
    staged = staged.taught(validation, options, features)
    took = time.perf_counter() - began
    figures = {"alone": columns(alone, test, options), "staged": columns(staged, test, options)}
    gain = paired_differences(
        {"staged": figures["staged"][PRIMARY]},
        figures["alone"][PRIMARY],
        rng=options.rng("bootstrap"),
        within=(0.0, 1.0),
    )["staged"]
    return {
        "parts": list(names),
        "settings": table,
        "depth": depth,
        "queries": len(test),
        "figures": {
            name: {metric: float(np.mean(values)) for metric, values in found.items()}
            for name, found in figures.items()
        },
        "gain": {"difference": gain.difference, "low": gain.low, "high": gain.high, "p": gain.p},
        "validation": staged.learnt.figures,
        "last_stage": staged.facts["last_stage"],
        "seconds": took,
    }


def section(found: dict[str, Any]) -> str:
    """Return the table of the benchmarks page."""
    lines = [
        "## A language model as last stage",
        "",
        "`python -m bench.last_stage`: the fusion alone, and the same fusion with the scorer `language_pair` over its "
        "best items, on the same test queries, whole catalogue ranked. Validation: cross-fitted NDCG@10 without and "
        "with it; the product keeps a last stage only where that is surely better.",
        "",
        "| dataset | last stage | validation | weight | NDCG@10 alone | with it | difference | fit s | ms a request |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, told in found.items():
        key, _, label = name.partition(": ")
        gain, stage = told["gain"], told["last_stage"]
        before, after = (told["validation"].get(at) for at in (WITHOUT_FIGURE, WITH_FIGURE))
        seen = "" if before is None or after is None else f"{before:.4f} to {after:.4f}"
        cells = (
            datasets.DATASETS[key].title,
            f"{label}, best {told['depth']}, {told['queries']:,} queries",
            seen,
            f"{stage['weight']:g}",
            f"{told['figures']['alone'][PRIMARY]:.4f}",
            f"{told['figures']['staged'][PRIMARY]:.4f}",
            f"{gain['difference']:+.4f} [{gain['low']:+.4f}, {gain['high']:+.4f}]",
            f"{told['seconds']:,.0f}",
            f"{stage.get('ms_per_request', float('nan')):.0f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, and keep the figures."""
    parser = argparse.ArgumentParser(description="A language model as last stage of the fusion")
    parser.add_argument("--data", type=Path, required=True, help="folder of the public datasets")
    parser.add_argument("--dataset", default="beauty", help="a name of bench/datasets.py")
    parser.add_argument("--parts", default=DEFAULT, help="names with commas between them")
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--depth", type=int, default=50)
    parser.add_argument("--label", default="cross-encoder", help="what the row is called")
    parser.add_argument("--threads", type=int, default=RunOptions().threads)
    parser.add_argument("--checkpoints", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("values", nargs="*", metavar="key=value")
    told = parser.parse_args()
    options = RunOptions(threads=told.threads, checkpoints=told.checkpoints, device=told.device)
    data = datasets.load(told.dataset, told.data)
    names = default_parts(data) if told.parts == DEFAULT else {name: {} for name in told.parts.split(",")}
    measured = run(data, names, hyperparameters(told.values), told.depth, told.queries, options)
    found = json.loads(told.out.read_text(encoding="utf-8")) if told.out.is_file() else {}
    found[f"{told.dataset}: {told.label}"] = measured
    told.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(section(found))


if __name__ == "__main__":
    main()
