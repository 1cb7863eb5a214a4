"""What the summary says of a result: no model is called best that was not shown to be, and people are counted right."""

from __future__ import annotations

import pytest

from fuserec.evaluation import wording
from fuserec.evaluation.report import to_html
from fuserec.evaluation.results import (
    Comparison,
    DatasetFacts,
    EvaluationResults,
    ModelResult,
    RoundResult,
    Segment,
)
from fuserec.evaluation.statistics import Difference, Estimate
from fuserec.evaluation.summary import summary
from fuserec.evaluation.texts import CHINESE, ENGLISH


def found(values: dict[str, float], gaps: dict[str, Difference], **more) -> EvaluationResults:
    models = {
        name: ModelResult(metrics={"ndcg@10": Estimate(value, value - 0.01, value + 0.01)}, users=169)
        for name, value in values.items()
    }
    compared = [Comparison(metric="ndcg@10", reference="fused", models=gaps)] if gaps else []
    data = DatasetFacts(users=169, items=90, interactions=4000, fingerprint="f")
    return EvaluationResults(
        dataset=data, split={"kind": "last-out"}, models=models, comparisons=compared, **more
    )


def unsure(gap: float) -> Difference:
    return Difference(gap, gap - 0.004, gap + 0.004, 0.197, 169, p_holm=0.197)


def sure(gap: float) -> Difference:
    return Difference(gap, gap - 0.001, gap + 0.001, 1e-6, 169, p_holm=1e-6)


def test_models_that_cannot_be_told_apart_lead_together():
    results = found(
        {"fused": 0.0743, "content": 0.0731, "popularity": 0.01},
        {"content": unsure(-0.0012), "popularity": sure(-0.0643)},
    )
    assert summary(results)[0] == (
        "fused and content lead: NDCG@10 0.0743 (95 % interval 0.0643–0.0843) and 0.0731, no difference between them "
        "found, over 169 users."
    )
    assert summary(results, CHINESE)[0] == (
        "fused 和 content 并列领先：NDCG@10 为 0.0743（95% 置信区间 0.0643–0.0843）和 0.0731，两者之间未发现"
        "差异，共 169 名用户。"
    )
    for language in ("en", "zh"):
        page = to_html(results, language)
        assert "is best" not in page
        assert "最好：" not in page


def test_of_many_that_lead_together_some_are_named():
    names = {f"m{at}": 0.07 - at / 1000 for at in range(6)}
    results = found(
        {"fused": 0.0743, **names}, {name: unsure(value - 0.0743) for name, value in names.items()}
    )
    said = summary(results)[0]
    assert said.startswith("fused, m0, m1, m2 and 3 more lead: NDCG@10 0.0743 (95 % interval")
    assert said.endswith(
        "0.0700, 0.0690 and 0.0680, none of them found to differ from fused, over 169 users."
    )
    assert summary(results, CHINESE)[0].startswith("fused、m0、m1、m2 和 另外 3 个 并列领先：")


@pytest.mark.parametrize("p_holm", [1e-6, None])
def test_a_model_that_is_clearly_ahead_is_best(p_holm):
    gap = Difference(-0.03, -0.04, -0.02, 1e-6, 169, p_holm=p_holm)
    results = found({"fused": 0.0743, "content": 0.0443}, {"content": gap})
    assert summary(results)[0].startswith("fused is best: NDCG@10 0.0743 (")
    assert summary(results, CHINESE)[0].startswith("fused 最好：")


def test_a_difference_that_correction_takes_away_makes_nobody_best():
    gap = Difference(-0.003, -0.005, -0.001, 0.03, 169, p_holm=0.09)
    assert "fused and content lead" in summary(found({"fused": 0.07, "content": 0.067}, {"content": gap}))[0]


def test_without_a_test_nobody_is_called_best():
    results = found({"fused": 0.07, "content": 0.067}, {})
    assert summary(results)[0].endswith("over 169 users; it was not tested against content.")
    assert "未经检验" in summary(results, CHINESE)[0]
    assert summary(found({"fused": 0.07}, {}))[0].startswith("fused reaches NDCG@10 0.0700 (")


