"""``fuserec evaluate --curve``, and rerankers in ``fit`` and ``recommend``."""

from __future__ import annotations

import json
from pathlib import Path


def test_the_curve_is_printed_and_written(cli, small: Path, quick: Path, tmp_path: Path) -> None:
    asked = ("evaluate", small, "-c", quick, "-k", 10, "--curve", "rerank.mmr.strength=0,1")
    out = tmp_path / "out.json"
    done = cli(*asked, "--json", out, "--report", tmp_path / "report.html")
    assert done.status == 0, done.err
    assert "cost of mmr.strength" in done.out
    assert "Aim of mmr: Diversity." in " ".join(done.out.split())
    models = json.loads(out.read_text())["models"]
    assert {"fused", "fused-without-rerank", "mmr.strength=0", "mmr.strength=1"} == set(models)
    assert "--curve is of one fusion" in cli(*asked, "--model", "popularity").fault
    assert "--curve is of one fusion" in cli(*asked, "--ablate", "item_knn").fault
    wrong = cli("evaluate", small, "-c", quick, "--curve", "rerank.mmr.strength=0,2").fault
    assert "[rerank.mmr]: strength = 2" in wrong


def test_moves_are_in_the_answer(cli, small: Path, quick: Path, tmp_path: Path) -> None:
    config, model = tmp_path / "varied.toml", tmp_path / "model"
    config.write_text(quick.read_text(encoding="utf-8") + "[rerank.mmr]\nstrength = 0.9\n", encoding="utf-8")
    assert cli("fit", small, "--out", model, "-c", config, "--threads", 1).status == 0
    items = cli("recommend", model, "--user", "u0", "-k", 8, "--json").json["items"]
    assert any(move.startswith("mmr: ") for item in items for move in item["moves"])
    assert cli("info", model, "--json").json["rerank"]["mmr"]["strength"] == 0.9
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[rerank.mrr]\n", encoding="utf-8")
    fault = cli("fit", small, "--out", tmp_path / "other", "-c", wrong).fault
    assert "unknown reranker 'mrr'; did you mean 'mmr'?" in fault
