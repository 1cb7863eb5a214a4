"""The table of tuning methods, made with a tiny model."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")
pytest.importorskip("transformers")
pytest.importorskip("peft")

from bench import tuning_methods
from fuserec import RunOptions, sample
from fuserec.testing.language import tiny_model

WORDS = ["space", "war", "love", "city", "house", "music", "food", "sea", "the", "of"]


def test_methods_stand_side_by_side_with_what_they_cost(tmp_path, monkeypatch):
    base = tiny_model(tmp_path / "tiny", "bert", WORDS)
    monkeypatch.setattr(tuning_methods, "BASE", f"{base}:float32")
    settings = {"epochs": 1, "batch_size": 32, "held_out": 10, "learning_rate": 1e-3}
    found = tuning_methods.run(
        sample(), ("full", "lora", "adapters"), settings, RunOptions(threads=1), tmp_path / "kept"
    )
    rows = found["encoders"]
    assert rows["lora"]["trained"] < rows["full"]["trained"] == rows["full"]["parameters"]
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {"full", "lora"}
    lines = [line for line in tuning_methods.section({"beauty": found}).splitlines() if line.startswith("| ")]
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines[2:]] == list(rows)
    assert "100.00%" in lines[3]
    assert "| 100% |" in lines[3]
    assert all(found["costs"][name]["cpu_seconds"] > 0 for name in ("full", "lora", "adapters"))
