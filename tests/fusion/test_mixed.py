from __future__ import annotations

import numpy as np
from paper_parts import Paper, asked, form, scores, sums

NAN = np.nan


def places(fused, q=None):
    found = np.array(scores(fused, q))
    return [0 if np.isnan(v) else round(1 / v) for v in found]


def test_lists_are_interleaved_best_part_first():
    parts = [Paper([[5, 4, 3, 2, 1]]), Paper([[4, 1, 2, 3, 5]])]
    assert places(form("mixed", parts, merits=[2.0, 1.0])) == [1, 3, 5, 4, 2]
    assert places(form("mixed", parts, merits=[1.0, 2.0])) == [2, 4, 5, 3, 1]


def test_shares_of_turns_follow_validation_where_asked():
    parts = [Paper([np.arange(12)]), Paper([np.arange(12)[::-1]])]
    fused = form("mixed", parts, merits=[3.0, 1.0], turns="validation")
    best = np.argsort(places(fused))[:4]
    assert sorted(best.tolist()) == [0, 9, 10, 11]
    assert fused.weights_table()["none"] == {"p0": 0.75, "p1": 0.25}


def test_history_items_take_no_turn_and_come_last():
    fused = form("mixed", [Paper([[9, 8, 7]]), Paper([[9, 1, 2]])], merits=[2.0, 1.0])
    assert places(fused, asked(1, [1], item=0)) == [3, 1, 2]


def test_what_nobody_knows_has_no_place_and_candidates_keep_theirs():
    fused = form("mixed", [Paper([[1, NAN, 3]]), Paper([[NAN, NAN, 2]])])
    assert places(fused) == [2, 0, 1]
    found = fused.score(asked(), np.array([1, 0]))
    assert found.answered.tolist() == [[False, True]]
    assert found.values[0, 1] == np.float32(0.5)


def test_evidence_is_that_of_the_part_whose_turn_it_was():
    fused = form("mixed", [Paper([[5, 4, 3]]), Paper([[4, 1, 5]])], merits=[2.0, 1.0])
    told, score = sums(fused, asked())
    np.testing.assert_allclose(told, score)
    cells = fused.evidence(asked(), np.array([[0, 1, 2]]))[0]
    assert [[row.scorer for row in cell] for cell in cells] == [["p0"], ["p0"], ["p1"]]
