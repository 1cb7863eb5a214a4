"""Dials on the command line: given in a call, kept of a user, measured in an evaluation."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def model(cli, small: Path, quick: Path, tmp_path: Path) -> Path:
    assert cli("fit", small, "-o", tmp_path / "model", "-c", quick).status == 0
    return tmp_path / "model"


def kinds(answer: dict) -> list[str]:
    return [item["item_id"].split("-")[0] for item in answer["items"]]


def test_dials_of_a_call_and_of_a_user(cli, model: Path) -> None:
    ask = ["recommend", model, "--user", "u0", "-k", 4, "--json"]
    plain = cli(*ask).json
    dialled = cli(*ask, "--more", "categories: map=0.9", "--never", "map-0", "--explain").json
    assert kinds(plain) == ["poem"] * 4
    assert kinds(dialled) == ["map"] * 4
    assert dialled["query"]["controls"] == {"more": {"categories: map": 0.9}, "never": ["map-0"]}
    assert all("more of “categories: map” is wanted" in item["reason"] for item in dialled["items"])
    shown = cli("recommend", model, "--user", "u0", "-k", 4, "--more", "map=0.9").out
    assert "more of" in shown
    first = plain["items"][0]["item_id"]
    capped = cli(*ask, "--max-shown", 1, "--shown", first).json
    assert first not in [item["item_id"] for item in capped["items"]]
    assert "none is set" in cli("control", model, "--user", "u0").out
    kept = cli("control", model, "--user", "u0", "--less", "poem", "--diversity", 0.3, "--json").json
    assert kept["controls"] == {"less": {"poem": 0.5}, "diversity": 0.3}
    kept = cli("control", model, "--user", "u0", "--more", "poem", "--never", "year<3", "--json")
    assert "no item, category" in kept.err
    kept = cli("control", model, "--user", "u0", "--more", "map=1", "--json").json
    assert kept["controls"] == {"less": {"poem": 0.5}, "more": {"map": 1.0}, "diversity": 0.3}
    assert kinds(cli(*ask).json) == ["map"] * 4
    assert cli("control", model, "--user", "u0", "--clear", "--json").json["controls"] == {}
    assert cli(*ask).json == plain
    for options, said in (
        (["--more", "mapp: x=0.5", "--diversity", 2], "dials: diversity = 2"),
        (["--never", "mapp"], "did you mean 'map'?"),
        (["--shown", "map-1@today"], "behind @ stands a moment"),
        (["--freshness", 0.5, "--more", "categories: mapp"], "did you mean 'map'?"),
    ):
        assert said in cli("recommend", model, "--user", "u0", *options).fault


def test_dials_are_measured(cli, small: Path, quick: Path, tmp_path: Path) -> None:
    out = tmp_path / "dials.json"
    ask = ["evaluate", small, "-c", quick, "-k", 3, "--threads", 1]
    done = cli(*ask, "--dial", "novelty=0,0.5,1", "--dial", "more:categories: map", "--json", out)
    assert done.status == 0, done.err
    assert done.out.count("monotone: the effect never falls, in no single list") == 2
    found = cli(*ask, "--dial", "novelty=0,0.5,1", "--json", "-", "--quiet").json
    (curve,) = found["dials"]
    assert [step["strength"] for step in curve["steps"]] == [0.0, 0.5, 1.0]
    assert curve["monotone"] is True
    assert curve["lists_that_fall"] == 0
    plain = cli(
        "evaluate", small, "-c", quick, "-k", 3, "-m", "fused", "--threads", 1, "--json", "-", "--quiet"
    ).json
    metrics = plain["models"]["fused"]["metrics"]
    assert curve["steps"][0]["effect"]["value"] == pytest.approx(metrics["novelty@3"]["value"])
    for options, said in (
        (["--dial", "novelti"], "did you mean 'novelty'?"),
        (["--dial", "more"], "write more:TOPIC"),
        (["--dial", "novelty:x"], "write novelty without a topic"),
        (["--dial", "novelty=1,0"], "rising"),
        (["--dial", "novelty=a"], "rising"),
        (["--dial", "novelty", "-m", "fused"], "leave out --ablate, --curve, --model"),
        (["--dial", "more:categories: mapp"], "did you mean 'map'?"),
    ):
        assert said in cli("evaluate", small, "-c", quick, *options).fault
