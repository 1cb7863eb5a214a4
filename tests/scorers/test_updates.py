"""Folded updates, measured: within 0.01 recall@10 of a refit, where doing nothing is further away."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from fuserec.data.sample import sample
from fuserec.data.splits import SplitConfig, hold_out
from fuserec.numerics.ranks import target_ranks
from fuserec.run import RunOptions
from fuserec.scorers import SCORERS, create, scorer_class
from fuserec.testing import small_features

RUN = RunOptions(seed=1, threads=2)
FOLDED = [name for name in SCORERS if scorer_class(name).capabilities.update == "folded"]


@cache
def before_and_after():
    """The sample less each reader's last event; before, a tenth of the works had not come yet."""
    held = hold_out(sample(), SplitConfig(), 0, "test")
    late = np.random.default_rng(0).permutation(held.train.n_items)[: held.train.n_items // 10]
    return held, held.train.with_rows(~np.isin(held.train.interactions.item, late)), late


def recall(scorer, held):
    scores = scorer.score(held.queries)
    visible = np.where(scores.answered, scores.values, np.float32(-np.inf))
    ranks, _ = target_ranks(visible, held.queries.seen(), (held.indptr, held.items), 2)
    return float((ranks <= 10).mean())


def rmse(scorer, held, late):
    """Of the ratings of works that came late."""
    rows = np.flatnonzero(np.isfinite(held.ratings) & np.isin(held.items, late))
    found = scorer.predict(held.queries.take(held.rows[rows]), held.items[rows][:, None])[:, 0]
    return float(np.sqrt(np.mean((found - held.ratings[rows]) ** 2)))


def three(name):
    held, before, _ = before_and_after()
    features = small_features(held.train, RUN)
    old = create(name).fit(before, features, RUN)
    return old, old.updated(held.train, features, RUN), create(name).fit(held.train, features, RUN)


@pytest.mark.parametrize("name", FOLDED)
def test_a_folded_update_stays_near_a_refit(name):
    held, _, _ = before_and_after()
    old, updated, refit = three(name)
    assert recall(updated, held) >= recall(refit, held) - 0.01
    if name == "als":  # the others rank by predicted rating, which hardly finds the next work at all
        assert recall(old, held) < recall(refit, held) - 0.01


@pytest.mark.parametrize("name", [n for n in FOLDED if scorer_class(n).capabilities.predicts])
def test_ratings_of_what_came_late_are_predicted(name):
    held, _, late = before_and_after()
    stale, folded, wanted = (rmse(scorer, held, late) for scorer in three(name))
    assert folded <= wanted + 0.02
    assert stale > wanted + 0.1
