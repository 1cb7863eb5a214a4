"""RecTools' side of the benchmark of metrics (run in its own environment)."""

from __future__ import annotations

import warnings

warnings.filterwarnings("ignore")

import numpy as np
import pandas as pd
import protocol as p
from rectools import Columns
from rectools import metrics as m

z = np.load(p.argument())
KS = (5, 10, 20)


def table(starts: np.ndarray, items: np.ndarray) -> pd.DataFrame:
    """Return ragged items as the rows that RecTools takes."""
    users = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    return pd.DataFrame({Columns.User: users, Columns.Item: items})


TRAIN, TEST = table(z["train_starts"], z["train"]), table(z["test_starts"], z["test"])
n, width = z["lists"].shape
RECO = table(np.arange(n + 1) * width, z["lists"].ravel())
RECO[Columns.Rank] = np.tile(np.arange(1, width + 1), n)
CATALOG = np.arange(len(z["categories"]))
DISTANCES = m.PairwiseHammingDistanceCalculator(pd.DataFrame(z["categories"], index=CATALOG))
METRICS = {
    f"{name}@{k}": make(k)
    for k in KS
    for name, make in {
        "precision": lambda k: m.Precision(k=k),
        "recall": lambda k: m.Recall(k=k),
        "f1": lambda k: m.F1Beta(k=k),
        "hit_rate": lambda k: m.HitRate(k=k),
        "map": lambda k: m.MAP(k=k),
        "ndcg": lambda k: m.NDCG(k=k, divide_by_achievable=True),
        "mrr": lambda k: m.MRR(k=k),
        "novelty": lambda k: m.MeanInvUserFreq(k=k),
        "popularity": lambda k: m.AvgRecPopularity(k=k),
        "rank_serendipity": lambda k: m.Serendipity(k=k),
        "coverage": lambda k: m.CatalogCoverage(k=k, normalize=True),
        "hamming_diversity": lambda k: m.IntraListDiversity(k=k, distance_calculator=DISTANCES),
        "sufficient": lambda k: m.SufficientReco(k=k),
    }.items()
}


def rectools() -> dict[str, float]:
    """Measure the lists; two metrics have definitions of RecTools' own and other names than ours."""
    return m.calc_metrics(METRICS, reco=RECO, interactions=TEST, prev_interactions=TRAIN, catalog=CATALOG)


if __name__ == "__main__":
    p.serve({"rectools": rectools})
