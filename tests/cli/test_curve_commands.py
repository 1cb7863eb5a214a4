"""``fuserec evaluate --learning-curve`` and ``--shift``: tables, files, going on, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest


def test_a_learning_curve_is_printed_written_and_drawn(cli, small: Path, quick: Path, tmp_path: Path) -> None:
    out, page, kept = tmp_path / "curve.json", tmp_path / "curve.html", tmp_path / "kept"
    done = cli(
        "evaluate", small, "-c", quick, "--learning-curve", "--percent", "25,100", "--json", out, "--report", page,
        "--language", "zh", "--checkpoints", kept,
    )  # fmt: skip
    assert done.status == 0, done.err
    assert "with text" in done.out
    assert "25 %" in done.out
    assert "Text at 100 % of the data, NDCG@10:" in " ".join(done.out.split())
    assert "left out: content" in " ".join(done.out.split())
    assert f"written: {out}" in " ".join(done.err.split())
    found = json.loads(out.read_text(encoding="utf-8"))
    assert found["kind"] == "learning-curve"
    assert [point["at"] for point in found["points"]] == [0.25, 1.0]
    assert found["points"][0]["difference"]["users"] == 30
    assert "学习曲线" in page.read_text(encoding="utf-8")
    assert not kept.exists()
    again = cli("report", out, "-o", tmp_path / "again.html", "--json").json
    assert again["summary"][-1].startswith("From 25 % to 100 % of the data, without text")
    assert "Learning curve of" in (tmp_path / "again.html").read_text(encoding="utf-8")


def test_a_shift_across_categories_is_json_too(cli, small: Path, quick: Path) -> None:
    """Half of the readers read poems alone and half maps: nobody comes to one from the other, tags do no better."""
    fault = cli("evaluate", small, "-c", quick, "--shift", "categories").fault
    assert "fewer than two people come to the category from elsewhere" in fault
    found = cli(
        "evaluate", small, "-c", quick, "--shift", "categories:title=poem number 3", "--json", "-"
    ).json
    assert found["kind"] == "shift-categories"
    assert found["split"]["column"] == "title"
    assert found["points"][0]["name"] == "poem number 3"
    assert found["models"] == ["category unknown", "category known"]


def test_a_shift_in_time_has_a_row_a_window(cli, small: Path, quick: Path, tmp_path: Path) -> None:
    out, page = tmp_path / "shift.json", tmp_path / "shift.html"
    done = cli(
        "evaluate",
        small,
        "-c",
        quick,
        "--shift",
        "time:2",
        "--json",
        out,
        "--report",
        page,
        "--language",
        "zh",
    )
    told = re.sub(r"<style>.*?</style>|<pre.*?</pre>|<[^>]*>", " ", page.read_text("utf-8"), flags=re.DOTALL)
    assert not re.search(r"\d to \d", told)
    assert re.search(r"\d{4}-\d\d-\d\d 至 \d{4}-\d\d-\d\d", told)
    assert "Both models" not in told
    assert "两个模型都知道第一个时间窗之前的一切" in told
    fault = cli("compare", out, out.with_name("other.json")).fault
    assert "shift.json: is the result of a shift test (--shift), and not of a whole evaluation" in fault
    assert done.status == 0, done.err
    assert "left as it was" in done.out
    assert "2023-11-14" in done.out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--learning-curve", "--percent", "0,50"], "name different percentages"),
        (["--learning-curve", "--percent", "half"], "name different percentages"),
        (["--percent", "50"], "give both"),
        (["--learning-curve", "-m", "content"], "--learning-curve measures one fusion"),
        (["--learning-curve", "--shift", "time"], "measures one fusion"),
        (["--shift", "time", "--replay", "2"], "--shift measures one fusion"),
        (["--shift", "tme"], "did you mean"),
        (["--shift", "time", "--split", "users"], "leave --split, --folds and --targets out"),
        (["--learning-curve", "--split", "users", "--folds", "3"], "leave folds out"),
        (["--learning-curve", "--seeds", "2"], "a curve takes no --baseline"),
    ],
)
def test_what_does_not_go_together_is_refused(cli, small: Path, options: list[str], said: str) -> None:
    assert said in cli("evaluate", small, *options).fault
