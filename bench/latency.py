"""How long a request takes: `recommend` in process, the default on Amazon Beauty, one core, one stored user at a time.

    python -m bench.latency --data ../shared/data [--model FOLDER] [--requests 2000]

The default is fitted on every interaction (minutes) and saved; a process of its own loads the folder, is held to one
core, and asks for ten items for users drawn at random, each of them once, after a few hundred requests to warm up.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench import records
from bench.datasets import load

DATASET = "beauty"
REQUESTS, WARM_UP, K = 2000, 300, 10
RESULT = records.RESULTS / "latency.json"
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def run(data: Path, model: Path | None = None, requests: int = REQUESTS) -> dict[str, Any]:
    """Return percentiles in milliseconds, and what they are of; ``model`` is a folder of an earlier fit."""
    with tempfile.TemporaryDirectory(prefix="fuserec-bench-") as place:
        folder = model or fitted(data, Path(place) / "model")
        command = [
            sys.executable,
            "-m",
            "bench.latency",
            "--measure",
            str(folder),
            "--requests",
            str(requests),
        ]
        done = subprocess.run(
            command, env=os.environ | ONE_THREAD, check=True, capture_output=True, text=True
        )
    found: dict[str, Any] = json.loads(done.stdout)
    return {"dataset": DATASET, **found, **records.provenance()}


def fitted(data: Path, folder: Path) -> Path:
    """Fit the default on the whole dataset and save it."""
    from fuserec import Recommender

    Recommender().fit(load(DATASET, data)).save(folder)
    return folder


def measured(folder: Path, requests: int) -> dict[str, Any]:
    """Return the percentiles of one process on one core."""
    from fuserec import Recommender

    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    model = Recommender.load(folder)
    users = model.fitted.dataset.users
    drawn = np.random.default_rng(0).permutation(len(users))[: WARM_UP + requests]
    spent = []
    for index in drawn.tolist():
        began = time.perf_counter()
        model.recommend(user=users[index], k=K)
        spent.append(time.perf_counter() - began)
    times = np.array(spent[WARM_UP:]) * 1e3
    ends = {f"p{p}_ms": round(float(np.percentile(times, p)), 3) for p in (50, 90, 99)}
    return {**ends, "requests": int(times.size), "parts": list(model.fitted.fused.parts)}


def section(found: dict[str, Any]) -> str:
    """Return the section on the time of a request."""
    return (
        "### Time of a request\n\n"
        f"`python -m bench.latency`: `recommend(user=...)` in process, {K} items of Amazon Beauty, the default "
        f"({', '.join(found['parts'])}), one core, {found['requests']:,} users one at a time; made at "
        f"{found['commit']}.\n\n"
        "| p50 | p90 | p99 |\n| ---: | ---: | ---: |\n"
        f"| {found['p50_ms']:.2f} ms | {found['p90_ms']:.2f} ms | {found['p99_ms']:.2f} ms |\n"
    )


def main() -> int:
    """Measure and keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--model", type=Path, help="a folder of the default fitted on all of Beauty")
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.measure:
        print(json.dumps(measured(a.measure, a.requests)))
        return 0
    found = run(a.data, a.model, a.requests)
    print(json.dumps(found, indent=1))
    RESULT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
