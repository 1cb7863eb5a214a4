from __future__ import annotations

import json
import re
import resource
import signal

import pytest

from fuserec.errors import DataError
from fuserec.evaluation.results import EvaluationResults, ModelResult, read_json, write_json, write_text
from fuserec.evaluation.statistics import Estimate


def test_json_has_the_published_shape(results):
    data = json.loads(results.to_json())
    assert data["dataset"] == {
        "users": 22363,
        "items": 12101,
        "interactions": 198502,
        "fingerprint": "9c1f40aa77d2e815",
        "name": "amazon-beauty",
        "simulated": False,
    }
    fused = data["models"]["fused"]
    assert set(fused) == {"metrics", "segments", "fit_s", "score_s", "peak_mb", "users", "curves"}
    assert set(fused["metrics"]["recall@10"]) == {"value", "low", "high"}
    assert fused["metrics"]["coverage@10"]["low"] is None
    cold = fused["segments"]["target:cold"]
    assert cold["users"] == 138
    assert set(cold["ndcg@10"]) == {"value", "low", "high"}
    assert next(iter(data["models"])) == "fused"


def test_what_is_written_is_read_back(results, tmp_path):
    path = tmp_path / "out.json"
    write_json(results, path)
    assert read_json(path) == results
    assert [file.name for file in tmp_path.iterdir()] == ["out.json"]


def test_numbers_that_are_not_finite_become_null(results):
    broken = ModelResult(metrics={"ndcg@10": Estimate(float("nan"), 0.0, float("inf"))}, users=1)
    text = results.model_copy(
        update={"models": {"a": broken}, "configuration": {"x": float("nan")}}
    ).to_json()
    assert "NaN" not in text
    assert "Infinity" not in text
    assert EvaluationResults.from_json(text).models["a"].metrics["ndcg@10"].value is None


def test_best_follows_the_direction(results):
    assert results.best("ndcg@10") == "fused"
    assert results.best("novelty@10") is None
    assert results.best("map@7") is None
    models = {
        name: ModelResult(metrics={"rmse": Estimate(value)}, users=1)
        for name, value in (("a", 0.91), ("b", 0.9), ("c", None))
    }
    assert results.model_copy(update={"models": models}).best("rmse") == "b"


def test_cuts(results):
    assert results.cuts() == [5, 10, 20]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"dataset": 3}', '{"models": {}}'])
def test_other_files_are_refused_in_one_line(text, tmp_path):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"x\.json") as caught:
        read_json(path)
    assert "\n" not in str(caught.value)


def test_unreadable_files(tmp_path):
    with pytest.raises(DataError, match="there is no such file: name one that `fuserec evaluate"):
        read_json(tmp_path / "absent.json")
    with pytest.raises(DataError, match="is a folder: name the JSON file of evaluation results in it"):
        read_json(tmp_path)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot be read"):
        read_json(tmp_path / "bytes")


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            {"kind": "shift-time", "models": ["a", "b"]},
            "is the result of a shift test (--shift), and not of a whole",
        ),
        ({"kind": "learning-curve"}, "is the result of a learning curve (--learning-curve), and not"),
        ({"runs": {}, "pairs": []}, "is the result of `fuserec compare`, and not"),
        ({"kind": ["shift-time"]}, "Field required"),
        ([], "Input should be an object"),
    ],
)
def test_results_of_something_else_are_named(tmp_path, found, said):
    (tmp_path / "x.json").write_text(json.dumps(found), "utf-8")
    with pytest.raises(DataError, match=re.escape(said)) as caught:
        read_json(tmp_path / "x.json")
    assert ("without --shift, --learning-curve and --dial" in str(caught.value)) == (
        "is the result of" in said
    )


def test_an_unwritable_place_is_one_clear_line(results, tmp_path):
    with pytest.raises(DataError, match="cannot be written"):
        write_json(results, tmp_path / "absent" / "out.json")
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match="cannot be written"):
        write_json(results, tmp_path / "folder")
    assert [file.name for file in tmp_path.iterdir()] == ["folder"]


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "out.json"
    path.write_text("old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        with pytest.raises(DataError, match="cannot be written"):
            write_text(path, "x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["out.json"]
