"""What an evaluation asks beside accuracy: groups, outcomes, flags, propensities, seeds and reasons."""

from __future__ import annotations

import doctest
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from fuserec.config import RecommenderConfig
from fuserec.data.dataset import SECONDS_PER_DAY, Dataset
from fuserec.data.splits import SplitConfig
from fuserec.data.splits import split as split_data
from fuserec.encoders.features import FeatureConfig, ItemFeatures
from fuserec.errors import ConfigError, DataError, RequestError
from fuserec.evaluation import explanations
from fuserec.evaluation import groups as groups_module
from fuserec.evaluation.audit import Audit, AuditConfig, load_audit, topic_shares
from fuserec.evaluation.comparison import compare
from fuserec.evaluation.groups import popularity_groups, user_groups
from fuserec.evaluation.report import to_html
from fuserec.evaluation.results import EvaluationResults
from fuserec.evaluation.runner import evaluate
from fuserec.explain.groundedness import GroundednessChecker
from fuserec.fusion.config import FusionConfig
from fuserec.run import RunOptions
from fuserec.scorers import create

N = 120
BEGIN = 1_600_000_000.0


def planted(seed: int = 0) -> Dataset:
    """Women take items 0 to 19 (romance), men 20 to 39 (war): taste follows the group, and so do lists."""
    rng = np.random.default_rng(seed)
    rows, people = [], []
    for user in range(N):
        woman = user % 2 == 0
        taken = rng.permutation(20)[:8] + (0 if woman else 20)
        for at, item in enumerate(taken):
            kind = "purchase" if at % 2 else "click"
            rows.append((f"u{user}", f"i{item}", kind, BEGIN + at * SECONDS_PER_DAY, 10.0 * (item % 3 + 1)))
        people.append((f"u{user}", "F" if woman else "M", int(rng.integers(12, 60)), f"zip{user}"))
    items = pl.DataFrame(
        {
            "item_id": [f"i{item}" for item in range(40)],
            "title": [f"Title {item}" + (" gore" if item % 5 == 0 else "") for item in range(40)],
            "categories": [["All", "Romance" if item < 20 else "War"] for item in range(40)],
            "brand": ["north" if item % 4 else "south" for item in range(40)],
            "adult": [int(item >= 30) for item in range(40)],
            "price": [float(item) for item in range(40)],
        }
    )
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "kind", "timestamp", "paid"], orient="row")
    users = pl.DataFrame(people, schema=["user_id", "gender", "age", "zip"], orient="row")
    return Dataset.from_frames(events, items, users)


@pytest.fixture(scope="module")
def data() -> Dataset:
    return planted()


CONFIG = RecommenderConfig(
    features=FeatureConfig(use_sentence="never"),
    fusion=FusionConfig(tune=False),
    parts={"popularity": {}, "item_knn": {}},
)
EVERYTHING = AuditConfig(
    groups=("gender", "age"),
    flagged=("adult=1",),
    flagged_words=("gore",),
    protected=("age<18",),
    worth="paid",
    smallest_group=5,
    permutations=39,
    reasons=10,
    seeds=2,
)


def run_on(data: Dataset, audit: AuditConfig | None = None, protocol: str = "last-out") -> EvaluationResults:
    return evaluate(
        data, CONFIG, split=SplitConfig(protocol=protocol), ks=(5, 10), run=RunOptions(threads=1), audit=audit
    )


@pytest.fixture(scope="module")
def results(data: Dataset) -> EvaluationResults:
    return run_on(data, EVERYTHING)


def value(results: EvaluationResults, model: str, metric: str) -> float:
    found = results.models[model].metrics[metric].value
    assert found is not None, metric
    return found


def test_lists_that_follow_the_group_tell_it(results: EvaluationResults) -> None:
    bits = results.models["item_knn"].metrics["group_information:gender@10"]
    null = results.models["item_knn"].metrics["group_information_null:gender@10"]
    assert bits.low is not None
    assert null.high is not None
    assert bits.low > null.high
    assert 0.7 < value(results, "item_knn", "group_information:gender@10") <= 1.1  # gender has one bit
    assert value(results, "item_knn", "group_information_p:gender@10") == 1 / 40
    assert value(results, "item_knn", "history_information@10") > 0.8
    assert value(results, "popularity", "personalisation@10") < value(
        results, "item_knn", "personalisation@10"
    )
    assert value(results, "item_knn", "group_information_p:age@10") > 0.05


