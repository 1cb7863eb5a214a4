"""RecBole's side of the benchmark of metrics (run in its own environment)."""

from __future__ import annotations

import warnings
from collections import Counter

warnings.filterwarnings("ignore")

import numpy as np
import protocol as p
import torch

for old, new in {"float": float, "int": int, "bool": bool}.items():  # names that numpy has dropped since
    setattr(np, old, new)

from recbole.evaluator.collector import DataStruct
from recbole.evaluator.evaluator import Evaluator

z = np.load(p.argument())
# Names of ours where the definition is ours; RecBole counts a padding item and divides average precision otherwise.
NAMES = {
    "precision": "precision",
    "recall": "recall",
    "hit": "hit_rate",
    "map": "divided_by_hits_map",
    "ndcg": "ndcg",
    "mrr": "mrr",
    "itemcoverage": "padded_coverage",
    "averagepopularity": "average_popularity",
    "shannonentropy": "nats",
    "giniindex": "padded_gini",
    "tailpercentage": "tail",
}
CONFIG = {"metrics": list(NAMES), "topk": [5, 10, 20], "metric_decimal_place": 12, "tail_ratio": 0.8}
n, width = z["lists"].shape
wanted = np.zeros((n, len(z["categories"])), bool)
wanted[np.repeat(np.arange(n), np.diff(z["test_starts"])), z["test"]] = True
hits = np.take_along_axis(wanted, z["lists"].astype(np.int64), axis=1)
DATA = DataStruct()
DATA.set("rec.topk", torch.from_numpy(np.column_stack((hits, wanted.sum(axis=1))).astype(np.int32)))
DATA.set("rec.items", torch.from_numpy(z["lists"].astype(np.int64) + 1))
DATA.set("data.num_items", len(z["categories"]) + 1)
DATA.set("data.count_items", Counter((z["train"] + 1).tolist()))
EVALUATOR = Evaluator(CONFIG)


def recbole() -> dict[str, float]:
    """Measure the lists; hits are looked up beforehand, as RecBole's collector does beside scoring."""
    found = EVALUATOR.evaluate(DATA)
    return {f"{NAMES[name.split('@')[0]]}@{name.split('@')[1]}": float(v) for name, v in found.items()}


if __name__ == "__main__":
    p.serve({"recbole": recbole})
