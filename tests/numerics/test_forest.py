"""The forest kernel against LightGBM, missing values included, and the shares of features."""

from __future__ import annotations

import numpy as np
import pytest

from fuserec.numerics.forest import Forest, forest_shares, forest_values

lightgbm = pytest.importorskip("lightgbm")
ASKED, OFFERED, BOTH = 2, 3, 2


@pytest.fixture(scope="module")
def grown():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, ASKED + OFFERED + BOTH)).astype(np.float32)
    x[rng.random(x.shape) < 0.15] = np.nan
    y = np.nan_to_num(x[:, 0]) * (np.nan_to_num(x[:, 3]) > 0) + np.isnan(x[:, 5]) + 3.0
    parameters = {"num_leaves": 9, "min_data_in_leaf": 5, "verbosity": -1, "num_threads": 1}
    booster = lightgbm.train(parameters, lightgbm.Dataset(x, label=y), num_boost_round=15)
    return booster, Forest.parse(booster.model_to_string())


def asked_of(rng, n=4, n_items=11):
    sides = [rng.normal(size=shape).astype(np.float32) for shape in ((n, ASKED), (n_items, OFFERED))]
    items = np.stack([rng.permutation(n_items)[:7] for _ in range(n)]).astype(np.int32)
    both = rng.normal(size=(*items.shape, BOTH)).astype(np.float32)
    for part in (*sides, both):
        part[rng.random(part.shape) < 0.2] = np.nan
    return *sides, both, items


def test_values_are_lightgbms(grown):
    booster, forest = grown
    asked, offered, both, items = asked_of(np.random.default_rng(1))
    out = np.empty(items.shape)
    forest_values(forest, asked, offered, both, items, out)
    for query in range(len(items)):
        rows = np.hstack([np.tile(asked[query], (7, 1)), offered[items[query]], both[query]])
        np.testing.assert_allclose(out[query], booster.predict(rows), rtol=1e-9)
        shares = np.zeros((7, rows.shape[1] + 1))
        forest_shares(forest, rows, shares)
        np.testing.assert_allclose(shares.sum(axis=1), out[query], rtol=1e-9)


def test_a_share_belongs_to_the_feature_that_is_split_by(grown):
    _, forest = grown
    rows = np.zeros((2, ASKED + OFFERED + BOTH), np.float32)
    rows[1, 3] = 5.0
    shares = np.zeros((2, rows.shape[1] + 1))
    forest_shares(forest, rows, shares)
    assert shares[0, -1] == pytest.approx(shares[1, -1])
    assert shares[0, 3] != pytest.approx(shares[1, 3])


def test_a_tree_of_one_leaf():
    x, y = np.zeros((30, 2)), np.full(30, 2.5)
    booster = lightgbm.train({"verbosity": -1, "num_threads": 1}, lightgbm.Dataset(x, label=y), 3)
    forest = Forest.parse(booster.model_to_string())
    out = np.empty((1, 1))
    one = np.zeros((1, 1), np.float32)
    forest_values(forest, one, one, np.zeros((1, 1, 0), np.float32), np.zeros((1, 1), np.int32), out)
    assert out[0, 0] == pytest.approx(booster.predict(x[:1])[0])
