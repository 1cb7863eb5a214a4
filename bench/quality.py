"""Quality on public datasets: the same evaluation that a user runs, with no configuration."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from bench import ratings

RUNS: tuple[tuple[str, str, str, str], ...] = (
    ("Amazon Beauty", "amazon-beauty", "sequences", "last-out"),
    ("Amazon Beauty", "amazon-beauty", "sequences", "cold-items"),
    ("Amazon Video Games", "amazon-video-games", "sequences", "last-out"),
    ("MovieLens 1M", "ml-1m", "sequences", "last-out"),
    ("MovieLens 100K", "ml-100k", "movielens", "last-out"),
    ("MovieLens 100K", "ml-100k", "movielens", "temporal"),
)
"""Name, folder, format, split."""

SHOWN = ("recall@10", "ndcg@10", "coverage@10")


def run(folder: Path) -> dict[str, Any]:
    """Evaluate every dataset that is there; return results by name and split."""
    from fuserec import RunOptions, evaluate, read
    from fuserec.data.splits import SplitConfig

    found: dict[str, Any] = {"runs": [], "ratings": None}
    for name, place, format_, protocol in RUNS:
        if not (folder / place).is_dir():
            print(f"left out: {name} ({place} is not in the folder of datasets)", file=sys.stderr)
            continue
        started = time.perf_counter()
        dataset, _ = read(folder / place, format_)
        results = evaluate(dataset, None, split=SplitConfig(protocol=protocol), run=RunOptions())
        seconds = round(time.perf_counter() - started, 1)
        found["runs"].append(
            {"name": name, "split": protocol, "seconds": seconds, "results": json.loads(results.to_json())}
        )
        print(f"{name}, {protocol}: {seconds} s", file=sys.stderr)
    if (folder / "ml-100k").is_dir():
        place = folder / "ml-100k"
        splits = [("random", *ratings.random_split(place)), *ratings.folds(place)]
        found["ratings"] = {name: ratings.measured(name, splits, RunOptions()) for name in ratings.MODELS}
    return found


def section(found: dict[str, Any]) -> str:
    """Return the section on quality."""
    lines = [
        "## Quality\n",
        "`fuserec evaluate DIR --split ...` without a configuration, seed 0, whole catalogue, 95 % bootstrap intervals "
        "over users. `fused` is the default; the parts stand beneath it.\n",
    ]
    for run_ in found["runs"]:
        data, models = run_["results"]["dataset"], run_["results"]["models"]
        lines += [
            f"### {run_['name']}, {run_['split']}\n",
            f"{data['users']:,} users, {data['items']:,} items, {data['interactions']:,} interactions; "
            f"{run_['seconds']} s in all.\n",
            "| model | recall@10 | NDCG@10 | coverage@10 | fit s | peak MB |",
            "| --- | ---: | ---: | ---: | ---: | ---: |",
        ]
        order = sorted(
            models, key=lambda n: (n != "fused", -(models[n]["metrics"].get("ndcg@10", {}).get("value") or 0))
        )
        for name in order:
            model = models[name]
            cells = " | ".join(_cell(model["metrics"].get(metric)) for metric in SHOWN)
            lines.append(f"| {name} | {cells} | {model['fit_s']:.1f} | {model['peak_mb']:.0f} |")
        lines.append("")
    if found["ratings"]:
        columns = ["random", *ratings.FOLDS, "folds", "fit_s"]
        lines += [
            "### MovieLens 100K, ratings (RMSE)\n",
            "`python bench/ratings.py --data ml-100k`: random 90/10 split, the makers' five folds and their mean.\n",
            "| model | " + " | ".join(columns) + " |",
            "| --- |" + " ---: |" * len(columns),
        ]
        for name, row in found["ratings"].items():
            lines.append(f"| {name} | " + " | ".join(f"{row[column]:.4f}" for column in columns) + " |")
    return "\n".join(lines)


def _cell(metric: dict[str, Any] | None) -> str:
    """Return a figure with its interval."""
    if not metric or metric.get("value") is None:
        return "–"
    low, high = metric.get("low"), metric.get("high")
    interval = f" [{low:.4f}, {high:.4f}]" if low is not None and high is not None else ""
    return f"{metric['value']:.4f}{interval}"
