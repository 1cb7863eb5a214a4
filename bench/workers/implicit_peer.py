"""implicit's side of the speed benchmark (run in its own environment)."""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as implicit asks for

import numpy as np
import protocol as p
from implicit.cpu.als import AlternatingLeastSquares
from implicit.nearest_neighbours import BM25Recommender, CosineRecommender

THREADS = len(os.sched_getaffinity(0))
X = p.matrix(p.argument())
C = X.copy()
C.data[:] = p.CONFIDENCE
kept: dict[str, AlternatingLeastSquares] = {}


def knn() -> None:
    CosineRecommender(K=p.NEIGHBOURS, num_threads=THREADS).fit(X, show_progress=False)


def knn_bm25() -> None:
    BM25Recommender(K=p.NEIGHBOURS, num_threads=THREADS).fit(X, show_progress=False)


def als() -> None:
    model = AlternatingLeastSquares(
        factors=p.FACTORS, iterations=p.ITERATIONS, regularization=p.REGULARIZATION, alpha=1.0,
        num_threads=THREADS, random_state=0,
    )  # fmt: skip
    model.fit(C, show_progress=False)
    kept["als"] = model


def top(recalculate: bool) -> None:
    users = np.arange(X.shape[0])
    for lo in range(0, users.size, 1000):
        part = users[lo : lo + 1000]
        kept["als"].recommend(
            part, C[part], N=p.TOP, filter_already_liked_items=True, recalculate_user=recalculate
        )  # fmt: skip


def value() -> dict[str, float]:
    return {"objective": p.objective(C, kept["als"].user_factors, kept["als"].item_factors)}


if __name__ == "__main__":
    tasks = {"knn": knn, "knn_bm25": knn_bm25, "als": als, "value": value}
    p.serve({**tasks, "top_stored": lambda: top(False), "top_folded": lambda: top(True)})
