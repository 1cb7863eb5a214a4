"""Objectives: what a text means, what its sums come to, and where an error points."""

from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuserec.errors import ConfigError
from fuserec.tuning.formula import Formula, Linear


def test_a_sum_with_limits() -> None:
    found = Formula.parse(
        "ndcg@10 + 0.1*ild@10 subject to coverage@10 >= 0.3 and novelty@10 <= 12, ild@5 >= 0"
    )
    assert [str(aim) for aim in found.aims] == ["ndcg@10 + 0.1*ild@10"]
    assert [str(limit) for limit in found.limits] == ["coverage@10 >= 0.3", "novelty@10 <= 12", "ild@5 >= 0"]
    assert found.metrics == ("ndcg@10", "ild@10", "coverage@10", "novelty@10", "ild@5")
    figures = {"ndcg@10": 0.2, "ild@10": 0.5, "coverage@10": 0.25, "novelty@10": 12.5, "ild@5": 0.1}
    assert found.values(figures) == pytest.approx([0.25])
    assert found.excesses(figures) == pytest.approx([0.05, 0.5, -0.1])
    assert not found.holds(figures)
    assert found.holds({**figures, "coverage@10": 0.3, "novelty@10": 12})


def test_commas_before_the_limits_make_aims() -> None:
    found = Formula.parse("ndcg@10, ild@10 SUBJECT TO coverage@10 >= 0.3")
    assert found.values({"ndcg@10": 1, "ild@10": 2, "coverage@10": 0}) == [1, 2]
    assert len(found.limits) == 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.5*(ndcg@10 + recall@10) - (2 - 1)", 0.5 * (0.3 + 0.6) - 1),
        ("ndcg@10/2 + recall@10*2 - - 1e-1", 0.15 + 1.2 + 0.1),
        ("-(ndcg@10 - recall@10)", 0.3),
        ("2 * 3 * ndcg@10 - .5", 1.3),
        ("ndcg@10 + recall@10 - ndcg@10", 0.6),
    ],
)
def test_sums_worked_out_by_hand(text: str, value: float) -> None:
    aim = Formula.parse(text).aims[0]
    assert aim.value({"ndcg@10": 0.3, "recall@10": 0.6}) == pytest.approx(value)


def test_both_sides_of_a_limit_may_have_metrics() -> None:
    (limit,) = Formula.parse("ndcg@10 subject to 2*ild@10 + 1 <= novelty@10 + 3").limits
    assert str(limit) == "2*ild@10 - novelty@10 <= 2"
    assert limit.excess({"ild@10": 1.0, "novelty@10": 3.0}) == pytest.approx(2 - 3 - 2)


def test_one_metric_alone_is_single() -> None:
    assert Formula.parse(" NDCG@10 ").single == "ndcg@10"
    for text in ("2*ndcg@10", "ndcg@10 + 1", "ndcg@10, recall@10", "ndcg@10 subject to ild@10 >= 0"):
        assert Formula.parse(text).single is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "ndcg@10 + ndgc@10",
            "at character 11 (ndcg@10 + ⟨here⟩ndgc@10): no metric 'ndgc'; did you mean 'ndcg'?",
        ),
        ("ndcg@ten", "at character 1 (⟨here⟩ndcg@ten): metric 'ndcg@ten': after @"),
        (
            "ndcg@10 +",
            "at character 10 (ndcg@10 +⟨here⟩): a metric, a number or ( has to stand here, not the end",
        ),
        ("ndcg@10 $ 2", "at character 9 (ndcg@10 ⟨here⟩$ 2): '$' is no number, metric or sign"),
        ("ndcg@10 ild@10", "'ild@10' is not expected here"),
        ("ndcg@10 >= 0.3", "'>=' is not expected here (a limit stands behind `subject to`)"),
        ("ndcg@10 subject coverage@10 >= 1", "after `subject` stands `to`, not 'coverage@10'"),
        ("ndcg@10 subject to coverage@10", "a limit compares with >= or <=, not the end"),
        ("ndcg@10 subject to 1 >= 2", "this limit names no metric"),
        ("ndcg@10 * ild@10", "metrics are added, not multiplied"),
        ("1 / ndcg@10", "has to be a number other than 0"),
        ("ndcg@10 / 0", "has to be a number other than 0"),
        ("(ndcg@10 + ild@10", "the bracket is not closed: ) is missing before the end"),
        ("", "a metric, a number or ( has to stand here, not the end"),
        ("0.5", "0.5 names no metric"),
        ("ndcg@10 - ndcg@10", "0 names no metric"),
        ("ndcg@10 + rmse", "of rmse less is better: write - rmse"),
        ("(" * 500 + "ndcg@10" + ")" * 500, "nested more than 20 deep"),
        ("-" * 500 + "ndcg@10", "nested more than 20 deep"),
        ("ndcg@10" + " " * 2000, "at most 2,000 are read"),
    ],
)
def test_what_cannot_be_read_is_pointed_at(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        Formula.parse(text)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


numbers = st.floats(-9, 9).map(lambda x: round(x, 3)).filter(lambda x: x != 0)


@given(
    st.lists(st.tuples(st.sampled_from(["ndcg@10", "ild@5", "novelty@20"]), numbers), min_size=1, max_size=6),
    numbers,
)
def test_what_is_written_is_read_back(terms: list[tuple[str, float]], constant: float) -> None:
    whole = Linear((), constant)
    for metric, factor in terms:
        whole = whole.plus(Linear(((metric, factor),)))
    figures = {"ndcg@10": 0.25, "ild@5": 0.75, "novelty@20": 11.0}
    if not whole.factors:
        return
    again = Formula.parse(str(whole)).aims[0]
    assert math.isclose(again.value(figures), whole.value(figures), rel_tol=1e-4, abs_tol=1e-3)


@given(st.text(alphabet="ndcg@10ild+-*/(), >=<.\n", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ConfigError):
        assert Formula.parse(text).aims
