from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.stats import binomtest

from fuserec.config import RecommenderConfig
from fuserec.data.dataset import Dataset
from fuserec.data.readers import read
from fuserec.data.sample import path
from fuserec.data.splits import SplitConfig
from fuserec.encoders.features import FeatureConfig
from fuserec.evaluation.curves import calibration, lorenz
from fuserec.evaluation.results import Curve, EvaluationResults
from fuserec.evaluation.runner import evaluate
from fuserec.run import RunOptions


@pytest.fixture(scope="module")
def found() -> EvaluationResults:
    parts = {"popularity": {}, "cooccurrence": {}, "content": {}}
    config = RecommenderConfig(features=FeatureConfig(use_sentence="never"), parts=parts)
    dataset = read(path())[0]
    return evaluate(dataset, config, split=SplitConfig(protocol="random"), ks=(5, 10), run=RunOptions(seed=3))


@given(st.lists(st.integers(0, 50), min_size=1, max_size=60))
def test_lorenz_is_what_its_definition_says(counts):
    curve = lorenz(counts)
    if not sum(counts):
        assert curve.x == []
        return
    ordered = sorted(counts)
    for x, y in zip(curve.x, curve.y, strict=True):
        whole = int(x * len(counts) + 1e-9)
        part = (x * len(counts) - whole) * ordered[whole] if whole < len(counts) else 0.0
        assert y == pytest.approx((sum(ordered[:whole]) + part) / sum(counts), abs=1e-4)
    assert np.all(np.diff(curve.y) >= -1e-9)
    assert np.all(np.array(curve.y) <= np.array(curve.x) + 1e-4)


def test_calibration_has_the_means_and_intervals_of_its_groups():
    rng = np.random.default_rng(1)
    told = rng.beta(1, 30, 20_000)
    taken = rng.random(told.size) < told
    curve = calibration(told, taken)
    assert sum(curve.n) == told.size
    assert len(curve.x) == 10
    order, at = np.argsort(told), 0
    for x, y, low, high, n in zip(curve.x, curve.y, curve.low, curve.high, curve.n, strict=True):
        rows = order[at : at + n]
        at += n
        assert x == pytest.approx(told[rows].mean(), rel=1e-4)
        assert y == pytest.approx(taken[rows].mean(), rel=1e-4)
        wilson = binomtest(int(taken[rows].sum()), n).proportion_ci(method="wilson")
        assert (low, high) == pytest.approx((wilson.low, wilson.high), rel=1e-3)
        assert n * x == pytest.approx(told.sum() / 10, rel=0.05)  # equally many hits are predicted in each
    inside = sum(low <= x <= high for x, low, high in zip(curve.x, curve.low, curve.high, strict=True))
    assert inside >= 8  # these probabilities are true


def test_a_promise_that_is_not_kept_lies_below_the_diagonal():
    rng = np.random.default_rng(2)
    told = rng.beta(1, 10, 20_000)
    curve = calibration(told, rng.random(told.size) < told / 2)
    assert all(high < x for x, high in zip(curve.x[1:], curve.high[1:], strict=True))


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.01, 0.3, 1.0]), st.booleans()), min_size=1, max_size=80))
def test_calibration_of_ties_loses_nobody(pairs):
    curve = calibration([told for told, _ in pairs], [taken for _, taken in pairs])
    assert sum(curve.n) == len(pairs)
    assert min(curve.n) > 0
    hits = sum(n * y for n, y in zip(curve.n, curve.y, strict=True))
    assert hits == pytest.approx(sum(taken for _, taken in pairs), rel=1e-3, abs=1e-3)


def test_curves_agree_with_the_figures(found):
    fused = found.models["fused"]
    curve = fused.curves["calibration"]
    hits = sum(n * y for n, y in zip(curve.n, curve.y, strict=True))
    precision = fused.metrics["precision@10"].value
    assert hits == pytest.approx(precision * 10 * fused.users, rel=1e-3)
    assert sum(curve.n) == 10 * fused.users
    for name, model in found.models.items():
        unseen = 1 - model.metrics["coverage@10"].value
        shares = model.curves["lorenz"]
        assert all(y == 0 for x, y in zip(shares.x, shares.y, strict=True) if x <= unseen)
        assert all(y > 0 for x, y in zip(shares.x, shares.y, strict=True) if x > unseen + 0.001)
        assert ("calibration" in model.curves) == (name == "fused")
        assert sum(model.curves["popularity"].y) == pytest.approx(1, abs=1e-3)


def test_groups_of_popularity_hold_about_equal_choices_and_all_items(found):
    people = found.curves["popularity"]
    assert sum(people.n) == found.dataset.items
    assert sum(people.y) == pytest.approx(1, abs=1e-3)
    known = [y for y in people.y if y > 0]
    assert max(known) < 0.15
    assert min(known) > 0.05
    assert people.n == sorted(people.n[: len(known)]) + people.n[len(known) :]
    # Who recommends by popularity shows the first group and hardly another.
    assert found.models["popularity"].curves["popularity"].y[0] > 0.75
    assert sum(found.models["popularity"].curves["popularity"].y[:2]) > 0.98


def test_examples_are_what_they_are_called(found):
    kinds = [user.why for user in found.sample]
    assert kinds[:2] == ["gain", "loss"]
    assert "typical" in kinds
    others = {name: model.metrics["ndcg@10"].value for name, model in found.models.items() if name != "fused"}
    best = max(others, key=others.__getitem__)
    for user in found.sample:
        here, there = (any(item.hit for item in user.lists[name]) for name in ("fused", best))
        if user.why in ("gain", "loss"):
            assert (here, there) == ((True, False) if user.why == "gain" else (False, True))
    assert len({user.user_id for user in found.sample}) == len(found.sample)


def test_examples_of_the_fusion_carry_reasons_in_both_languages(found):
    for user in found.sample:
        for item in user.lists["fused"]:
            assert item.reason == item.reasons["en"]
            assert item.reason.endswith(".")
            assert item.reasons["zh"].endswith("。")
        assert not any(item.reason for item in user.lists["popularity"])
    titles = {title for user in found.sample for title in user.history}
    named = [item.reason for user in found.sample for item in user.lists["fused"]]
    assert any(title in text for text in named for title in titles)


def test_a_user_of_whom_nothing_is_known_is_an_example():
    rows = [("a", "x", 1), ("a", "y", 2), ("a", "z", 3), ("b", "y", 1), ("b", "x", 2), ("b", "z", 4)]
    rows += [
        ("c", "x", 3),
        ("c", "z", 5),
        ("late", "y", 11),
        ("late", "x", 12),
        ("a", "v", 12),
        ("b", "v", 12),
    ]
    rows = [(user, item, 1_700_000_000 + day * 86_400) for user, item, day in rows]
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    config = RecommenderConfig(
        features=FeatureConfig(use_sentence="never"), parts={"popularity": {}, "cooccurrence": {}}
    )
    split = SplitConfig(protocol="temporal", share=0.34)
    found = evaluate(Dataset.from_frames(frame), config, split=split, ks=(2,), run=RunOptions())
    cold = [user for user in found.sample if user.why == "cold"]
    assert [user.user_id for user in cold] == ["late"]
    assert cold[0].history == []


def test_a_curve_with_a_missing_part_is_refused():
    with pytest.raises(ValidationError, match="equally long"):
        Curve(x=[1.0], y=[1.0, 2.0])
    with pytest.raises(ValidationError, match="equally long"):
        Curve(x=[1.0], y=[1.0], n=[1, 2])
