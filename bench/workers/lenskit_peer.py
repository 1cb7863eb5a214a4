"""LensKit's side of the speed benchmark: EASE (run in its own environment)."""

from __future__ import annotations

import os

THREADS = str(len(os.sched_getaffinity(0)))
os.environ.setdefault("LK_NUM_THREADS", THREADS)
os.environ.setdefault("LK_NUM_BACKEND_THREADS", THREADS)

import numpy as np
import pandas as pd
import protocol as p
from lenskit.data import from_interactions_df
from lenskit.knn import EASEScorer
from lenskit.pipeline import topn_pipeline

z = np.load(p.argument())
DATA = from_interactions_df(pd.DataFrame({"user_id": z["u"], "item_id": z["i"]}))


def ease() -> None:
    topn_pipeline(EASEScorer(regularization=p.EASE_LAMBDA), n=p.TOP).train(DATA)


if __name__ == "__main__":
    p.serve({"ease": ease})
