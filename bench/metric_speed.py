"""Speed and memory of the metrics, beside the evaluators of other libraries.

    python -m bench.metric_speed --data ../shared/data [--pairs 7] [--peers rectools,recbole,lenskit] [--users 1000000]

ML-1M: a tenth of each user's interactions, drawn at random, is to be found; scores are popularity with noise, and the
lists are their best 20. Beside a peer both sides measure the same lists by that peer's metrics at 5, 10 and 20, in
turns, in processes that stay warm; what each needs is in its own form and in memory before the clock starts. "All" is
every metric, from the scores on. The last row simulates users with 100 ranked candidates each.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench import records
from bench.environments import python_of
from bench.speed import Worker, cores

RESULT = records.RESULTS / "metric_speed.json"
PEERS = {"rectools": "RecTools 0.19.0", "recbole": "RecBole 1.2.1", "lenskit": "LensKit 2025.8.1"}
RUNS, PAIRS, USERS = 5, 7, 1_000_000
SAME = 1e-6
"""How far figures of two libraries that have one name here may be apart: one of them computes in float32."""


def make_case(sequences: list[list[int]], path: Path) -> dict[str, int]:
    """Write histories, held-out items, scores, lists, categories and vectors as .npz; return how many there are."""
    from fuserec.numerics.hashing import reseed
    from fuserec.numerics.topk import top_k

    rng = np.random.default_rng(0)
    n_items = 1 + max(max(row) for row in sequences)
    train, test = [], []
    for row in sequences:
        items = rng.permutation(np.unique(row)).astype(np.int32)
        held = max(1, len(items) // 10)
        test.append(items[:held])
        train.append(np.sort(items[held:]))
    starts = [np.concatenate(([0], np.cumsum([len(row) for row in rows]))) for rows in (train, test)]
    popularity = np.bincount(np.concatenate(train), minlength=n_items)
    scores = np.log1p(popularity) + rng.normal(size=(len(train), n_items))
    case = {
        "train_starts": starts[0],
        "train": np.concatenate(train),
        "test_starts": starts[1],
        "test": np.concatenate(test),
        "grades": rng.integers(0, 5, int(starts[1][-1])).astype(np.float64),
        "scores": scores.astype(np.float32),
        "categories": (rng.random((n_items, 18)) < 0.12).astype(np.float32),
        "vectors": rng.normal(size=(n_items, 384)).astype(np.float32),
    }
    ties = reseed(np.arange(n_items, dtype=np.uint64), 0)
    lists = top_k(case["scores"], 20, exclude=(case["train_starts"], case["train"]), ties=ties)[0]
    np.savez(path, **case, lists=lists)
    return {"users": len(train), "items": n_items, "targets": len(case["test"])}


def disagreements(ours: dict[str, float], theirs: dict[str, float]) -> dict[str, float]:
    """Return how far figures of one name are apart, where it is more than rounding."""
    shared = [name for name in ours if "@" in name and name in theirs]
    gaps = {name: abs(ours[name] - theirs[name]) / max(1.0, abs(ours[name])) for name in shared}
    return {name: gap for name, gap in gaps.items() if gap > SAME} | {"names compared": float(len(shared))}


def in_turns(timed: list[tuple[dict[str, float], dict[str, float]]]) -> dict[str, float]:
    """Return medians of (ours, theirs), and of the ratio of each pair; above 1 means that ours is faster."""
    ratios = sorted(theirs["seconds"] / mine["seconds"] for mine, theirs in timed)
    sides = {"ours": [mine for mine, _ in timed], "peer": [theirs for _, theirs in timed]}
    medians = {
        f"{side}_{short}": statistics.median(one[key] for one in runs)
        for side, runs in sides.items()
        for short, key in (("s", "seconds"), ("cpu_s", "cpu"))
    }
    return {**medians, "ratio": statistics.median(ratios), "lowest": ratios[0], "highest": ratios[-1]}


def run(
    data: Path, pairs: int = PAIRS, peers: Sequence[str] = tuple(PEERS), users: int = USERS
) -> dict[str, Any]:
    """Measure everything and return it."""
    from bench.run import ml1m_sequences

    records.RESULTS.mkdir(exist_ok=True)
    path = records.RESULTS / "metrics.npz"
    found: dict[str, Any] = {"case": make_case(ml1m_sequences(data), path), "cores": cores(), "peers": {}}
    ours = Worker(sys.executable, "metrics_ours.py", path)
    for peer in peers:
        theirs = Worker(python_of(peer), f"metrics_{peer}.py", path)
        apart = disagreements(ours.run(peer), theirs.run(peer))
        timed = [(ours.run(peer), theirs.run(peer)) for _ in range(pairs)]
        found["peers"][peer] = {"name": PEERS[peer], **in_turns(timed), "apart": apart}
        theirs.close()
    for task in ("all", "all_with_intervals"):
        ours.run(task)
        timed = [ours.run(task) for _ in range(RUNS)]
        found[task] = {key: statistics.median(one[key] for one in timed) for key in ("seconds", "cpu")}
        found[task] |= {"metrics": timed[0].get("metrics", 0.0), "above_mb": timed[0]["above_mb"]}
    ours.close()
    if users:
        many = Worker(sys.executable, "metrics_ours.py", Path("simulated.none"))
        found["simulated"] = many.run("simulated")
        many.close()
    return {**found, **records.provenance()}


def section(found: dict[str, Any]) -> str:
    """Return the section of the page."""
    case, whole, sure = found["case"], found["all"], found["all_with_intervals"]
    lines = [
        "### Metrics\n",
        f"ML-1M, {case['users']:,} users, {case['items']:,} items, {case['targets']:,} right items; each row the "
        f"metrics of that library at 5, 10 and 20 over the same lists, in turns, on {found['cores']} cores; made at "
        f"{found['commit']}.\n",
        "| evaluator | FuseRec | it | ratio (lowest to highest) |",
        "| --- | ---: | ---: | ---: |",
    ]
    for row in found["peers"].values():
        ratio = f"**{row['ratio']:.1f}** ({row['lowest']:.1f} to {row['highest']:.1f})"
        lines.append(f"| {row['name']} | {row['ours_s']:.4f} s | {row['peer_s']:.3f} s | {ratio} |")
    lines += [
        "",
        f"All {whole['metrics']:.0f} metrics with their cuts, from the scores on: {whole['seconds']:.2f} s; with "
        f"bootstrap intervals {sure['seconds']:.2f} s.",
    ]
    if (many := found.get("simulated")) is not None:
        lines.append(
            f"\n{many['users']:,.0f} users with 100 ranked candidates each, {many['metrics']:.0f} metrics: "
            f"{many['work_s']:.1f} s; memory rises by {many['rise_mb']:,.0f} MB, of which the values of users are "
            f"{many['columns_mb']:,.0f} MB."
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument(
        "--peers", default=",".join(PEERS), help="which, divided by commas; none for ours alone"
    )
    parser.add_argument("--users", type=int, default=USERS, help="users that are simulated; 0 for none")
    parser.add_argument("--dry", action="store_true", help="print alone, keep nothing")
    a = parser.parse_args()
    peers = [] if a.peers == "none" else a.peers.split(",")
    found = run(a.data, a.pairs, peers, a.users)
    print(json.dumps(found, indent=1))
    print(section(found))
    if not a.dry:
        RESULT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
