"""The curve over few labels: intervals over seeds and people, and labels that are really counted."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")
pytest.importorskip("transformers")

from bench import few_labels, run
from fuserec import sample
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
    curve.add("4", np.where(np.arange(300) < 30, base + 0.1, base), 2.0)
    told = curve.told(np.random.default_rng(1))
    assert told["16"]["ndcg@10"] == pytest.approx(base.mean() + 0.11)
    gain = told["16"]["gain"]
    assert gain["difference"] == pytest.approx(0.11)
    assert 0.1 <= gain["low"] <= 0.11 <= gain["high"] <= 0.12
    assert told["0"]["low"] < base.mean() < told["0"]["high"]
    assert "gain" not in told["0"]
    assert told["16"]["moved"] == 1.0
    assert told["4"]["moved"] == pytest.approx(0.1)
    assert told["16"]["spread"] == pytest.approx(0.01 * np.sqrt(2 / 3))


def settings(*words):
    return few_labels.main(["--data", "nowhere", *words])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--what", "pairs"], "no such pairs"),
        (["--labels", "4,some"], "no such some"),
        (["--dataset", "ml-100"], "--dataset ml-100: choose one of"),
        (["--seeds", "0"], "1 at least"),
    ],
)
def test_what_is_wrong_is_one_line(words, says, capsys):
    assert settings(*words) == 1
    told = capsys.readouterr().err
    assert says in told
    assert told.count("\n") == 1


def test_figures_are_kept_beside_those_of_other_models_and_make_the_section(tmp_path, monkeypatch, capsys):
    """On the bundled sample with a tiny model: the bench as a whole, and the page that is made of what it keeps."""
    base = str(tiny_model(tmp_path / "tiny", "bert", ["space", "war", "love", "city", "the", "of"]))
    monkeypatch.setattr(few_labels, "BASE", base)
    monkeypatch.setattr(few_labels.datasets, "load", lambda name, folder: sample())
    out = tmp_path / "few.json"
    out.write_text(json.dumps({"beauty": {"pair": {"rows": {}}}}))
    shared = ["--queries", "40", "--steps", "2", "--most", "40", "--threads", "1", "--out", str(out)]
    pair = ["--what", "pair", "--labels", "0,4,all", "--seeds", "2"]
    assert settings(*shared, *pair, f'model="{base}"', "learning_rate=1e-3") == 0
    assert settings(*shared, "--what", "encoder", "--labels", "0,4", "--seeds", "1") == 0
    found = json.loads(out.read_text())
    assert found["beauty"] == {"pair": {"rows": {}}}
    rows = found["ml-100k"]
    assert list(rows) == ["pair", "encoder"]
    assert [told["seeds"] for told in rows["pair"]["rows"].values()] == [1, 2, 2]
    assert rows["pair"]["rows"]["all"]["moved"] > 0
    page = few_labels.section({"ml-100k": rows})
    assert capsys.readouterr().out.strip().endswith(page.strip())
    assert "### MovieLens 100K, scorer of pairs" in page
    lines = [line.split(" | ")[0] for line in page.splitlines() if line.startswith("| ")]
    assert [name for name in lines if "labels" not in name and ":" not in name] == [
        *("| 0", "| 4", "| all (at most 40)"),
        *("| 0", "| 4"),
    ]


def test_the_page_has_what_was_measured(monkeypatch):
    """Few labels and methods of tuning stand in BENCHMARKS.md where their figures are there, and only there."""
    row = {"ndcg@10": 0.1, "low": 0.09, "high": 0.11, "seeds": 1, "spread": 0.0, "fit_s": 1.0}
    curve = {"stage": "test", "queries": 9, "steps": 6, "most": 40, "commit": "abc", "rows": {"0": row}}
    kept = {"few_labels": {"ml-100k": {"pair": curve}}, "tuning_methods": {}}
    monkeypatch.setattr(run, "stored", kept.get)
    page = run.render([])
    assert "| 0 | 0.1000 [0.0900, 0.1100] |" in page
    assert page.index("## Tuning the text encoder") < page.index("## Few labels")
    monkeypatch.setattr(run, "stored", {}.get)
    assert "Few labels" not in run.render([])


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
        return few_labels.pair_scorer(
            labels, table, few_labels.Work(6, 40), data, features, RUN.with_seed(seed)
        )

    nothing, four, other = fitted("0", 0), fitted("4", 0), fitted("4", 1)
    assert [each.facts["labels"] for each in (nothing, four, other)] == [0, 4, 4]
    assert four.config.epochs == 6
    assert not four.config.self_training.rounds
    assert np.abs(four._model.vectors - nothing._model.vectors).max() > 1e-3
    assert np.abs(four._model.vectors - other._model.vectors).max() > 1e-4
