"""Trackers: what they are told stands in their files, and what fails in them stops nothing."""

from __future__ import annotations

import json
import logging
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuserec import Recommender, RecommenderConfig, RunOptions
from fuserec.errors import ConfigError, MissingExtraError
from fuserec.testing.small import small_dataset
from fuserec.tracking import base, session
from fuserec.tracking.config import KINDS, TrackingConfig
from fuserec.tracking.params import HIDDEN, flat
from fuserec.tracking.session import tracked


def options(*to: str, folder: Path | str = "runs") -> TrackingConfig:
    return TrackingConfig.parse({"to": to, "folder": str(folder), "project": "books"}, "[tracking]")


def told(config: TrackingConfig, params: dict | None = None) -> None:
    """Track a run of two trainings, one after the other."""
    with tracked(
        config, "fit-sample", params or {"seed": 3, "parts": {"als": {"alpha": 1.5}}}, RunOptions()
    ) as run:
        for epoch in range(3):
            run.track("sequence", epoch, {"loss": 1 / (epoch + 1), "ndcg@10": 0.1 * epoch})
        run.track("sequence", 0, {"loss": 0.25})
        run.track("fit", 0, {"seconds": 12.5})


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_json_lines(tmp_path: Path) -> None:
    told(options(str(tmp_path / "a" / "one.jsonl"), "jsonl", folder=tmp_path / "runs"))
    rows = lines(tmp_path / "a" / "one.jsonl")
    assert [row["event"] for row in rows] == ["start", *["metrics"] * 5, "finish"]
    assert rows[0]["params"] == {"seed": 3, "parts.als.alpha": 1.5}
    assert rows[0]["project"] == "books"
    assert rows[2]["metrics"] == {"sequence/loss": 0.5, "sequence/ndcg@10": 0.1}
    assert [row["step"] for row in rows[1:-1]] == [0, 1, 2, 0, 0]
    assert rows[4]["metrics"] == {"sequence.2/loss": 0.25}  # its steps began again
    assert rows[-1]["ok"] is True
    (other,) = (tmp_path / "runs").iterdir()
    assert lines(other)[0]["run"] == rows[0]["run"] == other.stem
    told(options(str(tmp_path / "a" / "one.jsonl")))
    assert len(lines(tmp_path / "a" / "one.jsonl")) == 14


def test_a_figure_that_is_none_is_null(tmp_path: Path) -> None:
    with tracked(options(str(tmp_path / "t.jsonl")), "x", {}, RunOptions()) as run:
        run.track("a", 0, {"loss": float("nan"), "gain": float("inf"), "fine": 1})
    assert lines(tmp_path / "t.jsonl")[1]["metrics"] == {"a/loss": None, "a/gain": None, "a/fine": 1.0}


def test_tensorboard_reads_what_is_written(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra `tune` is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    told(options("tensorboard", folder=tmp_path))
    (folder,) = (tmp_path / "tensorboard").iterdir()
    events = EventAccumulator(str(folder))
    events.Reload()
    assert [(e.step, round(e.value, 4)) for e in events.Scalars("sequence/loss")] == [
        (0, 1),
        (1, 0.5),
        (2, 0.3333),
    ]
    assert events.Scalars("fit/seconds")[0].value == 12.5
    (text,) = events.Tensors("parameters")
    assert b"|parts.als.alpha|1.5|" in text.tensor_proto.string_val[0]


def test_tensorboard_needs_no_torch(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra `tune` is not installed")
    code = (
        "import sys; sys.modules['torch'] = None; sys.modules['tensorflow'] = None\n"
        "from fuserec import RunOptions\n"
        "from fuserec.tracking.config import TrackingConfig\n"
        "from fuserec.tracking.session import tracked\n"
        f"config = TrackingConfig(to=('tensorboard',), folder={str(tmp_path)!r})\n"
        "with tracked(config, 'x', {}, RunOptions()) as run:\n"
        "    run.track('a', 0, {'b': 1.0})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.rglob("events.*"))


def test_mlflow_has_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow", reason="the extra `track` is not installed")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(session, "PATIENCE_S", 120.0)
    told(options("mlflow", folder=tmp_path))
    with sqlite3.connect(tmp_path / "mlflow.db") as base_of:
        metrics = base_of.execute("select key, value, step from metrics").fetchall()
        assert ("sequence/ndcg_at_10", 0.1, 1) in metrics
        assert ("sequence.2/loss", 0.25, 0) in metrics
        assert ("parts.als.alpha", "1.5") in base_of.execute("select key, value from params").fetchall()
        assert base_of.execute("select status from runs").fetchall() == [("FINISHED",)]
        assert ("books",) in base_of.execute("select name from experiments").fetchall()


def test_wandb_is_kept_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="the extra `track` is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setattr(session, "PATIENCE_S", 120.0)
    told(options("wandb", folder=tmp_path))
    (kept,) = (tmp_path / "wandb").glob("offline-run-*/*.wandb")
    blob = kept.read_bytes()
    for said in (b"sequence/ndcg@10", b"parts.als.alpha", b"sequence/step"):
        assert said in blob


class Odd:
    """A tracker that fails, or waits, at one of its calls."""

    def __init__(self, at: str, error: Exception | None = None, wait: threading.Event | None = None) -> None:
        self.at, self.error, self.wait = at, error, wait
        self.calls: list[str] = []

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if name == self.at:
            if self.wait is not None:
                self.wait.wait(60)
            if self.error is not None:
                raise self.error

    def start(self, name: str, params: object) -> None:
        self._called("start")

    def log(self, metrics: object, step: int) -> None:
        self._called("log")

    def finish(self, ok: bool) -> None:
        self._called("finish")


@pytest.mark.parametrize("at", ["start", "log", "finish"])
@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), ValueError("a\nb"), RuntimeError()]
)
def test_a_tracker_that_fails_warns_once_and_stops_nothing(
    at: str,
    error: Exception,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    odd, real = Odd(at, error), session.create
    monkeypatch.setattr(
        session, "create", lambda kind, config: odd if kind == "wandb" else real(kind, config)
    )
    with caplog.at_level(logging.WARNING, "fuserec"):
        told(options("wandb", str(tmp_path / "t.jsonl")))
    (record,) = caplog.records
    assert record.getMessage().startswith("tracking to wandb ended: ")
    assert "\n" not in record.getMessage()
    assert odd.calls.count(at) == 1
    assert len(lines(tmp_path / "t.jsonl")) == 7


def test_a_tracker_that_waits_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    released = threading.Event()
    odd = Odd("start", wait=released)
    monkeypatch.setattr(session, "create", lambda kind, config: odd)
    monkeypatch.setattr(session, "PATIENCE_S", 0.2)
    began = time.monotonic()
    told(options("mlflow"))
    assert time.monotonic() - began < 5
    assert "still busy" in caplog.text
    released.set()


def test_what_stops_the_work_goes_on_through_and_is_told(tmp_path: Path) -> None:
    def stopped(error: type[BaseException]) -> None:
        with tracked(options(str(tmp_path / "t.jsonl")), "x", {}, RunOptions()) as run:
            run.track("a", 0, {"b": 1.0})
            raise error

    for error in (KeyboardInterrupt, ConfigError):
        with pytest.raises(error):
            stopped(error)
    assert [row["ok"] for row in lines(tmp_path / "t.jsonl") if row["event"] == "finish"] == [False, False]


def test_without_trackers_the_options_stay_and_a_callers_own_is_kept(tmp_path: Path) -> None:
    run = RunOptions()
    with tracked(options(), "x", {}, run) as same:
        assert same is run
    heard: list[tuple] = []
    own = RunOptions(track=lambda *row: heard.append(row))
    with tracked(options(str(tmp_path / "t.jsonl")), "x", {}, own) as both:
        both.track("a", 1, {"b": 2})
    assert heard == [("a", 1, {"b": 2})]


def test_a_package_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "find_spec", lambda name: None)
    for kind, extra in (("tensorboard", "tune"), ("mlflow", "track"), ("wandb", "track")):
        with pytest.raises(MissingExtraError, match=rf"fuserec\[{extra}\]"):
            told(options(kind))


