"""Goals of ethics and fairness: flagged content and groups as terms and as limits of an objective."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from fuserec import Dataset, RecommenderConfig, RunOptions, tune_lists
from fuserec.errors import ConfigError, FuseRecError
from fuserec.evaluation.audit import AuditConfig
from fuserec.tuning.list_ground import group_column

pytest.importorskip("optuna", reason="the extra `tune` is not installed")

AUDIT = AuditConfig(flagged=("adult=1",), smallest_group=10)
PARTS = {
    "features": {"use_sentence": "never"},
    "parts": {"popularity": {}},
    "rerank": {"flagged": {"column": "adult", "values": ["1"], "strength": 0.0}},
}


@pytest.fixture(scope="module")
def data() -> Dataset:
    """The most popular items are flagged; women take the popular ones more often than men."""
    rng = np.random.default_rng(0)
    rows, people = [], []
    for user in range(160):
        woman = user % 2 == 0
        chance = np.arange(1, 41) ** (-1.2 if woman else -0.6)
        for at, item in enumerate(rng.choice(40, 8, replace=False, p=chance / chance.sum())):
            rows.append((f"u{user}", f"i{item}", 1_600_000_000.0 + at * 86_400))
        people.append((f"u{user}", "F" if woman else "M"))
    items = pl.DataFrame({"item_id": [f"i{i}" for i in range(40)], "adult": [int(i < 6) for i in range(40)]})
    return Dataset.from_frames(
        pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row"),
        items,
        pl.DataFrame(people, schema=["user_id", "Gender"], orient="row"),
    )


def tuned(data: Dataset, objective: str, **more: Any) -> Any:
    options = {"space": {"flagged": {"strength": [0.0, 1.0]}}, "trials": 6, "audit": AUDIT, **more}
    config = RecommenderConfig.parse(PARTS, "test")
    return tune_lists(data, config, objective=objective, run=RunOptions(threads=1), **options)


def test_a_penalty_takes_flagged_items_out_and_a_small_one_does_not(data: Dataset) -> None:
    hard = tuned(data, "ndcg@5 - 5*flagged@5")
    assert hard.start.figures["flagged@5"] > 0.5
    assert hard.points[0].figures["flagged@5"] < 0.05
    assert hard.points[0].changes["flagged.strength"] > 0
    assert hard.points[0].figures["ndcg@5"] < hard.start.figures["ndcg@5"]
    soft = tuned(data, "ndcg@5 - 0.0001*flagged@5")
    assert soft.points[0].figures["flagged@5"] == pytest.approx(soft.start.figures["flagged@5"])


def test_a_limit_on_flagged_lists_is_kept(data: Dataset) -> None:
    found = tuned(data, "ndcg@5 subject to flagged@5 <= 0.1")
    assert found.points[0].holds
    assert found.points[0].figures["flagged@5"] <= 0.1


def test_groups_are_named_by_their_column_as_the_data_write_it(data: Dataset) -> None:
    found = tuned(data, "NDCG@5 + group_worst:Gender@5 subject to group_gap:Gender@5 <= 0.5", trials=3)
    figures = found.points[0].figures
    assert 0 <= figures["group_worst:Gender@5"] <= figures["ndcg@5"]
    assert figures["ndcg@5"] <= figures["group_worst:Gender@5"] + figures["group_gap:Gender@5"]


@pytest.mark.parametrize(
    ("objective", "said"),
    [
        ("ndcg@5 - flagged@5", "say what is flagged, with `flagged` or `flagged_words` of the audit"),
        ("ndcg@5 + group_worst@5", "name a column of users, such as group_worst:gender@10"),
        ("ndcg@5 + group_worst:age@5", "age"),
        ("ndcg@5 + grop_worst:Gender@5", "no metric 'grop_worst'; did you mean 'group_worst'"),
    ],
)
def test_what_cannot_be_measured_is_said_with_what_it_lacks(data: Dataset, objective: str, said: str) -> None:
    with pytest.raises(FuseRecError, match=said) as caught:
        tuned(data, objective, audit=None, trials=1)
    assert "\n" not in str(caught.value)


def test_a_study_of_another_audit_is_not_gone_on_with(data: Dataset, tmp_path: Any) -> None:
    study = tmp_path / "study.db"
    tuned(data, "ndcg@5 - flagged@5", study=study, trials=1)
    other = AuditConfig(flagged=("adult=0",), smallest_group=10)
    with pytest.raises(ConfigError, match="audit"):
        tuned(data, "ndcg@5 - flagged@5", study=study, trials=2, audit=other)


def test_only_groups_of_users_name_a_column() -> None:
    assert group_column("group_gap:gender@10") == "gender"
    assert group_column("exposure_parity:brand@10") is None
    assert group_column("ndcg@10") is None
