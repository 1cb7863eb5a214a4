"""Speed beside the fastest other library, in one run: interleaved pairs, compiled code warm, medians of ratios."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.environments import python_of

WORKERS = Path(__file__).resolve().parent / "workers"
PAIRS = 7


class Worker:
    """A process that times tasks on demand and stays warm."""

    def __init__(self, python: Path | str, script: str, data: Path) -> None:
        self._process = subprocess.Popen(
            [str(python), str(WORKERS / script), str(data)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()

    def _answer(self) -> dict[str, float]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("a worker of the benchmark ended; its message stands above")
        return json.loads(line)

    def run(self, task: str) -> dict[str, float]:
        """Run one task and return seconds, CPU seconds and peak memory."""
        assert self._process.stdin is not None
        self._process.stdin.write(task + "\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)


@dataclass(frozen=True)
class Ratio:
    """One comparison: medians of both sides and of the ratio of each pair (above 1: ours is faster)."""

    name: str
    peer: str
    ours_s: float
    peer_s: float
    ratio: float
    lowest: float
    highest: float
    note: str = ""


def compare(
    name: str, peer: str, ours: tuple[Worker, str], theirs: tuple[Worker, str], unit: str = "seconds"
) -> Ratio:
    """Ask both sides in turns, after one round to warm up."""
    ours[0].run(ours[1])
    theirs[0].run(theirs[1])
    pairs = [(ours[0].run(ours[1])[unit], theirs[0].run(theirs[1])[unit]) for _ in range(PAIRS)]
    ratios = sorted(b / a for a, b in pairs)
    mine, other = (statistics.median(side) for side in zip(*pairs, strict=True))
    return Ratio(name, peer, mine, other, statistics.median(ratios), ratios[0], ratios[-1])


def recommenders(data: Path, users: int) -> tuple[list[Ratio], dict[str, float]]:
    """Return the comparisons on interactions, and facts seen beside them."""
    ours, implicit = (
        Worker(sys.executable, "ours.py", data),
        Worker(python_of("implicit"), "implicit_peer.py", data),
    )
    rows = [
        compare("item kNN fit, cosine, K = 100", "implicit", (ours, "knn"), (implicit, "knn")),
        compare("item kNN fit, K = 100, against BM25", "implicit", (ours, "knn"), (implicit, "knn_bm25")),
        compare("ALS fit, 64 factors, 15 iterations", "implicit", (ours, "als"), (implicit, "als")),
        compare("top-100, stored user factors", "implicit", (ours, "top_stored"), (implicit, "top_stored")),
        compare("top-100, users folded in", "implicit", (ours, "top_folded"), (implicit, "top_folded")),
    ]
    facts = {
        "als objective, ours": ours.run("value")["objective"],
        "als objective, implicit": implicit.run("value")["objective"],
    }
    facts |= {f"{row.name}: users/s, ours": users / row.ours_s for row in rows if row.name.startswith("top")}
    facts |= {
        f"{row.name}: users/s, implicit": users / row.peer_s for row in rows if row.name.startswith("top")
    }
    implicit.close()
    lenskit = Worker(python_of("lenskit"), "lenskit_peer.py", data)
    rows.append(compare("EASE fit, lambda = 500", "LensKit", (ours, "ease"), (lenskit, "ease")))
    lenskit.close()
    ours.close()
    return rows, facts


def memory(data: Path, task: str) -> float:
    """Return the peak in MB that a task adds to a process which has imported and compiled everything on small data."""
    worker = Worker(sys.executable, "ours.py", data)
    first = worker.run(task)
    worker.close()
    return first["above_mb"]


def encoders(texts: Path) -> Ratio:
    """Return the comparison of the encoders, per CPU second."""
    ours, peer = Worker(sys.executable, "ours.py", texts), Worker(python_of("st"), "sentence_peer.py", texts)
    row = compare(
        "MiniLM encoding, per CPU second", "sentence-transformers", (ours, "encode"), (peer, "encode"), "cpu"
    )
    ours.close()
    peer.close()
    return row


def cores() -> int:
    """Return the number of cores this process may use."""
    return len(os.sched_getaffinity(0))


def write_pairs(sequences: list[list[int]], path: Path) -> int:
    """Write (user, item) pairs of histories without their last item as .npz; return the number of users."""
    lengths = [len(row) - 1 for row in sequences]
    u = np.repeat(np.arange(len(sequences)), lengths).astype(np.int32)
    i = np.concatenate([np.array(row[:-1], dtype=np.int32) for row in sequences])
    np.savez(path, u=u, i=i)
    return len(sequences)
