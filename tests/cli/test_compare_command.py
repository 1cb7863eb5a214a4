"""``fuserec compare`` and ``evaluate --baseline``, end to end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.fixture
def runs(cli, small: Path, quick: Path, tmp_path: Path) -> dict[str, Path]:
    """Two evaluations: by three parts, and by popularity alone, the second beside the first."""
    a, b = tmp_path / "a.json", tmp_path / "b.json"
    assert cli("evaluate", small, "-c", quick, "-k", "3", "--json", a, "--user-ids").status == 0
    config = tmp_path / "popular.toml"
    config.write_text('[features]\nuse_sentence = "never"\n[parts.popularity]\n', encoding="utf-8")
    page = tmp_path / "b.html"
    done = cli("evaluate", small, "-c", config, "-k", "3", "--json", b, "--baseline", a, "--report", page)
    assert done.status == 0, done.err
    assert "Compared with the earlier run" in page.read_text("utf-8")
    assert "this run:fused against a:fused, NDCG@3: " in done.out
    return {"a": a, "b": b}


def test_runs_are_compared(cli, runs: dict[str, Path], tmp_path: Path) -> None:
    done = cli("compare", runs["a"], runs["b"], "--json", tmp_path / "found.json")
    assert done.status == 0, done.err
    assert "b:fused against a:fused, NDCG@3: worse by" in done.out
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    pair = next(one for one in found["pairs"] if one["model"] == "b:fused")
    assert pair["paired"] is True
    assert pair["lost"][0]["user"].startswith("u")
    assert cli("compare", runs["a"], runs["b"], "--json", "-").json == found
    kept = json.loads(runs["b"].read_text(encoding="utf-8"))
    assert kept["baseline"]["pairs"][0]["changes"][0]["difference"]["p_holm"] <= 0.05
    assert kept["queries"]["users"] == ""
    tested = {one["metric"] for one in kept["further"]}
    assert {"recall@3", "hit_rate@3", "mrr@3", "map@3", "precision@3", "ild@3", "novelty@3"} <= tested
    assert "ndcg@3" not in tested
    told = kept["comparisons"][0]["models"]["popularity"]
    assert {"p", "p_holm", "p_bootstrap", "effect", "above", "below", "detectable"} <= set(told)


def test_models_of_one_file_are_compared(cli, runs: dict[str, Path]) -> None:
    done = cli("compare", runs["a"], "--reference", "popularity", "-m", "item_knn", "--metric", "recall@3")
    assert "item_knn against popularity, Recall@3: better by" in done.out
    heads = [line for line in done.out.splitlines() if "difference" in line]
    assert "before" not in done.out
    assert "after" not in done.out
    assert heads
    assert all("popularity" in line and "item_knn" in line for line in heads)
    several = cli("compare", runs["a"], "--reference", "popularity").out
    assert "against" not in next(line for line in several.splitlines() if "difference" in line)


def test_requests_at_fault(cli, runs: dict[str, Path], small: Path, tmp_path: Path) -> None:
    assert "no run has a model 'itemknn'" in cli("compare", runs["a"], "-m", "itemknn").fault
    assert "is named twice" in cli("compare", runs["a"], runs["a"]).fault
    assert (
        "absent.json: there is no such file: name one"
        in cli("compare", runs["a"], tmp_path / "absent.json").fault
    )
    assert f"{tmp_path}: is a folder" in cli("compare", runs["a"], tmp_path).fault
    near = cli("compare", runs["a"], "--metric", "recal@3").fault
    assert "not every model has 'recal@3'; did you mean 'recall@3'" in near
    assert near.endswith(
        "the section `All metrics` of the report (`fuserec report`) names what each model has"
    )
    assert len(near) < 250
    compared = tmp_path / "compared.json"
    assert cli("compare", runs["a"], runs["b"], "--json", compared).status == 0
    assert "is the result of `fuserec compare`, and not" in cli("compare", runs["a"], compared).fault
    assert "there is no folder" in cli("compare", runs["a"], "--json", tmp_path / "no" / "x.json").fault
    refused = cli("evaluate", small, "--split", "random", "--baseline", runs["a"]).fault
    assert "measured by the split last-out, this run by random" in refused
    assert "there is no such file" in cli("evaluate", small, "--baseline", tmp_path / "absent.json").fault


def test_a_damaged_column_is_one_line(cli, runs: dict[str, Path], tmp_path: Path) -> None:
    text = json.loads(runs["a"].read_text(encoding="utf-8"))
    text["queries"]["values"]["fused"]["ndcg@3"] = "eJw="
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps(text), encoding="utf-8")
    assert "queries: a column" in cli("compare", runs["b"], broken).fault