def test_groups_are_segments_and_have_gaps(results: EvaluationResults) -> None:
    model = results.models["item_knn"]
    means = [model.segments[f"group:gender={g}"].metrics["ndcg@10"].value for g in "FM"]
    assert all(mean is not None for mean in means)
    assert value(results, "item_knn", "group_gap:gender@10") == pytest.approx(max(means) - min(means))
    assert value(results, "item_knn", "group_worst:gender@10") == pytest.approx(min(means))
    assert value(results, "item_knn", "group_ratio:gender@10") == pytest.approx(min(means) / max(means))
    assert sum(s.users for name, s in model.segments.items() if name.startswith("group:gender=")) == N
    gap = model.metrics["group_gap:gender@10"]
    assert gap.low is not None
    assert gap.high is not None
    assert gap.value is not None
    assert gap.low <= gap.value <= gap.high
    found = [one for one in results.comparisons if one.metric == "group_gap:gender@10"]
    assert [one.reference for one in found] == ["fused"]
    expected = value(results, "popularity", "group_gap:gender@10") - value(
        results, "fused", "group_gap:gender@10"
    )
    assert found[0].models["popularity"].difference == pytest.approx(expected)
    assert found[0].models["popularity"].users == N
    p, p_holm = found[0].models["popularity"].p, found[0].models["popularity"].p_holm
    assert p is not None
    assert p_holm is not None
    assert (
        p <= p_holm <= 1
    )  # gaps are corrected among themselves: they take nothing from the metric that decides


def test_worst_groups_are_compared_and_compared_again_from_files(results: EvaluationResults) -> None:
    metric = "group_worst:gender@10"
    found = next(one for one in results.comparisons if one.metric == metric).models["popularity"]
    expected = value(results, "popularity", metric) - value(results, "fused", metric)
    assert found.difference == pytest.approx(expected)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= expected <= found.high
    assert found.users == N
    kept = EvaluationResults.from_json(results.to_json())
    (pair,) = compare({"run": kept}, models=["popularity"]).pairs
    change = next(one for one in pair.changes if one.metric == metric)
    assert change.difference.low == pytest.approx(found.low, abs=0.02)
    assert change.difference.high == pytest.approx(found.high, abs=0.02)
    assert change.difference.users == N
    assert kept.queries is not None
    bare = kept.model_copy(update={"queries": kept.queries.model_copy(update={"groups": {}})})
    (unpaired,) = compare({"run": bare}, models=["popularity"], metrics=[metric]).pairs
    assert not unpaired.paired  # a file that keeps no groups has intervals alone
    (default,) = compare({"run": bare}, models=["popularity"]).pairs
    assert metric not in [one.metric for one in default.changes]


