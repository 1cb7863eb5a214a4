"""``fuserec report``, and the language of the report of ``evaluate``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

RESULTS = Path(__file__).parents[1] / "evaluation" / "report" / "results.json"


def test_a_report_is_made_again_from_json(cli, tmp_path: Path) -> None:
    done = cli("report", RESULTS, "--out", tmp_path / "r.html")
    assert done.status == 0, done.err
    assert "fused and co_visits lead: NDCG@10 0.0636" in done.out
    assert '<html lang="en">' in (tmp_path / "r.html").read_text("utf-8")
    told = cli("report", RESULTS, "--out", tmp_path / "z.html", "--language", "zh", "--json").json
    assert told["language"] == "zh"
    assert told["summary"][0].startswith("fused 和 co_visits 并列领先：")
    assert '<html lang="zh-CN">' in (tmp_path / "z.html").read_text("utf-8")


def test_results_of_an_older_version_still_make_a_report(cli, tmp_path: Path) -> None:
    old = json.loads(RESULTS.read_text("utf-8"))
    for key in ("curves", "made"):
        del old[key]
    for model in old["models"].values():
        del model["curves"]
    for user in old["sample"]:
        del user["why"]
        for items in user["lists"].values():
            for item in items:
                del item["reasons"]
    (tmp_path / "old.json").write_text(json.dumps(old), "utf-8")
    for language in ("en", "zh"):
        done = cli("report", tmp_path / "old.json", "--out", tmp_path / "r.html", "--language", language)
        assert done.status == 0, done.err
        page = (tmp_path / "r.html").read_text("utf-8")
        assert 'id="sample"' in page
        assert 'id="calibration"' not in page
        assert 'id="places"' not in page


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--language", "fr"], "language 'fr': a report is in en or zh"),
        (["--out", "nowhere/r.html"], "there is no folder"),
        (["--out", "."], "is a folder"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(cli, tmp_path: Path, options: list[str], said: str) -> None:
    if "--out" not in options:
        options = [*options, "--out", str(tmp_path / "r.html")]
    assert said in cli("report", RESULTS, *options).fault
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_no_results_are_refused(cli, tmp_path: Path) -> None:
    broken, out = tmp_path / "broken.json", tmp_path / "r.html"
    broken.write_text('{"models": {}}', "utf-8")
    assert "dataset: Field required" in cli("report", broken, "--out", out).fault
    assert "there is no such file" in cli("report", tmp_path / "none.json", "--out", out).fault
    assert "name another" in cli("report", broken, "--out", broken).fault
    assert broken.read_text("utf-8") == '{"models": {}}'


def test_evaluate_writes_its_report_in_the_language_asked_for(cli, small, quick, tmp_path: Path) -> None:
    report = tmp_path / "r.html"
    done = cli("evaluate", small, "-c", quick, "-k", "5", "--report", report, "--language", "zh")
    assert done.status == 0, done.err
    page = report.read_text("utf-8")
    assert "校准" in page or "它的概率可信吗？" in page
    assert "推荐位给了谁" in page
    assert "a report is in en or zh" in cli("evaluate", small, "--report", report, "--language", "xx").fault
