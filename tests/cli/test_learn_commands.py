"""``fuserec fit`` and ``evaluate``, and what is too little or too odd to learn from."""

from __future__ import annotations

import json
import os
import re
import threading
from pathlib import Path

import pytest
from rich.table import Table

from fuserec.cli.evaluate import cuts
from fuserec.cli.fit import seconds, summary
from fuserec.errors import RequestError


def test_fit_writes_a_model_that_answers(cli, small: Path, quick: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    done = cli(
        "fit", small, "--out", model, "--config", quick, "--seed", 3, "--budget", "10m", "--threads", 1
    )
    assert done.status == 0, done.err
    assert "item_knn" in done.out
    assert f"fitted and written to {model} in " in done.err
    info = cli("info", model, "--json").json
    assert info["seed"] == 3
    assert info["dataset"]["users"] == 30
    items = cli("recommend", model, "--user", "u0", "--json").json["items"]
    assert all(item["item_id"].startswith("poem") for item in items[:4])
    again = cli("fit", small, "--out", tmp_path / "again", "-c", quick, "--seed", 3, "--json").json
    assert again["validation"] == info["validation"]


def test_another_form_of_fusion_is_fitted_and_compared_with_the_blend(
    cli, small: Path, quick: Path, tmp_path: Path
) -> None:
    config, model = tmp_path / "mixed.toml", tmp_path / "model"
    config.write_text(f"[fusion]\nkind = 'mixed'\n{quick.read_text(encoding='utf-8')}", encoding="utf-8")
    assert "blend of the same parts" in cli("fit", small, "--out", model, "-c", config).out
    assert (
        json.loads((model / "model.json").read_text(encoding="utf-8"))["config"]["fusion"]["kind"] == "mixed"
    )
    items = cli("recommend", model, "--user", "u0", "-k", 3, "--json").json["items"]
    assert items[0]["score"] > items[1]["score"] > items[2]["score"] > 0


def test_a_model_without_histories_knows_nobody(cli, small: Path, quick: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    assert cli("fit", small, "--out", model, "-c", quick, "--no-histories", "--quiet").err == ""
    assert cli("recommend", model, "--user", "u0", "--json").json["known"] is False
    assert not any(b"u17" in path.read_bytes() for path in model.iterdir())
    refused = cli("update", model, "--interactions", small / "interactions.csv").fault
    assert "saved without histories" in refused


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("[part.ease]\n", "unknown key 'part'; did you mean 'parts'?"),
        ("[parts.ease]\nregularisation = 3\n", "did you mean 'regularization'?"),
        ("[parts.eese]\n", "did you mean 'ease'?"),
        ("[fusion]\nkind = 'mix'\n", "did you mean 'mixed'?"),
        ("[parts.als]\nembedding_dim = 'many'\n", "embedding_dim"),
        ("[parts\n", "not TOML"),
        (b"\xff\xfe\x00", "cannot be read"),
        (None, "cannot be read"),
    ],
)
def test_a_configuration_at_fault(
    cli, small: Path, tmp_path: Path, config: str | bytes | None, said: str
) -> None:
    path = tmp_path / "config.toml"
    if config is not None:
        path.write_bytes(config if isinstance(config, bytes) else config.encode())
    assert said in cli("fit", small, "--out", tmp_path / "model", "--config", path).fault
    assert not (tmp_path / "model").exists()


