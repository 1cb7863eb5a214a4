"""Results on disk: small, without the data, and marked when they no longer hold."""

from __future__ import annotations

import json

import pytest
from made_records import evaluation, record

from bench import configurations, quality, records
from fuserec.config import RecommenderConfig

VALUES = {"fused": 0.07, "cooccurrence": 0.06, "popularity": 0.01}


def test_what_is_written_reads_back_equal(tmp_path):
    made = record(evaluation(VALUES))
    path = made.write(tmp_path)
    assert path.name == "beauty-last-out.json"
    assert records.read_all(tmp_path) == [made]
    assert [p.name for p in tmp_path.iterdir()] == [path.name]  # nothing is left of the writing


def test_a_record_is_small_and_holds_nothing_of_the_data(tmp_path):
    text = record(evaluation(VALUES)).write(tmp_path).read_text(encoding="utf-8")
    assert len(text) < 20_000
    assert "SECRET" not in text
    assert "precision@5" not in text
    assert "target:cold" in text


@pytest.mark.parametrize(
    ("configuration", "name"),
    [
        ("default", "ml-1m-last-out.json"),
        ("5m", "ml-1m-last-out.5m.json"),
        ("alone-x", "ml-1m-last-out.alone-x.json"),
    ],
)
def test_each_configuration_has_a_file(configuration, name):
    assert records.file_name("ml-1m", "last-out", configuration) == name


def test_a_fresh_result_is_current():
    assert record(evaluation(VALUES)).status() == records.CURRENT


def test_another_source_makes_it_older_not_stale():
    made = record(evaluation(VALUES))
    assert made.status(code="another") == records.OLDER


def test_another_version_makes_it_stale(monkeypatch):
    made = record(evaluation(VALUES))
    monkeypatch.setattr(configurations.fuserec, "__version__", "9.9.9")
    assert made.status() == records.STALE


def test_another_default_of_a_hyperparameter_makes_it_stale(monkeypatch):
    made = record(evaluation(VALUES))
    config = configurations.scorer_class("cooccurrence").Config
    changed = config.model_copy(config(), update={"window": 7})
    monkeypatch.setattr(config, "model_dump", lambda self, **how: {"window": changed.window})
    assert made.status() == records.STALE


def test_a_setting_that_is_gone_makes_it_stale():
    made = record(evaluation(VALUES), parts={"ease": {"regularization": 500.0}})
    made.asked["configs"]["fused"]["parts"] = {"ease": {"no_such_setting": 1}}
    assert made.status() == records.STALE
    made.asked["configs"]["fused"]["parts"] = {"no_such_scorer": {}}
    assert made.status() == records.STALE


def test_a_digest_tells_configurations_protocols_and_budgets_apart():
    def digest(parts, split="last-out", budget=None):
        asked = configurations.Asked({"fused": configurations.RecommenderConfig(parts=parts)}, (), budget)
        return asked.digest(split)

    found = [
        digest({"ease": {}}),
        digest({"ease": {"regularization": 1.0}}),
        digest({"als": {}}),
        digest({"ease": {}}, "random"),
        digest({"ease": {}}, budget=300.0),
    ]
    assert len(set(found)) == len(found)
    default = configurations.create_parts({"ease": {}})["ease"].config.regularization
    assert digest({"ease": {"regularization": default}}) == found[0]  # what defaults fill in counts the same


def test_the_digest_of_the_source_follows_the_text_not_the_time(tmp_path):
    for name, text in (("scorers/a.py", "x = 1\n"), ("cli/b.py", "y = 1\n")):
        path = tmp_path / name
        path.parent.mkdir()
        path.write_text(text, encoding="utf-8")
    before = records.source_digest.__wrapped__(tmp_path)
    (tmp_path / "cli" / "b.py").write_text("y = 2\n", encoding="utf-8")
    assert records.source_digest.__wrapped__(tmp_path) == before  # no figure depends on the command line
    (tmp_path / "scorers" / "a.py").write_text("x = 2\n", encoding="utf-8")
    assert records.source_digest.__wrapped__(tmp_path) != before


def test_a_job_sees_what_is_missing_there_or_asked_otherwise(tmp_path):
    made = record(evaluation(VALUES))
    job = quality.Job("beauty", "last-out", "default", made.made["digest"])
    assert job.state(tmp_path) == "missing"
    made.write(tmp_path)
    assert job.state(tmp_path) == records.CURRENT
    assert quality.Job("beauty", "last-out", "default", "other parts").state(tmp_path) == records.STALE


def test_only_names_datasets_and_protocols():
    assert quality.selected(["beauty"]) == [("beauty", "last-out"), ("beauty", "cold-items")]
    assert quality.selected(["beauty-cold-items", "ratings"]) == [("beauty", "cold-items")]
    assert len(quality.selected([])) == 10
    with pytest.raises(ValueError, match="unknown dataset 'beuty'"):
        quality.selected(["beuty"])


def test_what_goes_to_disk_is_json(tmp_path):
    path = record(evaluation(VALUES)).write(tmp_path)
    made = json.loads(path.read_text(encoding="utf-8"))["made"]
    assert {"digest", "version", "commit", "code", "date", "seed", "seconds"} <= set(made)


def test_settings_of_what_is_not_used_change_no_digest():
    """A release that adds an encoder or a last stage makes no result stale."""
    filled = configurations._filled(RecommenderConfig(parts={"popularity": {}}))
    assert "last_stage" not in filled["fusion"]
    assert not {"codes", "cache"} & set(filled["features"])
    used = RecommenderConfig.parse(
        {"features": {"codes": {"levels": 2}}, "parts": {"popularity": {}}}, "test"
    )
    assert "codes" in configurations._filled(used)["features"]
