"""``fuserec ask``: the next question to somebody new."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def fitted(cli, small, quick, tmp_path) -> Path:
    """Return the folder of a model of readers of poems and readers of maps."""
    model = tmp_path / "model"
    assert cli("fit", small, "--out", model, "--config", quick).status == 0
    return model


def test_questions_follow_the_answers(cli, fitted):
    first = cli("ask", fitted, "-k", 3, "--json").json
    assert {"query", "items", "doubt", "warnings"} <= set(first)
    assert [item["rank"] for item in first["items"]] == [1, 2, 3]
    asked = first["items"][0]["item_id"]
    kind = asked.split("-")[0]
    liked = cli("ask", fitted, "--history", asked, "--json").json
    assert liked["doubt"] < first["doubt"]
    assert liked["query"]["history"] == [asked]
    assert liked["items"][0]["item_id"] != asked
    options = ("--candidates", f"{kind}-1,{kind}-2", "--json")
    chance = {
        option: cli("ask", fitted, f"--{option}", f"{kind}-5", *options).json["items"][0]["probability"]
        for option in ("history", "disliked", "unknown")
    }
    assert chance["history"] > max(chance["disliked"], chance["unknown"])


def test_the_table_names_items_and_bits(cli, fitted):
    run = cli("ask", fitted, "-k", 2, "--exclude", "poem-1")
    assert run.status == 0
    assert "bits" in run.out
    assert "number" in run.out
    nothing = cli("ask", fitted, "--candidates", "poem-1", "--unknown", "poem-1")
    assert "nothing is left to ask" in nothing.out


def test_what_is_wrong_is_one_line(cli, fitted, tmp_path):
    assert "k = 0" in cli("ask", fitted, "-k", 0).fault
    assert "'poem-99' is not in the catalogue" in cli("ask", fitted, "--unknown", "poem-99").fault
    assert "not a FuseRec model" in cli("ask", tmp_path).fault