def test_options_at_fault(cli, small: Path, quick: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    for options, said in (
        (["--budget", "soon"], "write a number and s, m or h"),
        (["--seed", -1], "has to be 0 or more"),
        (["--threads", 0], "has to be at least 1"),
        (["--format", "csv"], "unknown format 'csv'"),
    ):
        assert said in cli("fit", small, "--out", out, "-c", quick, *options).fault
    assert "is not empty and not a model folder" in cli("fit", small, "--out", small, "-c", quick).fault
    assert not out.exists()


def test_budgets_and_cuts() -> None:
    assert [seconds(text) for text in ("90s", "10m", "1.5h", " 2 m ")] == [90, 600, 5400, 120]
    assert cuts("5, 10,20,") == (5, 10, 20)
    for wrong in ("", "0s", "10", "-5m", "1d"):
        with pytest.raises(RequestError):
            seconds(wrong)
    for wrong in ("", "0", "5,x", "-1", "1.5"):
        with pytest.raises(RequestError):
            cuts(wrong)


def test_evaluate_writes_what_it_says(cli, small: Path, quick: Path, tmp_path: Path) -> None:
    result, report = tmp_path / "out.json", tmp_path / "out.html"
    files = ["--json", result, "--report", report]
    done = cli("evaluate", small, "-c", quick, "-k", "3,5", "--threads", 2, *files)
    assert done.status == 0, done.err
    assert "fused" in done.out
    found = json.loads(result.read_text(encoding="utf-8"))
    assert found["dataset"]["users"] == 30
    assert {"fused", "popularity", "item_knn", "content"} <= set(found["models"])
    assert {"value", "low", "high"} <= set(found["models"]["fused"]["metrics"]["recall@5"])
    assert found["models"]["fused"]["metrics"]["recall@5"]["value"] > 0.5
    assert (
        report.read_text(encoding="utf-8").startswith("<!doctype html>".upper())
        or "<html" in report.read_text()
    )
    printed = cli(
        "evaluate", small, "-m", "popularity", "--split", "random", "--share", 0.2, "--json", "-"
    ).json
    assert list(printed["models"]) == ["popularity"]


def test_evaluate_refuses_before_it_works(cli, small: Path, quick: Path, tmp_path: Path) -> None:
    for options, said in (
        (["--split", "lastout"], "protocol"),
        (["-k", "0"], "whole numbers of at least 1"),
        (["--share", 2], "share"),
        (["--model", "eese"], "did you mean 'ease'?"),
        (["--json", tmp_path / "nowhere" / "out.json"], "there is no folder"),
        (["--report", tmp_path], "is a folder"),
        (["-c", quick, "-c", quick], "another configuration is called 'quick'"),
    ):
        assert said in cli("evaluate", small, *options).fault


def test_evaluate_compares_variants_of_a_part(cli, small: Path, quick: Path, tmp_path: Path) -> None:
    result = tmp_path / "out.json"
    done = cli("evaluate", small, "-c", quick, "--ablate", "item_knn.n_neighbors=1,2", "--json", result)
    assert done.status == 0, done.err
    assert "less full" in done.out
    assert "n_neighbors-1" in done.out
    found = json.loads(result.read_text(encoding="utf-8"))
    assert list(found["models"]) == ["full", "n_neighbors-1", "n_neighbors-2"]
    assert {c["reference"] for c in found["comparisons"]} == {"full"}
    for options, said in (
        (["--ablate", "item_nkn"], "did you mean 'item_knn'?"),
        (["--ablate", "item_knn", "-m", "content"], "no --model"),
        (["--ablate", "item_knn", "-c", quick], "at most one --config"),
    ):
        assert said in cli("evaluate", small, "-c", quick, *options).fault


def events(tmp_path: Path, rows: list[str], items: list[dict[str, object]] | None = None) -> Path:
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / "interactions.csv").write_text(
        "\n".join(["user_id,item_id,rating", *rows]) + "\n", encoding="utf-8"
    )
    if items is not None:
        (folder / "items.jsonl").write_text(
            "".join(json.dumps(item) + "\n" for item in items), encoding="utf-8"
        )
    return folder


def test_one_user(cli, quick: Path, tmp_path: Path) -> None:
    folder = events(tmp_path, [f"ann,i{item},4" for item in range(5)])
    done = cli("fit", folder, "--out", tmp_path / "model", "-c", quick)
    assert done.status == 0, done.err
    assert cli("recommend", tmp_path / "model", "--user", "ann", "--json").json["items"] == []
    assert len(cli("recommend", tmp_path / "model", "--json").json["items"]) == 5


def test_one_item(cli, quick: Path, tmp_path: Path) -> None:
    folder = events(tmp_path, [f"u{user},only,4" for user in range(5)])
    done = cli("fit", folder, "--out", tmp_path / "model", "-c", quick)
    assert done.status == 0, done.err
    found = cli("recommend", tmp_path / "model", "--json").json["items"]
    assert [item["item_id"] for item in found] == ["only"]
    assert "nothing can be held out" in cli("evaluate", folder, "-c", quick).fault