def test_a_model_that_serves_one_group_alone_is_called() -> None:
    """Men repeat one pattern, women choose at random: a planted gap, and its p-value."""
    rng = np.random.default_rng(0)
    rows = []
    for user in range(N):
        taken = (rng.permutation(30)[:6] + 6) if user % 2 else np.roll(np.arange(6), user // 2)
        rows += [(f"u{user}", f"i{item}", BEGIN + at) for at, item in enumerate(taken)]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    users = pl.DataFrame({"user_id": [f"u{u}" for u in range(N)], "gender": ["MF"[u % 2] for u in range(N)]})
    results = run_on(Dataset.from_frames(events, users=users))
    assert value(results, "fused", "group_gap:gender@10") > 0.3
    assert value(results, "fused", "group_gap_p:gender@10") == 1 / 200


def test_items_are_seen_against_share_and_merit(data: Dataset, results: EvaluationResults) -> None:
    for name in ("popularity", "brand"):
        for metric in ("exposure_parity", "exposure_merit", "worst_due"):
            found = results.models["fused"].metrics[f"{metric}:{name}@10"]
            assert found.value is not None
            assert found.low is not None
            assert found.high is not None
            assert found.low <= found.value <= found.high
    # A quarter of the items is of the south. What is shown of it, by hand:
    alone = run_on(data, AuditConfig(groups=(), providers=("brand",)))
    assert value(alone, "fused", "exposure_parity:brand@10") < 0.25
    assert value(alone, "popularity", "exposure_merit:popularity@10") > value(
        alone, "item_knn", "exposure_merit:popularity@10"
    )


def test_outcomes_by_hand(data: Dataset, results: EvaluationResults) -> None:
    held = split_data(data, SplitConfig(), 0)
    facts = Audit.of(data, held, EVERYTHING).targets
    assert set(facts.kinds) == {"purchase"}  # the last of eight is a purchase
    assert facts.kinds["purchase"].all()
    assert facts.later is not None
    assert not facts.later.any()
    assert facts.worth is not None
    np.testing.assert_array_equal(
        facts.worth, 10.0 * (held.test.items.astype(int) * 0 + _number(data, held) % 3 + 1)
    )
    assert value(results, "fused", "conversion@10") == pytest.approx(value(results, "fused", "recall@10"))
    assert "click@10" not in results.models["fused"].metrics
    assert 0 < value(results, "fused", "worth_share@10") <= 1
    share = value(results, "fused", "worth@10") * N / facts.worth.sum()
    assert value(results, "fused", "worth_share@10") == pytest.approx(share)


def _number(data: Dataset, held: object) -> np.ndarray:
    """Return the number in the id of each target's item."""
    items = held.test.items  # type: ignore[attr-defined]
    return np.array([int(data.items[int(item)][1:]) for item in items])


def test_return_visits_and_kinds_where_more_is_held_out(data: Dataset) -> None:
    results = run_on(data, AuditConfig(groups=(), worth="price"), protocol="temporal")
    held = split_data(data, SplitConfig(protocol="temporal"), 0)
    facts = Audit.of(data, held, AuditConfig(groups=(), worth="price")).targets
    np.testing.assert_array_equal(facts.worth, _number(data, held).astype(float))
    assert "conversion@10" in results.models["fused"].metrics
    random = split_data(data, SplitConfig(protocol="random", share=0.4), 0)
    later = Audit.of(data, random, AuditConfig(groups=())).targets.later
    days = {
        (user, item): time // SECONDS_PER_DAY
        for user, item, time in zip(
            data.interactions.user, data.interactions.item, data.interactions.time, strict=True
        )
    }
    test = random.test
    mine = [days[test.queries.users[row], item] for row, item in zip(test.rows, test.items, strict=True)]
    first = {
        row: min(day for day, r in zip(mine, test.rows, strict=True) if r == row) for row in set(test.rows)
    }
    expected = [day > first[row] for day, row in zip(mine, test.rows, strict=True)]
    assert later is not None
    assert later.tolist() == expected
    assert any(expected)


def test_flags_protection_and_topics(data: Dataset, results: EvaluationResults) -> None:
    audit = Audit.of(data, split_data(data, SplitConfig(), 0), EVERYTHING)
    number = np.array([int(data.items[at][1:]) for at in range(data.n_items)])
    assert audit.flagged is not None
    assert audit.protected is not None
    np.testing.assert_array_equal(audit.flagged, (number >= 30) | (number % 5 == 0))
    ages = data.user_table["age"].to_numpy()[audit.test.queries.users]
    np.testing.assert_array_equal(audit.protected, ages < 18)
    assert value(results, "popularity", "flagged@10") > 0.9
    assert "flagged_protected@5" in results.models["fused"].metrics
    assert audit.topics.shape[1] == 2  # "All" is of every item and tells nothing
    assert (
        "topic_change@10" not in results.models["fused"].metrics
        or results.models["fused"].metrics["topic_change@10"].value is None
    )  # histories of seven events are shorter than the list
    shares = topic_shares([["a", "b"], ["b"], None, [], ["c", "c"]])
    np.testing.assert_allclose(shares.sum(axis=1), [1, 1, 0, 0, 1])
    assert sorted(shares.toarray()[0].tolist()) == [0, 0.5, 0.5]


def test_debiased_accuracy_is_plain_where_all_are_as_likely(data: Dataset) -> None:
    results = run_on(data, AuditConfig(groups=(), propensity_exponent=0))
    for name in ("fused", "popularity"):
        assert value(results, name, "ips_recall@10") == pytest.approx(value(results, name, "recall@10"))
        assert value(results, name, "ips_ndcg@10") == pytest.approx(value(results, name, "ndcg@10"))


def test_logged_propensities_are_read_by_pair(data: Dataset) -> None:
    held = split_data(data, SplitConfig(), 0)
    users = [data.users[int(user)] for user in held.test.queries.users]
    shown = pl.DataFrame(
        {
            "request_id": ["r"] * 3,
            "user_id": [users[0], users[0], users[1]],
            "item_id": [data.items[int(held.test.items[0])]] * 2 + [data.items[int(held.test.items[2])]],
            "position": [1.0] * 3,
            "propensity": [0.2, 0.4, 0.9],
        }
    )
    from dataclasses import replace

    impressions = Dataset.from_frames(
        pl.DataFrame({"user_id": users, "item_id": ["i0"] * len(users)}), impressions=shown
    ).impressions
    logged = Audit.of(
        replace(data, impressions=impressions), held, AuditConfig(groups=(), propensities="logged")
    ).propensity
    assert logged[0] == pytest.approx(0.3)
    same = held.test.items[2] == held.test.items[1]
    assert math.isnan(logged[1]) != same
    with pytest.raises(DataError, match="choose popularity"):
        Audit.of(data, held, AuditConfig(propensities="logged"))


def test_seeds_leave_what_has_no_chance_in_it(results: EvaluationResults) -> None:
    assert value(results, "item_knn", "seed_overlap@10") > 0.9
    assert value(results, "item_knn", "seed_spread@10") < 0.05
    overlap = results.models["popularity"].metrics["seed_overlap@10"]
    assert overlap.value is not None
    assert 0 < overlap.value <= 1
    assert "seed_overlap@10" not in run_on(planted(), AuditConfig(groups=())).models["fused"].metrics


def test_reasons_are_true_and_what_they_cite_counts(results: EvaluationResults) -> None:
    assert value(results, "item_knn", "reasons_true@3") == 1
    assert value(results, "item_knn", "claims_true@3") == 1
    assert value(results, "item_knn", "reason_faithful@3") > value(results, "item_knn", "reason_control@3")
    assert results.models["popularity"].metrics["reason_faithful@3"].value is None  # it cites nothing
    assert value(results, "popularity", "reason_overlap@3") == 1
    assert 0 < value(results, "item_knn", "reason_distinct@3") <= 1


def test_dwell_time_is_worth_in_a_column_of_its_own(data: Dataset) -> None:
    held = split_data(data, SplitConfig(), 0)
    with pytest.raises(
        ConfigError, match="keep what it measures in a column of its own too, such as `seconds`"
    ):
        Audit.of(data, held, AuditConfig(groups=(), worth="value"))
    seconds = Audit.of(data, held, AuditConfig(groups=(), worth="paid")).targets.worth
    assert seconds is not None
    assert set(np.unique(seconds)) <= {10.0, 20.0, 30.0}


def test_a_short_list_leaves_the_reasons_of_others_alone(data: Dataset) -> None:
    held = split_data(data, SplitConfig(), 0)
    run = RunOptions(threads=1)
    scorer = create("item_knn", {}).fit(held.train, ItemFeatures.build(held.train, CONFIG.features, run), run)
    lists = np.tile(np.arange(5, dtype=np.int32), (4, 1))
    outcome = SimpleNamespace(lists=lists, counts=np.array([5, 0, 1, 5]))
    trial = explanations._Trial(
        scorer, explanations._Records(data), GroundednessChecker(), run.rng("reasons")
    )
    trial.take(held.test, np.arange(4), outcome)
    read = np.bincount([one.query for one in trial._read], minlength=4)
    assert read.tolist() == [3, 0, 1, 3]


def test_the_report_has_a_panel_for_each_family(results: EvaluationResults) -> None:
    page = to_html(results)
    for said in ("Fairness", "NDCG gap (gender)", "gender=F", "Reasons true", "Personalisation"):
        assert said in page, said
    again = EvaluationResults.from_json(results.to_json())
    assert again.models["fused"].metrics.keys() == results.models["fused"].metrics.keys()


def test_columns_become_groups() -> None:
    assert doctest.testmod(groups_module).failed == 0
    table = pl.DataFrame(
        {
            "text": ["a"] * 8,
            "gender": ["F", "M"] * 4,
            "code": [1, 18, 1, 18, 1, 18, 1, 18],
            "age": [20, 21, 22, 23, 24, 25, 26, 26],
            "id": list(range(8)),
            "rare": ["x"] * 7 + ["y"],
            "tags": [["a"], ["b"]] * 4,
            "digits": ["1", "2", "3", "4", "5", "6", "6", "6"],
            "odd name (%)": ["p", "q"] * 4,
        }
    )
    users = np.array([0, 1, 2, 3, 4, 5, 6, 7, -1])
    found = {g.name: g for g in user_groups(table, users, None, 5, 2)}
    assert set(found) == {"gender", "code", "age", "tags", "odd_name"}
    assert found["gender"].values == ("F", "M")
    assert found["gender"].codes.tolist() == [0, 1] * 4 + [-1]
    assert found["code"].values == ("1", "18")
    assert found["age"].values == ("under 22", "22 to under 24", "24 to under 26", "26+")
    assert found["age"].codes.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, -1]
    (digits,) = user_groups(table, users, ["digits"], 5, 2)
    assert len(digits) == 3  # bands: 1 and 2 .. of a column of text that is named
    (largest,) = user_groups(table, users, ["id"], 9, 1)
    assert len(largest) == 8
    with pytest.raises(DataError, match="no two values with at least 2 test users"):
        user_groups(table, users, ["rare"], 5, 2)
    with pytest.raises(ConfigError, match="did you mean 'gender'"):
        user_groups(table, users, ["gendr"], 5, 2)


