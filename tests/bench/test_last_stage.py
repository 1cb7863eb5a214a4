"""The fusion alone and with a last stage on the same queries, made with a tiny model."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")
pytest.importorskip("transformers")

from bench import last_stage
from fuserec import RunOptions, sample
from fuserec.testing.language import tiny_model

WORDS = ["space", "war", "love", "city", "house", "music", "food", "sea", "the", "of"]


def test_both_stand_side_by_side_with_the_difference(tmp_path):
    base = tiny_model(tmp_path / "tiny", "bert", WORDS)
    table = {"form": "cross", "model": str(base), "examples": 60, "epochs": 1, "tuning": {"method": "full"}}
    names = {"popularity": {}, "item_knn": {}}
    found = last_stage.run(sample(), names, table, depth=10, queries=80, options=RunOptions(threads=1))
    alone, staged = (found["figures"][name]["ndcg@10"] for name in ("alone", "staged"))
    gain = found["gain"]
    assert staged - alone == pytest.approx(gain["difference"])
    assert gain["low"] <= gain["difference"] <= gain["high"]
    assert found["queries"] == 80
    line = last_stage.section({"beauty: cross-encoder": found}).splitlines()[-1]
    assert line.startswith("| Amazon Beauty | cross-encoder, best 10, 80 queries | 0.")
    assert f"{alone:.4f} | {staged:.4f} | {gain['difference']:+.4f}" in line
