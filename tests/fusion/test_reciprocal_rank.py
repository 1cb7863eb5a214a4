from __future__ import annotations

import numpy as np
import pytest
from paper_parts import Paper, asked, form, scores, sums

NAN = np.nan


def test_reciprocal_ranks_are_summed_as_published():
    fused = form("reciprocal_rank", [Paper([[3, 2, 1]]), Paper([[1, 9, 5]])], weights="equal")
    wanted = [1 / 61 + 1 / 63, 1 / 62 + 1 / 61, 1 / 63 + 1 / 62]
    np.testing.assert_allclose(scores(fused), np.array(wanted) / 2, rtol=1e-6)


def test_the_scale_of_a_part_does_not_matter_and_the_constant_does():
    one = form("reciprocal_rank", [Paper([[3, 2, 1]]), Paper([[1, 9, 5]])], weights="equal", constant=1.0)
    other = form(
        "reciprocal_rank", [Paper([[3e4, 2e4, -7e6]]), Paper([[1, 9, 5]])], weights="equal", constant=1.0
    )
    np.testing.assert_allclose(
        scores(one), [(1 / 2 + 1 / 4) / 2, (1 / 3 + 1 / 2) / 2, (1 / 4 + 1 / 3) / 2], rtol=1e-6
    )
    assert scores(one) == scores(other)


def test_a_part_that_abstains_leaves_no_term():
    fused = form("reciprocal_rank", [Paper([[3, NAN, NAN]]), Paper([[1, 2, NAN]])], weights="equal")
    np.testing.assert_allclose(scores(fused), [(1 / 61 + 1 / 62) / 2, 1 / 61 / 2, NAN], rtol=1e-6)
    deaf = form("reciprocal_rank", [Paper([[3, 2, 1]], [False]), Paper([[1, 2, 3]])], weights="equal")
    np.testing.assert_allclose(scores(deaf), [1 / 63 / 2, 1 / 62 / 2, 1 / 61 / 2], rtol=1e-6)


def test_weights_are_the_parts_figures_on_validation():
    parts = [Paper([[2, 1]]), Paper([[1, 2]])]
    fused = form("reciprocal_rank", parts, merits=[0.3, 0.1])
    np.testing.assert_allclose(scores(fused), [0.75 / 61 + 0.25 / 62, 0.75 / 62 + 0.25 / 61], rtol=1e-6)
    assert fused.weights_table()["long"] == {"p0": 0.75, "p1": 0.25}


def test_items_of_the_history_take_no_rank():
    fused = form("reciprocal_rank", [Paper([[9, 8, 7, 6]])])
    without = scores(fused, asked(1, [2], item=0))
    np.testing.assert_allclose(without, [1 / 61, 1 / 61, 1 / 62, 1 / 63], rtol=1e-6)


def test_candidates_have_the_ranks_of_the_whole_catalogue():
    fused = form("reciprocal_rank", [Paper([[9, 8, 7, 6]]), Paper([[1, 4, 2, 3]])], weights="equal")
    found = fused.score(asked(), np.array([3, 1])).values[0]
    np.testing.assert_array_equal(found, np.array(scores(fused), np.float32)[[3, 1]])


def test_evidence_shares_each_term_among_the_rows_of_its_part():
    fused = form(
        "reciprocal_rank",
        [Paper([[3, 2, 1], [1, 1, 1]]), Paper([[-1, 9, NAN], [4, 2, 2]])],
        merits=[2.0, 1.0],
    )
    q = asked(2)
    told, score = sums(fused, q)
    np.testing.assert_allclose(told, score, atol=1e-7)
    rows = fused.evidence(q, np.array([[0], [0]]))[0][0]
    assert [(row.scorer, row.kind, row.method) for row in rows] == [
        ("p0", "item", "attributed"),
        ("p1", "scorer", "scorer"),  # its own rows speak against the item: they cannot be shared out
    ]
    assert rows[1].contribution == pytest.approx(1 / 3 / 62)
