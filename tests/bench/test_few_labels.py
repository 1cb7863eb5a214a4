"""The curve over few labels: intervals over seeds and people, and labels that are really counted."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")
pytest.importorskip("transformers")

from bench import few_labels
from fuserec.run import RunOptions
from fuserec.testing import dataset_of, small_features
from fuserec.testing.language import tiny_model

RUN = RunOptions(seed=2, threads=1)


def test_an_interval_is_over_seeds_and_people():
    rng = np.random.default_rng(0)
    table = rng.normal(0.3, 0.1, (5, 400))
    drawn = few_labels.resampled(table, rng)
    assert drawn.mean() == pytest.approx(table.mean(), abs=0.002)
    apart = few_labels.resampled(
        table + np.linspace(-0.2, 0.2, 5)[:, None], rng
    )  # seeds that differ widen it
    assert apart.std() == pytest.approx(np.sqrt(0.1414**2 / 5 + drawn.std() ** 2), rel=0.1)


def test_a_curve_tells_means_and_what_is_gained_over_no_labels():
    curve = few_labels.Curve()
    base = np.random.default_rng(0).random(300)
    curve.add("0", base, 1.0)
    for seed in range(3):
        curve.add("16", base + 0.1 + 0.01 * seed, 2.0)
    told = curve.told(np.random.default_rng(1))
    assert told["16"]["ndcg@10"] == pytest.approx(base.mean() + 0.11)
    gain = told["16"]["gain"]
    assert gain["difference"] == pytest.approx(0.11)
    assert 0.1 <= gain["low"] <= 0.11 <= gain["high"] <= 0.12
    assert told["0"]["low"] < base.mean() < told["0"]["high"]
    assert "gain" not in told["0"]


def test_labels_are_counted_and_drawn_anew_with_each_seed(tmp_path):
    titles = [f"w{i} w{(7 * i) % 20}" for i in range(20)]
    rng = np.random.default_rng(0)
    data = dataset_of([rng.permutation(20)[:4].tolist() for _ in range(60)], 20, titles=titles)
    model = str(tiny_model(tmp_path / "bert", "bert", [f"w{i}" for i in range(20)]))
    table = {
        "model": model,
        "tuning": {"method": "full"},
        "self_training": {"rounds": 1},
        "learning_rate": 1e-3,
    }
    features = small_features(data, RUN)

    def fitted(labels, seed):
        return few_labels.pair_scorer(labels, table, 6, data, features, RUN.with_seed(seed))

    nothing, four, other = fitted("0", 0), fitted("4", 0), fitted("4", 1)
    assert [each.facts["labels"] for each in (nothing, four, other)] == [0, 4, 4]
    assert four.config.epochs == 6
    assert not four.config.self_training.rounds
    assert np.abs(four._model.vectors - nothing._model.vectors).max() > 1e-3
    assert np.abs(four._model.vectors - other._model.vectors).max() > 1e-4
