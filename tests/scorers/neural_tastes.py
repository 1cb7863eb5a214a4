"""People of three tastes who take items of one, for the scorers that are trained."""

from __future__ import annotations

import numpy as np

from fuserec.run import RunOptions
from fuserec.scorers import create
from fuserec.testing import small_features
from fuserec.testing.planted import dataset_of

RUN = RunOptions(seed=5, threads=1)
WORDS = (
    ("galaxy", "robot", "orbit", "alien"),
    ("murder", "alibi", "witness", "police"),
    ("bread", "spice", "soup", "butter"),
)
COLD = (0, 1, 2)
"""Items of each taste that nobody has taken; item j is of taste j % 3."""


def tastes(seed=0, *, shuffled=False, n_users=300, n_items=45, length=6, ratings=False):
    """Return histories of one taste each (of any, shuffled), titles of its words, and ratings that follow it."""
    rng = np.random.default_rng(seed)
    titles = [" ".join(rng.permutation(WORDS[j % 3])[:3]) for j in range(n_items)]
    warm = np.setdiff1d(np.arange(n_items), COLD)
    rows, rated = [], []
    for u in range(n_users):
        own = warm if shuffled or ratings else warm[warm % 3 == u % 3]
        row = rng.permutation(own)[:length]
        rows.append(row.tolist())
        like = np.where(row % 3 == u % 3, 4.5, 2.0) + rng.normal(0, 0.4, row.size)
        rated.append(np.clip(np.round(like), 1, 5).tolist())
    return dataset_of(rows, n_items, titles=titles, ratings=rated if ratings else None)


def fitted(name, data, run=RUN, **options):
    """Return the fitted scorer."""
    return create(name, options).fit(data, small_features(data, run), run)


def share_of(scores, taste, among, k=10):
    """Return the share of a taste in each query's best of some items."""
    best = among[np.argsort(-scores.values[:, among], axis=1)[:, :k]]
    return (best % 3 == taste).mean(axis=1)


def pairwise_right(model, data, held):
    """Return how often the held-out item of each user beats one that they did not take, and its standard error."""
    rng, values = np.random.default_rng(8), model.score(data.queries()).values
    found = []
    for user in range(data.n_users):
        mine = data.interactions.item[data.indptr[user] : data.indptr[user + 1]]
        others = np.setdiff1d(np.arange(len(COLD), data.n_items), [*mine, held[user]])
        rest = values[user, rng.choice(others, 15)]
        found.append(((values[user, held[user]] > rest) + 0.5 * (values[user, held[user]] == rest)).mean())
    return float(np.mean(found)), float(np.std(found) / np.sqrt(len(found)))


def without_last(data):
    """Return the data without each user's last event, and those items."""
    last = data.indptr[1:] - 1
    kept = np.ones(data.n_interactions, dtype=bool)
    kept[last] = False
    return data.with_rows(kept), data.interactions.item[last]
