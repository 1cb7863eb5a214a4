"""LensKit's side of the benchmark of metrics (run in its own environment)."""

from __future__ import annotations

import logging
import warnings

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

import numpy as np
import pandas as pd
import protocol as p
from lenskit.data import ItemList, ItemListCollection, UserIDKey, from_interactions_df
from lenskit.metrics import NDCG, Hit, ListGini, MeanPopRank, Precision, Recall, RecipRank, RunAnalysis
from lenskit.metrics.ranking import AveragePrecision

z = np.load(p.argument())
KS = (5, 10, 20)
users = np.repeat(np.arange(len(z["train_starts"]) - 1), np.diff(z["train_starts"]))
TRAIN = from_interactions_df(pd.DataFrame({"user_id": users, "item_id": z["train"]}))
LISTS, TEST = ItemListCollection(UserIDKey), ItemListCollection(UserIDKey)
for user, row in enumerate(z["lists"]):
    LISTS.add(ItemList(item_ids=row, ordered=True), user_id=user)
    TEST.add(ItemList(item_ids=z["test"][z["test_starts"][user] : z["test_starts"][user + 1]]), user_id=user)
# Names of ours where the definition is ours: LensKit divides by min(k, right items) and discounts from place 2 on.
RUN = RunAnalysis()
N_ITEMS = len(z["categories"])
for k in KS:
    for name, metric in {
        "precision": Precision(n=k),
        "capped_recall": Recall(n=k),
        "hit_rate": Hit(n=k),
        "capped_map": AveragePrecision(n=k),
        "own_ndcg": NDCG(n=k),
        "mrr": RecipRank(n=k),
        "popularity_rank": MeanPopRank(TRAIN, n=k),
        "list_gini": ListGini(n=k, items=N_ITEMS),
    }.items():
        RUN.add_metric(metric, f"{name}@{k}")


def lenskit() -> dict[str, float]:
    """Measure the lists."""
    found = RUN.measure(LISTS, TEST)
    return {str(name): float(value) for name, value in found.list_summary()["mean"].items()}


if __name__ == "__main__":
    p.serve({"lenskit": lenskit})