def of_rounds(queries: tuple[int, ...], hits: float) -> EvaluationResults:
    model = ModelResult(metrics={"ndcg@10": Estimate(0.5), "hit_rate@10": Estimate(hits)}, users=169)
    rounds = [
        RoundResult(name=f"fold {at}", users=n, targets=n, train=9, models={}) for at, n in enumerate(queries)
    ]
    return found({"fused": 0.5}, {}).model_copy(update={"models": {"fused": model}, "rounds": rounds})


def test_questions_of_several_rounds_are_counted_as_questions():
    few = of_rounds((139, 100), 0.866)
    assert "In 207 of 239 questions the first 10 shown hold an item that was chosen next." in summary(few)
    assert "239 次查询中有 207 次，前 10 个推荐中有用户随后选择的物品。" in summary(few, CHINESE)
    many = of_rounds((139, 2000), 0.866)
    assert "In 866 of 1,000 questions the first 10 shown hold an item that was chosen next." in summary(many)
    assert "每 1,000 次查询中有 866 次，前 10 个推荐中有用户随后选择的物品。" in summary(many, CHINESE)
    assert not any("of 1,000 users" in line for line in summary(many, ENGLISH))


@pytest.mark.parametrize(
    ("p", "said"),
    [(0.0, "< 0.001"), (1e-9, "< 0.001"), (0.0009996, "< 0.001"), (0.001, "0.001"), (0.0012, "0.001")],
)
def test_a_small_p_is_not_written_as_none(p, said):
    assert wording.p_value(p) == said
    assert wording.probability(p) == ("p < 0.001" if said == "< 0.001" else "p = 0.001")
    assert wording.figure("group_gap_p:ndcg@10", p) == said
    gap = Difference(-0.01, -0.02, -0.005, p, 9, p_holm=p)
    assert wording.compared("ndcg@10", gap) == ("−0.0100", "−0.0200 to −0.0050", said)
    for language in ("en", "zh"):
        page = to_html(found({"fused": 0.07, "content": 0.06}, {"content": gap}), language)
        assert ">0.000<" not in page
        assert page.count(said.replace("<", "&lt;")) >= 2  # as it is, and corrected


def test_nothing_has_no_minus():
    assert wording.figure("ndcg@10", -0.00001) == "0.0000"
    assert wording.figure("novelty", -0.001) == "0.00"
    assert wording.figure("coverage", -0.0001) == "0.0 %"
    assert wording.figure("ndcg@10", -0.0001) == "−0.0001"
    assert wording.signed("ndcg@10", Difference(-0.00001, -0.001, 0.001, 0.9, 9)) == "0.0000"
    assert wording.signed("ndcg@10", Difference(0.0, 0.0, 0.0, 1.0, 9)) == "0.0000"
    assert wording.tick("ndcg@10", -0.0) == "0"
    assert wording.tick("ndcg@10", -0.5) == "−0.5"


def test_a_range_below_zero_can_be_read():
    below, above = Estimate(-0.52, -0.54, -0.51), Estimate(0.52, 0.51, 0.54)
    assert wording.interval("ndcg@10", below) == "−0.5400 to −0.5100"
    assert wording.interval("ndcg@10", below, CHINESE) == "−0.5400 至 −0.5100"
    assert wording.interval("ndcg@10", Estimate(0.0, -0.1, 0.1)) == "−0.1000 to 0.1000"
    assert (
        wording.interval("ndcg@10", above) == wording.interval("ndcg@10", above, CHINESE) == "0.5100–0.5400"
    )
    model = ModelResult(metrics={"ndcg@10": Estimate(0.07), "group_gap:ndcg@10": below}, users=169)
    results = found({"fused": 0.07}, {}).model_copy(update={"models": {"fused": model}})
    assert "−0.5400 至 −0.5100" in to_html(results, "zh")


@pytest.mark.parametrize(("long", "said"), [(0.06, True), (0.09, False)])
def test_least_well_is_who_stands_below_the_whole(long, said):
    parts = {"query:long": Segment(users=100, metrics={"ndcg@10": Estimate(long)})}
    parts["target:head"] = Segment(users=120, metrics={"ndcg@10": Estimate(0.2)})
    parts["query:short"] = Segment(users=3, metrics={"ndcg@10": Estimate(0.0)})  # too few to be named
    results = found({"fused": 0.0743}, {})
    whole = results.models["fused"].model_copy(update={"segments": parts})
    told = " ".join(summary(results.model_copy(update={"models": {"fused": whole}})))
    assert ("least well on users with a long history" in told) is said
    assert ("least well" in told) is said
