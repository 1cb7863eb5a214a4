"""The table of tuning methods, made with a tiny model."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")
pytest.importorskip("transformers")
pytest.importorskip("peft")

import tomllib
from dataclasses import replace

from bench import tuning_methods
from fuserec import RunOptions, sample
from fuserec.neural.language.adapt import AdaptConfig, CompressConfig
from fuserec.testing.language import tiny_model

WORDS = ["space", "war", "love", "city", "house", "music", "food", "sea", "the", "of"]
TABLE = {
    "epochs": 1,
    "batch_size": 32,
    "held_out": 10,
    "learning_rate": 1e-3,
    "methods": {
        "full": {"tuning": {"method": "full"}},
        "LoRA, rank 8": {"tuning": {"method": "lora"}},
        "adapters": {"tuning": {"method": "adapters"}},
    },
    "smaller": {"one layer": {"of": "full", "form": "layers", "layers": 1, "epochs": 1, "texts": 50}},
}
RUN = RunOptions(threads=1)


def test_methods_stand_side_by_side_with_what_they_cost(tmp_path, monkeypatch):
    base = tiny_model(tmp_path / "tiny", "bert", WORDS)
    monkeypatch.setattr(tuning_methods, "BASE", f"{base}:float32")
    found = tuning_methods.joined(None, tuning_methods.run(sample(), TABLE, RUN, tmp_path / "kept"))
    rows = found["encoders"]
    assert list(rows) == ["untouched", "full", "LoRA, rank 8", "adapters", "one layer"]
    assert rows["LoRA, rank 8"]["trained"] < rows["full"]["trained"] == rows["full"]["parameters"]
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {"full", "LoRA-rank-8", "one-layer"}
    lines = [line for line in tuning_methods.section({"beauty": found}).splitlines() if line.startswith("| ")]
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines[2:]] == list(rows)
    assert "100.00%" in lines[3]
    assert "| 100% |" in lines[3]
    assert "| of full |" in lines[-1]
    assert all(found["costs"][name]["cpu_seconds"] > 0 for name in rows if name != "untouched")

    rows["adapters"]["validated"] -= 1  # as one that was measured on fewer people
    (line,) = [
        line
        for line in tuning_methods.section({"beauty": found}).splitlines()
        if line.startswith("| adapters")
    ]
    assert f"| {rows['adapters']['validation']:.4f} ({rows['full']['validated'] - 1:,}) |" in line
    assert line.count("(") == 2  # and the gain as a share

    # Shares are of full tuning at the same temperature: of its best settings on validation, the mean over the seeds.
    warm = {name: dict(part) for name, part in found.items() if isinstance(part, dict)}
    for name, gain, temperature, judged in (
        ("full", 0.02, None, 0.1),
        ("warm", 0.05, 0.1, 0.2),
        ("warm, seed 1", 0.03, 0.1, 0.3),
        ("warm, short", 0.08, 0.1, 0.24),
    ):
        told = {"gain": rows["full"]["gain"] | {"difference": gain}, "validation": judged}
        warm["encoders"][name] = rows["full"] | told
        warm["settings"][name] = {"tuning": {"method": "full"}, "temperature": temperature}
    shares = {
        line.split(" | ")[0]: line.split(" | ")[5]
        for line in tuning_methods.section({"beauty": warm}).splitlines()
        if line.startswith("| ")
    }
    told = [shares[f"| {name}"] for name in ("full", "warm", "warm, seed 1", "warm, short")]
    assert told == ["100%", "125%", "75%", "200%"]

    # A row alone: its teacher is there already, and the other rows stay as they were.
    again = tuning_methods.run(sample(), {**TABLE, "smaller": {}}, RUN, tmp_path / "more", ("adapters",))
    merged = tuning_methods.joined(found, again)
    assert list(again["encoders"]) == ["untouched", "adapters"]
    assert list(merged["encoders"]) == list(rows)
    seeded = tuning_methods.run(sample(), TABLE, replace(RUN, seed=1), tmp_path / "other", ("adapters",))
    assert list(seeded["encoders"]) == list(seeded["costs"]) == ["adapters, seed 1"]
    merged = tuning_methods.joined(merged, seeded, (*TABLE["methods"], *TABLE["smaller"]))
    assert list(merged["encoders"]) == [*list(rows)[:-1], "adapters, seed 1", "one layer"]
    assert "| adapters, seed 1 |" in tuning_methods.section({"beauty": merged})
    with pytest.raises(
        SystemExit, match="no row 'nothing': there are full, LoRA, rank 8, adapters, one layer"
    ):
        tuning_methods.run(sample(), TABLE, RUN, tmp_path, ("nothing",))


def test_the_settings_of_the_file_are_ones_that_exist():
    for table in tomllib.loads(tuning_methods.SETTINGS.read_text(encoding="utf-8")).values():
        methods, smaller = table.pop("methods"), table.pop("smaller", {})
        for own in methods.values():
            AdaptConfig.parse({**table, **own}, "the file")
        for own in smaller.values():
            assert own.pop("of") in methods
            CompressConfig.parse(own, "the file")