def test_values_beyond_the_most_are_other() -> None:
    table = pl.DataFrame({"city": ["a"] * 4 + ["b"] * 3 + ["c"] * 2 + ["d"]})
    (found,) = user_groups(table, np.arange(10), ["city"], 3, 1)
    assert found.values == ("a", "b", "other")
    assert np.bincount(found.codes).tolist() == [4, 3, 3]


def test_popularity_groups() -> None:
    found = popularity_groups([0, 60, 10, 10, 10, 5, 5])
    assert found.codes.tolist() == [3, 0, 1, 1, 2, 2, 2]


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"groups": ("sex",)}, ConfigError, "users have no column 'sex'"),
        ({"providers": ("brnd",)}, ConfigError, "did you mean 'brand'"),
        ({"flagged": ("nsfw=1",)}, RequestError, "items have no column 'nsfw'"),
        ({"flagged": ("adult",)}, RequestError, "COLUMN OPERATOR VALUE"),
        ({"protected": ("years<18",)}, ConfigError, "users have no column 'years'"),
        ({"worth": "cost"}, ConfigError, "no column 'cost'"),
        ({"worth": "brand"}, DataError, "holds no number"),
    ],
)
def test_bad_settings_fail_before_anything_is_fitted(data: Dataset, settings, error, said) -> None:
    with pytest.raises(error, match=said):
        run_on(data, AuditConfig(**settings))


def test_the_file_of_settings(tmp_path: Path) -> None:
    file = tmp_path / "audit.toml"
    file.write_text('groups = ["gender"]\npropensity_floor = 0.1\n')
    assert load_audit(file) == AuditConfig(groups=("gender",), propensity_floor=0.1)
    for text, said in (
        ("group = []", "did you mean 'groups'"),
        ("seeds = 0", "seeds = 0"),
        ("permutations = 5", "permutations = 5"),
        ("groups = ", "not TOML"),
    ):
        file.write_text(text)
        with pytest.raises(ConfigError, match=said):
            load_audit(file)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_audit(tmp_path / "nothing.toml")
