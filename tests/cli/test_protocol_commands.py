"""``fuserec evaluate`` with its protocols, candidates, folds, replay and audit; ``fuserec data leaks``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("options", "facts"),
    [
        (
            ["--split", "cold-users", "--share", "0.2"],
            {"kind": "cold-users", "share": 0.2, "given_events": 0},
        ),
        (
            ["--split", "cold-users", "--given-events", "2", "--targets", "next"],
            {"given_events": 2, "targets": "next"},
        ),
        (["--split", "users", "--given", "0.5"], {"given": 0.5, "share": 0.1}),
        (["--split", "temporal", "--targets", "next"], {"kind": "temporal", "targets": "next"}),
        (["--candidates", "popularity:5"], {"kind": "last-out", "candidates": "popularity:5"}),
    ],
)
def test_protocols(cli, small: Path, options: list[str], facts: dict[str, object]) -> None:
    found = cli("evaluate", small, "-m", "popularity", *options, "--json", "-").json
    assert facts.items() <= found["split"].items()
    assert found["models"]["popularity"]["metrics"]["ndcg@10"]["value"] > 0


def test_folds_have_a_table_of_their_own(cli, small: Path, quick: Path, tmp_path: Path) -> None:
    out, page = tmp_path / "out.json", tmp_path / "out.html"
    done = cli(
        "evaluate", small, "-c", quick, "--split", "users", "--folds", 3, "--json", out, "--report", page
    )
    assert done.status == 0, done.err
    assert "ndcg@10 by round" in done.out
    assert "fold 3" in done.out
    found = json.loads(out.read_text(encoding="utf-8"))
    assert [one["name"] for one in found["rounds"]] == ["fold 1", "fold 2", "fold 3"]
    assert found["split"]["folds"] == 3
    assert sum(one["users"] for one in found["rounds"]) == 30  # everybody is asked once
    text = page.read_text(encoding="utf-8")
    assert "intervals over people" in text
    assert "Round by round" in text
    assert '<th scope="row">fold 3</th>' in text


def test_a_replay_compares_an_update_with_a_refit(cli, small: Path, quick: Path, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    done = cli(
        "evaluate", small, "-c", quick, "--replay", 2, "--between", "update,refit", "--checkpoints", folder
    )
    assert done.status == 0, done.err
    assert "2023-11-14 to 2023-11-14" in done.out
    assert "update fits once" in done.out
    assert "best single part" not in done.out
    assert not folder.exists()


def test_models_are_tried_for_leaks(cli, small: Path, quick: Path) -> None:
    done = cli("evaluate", small, "-c", quick, "--check-leaks")
    assert done.status == 0, done.err
    assert (
        "Audit of fused, popularity, item_knn, content: no score of 30 test queries hangs on the 30"
        in " ".join(done.out.split())
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--split", "k-fold"], "name --folds 5 with --split random"),
        (["--split", "cold-user"], "did you mean 'cold-users'"),
        (["--split", "temporal", "--folds", "3"], "--split: temporal has no folds"),
        (["--split", "random", "--folds", "3", "--share", "0.2"], "leave share out"),
        (["--split", "random", "--targets", "next"], "random has no next target"),
        (["--split", "random", "--given", "0.5"], "--given goes with --split users, not with random"),
        (["--given-events", "2"], "--given-events goes with --split cold-users, not with last-out"),
        (["--targets", "nxt"], "did you mean 'next'"),
        (["--candidates", "unifrom:9"], "did you mean 'uniform'"),
        (["--candidates", "uniform"], "name full, or how many are drawn"),
        (["--replay", "0"], "0 windows: name 1 to 1000"),
        (["--replay", "2", "--between", "udpate"], "did you mean 'update'"),
        (["--replay", "2", "--between", ","], "name each of refit, update, nothing"),
        (["--replay", "2", "--split", "random"], "--replay is a protocol of its own"),
        (["--replay", "2", "-m", "popularity"], "--replay measures one Recommender"),
        (["--between", "refit"], "name their number by --replay"),
        (["--check-leaks", "--split", "random", "--folds", "2"], "leave --folds and --ablate out"),
    ],
)
def test_options_at_fault(cli, small: Path, quick: Path, options: list[str], said: str) -> None:
    assert said in cli("evaluate", small, *options).fault


def test_data_without_leaks(cli, small: Path) -> None:
    found = cli("data", "leaks", small, "--split", "random", "--json").json
    assert found["split"]["protocol"] == "random"
    assert "target-in-training" in found["checks"]
    assert not [leak for leak in found["found"] if leak["level"] == "leak"]


def test_a_leak_ends_with_status_1_and_its_name(cli, small: Path, tmp_path: Path) -> None:
    """A column of the interactions that says which item was taken: an honest mistake of many exports."""
    lines = (small / "interactions.csv").read_text(encoding="utf-8").splitlines()
    told = [f"{lines[0]},genre", *(f"{line},{line.split(',')[1]}-genre" for line in lines[1:])]
    (small / "interactions.csv").write_text("\n".join(told) + "\n", encoding="utf-8")
    done = cli("data", "leaks", small)
    assert done.status == 1
    assert "answer-in-context" in done.out
    assert "column 'genre' of interactions" in " ".join(done.out.split())
    assert "error: " in done.err
    assert "answers leak (answer-in-context)" in done.err
    printed = cli("data", "leaks", small, "--json")
    assert printed.status == 1
    assert json.loads(printed.out)["found"][0]["check"] == "answer-in-context"
    noted = cli("evaluate", small, "-m", "popularity")
    assert "Leak (answer-in-context)" in noted.out