def test_items_without_text(cli, small: Path, quick: Path, tmp_path: Path) -> None:
    with (small / "items.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"item_id": "bare"}\n')
    model = tmp_path / "model"
    assert cli("fit", small, "--out", model, "-c", quick).status == 0
    found = cli("recommend", model, "--user", "u0", "-k", 100, "--json").json["items"]
    assert found[-1]["item_id"] == "bare"
    assert found[-1]["title"] == "bare"
    assert cli("similar", model, "bare", "-k", 3, "--explain").status == 0


def test_very_long_ids(cli, small: Path, quick: Path, tmp_path: Path) -> None:
    with (small / "interactions.csv").open("a", encoding="utf-8") as file:
        file.write(f"u1,{'x' * 10_000},4,1700000999\n{'y' * 10_000},map-1,4,1700000999\n")
    done = cli("fit", small, "--out", tmp_path / "model", "-c", quick)
    assert done.status == 0, done.err
    report = cli("data", "check", small, "--json").json
    assert report["dropped"] + report["mended"] >= 2


def test_ratings_that_are_no_numbers(cli, small: Path, quick: Path, tmp_path: Path) -> None:
    with (small / "interactions.csv").open("a", encoding="utf-8") as file:
        file.write("u1,map-1,NaN,1700000999\nu2,map-2,inf,1700000999\nu3,map-3,abc,1700000999\n")
    done = cli("fit", small, "--out", tmp_path / "model", "-c", quick)
    assert done.status == 0, done.err
    assert "(`fuserec data check` tells which and why)" in done.err


def test_a_part_whose_name_is_no_file_name(cli, small: Path, tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text('[parts."../x"]\nscorer = "popularity"\n')
    assert "a part's name" in cli("fit", small, "--out", tmp_path / "m", "--config", config).fault
    config.write_text("x = " + "[" * 5000)
    assert "nested too deeply" in cli("fit", small, "--out", tmp_path / "m", "--config", config).fault


def test_results_never_take_the_place_of_one_another_or_of_a_pipe(
    cli, small: Path, quick: Path, tmp_path: Path
) -> None:
    same = tmp_path / "out"
    assert "name two" in cli("evaluate", small, "--json", same, "--report", same).fault
    assert "whole numbers" in cli("evaluate", small, "-k", "9" * 5000).fault
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    read: list[str] = []
    reader.start()
    assert cli("evaluate", small, "-c", quick, "-k", "5", "--json", pipe).status == 0
    reader.join(30)
    assert '"models"' in read[0]
    assert pipe.is_fifo()


def test_a_summary_is_in_words_and_names_what_was_left_out() -> None:
    info = {
        "dataset": {"name": "shop", "users": 2, "items": 3, "interactions": 4},
        "encoder": "sentence:60877c94adc4:ctranslate2:int8_float32:256",
        "parts": {"als": {}},
        "weights": {cohort: {"als": 1.0} for cohort in ("short", "long", "none+text")},
        "seed": 0,
        "fit_s": 3.64,
        "validation": {"fused": 0.2, "als": 0.2, "ease": 0.1},
    }
    said = _facts(summary(info)[0])
    assert said["text read by"] == "words and the language model (ctranslate2, int8_float32)"
    assert said["fitted in"] == "3.6 s"
    assert said["left out"] == "ease: no gain on validation"
    assert _facts(summary(info | {"encoder": "lexical"})[0])["text read by"] == "words alone"


def _facts(table: Table) -> dict[str, str]:
    """Return the rows of a table of names and values."""
    names, values = ([str(cell) for cell in column.cells] for column in table.columns)
    return dict(zip(names, values, strict=True))


COMMANDS = {
    "fit": ("fit", "DATA", "--out", "OUT"),
    "evaluate": ("evaluate", "DATA"),
    "evaluate a dial": ("evaluate", "DATA", "--dial", "novelty"),
    "tune": ("tune", "DATA", "--out", "OUT"),
    "tune lists": ("tune", "DATA", "--out", "OUT", "--objective", "ndcg@10 + 0.1*novelty@10"),
    "models compare": ("models", "compare", "DATA", "-m", "minilm"),
}


class TestDevice:
    @pytest.mark.parametrize("command", COMMANDS.values(), ids=list(COMMANDS))
    @pytest.mark.parametrize(("name", "says"), [("cuda", "sees no GPU here"), ("gpu", 'choose "cpu"')])
    def test_one_that_is_not_there_is_one_line(self, cli, small, tmp_path, monkeypatch, command, name, says):
        torch = pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        places = {"DATA": small, "OUT": tmp_path / "out.toml"}
        done = cli(*(places.get(word, word) for word in command), "--device", name)
        assert says in done.fault
        assert f"device {name!r}" in done.fault
        assert not (tmp_path / "out.toml").exists()

    def test_without_pytorch_a_gpu_names_the_extra(self, cli, small, quick, tmp_path, monkeypatch):
        monkeypatch.setattr("fuserec.neural.available", lambda: False)
        asked = ("fit", small, "--out", tmp_path / "model", "-c", quick, "--quiet", "--device")
        assert "fuserec[deep]" in cli(*asked, "cuda").fault
        assert cli(*asked, "auto").status == 0

    def test_it_reaches_the_fit(self, cli, small, quick, tmp_path):
        told = tmp_path / "told.jsonl"
        done = cli("fit", small, "--out", tmp_path / "m", "-c", quick, "--device", "auto", "--track", told)
        assert done.status == 0, done.err
        assert re.search(r'device": "auto"', told.read_text(encoding="utf-8"))
