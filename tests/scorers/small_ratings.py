"""Paper-sized datasets for the tests of rating scorers."""

from __future__ import annotations

import numpy as np
import polars as pl

from fuserec.data.dataset import Dataset, DatasetInfo, Interactions
from fuserec.data.query import QueryBatch
from fuserec.data.vocabulary import Vocabulary
from fuserec.data.weights import DEFAULT_WEIGHTS, KINDS, signed_weights
from fuserec.encoders.features import FeatureConfig, ItemFeatures
from fuserec.run import RunOptions

SCALE = (1.0, 5.0)
RUN = RunOptions(threads=2)

WORDS = ("space", "robot", "war", "love", "comedy", "paris", "crime", "detective", "music", "school")


def dataset(triples, users=None, items=None, scale=SCALE, titles=None):
    """Return a Dataset of (user, item, rating) rows; a rating of None is a plain interaction."""
    users = users or [str(u) for u in range(1 + max(t[0] for t in triples))]
    items = items or [str(i) for i in range(1 + max(t[1] for t in triples))]
    columns = list(zip(*triples, strict=True)) if triples else [(), (), ()]
    ratings = np.array([np.nan if r is None else r for r in columns[2]], np.float32)
    rated = np.isfinite(ratings)
    kinds = np.where(rated, KINDS.index("rating"), KINDS.index("interaction")).astype(np.uint8)
    nan = np.full(ratings.size, np.nan, np.float32)
    interactions = Interactions(
        np.array(columns[0], np.int32),
        np.array(columns[1], np.int32),
        signed_weights(kinds, ratings, nan, scale, DEFAULT_WEIGHTS),
        ratings,
        nan.astype(np.float64),
        kinds,
    )
    return Dataset(
        Vocabulary.from_ids(users),
        Vocabulary.from_ids(items),
        interactions,
        pl.DataFrame({"title": titles or [f"film {name}" for name in items]}),
        pl.DataFrame({"text": [None] * len(users)}, schema={"text": pl.String}),
        pl.DataFrame(schema={"head": pl.String, "relation": pl.String, "tail": pl.String}),
        info=DatasetInfo(rating_scale=scale),
    )


def random_ratings(seed=0, n_users=40, n_items=30, share=0.4, cold=2):
    """Return (user, item, rating) rows of two tastes; the last ``cold`` items are never rated."""
    rng = np.random.default_rng(seed)
    taste, kind = rng.integers(0, 2, n_users), rng.integers(0, 2, n_items)
    seen = rng.random((n_users, n_items - cold)) < share
    seen[:, 0] = True
    quality, mood = rng.normal(0, 0.5, n_items), rng.normal(0, 0.4, n_users)
    rows = []
    for u, i in zip(*np.nonzero(seen), strict=True):
        value = 3 + quality[i] + mood[u] + (1 if taste[u] == kind[i] else -1) + rng.normal(0, 0.3)
        rows.append((int(u), int(i), float(np.clip(round(value), 1, 5))))
    return rows


def random_dataset(seed=0, **shape):
    """Return a Dataset of :func:`random_ratings` with titles made of a few words."""
    rows, n_items = random_ratings(seed, **shape), shape.get("n_items", 30)
    rng = np.random.default_rng(seed + 1)
    titles = [" ".join(rng.choice(WORDS, 3, replace=False)) for _ in range(n_items)]
    return dataset(rows, items=[f"item {i}" for i in range(n_items)], titles=titles)


def features(data, sentence_dim=0):
    """Return real TF-IDF features of a dataset, and random unit vectors beside them where a dim is given."""
    from dataclasses import replace

    built = ItemFeatures.build(data, FeatureConfig(use_sentence="never"), RUN)
    if not sentence_dim:
        return built
    vectors = np.random.default_rng(3).normal(size=(data.n_items, sentence_dim)).astype(np.float32)
    return replace(built, sentence=vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def rated_queries(histories):
    """Return queries of unknown users from lists of (item, rating); no rating is a plain interaction."""
    flat = [event for history in histories for event in history]
    ratings = np.array([np.nan if r is None else r for _, r in flat], np.float32)
    kinds = np.where(np.isfinite(ratings), KINDS.index("rating"), KINDS.index("interaction")).astype(np.uint8)
    nan = np.full(ratings.size, np.nan, np.float32)
    n = len(histories)
    return QueryBatch(
        np.concatenate([[0], np.cumsum([len(h) for h in histories])]).astype(np.int64),
        np.array([i for i, _ in flat], np.int32),
        signed_weights(kinds, ratings, nan, SCALE, DEFAULT_WEIGHTS),
        ratings,
        nan,
        np.full(n, -1, np.int32),
        np.full(n, np.nan),
    )


def events(data, user):
    """Return the (item, rating) list of a stored user."""
    span = slice(int(data.indptr[user]), int(data.indptr[user + 1]))
    return list(
        zip(data.interactions.item[span].tolist(), data.interactions.rating[span].tolist(), strict=True)
    )
