"""The page: what is read out of results, the tables, the goals, and what others published."""

from __future__ import annotations

import re

import pytest
from bench.datasets import DATASETS
from bench.published import published
from bench.readings import Board
from made_records import evaluation, record

from bench import choices, goals, latency, page, records, run, sequence_speed

VALUES = {"fused": 0.07, "cooccurrence": 0.06, "popularity": 0.01}


def board(*found):
    return Board("beauty", "last-out", found)


def test_the_fusion_stands_first_and_the_best_next():
    one = record(evaluation(VALUES))
    other = record(evaluation({"user_knn": 0.065}, reference="none"), configuration="alone-user_knn")
    assert [row.model for row in board(one, other).rows()] == [
        "fused",
        "user_knn",
        "cooccurrence",
        "popularity",
    ]
    assert (
        board(one, other).best_part().model == "cooccurrence"
    )  # of the default, not of what stands beside it


def test_a_difference_is_turned_around_with_its_interval():
    gap = board(record(evaluation(VALUES))).lead()
    assert (gap.first, gap.second) == ("fused", "cooccurrence")
    assert gap.difference == pytest.approx(0.01)
    assert (gap.low, gap.high) == pytest.approx((0.008, 0.012))


def test_a_part_above_the_fusion_is_told_only_where_the_interval_says_so():
    assert not board(record(evaluation({"fused": 0.07, "als": 0.071}, half=0.002))).above()
    above = board(record(evaluation({"fused": 0.07, "als": 0.075}, half=0.002))).above()
    assert [gap.first for gap in above] == ["als"]
    assert (
        "**Significantly above `fused`:** `als`"
        in page.comparison(board(record(evaluation({"fused": 0.07, "als": 0.075}, half=0.002))))[0]
    )


def test_a_dataset_has_its_table_its_comparison_and_the_published_figures():
    one = record(evaluation(VALUES))
    text = "\n".join(page.dataset_section(board(one), published()))
    assert "| cooccurrence | yes, 0.25 to 0.50 | 0.1000 [0.0950, 0.1050] | 0.0600 [0.0550, 0.0650] |" in text
    assert "`fused` less `cooccurrence`, its best part" in text
    assert "| SASRec, sampled softmax | 0.0921 | 0.0531 |" in text
    assert "LlamaRec" in text.split("Not comparable")[1]
    assert "LlamaRec" not in text.split("Not comparable")[0]
    assert "A note." in text


def test_a_result_of_older_source_is_marked():
    old = record(evaluation(VALUES), source={"version": "0.1.0", "commit": "abc", "code": "another"})
    assert "(*older code*)" in "\n".join(page.dataset_section(board(old), published()))
    assert "(*" not in "\n".join(page.dataset_section(board(record(evaluation(VALUES))), published()))


def test_every_table_is_well_formed():
    alone = record(evaluation({"user_knn": 0.065}, reference="none"), configuration="alone-user_knn")
    short = record(evaluation({"fused": 0.069}), configuration="5m")
    found = [record(evaluation(VALUES)), alone, short]
    boards = page.boards(found)
    text = "\n".join(
        [
            goals.section(goals.checks(found, None)),
            page.section(found),
            choices.budget_section(boards),
            choices.absent_section(boards),
        ]
    )
    widths: list[int] = []
    for line in text.split("\n"):
        widths = [*widths, line.count("|")] if line.startswith("|") else []
        assert len(set(widths)) <= 1, line
    assert not re.search(r"\bnan\b|None", text)


def test_the_loss_by_a_budget_is_a_share_and_bold_where_it_is_too_much():
    whole = record(evaluation(VALUES))
    good = record(evaluation({"fused": 0.068}), configuration="5m")
    bad = record(evaluation({"fused": 0.060}), configuration="5m")
    assert board(whole, good).loss() == pytest.approx(0.02 / 0.7)
    assert "| 299 | 2.9% |" in choices.budget_section([board(whole, good)])
    assert "| **14.3%** |" in choices.budget_section([board(whole, bad)])


def test_why_a_scorer_is_absent_follows_from_the_figures():
    whole = record(evaluation(VALUES))
    weak = record(evaluation({"user_knn": 0.03}, reference="none"), configuration="alone-user_knn")
    text = choices.absent_section([board(whole, weak)])
    assert "alone below the default's best part on 1 of 1 datasets" in text
    assert "(0.0300 against 0.0600 of `cooccurrence`: 50%)" in text
    strong = record(evaluation({"user_knn": 0.065}, reference="none"), configuration="alone-user_knn")
    assert "an open case" in choices.absent_section([board(whole, strong)])


@pytest.mark.parametrize(("gain", "verdict"), [(0.0005, "no gain"), (0.004, "a gain on Amazon Beauty")])
def test_an_addition_is_judged_by_its_interval(gain, verdict):
    values = {"default": 0.07, "with-user_knn": 0.07 + gain}
    added = record(evaluation(values, reference="default", half=0.001), configuration="with-user_knn")
    text = choices.absent_section([board(record(evaluation(VALUES)), added)])
    assert "added to the default it changes NDCG@10" in text
    assert verdict in text


