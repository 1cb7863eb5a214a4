from __future__ import annotations

import numpy as np
from paper_parts import Paper, asked, form, scores, sums

NAN = np.nan


def test_later_parts_break_ties_and_nothing_else():
    # Steps of a half: 2, 2, 0 and 4 for the first part.
    parts = [Paper([[1.0, 1.1, 0.2, 2.0]]), Paper([[0.0, 0.5, 2.0, 0.0]])]
    found = scores(form("cascade", parts, merits=[2.0, 1.0], levels=2, stages=2))
    base = 2 * 2 + 1
    # In steps: 2 + 0/5, 2 + 1/5, 0 + 4/5, 4 + 0/5; a step is half of the constant.
    np.testing.assert_allclose(found, [1.0, (2 + 1 / base) / 2, (4 / base) / 2, 2.0], rtol=1e-6)


def test_the_last_stage_is_not_rounded():
    parts = [Paper([[1.0, 1.1, 0.9]]), Paper([[1.0, 1.0, 1.1]]), Paper([[0.3, 0.31, 0.0]])]
    order = np.argsort(-np.array(scores(form("cascade", parts, merits=[3.0, 2.0, 1.0], levels=2, stages=3))))
    assert order.tolist() == [1, 0, 2]  # the second part's 1.0 and 1.1 are one step too: the third decides
    alone = form("cascade", parts, merits=[3.0, 2.0, 1.0], levels=2, stages=1)
    np.testing.assert_allclose(scores(alone), [1.0, 1.1, 0.9], rtol=1e-6)


def test_a_tie_broken_never_lifts_over_a_step():
    rng = np.random.default_rng(0)
    parts = [Paper(rng.random((1, 200))), Paper(50 * rng.random((1, 200)) - 10), Paper(rng.random((1, 200)))]
    fused = form("cascade", parts, merits=[3.0, 2.0, 1.0])
    found = np.array(scores(fused))
    steps = np.round(20 * parts[0].values[0])
    assert np.all(np.diff(steps[np.argsort(-found)]) <= 0)


def test_what_the_first_part_does_not_know_comes_below_all_it_does():
    parts = [Paper([[NAN, -3.0, NAN, 0.5]]), Paper([[2.0, 1.0, 0.1, NAN]]), Paper([[1.0, 1.0, 5.0, 1.0]])]
    found = np.array(scores(form("cascade", parts, merits=[3.0, 2.0, 1.0])))
    assert np.argsort(-found).tolist() == [3, 1, 0, 2]


def test_a_query_that_the_first_part_cannot_answer_is_ranked_by_the_next():
    parts = [Paper([[1, 2, 3]], [False]), Paper([[3, 2, 1]])]
    fused = form("cascade", parts, merits=[2.0, 1.0])
    np.testing.assert_allclose(scores(fused), [3, 2, 1])
    told, score = sums(fused, asked())
    np.testing.assert_allclose(told, score)


def test_evidence_sums_and_names_the_stages():
    parts = [Paper([[1.0, NAN, 0.2]]), Paper([[0.5, 0.5, 2.0]]), Paper([[0.1, 0.7, NAN]])]
    fused = form("cascade", parts, merits=[3.0, 2.0, 1.0])
    told, score = sums(fused, asked())
    np.testing.assert_allclose(told, score, atol=1e-5)
    first, late, _ = fused.evidence(asked(), np.array([[0, 1, 2]]))[0]
    assert [row.scorer for row in first] == ["p0", "p1", "p2"]
    assert [row.scorer for row in late] == ["p1", "fused", "p2"]
    assert (late[1].kind, late[1].key) == ("offset", "late")


def test_the_weights_shown_are_what_a_step_of_each_stage_is_worth():
    parts = [Paper([[1, 2]]), Paper([[1, 2]]), Paper([[1, 2]])]
    shown = form("cascade", parts, merits=[1.0, 3.0, 2.0], levels=12, stages=2).weights_table()["short"]
    assert shown == {"p0": 0.0, "p1": 1.0, "p2": 0.04}
