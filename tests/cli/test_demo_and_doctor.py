"""``fuserec demo``, ``doctor`` and ``models``."""

from __future__ import annotations

from pathlib import Path

from fuserec.recommender import Recommender


def test_demo_shows_everything_offline(shell, tmp_path: Path) -> None:
    done = shell("demo", cwd=tmp_path)
    assert done.status == 0, done.err
    assert "Works are real; readers are simulated" in done.out
    for said in (
        "Because of",
        "matches your words",
        "Red Mars",
        "NDCG@10",
        "fused",
        "How good is it?",
    ):
        assert said.lower() in done.out.lower(), said
    assert "\x1b" not in done.out
    assert max(len(line) for line in done.out.splitlines()) <= 100
    assert "Traceback" not in done.err
    page = (tmp_path / "demo" / "report.html").read_text(encoding="utf-8")
    assert "fused" in page
    model = Recommender.load(tmp_path / "demo" / "model")
    assert model.recommend(text="a quiet novel about memory", k=3).items


def test_demo_refuses_a_foreign_folder(cli, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "keep.txt").write_text("mine", encoding="utf-8")
    assert "is not empty and not a model folder" in cli("demo", "--out", tmp_path).fault


def test_doctor(cli) -> None:
    found = cli("doctor", "--json").json
    assert found["self_test"]["passed"] is True
    assert found["packages"]["numpy"]
    assert {"text", "deep", "serve"} <= set(found["extras"])
    assert found["device"]["cores"] >= 1
    assert {"installed", "missing", "hint"} <= set(found["minilm"])
    assert found["cache"]["folder"]
    shown = cli("doctor", "--quiet")
    assert shown.status == 0
    assert shown.err == ""
    missing = [name for name, inside in found["extras"].items() if None in inside.values()]
    for extra in missing:
        assert f"pip install 'fuserec[{extra}]'" in shown.out


def test_models_install(cli, minilm: None) -> None:
    found = cli("models", "install", "minilm", "--json").json
    assert Path(found["folder"]).is_dir()
    assert "did you mean 'minilm'?" in cli("models", "install", "minilmm").fault
