"""Ways to tune the text encoder, side by side: what each trains, costs and gains as a content scorer.

    python -m bench.tuning_methods --data ../shared/data --dataset beauty [--methods full,lora,adapters]
        [--config F.toml] [--keep FOLDER] [--checkpoints FOLDER]

The untouched MiniLM (float32) and every method after it, with the settings of the file (as of `fuserec models tune
--config`); whitening and recency are chosen for each on validation, the test is looked at once. What can be written as
a folder is kept under ``--keep``. Figures go to bench/results/tuning_methods.json; what is there of other datasets
is kept.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import tomllib
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import datasets, records
from fuserec.data.splits import SplitConfig
from fuserec.evaluation.encoders import compare_encoders, encoder_named
from fuserec.evaluation.measure import Meter
from fuserec.run import RunOptions

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.neural.language.adapt import Adapted

METHODS = ("full", "last_layers", "biases", "lora", "adalora", "adapters")
BASE = "minilm:float32"
RESULT = records.RESULTS / "tuning_methods.json"


def run(
    data: Dataset,
    methods: tuple[str, ...],
    settings: dict[str, Any],
    options: RunOptions,
    keep: Path | None = None,
) -> dict[str, Any]:
    """Return the comparison of the untouched encoder and of every method, with what each training took."""
    from fuserec.neural.language.adapt import LiveEncoder

    encoders: dict[str, Any] = {BASE: encoder_named(BASE)}
    costs: dict[str, dict[str, float | None]] = {}
    for method in methods:
        adapted, costs[method] = tuned(data, method, settings, options, keep)
        encoders[method] = LiveEncoder(adapted)
        print(f"{method}: {costs[method]}, {adapted.facts['figures']}", file=sys.stderr, flush=True)
    found = compare_encoders(data, encoders, split=SplitConfig(), run=options).to_json()
    return {**found, "settings": settings, "costs": costs}


def tuned(
    data: Dataset, method: str, settings: dict[str, Any], options: RunOptions, keep: Path | None
) -> tuple[Adapted, dict[str, float | None]]:
    """Tune by one method; return the encoder, and the seconds, processor seconds and megabytes it took."""
    from fuserec.neural.language.adapt import AdaptConfig, adapt
    from fuserec.neural.language.adapt.adaptation import MERGED

    table = {**settings, "tuning": {**settings.get("tuning", {}), "method": method}}
    config = AdaptConfig.parse(table, "bench.tuning_methods")
    own = (
        options if options.checkpoints is None else replace(options, checkpoints=options.checkpoints / method)
    )
    began = time.process_time()
    with Meter() as meter:
        adapted = adapt(data, config, own, base=BASE.rpartition(":")[0], split=SplitConfig())
    cost = {**asdict(meter.cost), "cpu_seconds": time.process_time() - began}
    if keep is not None and method in MERGED:
        adapted.save(keep / method)
    return adapted, cost


def section(found: dict[str, Any]) -> str:
    """Return the tables of the benchmarks page."""
    lines = [
        "## Tuning the text encoder",
        "",
        "`python -m bench.tuning_methods`: the encoder adapted to the catalogue by each method with the same settings, "
        "as a content scorer alone (sentence vectors, no words, no behaviour of others). Test NDCG@10 with its "
        "interval; the gain over the untouched encoder on the same people; the share of full tuning's gain.",
        "",
    ]
    for key, told in found.items():
        lines += [f"### {datasets.DATASETS[key].title}", "", *_table(told), ""]
    return "\n".join(lines)


def _table(told: dict[str, Any]) -> list[str]:
    """Return the table of one dataset."""
    rows = told["encoders"]
    full = (rows.get("full", {}).get("gain") or {}).get("difference")
    lines = [
        "| method | trained | NDCG@10 | gain | of full's | training s | CPU s | peak MB | similarity kept |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, row in rows.items():
        cost, figure, gain = told["costs"].get(name, {}), row["metrics"]["ndcg@10"], row["gain"]
        share = f"{row['trained'] / row['parameters']:.2%}" if row["trained"] else ""
        gained = (
            f"{gain['difference']:+.4f} [{gain['low']:+.4f}, {gain['high']:+.4f}] ({row['relative']:+.1%})"
            if gain
            else ""
        )
        part = f"{gain['difference'] / full:.0%}" if gain and full else ""
        took = [
            f"{cost[each]:,.0f}" if cost.get(each) else "" for each in ("seconds", "cpu_seconds", "peak_mb")
        ]
        shown = f"{figure['value']:.4f} [{figure['low']:.4f}, {figure['high']:.4f}]"
        cells = (name, share, shown, gained, part, *took, f"{row['kept']['general']:.3f}")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Measure, print, and keep the figures."""
    parser = argparse.ArgumentParser(description="Ways to tune the text encoder, side by side")
    parser.add_argument("--data", type=Path, required=True, help="folder of the public datasets")
    parser.add_argument("--dataset", default="beauty", help="a name of bench/datasets.py")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--config", type=Path, help="settings of `fuserec models tune` (TOML)")
    parser.add_argument("--keep", type=Path, help="folder for the tuned models")
    parser.add_argument("--checkpoints", type=Path)
    parser.add_argument("--threads", type=int, default=RunOptions().threads)
    told = parser.parse_args()
    settings = tomllib.loads(told.config.read_text(encoding="utf-8")) if told.config else {}
    options = RunOptions(threads=told.threads, checkpoints=told.checkpoints)
    methods = tuple(name.strip() for name in told.methods.split(","))
    measured = run(datasets.load(told.dataset, told.data), methods, settings, options, told.keep)
    found = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else {}
    found[told.dataset] = measured
    RESULT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(section({told.dataset: measured}))


if __name__ == "__main__":
    main()
