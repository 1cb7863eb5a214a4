"""FuseRec's side of the speed benchmark."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import protocol as p

from fuserec.data.dataset import Dataset, Interactions
from fuserec.data.vocabulary import Vocabulary
from fuserec.encoders.features import FeatureConfig, ItemFeatures
from fuserec.numerics.als import als_fit, fold_in, whiten
from fuserec.numerics.topk import factor_top_k, tile_factors
from fuserec.run import RunOptions
from fuserec.scorers import create

RUN = RunOptions()


def dataset(path: str) -> Dataset:
    """Return the pairs as a Dataset."""
    z = np.load(path)
    n_users, n_items, n = int(z["u"].max()) + 1, int(z["i"].max()) + 1, z["u"].size
    nan = np.full(n, np.nan)
    rows = Interactions(
        z["u"].astype(np.int32), z["i"].astype(np.int32), np.ones(n, np.float32), nan.astype(np.float32), nan,
        np.zeros(n, np.uint8),
    )  # fmt: skip
    return Dataset(
        Vocabulary.from_ids([f"u{i}" for i in range(n_users)]),
        Vocabulary.from_ids([f"i{i}" for i in range(n_items)]),
        rows,
        pl.DataFrame({"title": [""] * n_items}),
        pl.DataFrame({"text": [""] * n_users}),
        pl.DataFrame(schema={"head": pl.String, "relation": pl.String, "tail": pl.String}),
    )


def recommender_tasks(path: str) -> dict[str, object]:
    """Return the tasks on interactions."""
    data, X = dataset(path), p.matrix(path)
    features = ItemFeatures.build(data, FeatureConfig(use_sentence="never"), RUN)
    confidences = X.copy()
    confidences.data[:] = p.CONFIDENCE
    seen, ties = (X.indptr.astype(np.int64), X.indices), data.items.hashes
    kept: dict[str, object] = {}

    def knn() -> None:
        create("item_knn", {"n_neighbors": p.NEIGHBOURS, "shrinkage": 0.0}).fit(data, features, RUN)

    def als() -> None:
        U, V = als_fit(
            confidences, p.FACTORS, iterations=p.ITERATIONS, regularization=p.REGULARIZATION, item_seeds=ties,
            threads=RUN.threads,
        )  # fmt: skip
        kept.update(U=U, V=V, tiles=tile_factors(V), white=whiten(V, p.REGULARIZATION))

    def als_scorer() -> None:
        config = {"embedding_dim": p.FACTORS, "iterations": p.ITERATIONS, "alpha": p.CONFIDENCE - 1.0}
        create("als", {**config, "regularization": p.REGULARIZATION}).fit(data, features, RUN)

    def ease() -> None:
        create("ease", {"regularization": p.EASE_LAMBDA}).fit(data, features, RUN)

    def top_stored() -> None:
        factor_top_k(kept["U"], kept["tiles"], p.TOP, exclude=seen, ties=ties, threads=RUN.threads)

    def top_folded() -> None:
        users = fold_in(confidences, kept["white"], threads=RUN.threads)
        factor_top_k(users, kept["tiles"], p.TOP, exclude=seen, ties=ties, threads=RUN.threads)

    def value() -> dict[str, float]:
        return {"objective": p.objective(confidences, kept["U"], kept["V"])}

    tasks = {"knn": knn, "als": als, "als_scorer": als_scorer, "ease": ease, "value": value}
    return {**tasks, "top_stored": top_stored, "top_folded": top_folded}


def encoder_tasks(path: str) -> dict[str, object]:
    """Return the task on texts, a line each."""
    from fuserec.encoders.sentence import SentenceEncoder

    texts = Path(path).read_text(encoding="utf-8").splitlines()
    encoder = SentenceEncoder().load(RUN)
    return {"encode": lambda: {"texts": float(len(encoder.encode(texts, RUN)))}}


if __name__ == "__main__":
    source = p.argument()
    p.serve(encoder_tasks(source) if source.endswith(".txt") else recommender_tasks(source))
