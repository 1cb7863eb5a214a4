"""``fuserec tune`` and ``--track``: what is written, what is refused, and what a signal leaves."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fuserec import load_config

pytest.importorskip("optuna", reason="the extra `tune` is not installed")


def finished(study: Path) -> int:
    """Return how many trials of a study came to an end; 0 where the file is not there yet."""
    if not study.is_file():
        return 0
    try:
        with sqlite3.connect(f"file:{study}?mode=ro", uri=True) as base:
            sql = "select count(*) from trials where state in ('COMPLETE', 'PRUNED')"
            return int(base.execute(sql).fetchone()[0])
    except sqlite3.OperationalError:  # its tables are being made, or it is locked
        return 0


def test_a_tuned_configuration_is_one_to_fit_with(cli, small: Path, quick: Path, tmp_path: Path) -> None:
    out, log = tmp_path / "tuned.toml", tmp_path / "figures.jsonl"
    options = ["--parts", "item_knn", "--trials", 5, "--threads", 1, "--track", log]
    done = cli("tune", small, "--out", out, "-c", quick, *options)
    assert done.status == 0, done.err
    assert re.search(r"item_knn +\d+ +\d+ +0\.\d{4} +0\.\d{4}", done.out)
    assert re.search(r"fused +0\.\d{4} +0\.\d{4}", done.out)
    assert f"written: {out}" in done.err
    config = load_config(out)
    assert set(config.parts) == {"popularity", "item_knn", "content"}
    assert config.features.use_sentence == "never"
    assert config.tracking.to == ()  # --track was of that run
    rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert sum("tune.item_knn/ndcg@10" in row.get("metrics", {}) for row in rows) >= 1
    fitted = cli("fit", small, "--out", tmp_path / "model", "--config", out, "--json").json
    assert fitted["parts"]["item_knn"]["n_neighbors"] == config.parts["item_knn"].get("n_neighbors", 100)
    result = cli("tune", small, "-o", out, "-c", quick, "--time", "1s", "--no-verify", "--json", "--quiet")
    assert result.json["fused"] is None
    assert result.json["parts"]["item_knn"]["after"] >= result.json["parts"]["item_knn"]["before"]
    assert result.err == ""


def test_fit_and_evaluate_tell_their_figures(cli, small: Path, quick: Path, tmp_path: Path) -> None:
    log = tmp_path / "figures.jsonl"
    assert cli("fit", small, "-o", tmp_path / "model", "-c", quick, "--track", log).status == 0
    figures = cli("evaluate", small, "-c", quick, "--track", log, "--json", "-").json
    rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    fit, evaluation = (row for row in rows if row["event"] == "start")
    assert fit["run"].startswith("fit-")
    assert evaluation["run"].startswith("evaluate-")
    assert fit["params"]["parts.item_knn.n_neighbors"] == 100
    assert evaluation["params"]["split.protocol"] == "last-out"
    told = {key: value for row in rows for key, value in row.get("metrics", {}).items()}
    assert told["test/ndcg@10/fused"] == figures["models"]["fused"]["metrics"]["ndcg@10"]["value"]
    assert {"fit/seconds", "validation/ndcg@10/fused", "seconds/fit/content"} <= set(told)


def test_what_is_refused(cli, small: Path, quick: Path, tmp_path: Path) -> None:
    start = quick.read_text(encoding="utf-8")

    def with_ranges(text: str) -> list[object]:
        ranges = tmp_path / f"ranges-{len(list(tmp_path.iterdir()))}.toml"
        ranges.write_text(f"{start}\n{text}\n", encoding="utf-8")
        return ["-c", ranges]

    out = tmp_path / "tuned.toml"
    given = ["-c", quick]
    for options, said in (
        ([*given, "--parts", "item_nkn"], "did you mean 'item_knn'?"),
        ([*given, "--parts", ","], "name parts, divided by commas"),
        ([*given, "--trials", 0], "--trials 0: has to be at least 1"),
        ([*given, "--time", "soon"], "--time 'soon': write a number"),
        ([*given, "--split", "lastout"], "--split"),
        ([*given, "--objective", "ndgc@10"], "did you mean 'ndcg@10'?"),
        ([*given, "--track", "tensorbord"], "did you mean 'tensorboard'?"),
        ([*given, "--study", small], "name a file"),
        ([*given, "--study", quick], "is not the file of a study"),
        (with_ranges("[tune.item_knn]\nn_neighbours = [1, 5]"), "did you mean 'n_neighbors'?"),
        (with_ranges("[tune.item_knn]\nrecency = [0.5, 1.5]"), "[tune.item_knn]: recency = 1.5"),
        (with_ranges("[tune.item_knn]\nrecency = [0.5, 0.5]"), "below the second"),
        (with_ranges("[tune.itemknn]\nrecency = [0.5, 0.6]"), "[tune.itemknn]: no such part"),
    ):
        assert said in cli("tune", small, "--out", out, *options).fault
    assert "another file" in cli("tune", small, "--out", quick, "-c", quick).fault
    assert "there is no folder" in cli("tune", small, "--out", tmp_path / "no" / "x.toml").fault
    assert not out.exists()
    assert (
        "did you mean 'wandb'?"
        in cli("fit", small, "-o", tmp_path / "m", "-c", quick, "--track", "wanb").fault
    )


def test_a_study_of_other_data(cli, small: Path, quick: Path, tmp_path: Path) -> None:
    out, study = tmp_path / "tuned.toml", tmp_path / "study.db"
    options = ["-c", quick, "--parts", "item_knn", "--trials", 2, "--study", study, "--no-verify", "--quiet"]
    assert cli("tune", small, "--out", out, *options).status == 0
    rows = (small / "interactions.csv").read_text(encoding="utf-8").splitlines()
    (small / "interactions.csv").write_text("\n".join(rows[:-1]) + "\n", encoding="utf-8")
    before = out.read_text(encoding="utf-8")
    fault = cli("tune", small, "--out", out, *options).fault
    assert f"study {study}: part 'item_knn' was tuned with another dataset" in fault
    assert out.read_text(encoding="utf-8") == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_the_best_so_far_and_the_next_run_goes_on(
    cli, small: Path, quick: Path, tmp_path: Path, number: signal.Signals
) -> None:
    out, study = tmp_path / "tuned.toml", tmp_path / "study.db"
    options = ["--out", out, "-c", quick, "--parts", "item_knn", "--study", study, "--threads", 1]
    in_foreground = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from fuserec.cli import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", in_foreground, "tune", small, *options, "--trials", 100_000]
    process = subprocess.Popen(
        list(map(str, command)), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        while process.poll() is None and finished(study) < 3:
            time.sleep(0.05)
        process.send_signal(number)
        printed, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 1
    assert "Traceback" not in said
    assert said.endswith(f"interrupted: the best so far, not verified; `--study {study}` goes on\n")
    assert "item_knn" in printed
    assert "Interrupted" in out.read_text(encoding="utf-8")
    done = finished(study)
    assert done >= 3
    config = load_config(out)
    result = cli("tune", small, *options, "--trials", done + 2, "--json", "--quiet").json
    assert done + 2 <= result["parts"]["item_knn"]["trials"] <= done + 2 + 4  # and up to four simpler ones
    assert not result["interrupted"]
    assert "Interrupted" not in out.read_text(encoding="utf-8")
    assert set(load_config(out).parts) == set(config.parts)


def test_lists_are_tuned_by_sums_limits_and_fronts(cli, small: Path, quick: Path, tmp_path: Path) -> None:
    out, study = tmp_path / "tuned.toml", tmp_path / "study.db"
    options = ["-c", quick, "--trials", 6, "--threads", 1, "--study", study]
    objective = "ndcg@10 + 0.2*ild@10 subject to coverage@10 >= 0.3"
    done = cli("tune", small, "--out", out, *options, "--objective", objective)
    assert done.status == 0, done.err
    assert re.search(r"start +\d\.\d{4}", done.out)
    assert f"written: {out}" in done.err
    assert "coverage@10 >= 0.3" in out.read_text(encoding="utf-8")
    assert cli("fit", small, "--out", tmp_path / "model", "--config", out).status == 0
    options[-1] = tmp_path / "front.db"
    front = [*options, "--objective", "ndcg@10, ild@10", "--quiet"]
    found = cli("tune", small, "--out", out, *front, "--json").json
    many = [str(tmp_path / f"tuned-{n}.toml") for n in range(1, len(found["points"]) + 1)]
    assert found["written"] == (many if len(many) > 1 else [str(out)])
    picked = cli("tune", small, "--out", tmp_path / "one.toml", *front, "--pick", "balanced", "--json").json
    assert picked["points"] == found["points"]
    assert load_config(tmp_path / "one.toml") in [load_config(Path(name)) for name in found["written"]]
    for more, said in (
        (["--objective", "ndcg@10 + ilt@10"], "no metric 'ilt'; did you mean 'ild'?"),
        (["--objective", "ndcg@10, ild@10", "--parts", "item_knn"], "leave --parts out"),
        (["--objective", "ndcg@10, ild@10", "--pick", "best"], "--pick 'best'"),
        (["--pick", "1"], "has one answer"),
        (["--objective", "ndcg@10 - flagged@10", "--trials", 1], "say what is flagged"),
        (["--objective", "ndcg@10, ild@10", "--audit", tmp_path / "no.toml"], "no.toml: cannot be read"),
        (["--audit", quick], "--audit: is for an objective of lists"),
    ):
        assert said in cli("tune", small, "--out", out, "-c", quick, *more).fault