def test_goals_hold_fail_or_are_not_measured():
    seen = {check.what: check for check in goals.checks([record(evaluation(VALUES))], None)}
    assert seen["Amazon Beauty, `fused`, NDCG@10"].holds is False
    assert seen["Amazon Beauty, fit of `fused`"].holds is True
    assert seen["Amazon Sports, `fused`, NDCG@10"].holds is None
    assert seen["Amazon Beauty, last-out, NDCG@10"].holds is True
    better = record(evaluation({"fused": 0.072, "cooccurrence": 0.06}))
    seen = {check.what: check for check in goals.checks([better], None)}
    assert seen["Amazon Beauty, `fused`, NDCG@10"].holds is True


def test_the_goal_of_a_scorer_alone_takes_the_best_part_that_it_stands_behind():
    values = {"fused": 0.08, "deep": 0.055, "deeper": 0.05, "cooccurrence": 0.06}
    scorers = {"deep": "sequence", "deeper": "sequence", "cooccurrence": "cooccurrence"}
    found = goals.checks([record(evaluation(values, scorers=scorers))], None)
    (check,) = [c for c in found if c.what == "Amazon Beauty, `deep` alone, NDCG@10"]
    assert check.holds is True


@pytest.mark.parametrize(("ratio", "holds"), [(2.1, True), (1.9, False)])
def test_the_goal_of_training(ratio, holds):
    found = goals.checks([], {"ratio": ratio, "lowest": 1.5, "highest": 2.5})
    (check,) = [c for c in found if c.what.startswith("Training")]
    assert check.holds is holds


@pytest.mark.parametrize(("p99", "holds"), [(9.9, True), (10.1, False)])
def test_the_goal_of_a_request(p99, holds):
    found = {"p50_ms": 1.0, "p90_ms": 2.0, "p99_ms": p99, "requests": 5, "parts": ["als"], "commit": "abc"}
    p50, slow = (c for c in goals.checks([], latency=found) if "`recommend` in process" in c.what)
    assert (p50.holds, slow.holds) == (True, holds)
    assert f"| 1.00 ms | 2.00 ms | {p99:.2f} ms |" in latency.section(found)


def test_the_published_figures_are_well_formed():
    table = published()
    known = {f"{key}-{split}" for key, source in DATASETS.items() for split in source.splits}
    assert {figure.on for figure in table.figure} <= set(table.protocol) <= known
    assert {on for beside in table.beside for on in beside.on} <= known
    named = [(figure.on, figure.model) for figure in table.figure]
    assert len(set(named)) == len(named)
    assert all("|" not in f"{f.model}{f.source}" for f in table.figure)
    assert all(figure.ndcg is None or figure.ndcg < figure.recall for figure in table.figure)


def test_the_ratio_of_a_training_is_that_of_its_pairs():
    found = sequence_speed.ratios([(1.0, 2.0), (1.0, 3.0), (2.0, 5.0)])
    assert (found["ratio"], found["lowest"], found["highest"]) == (2.5, 2.0, 3.0)
    assert sequence_speed.ratios([(None, 2.0), (None, 4.0)])["ratio"] is None


def test_histories_of_the_training_are_full_and_without_the_last_event():
    sequences = [list(range(i, i + 60)) for i in range(300)] + [[1, 2, 3]]
    rows = sequence_speed.fixed_histories(sequences, 2)
    assert rows.shape == (256, 51)
    assert all(row[-1] - row[0] == 50 for row in rows)
    assert all(row[-1] + 1 in {sequence[-1] for sequence in sequences} for row in rows)
    with pytest.raises(ValueError, match="384 histories"):
        sequence_speed.fixed_histories(sequences, 3)


def test_ratings_stand_with_gaps_where_nothing_was_measured_and_with_differences():
    found = {
        "commit": "abc",
        "models": {"svd": {"random": 0.9, "u1": 0.91, "fit_s": 1.0}, "pair": {"random": 0.95, "fit_s": 60.0}},
        "differences": {"svd:pair": {"random": [-0.05, -0.06, -0.04]}},
    }
    lines = page.ratings_section(found, ["random", "u1", "fit_s"]).splitlines()
    assert "| svd | 0.9000 | 0.9100 | 1.0000 |" in lines
    assert "| pair | 0.9500 |  | 60.0000 |" in lines
    assert "| svd less pair | random | -0.0500 | -0.0600 to -0.0400 |" in lines


def test_the_page_can_be_rendered_from_what_is_kept():
    shown = (records.RESULTS.parents[1] / "BENCHMARKS.md").read_text(encoding="utf-8")
    heads = {line for line in shown.splitlines() if line.startswith("## ")}
    again = {line for line in run.render(records.read_all()).splitlines() if line.startswith("## ")}
    assert again == heads
