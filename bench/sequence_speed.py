"""Training time of the sequence scorer beside RecTools' SASRec: the same fixed batches at equal size.

    python -m bench.sequence_speed --data ../shared/data [--pairs 5] [--batches 12] [--peer-only]

ML-1M: users with at least 51 events, the newest 51 of each before the last one, so that every batch has 128 full
histories of 50 steps on both sides. Both train in turns in processes that stay warm; the first batch of each training
is not counted.
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

PAIRS, BATCHES, BATCH, LENGTH = 5, 12, 128, 50
RESULT = records.RESULTS / "training.json"


def fixed_histories(sequences: Sequence[Sequence[int]], batches: int) -> np.ndarray:
    """Return int32 (BATCH · batches, LENGTH + 1): the newest events before the last one of users drawn at random.

    Raises
    ------
    ValueError
        Where too few users have as many events.
    """
    wanted = BATCH * batches
    long = [row[-LENGTH - 2 : -1] for row in sequences if len(row) >= LENGTH + 2]
    if len(long) < wanted:
        raise ValueError(f"{wanted} histories of {LENGTH + 2} events are needed, {len(long)} are there")
    drawn = np.random.default_rng(0).permutation(len(long))[:wanted]
    return np.array([long[i] for i in drawn], dtype=np.int32)


def run(data: Path, pairs: int = PAIRS, batches: int = BATCHES, peer_only: bool = False) -> dict[str, Any]:
    """Train both sides in turns, after one round to warm up; return medians and the ratio of each pair."""
    from bench.run import ml1m_sequences

    records.RESULTS.mkdir(exist_ok=True)
    path = records.RESULTS / "training.npz"
    rows = fixed_histories(ml1m_sequences(data), batches + 1)
    np.savez(path, histories=rows)
    peer = Worker(python_of("rectools"), "rectools_peer.py", path)
    ours = None if peer_only else Worker(sys.executable, "sequence_ours.py", path)
    sides = [peer] if ours is None else [ours, peer]
    for side in sides:
        side.run("train")
    rounds = [[side.run("train")["batch_s"] for side in sides] for _ in range(pairs)]
    for side in sides:
        side.close()
    facts = {"batches": batches, "pairs": pairs, "items": int(np.unique(rows).size), "cores": cores()}
    return {**facts, **records.provenance(), **ratios([(r[0] if ours else None, r[-1]) for r in rounds])}


def ratios(rounds: Sequence[tuple[float | None, float]]) -> dict[str, float | None]:
    """Return medians of (ours, peer) seconds, and the median and ends of the ratios; above 1 means ours is faster."""
    peer = statistics.median(theirs for _, theirs in rounds)
    paired = sorted(theirs / mine for mine, theirs in rounds if mine is not None)
    if not paired:
        return {"ours_s": None, "peer_s": peer, "ratio": None, "lowest": None, "highest": None}
    mine = statistics.median(mine for mine, _ in rounds if mine is not None)
    middle = statistics.median(paired)
    return {"ours_s": mine, "peer_s": peer, "ratio": middle, "lowest": paired[0], "highest": paired[-1]}


def section(found: dict[str, Any]) -> str:
    """Return the section on training."""
    lines = [
        "### Training of a sequence model\n",
        f"ML-1M, {found['items']:,} items; transformer of 2 blocks, 64 dimensions, 1 head, softmax over the catalogue; "
        f"batches of {BATCH} histories of {LENGTH} steps, the same histories for both; seconds a batch over "
        f"{found['batches']} batches, the first not counted; medians of {found['pairs']} interleaved pairs on "
        f"{found['cores']} cores; made at {found['commit']}.\n",
        "| FuseRec `sequence` | RecTools 0.19.0 SASRec | ratio (lowest to highest) |",
        "| ---: | ---: | ---: |",
    ]
    if found.get("ratio") is None:
        return "\n".join([*lines, f"| not measured | {found['peer_s']:.3f} s | – |"]) + "\n"
    ratio = f"**{found['ratio']:.2f}** ({found['lowest']:.2f} to {found['highest']:.2f})"
    return "\n".join([*lines, f"| {found['ours_s']:.3f} s | {found['peer_s']:.3f} s | {ratio} |"]) + "\n"


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument(
        "--batches", type=int, default=BATCHES, help="batches that are timed, one more is trained"
    )
    parser.add_argument("--peer-only", action="store_true", help="RecTools alone; nothing is kept")
    a = parser.parse_args()
    found = run(a.data, a.pairs, a.batches, a.peer_only)
    print(json.dumps(found, indent=1))
    if not a.peer_only:
        RESULT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
