"""RMSE on MovieLens 100K, in bands: too bad fails, and too good is a leak.

Peers on the random split: LensKit item kNN .9010 and biased MF .9029 to .9039, surprise SVD .9241, damped
biases .9357. The split and the histories are those of the bench, whose code is what runs here.
"""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path

import numpy as np
import pytest

from fuserec.run import RunOptions
from fuserec.scorers import create

pytestmark = pytest.mark.realdata

BANDS = {"item_knn": (0.885, 0.899), "user_knn": (0.900, 0.916), "svd": (0.890, 0.903), "nmf": (0.894, 0.908)}
"""Around .894, .910, .898 and .903; the issue asks for .905, .93 and .910 of the first three."""

BASELINE = 0.9357


@pytest.fixture(scope="module")
def bench():
    path = Path(__file__).resolve().parents[2] / "bench" / "ratings.py"
    spec = importlib.util.spec_from_file_location("bench_ratings", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def split(bench, realdata):
    train, test = bench.random_split(realdata / "ml-100k")
    return train, test, bench.features_of(train, RunOptions())


def test_the_split_is_the_peers(split):
    train, test, _ = split
    assert (train.n_users, train.n_items) == (943, 1682)
    assert train.n_interactions + test.n_interactions == 100_000
    assert abs(test.n_interactions - 10_000) < 300


def test_damped_biases_have_the_error_that_peers_report(bench, split):
    from fuserec.scorers.ratings import Baseline, RatedHistories

    train, test, _ = split
    matrix = train.matrix("rating")
    baseline, rated = Baseline.fit(matrix, 5.0, bench.SCALE), RatedHistories.of_matrix(matrix)
    rows = test.interactions
    expected = baseline.mean + baseline.item_bias[rows.item] + baseline.user_bias(rated)[rows.user]
    assert np.sqrt(np.mean((np.clip(expected, 1, 5) - rows.rating) ** 2)) == pytest.approx(
        BASELINE, abs=0.002
    )


@pytest.mark.parametrize("name", BANDS)
def test_error_on_the_random_split_is_within_its_band(bench, split, name):
    train, test, features = split
    scorer, config = bench.MODELS[name]
    fitted = create(scorer, config).fit(train, features, RunOptions())
    started = time.process_time()
    fitted = create(scorer, config).fit(train, features, RunOptions())
    seconds = time.process_time() - started
    low, high = BANDS[name]
    assert low <= bench.rmse(fitted, train, test) <= high
    assert seconds < 5.0


def test_breaking_the_neighbours_leaves_the_band(bench, split):
    """The bands guard against neighbours of other items, and against ratings that are not centred."""
    train, test, features = split
    raw = {"values": "ratings", "centered": False, "shrinkage": 0}
    plain = create("item_knn", raw).fit(train, features, RunOptions())
    assert bench.rmse(plain, train, test) > BANDS["item_knn"][1]
    rng = np.random.default_rng(0)
    shuffled = create("item_knn", {"values": "ratings"}).fit(train, features, RunOptions())
    order = rng.permutation(train.n_items).astype(np.int32)
    shuffled._near.indices[:] = order[shuffled._near.indices]
    assert bench.rmse(shuffled, train, test) > BASELINE - 0.01


def test_a_stranger_with_the_same_ratings_gets_the_same_predictions(bench, split):
    from dataclasses import replace

    train, _, features = split
    fitted = create("svd").fit(train, features, RunOptions())
    known = train.queries(np.array([10, 500]))
    stranger = replace(known, users=np.full(2, -1, np.int32))
    items = np.tile(np.arange(50), (2, 1))
    assert np.array_equal(fitted.predict(known, items), fitted.predict(stranger, items))