def test_trackers_at_fault() -> None:
    assert options(*KINDS, "a/b.jsonl", "mlflow").to == (*KINDS, "a/b.jsonl")
    for to, said in (
        (["tensorbord"], "did you mean 'tensorboard'?"),
        (["runs.json"], "ends in .jsonl"),
        ("wandb", "to"),
    ):
        with pytest.raises(ConfigError) as caught:
            TrackingConfig.parse({"to": to}, "[tracking]")
        assert said in str(caught.value)


def test_a_name_of_a_run_is_one_of_a_file(tmp_path: Path) -> None:
    with tracked(options("jsonl", folder=tmp_path), "fit-../../Büche r\n", {}, RunOptions()):
        pass
    (file,) = tmp_path.iterdir()
    assert file.name.startswith("fit-..-..-Büche-r-")


def test_secrets_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_API_KEY", "sk-0123456789")
    found = flat(
        {
            "password": "x",
            "llm": {"api_key": "abc", "url": "https://me:pw@host/v1?key=sk-0123456789", "batch_tokens": 1024},
            "columns": ["title", "sk-0123456789"],
            "auth_token": "t",
            "none": None,
        }
    )
    assert found == {
        "password": HIDDEN,
        "llm.api_key": HIDDEN,
        "llm.url": f"https://{HIDDEN}@host/v1?key={HIDDEN}",
        "llm.batch_tokens": 1024,
        "columns": f'["title", "{HIDDEN}"]',
        "auth_token": HIDDEN,
    }


@given(st.dictionaries(st.sampled_from(["token", "secret", "password"]), st.text(min_size=1)))
def test_no_secret_passes(params: dict[str, str]) -> None:
    assert set(flat({"deep": params}).values()) <= {HIDDEN}


def test_a_fit_tells_its_parameters_and_figures(tmp_path: Path) -> None:
    path = tmp_path / "fit.jsonl"
    config = RecommenderConfig.parse(
        {
            "features": {"use_sentence": "never"},
            "parts": {"popularity": {}, "near": {"scorer": "item_knn", "n_neighbors": 7}},
            "tracking": {"to": [str(path)]},
        },
        "test",
    )
    model = Recommender(config).fit(small_dataset(), RunOptions(seed=4, threads=1))
    start, validation, seconds, finish = lines(path)
    assert start["params"]["parts.near.scorer"] == "item_knn"
    assert start["params"]["parts.near.n_neighbors"] == 7
    assert start["params"]["run.seed"] == 4
    assert start["params"]["dataset.users"] == 60
    figures = model.info()["validation"]
    assert validation["metrics"] == {f"validation/ndcg@10/{name}": value for name, value in figures.items()}
    assert seconds["metrics"]["fit/seconds"] == model.info()["fit_s"]
    assert finish["ok"] is True
    model.forget("user 7", RunOptions(threads=1))
    assert len(lines(path)) == 4  # a fit again, but nobody asked for one
