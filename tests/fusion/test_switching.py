from __future__ import annotations

import numpy as np
import pytest
from paper_parts import Paper, Reader, asked, form, held_out, scores, sums

from fuserec.fusion.budget import Spending
from fuserec.fusion.cohorts import QUERY_COHORTS
from fuserec.fusion.config import FusionConfig
from fuserec.fusion.learning import teach
from fuserec.fusion.merits import merits
from fuserec.fusion.switching import Switching
from fuserec.run import RunOptions

NAN = np.nan
RUN = RunOptions(seed=3, threads=1)


def test_the_best_part_alone_speaks():
    parts = [Paper([[1, 2, 3]]), Paper([[8, 4, 2]])]
    assert scores(form("switching", parts, merits=[0.1, 0.2], constants=[1.0, 4.0])) == [2.0, 1.0, 0.5]
    assert scores(form("switching", parts, merits=[0.3, 0.2], constants=[1.0, 4.0])) == [1.0, 2.0, 3.0]


def test_each_cohort_has_its_own_part():
    fused = form("switching", [Paper([[1, 0]] * 2), Paper([[0, 1]] * 2)])
    fused._merits[QUERY_COHORTS.index("long")] = [0.1, 0.9]
    found = fused.score(asked(2, [1, 6])).values
    assert found.tolist() == [[1, 0], [0, 1]]
    assert fused.weights_table()["long"] == {"p0": 0.0, "p1": 1.0}


def test_where_the_chosen_part_abstains_the_next_one_speaks():
    parts = [Paper([[5, NAN, NAN]] * 2, [True, False]), Paper([[2, 4, NAN]] * 2), Paper([[1, 1, 7]] * 2)]
    found = form("switching", parts, merits=[3.0, 2.0, 1.0], constants=[1.0, 2.0, 7.0]).score(asked(2))
    assert found.values.tolist() == [[5, 2, 1], [1, 2, 1]]
    assert found.answered.all()


def test_evidence_is_that_of_the_part_that_speaks():
    fused = form("switching", [Paper([[5, NAN]]), Paper([[2, 4]])], merits=[2.0, 1.0], constants=[2.0, 2.0])
    cells = fused.evidence(asked(), np.array([[0, 1]]))[0]
    assert [[(r.scorer, r.contribution, r.method) for r in cell] for cell in cells] == [
        [("p0", 2.5, "exact")],
        [("p1", 2.0, "exact")],
    ]
    told, score = sums(fused, asked())
    np.testing.assert_allclose(told, score)


def planted(n=700, m=30):
    """Short histories are known to part 0, long ones to part 1; part 2 reads words and is always half right."""
    rng = np.random.default_rng(0)
    histories = [[u % m] if u % 2 else [(u + i) % m for i in range(8)] for u in range(n)]
    targets = [(u + 11) % m for u in range(n)]
    good, noise = np.zeros((n, m)), rng.random((3, n, m))
    good[np.arange(n), targets] = 1.0
    short = (np.arange(n) % 2 == 1)[:, None]
    values = [
        noise[0] + np.where(short, 2.0, 0.1) * good,
        noise[1] + np.where(short, 0.0, 2.0) * good,
        noise[2] + 0.5 * good,
    ]
    parts = {"one": Paper(values[0]), "two": Paper(values[1]), "words": Reader(values[2])}
    return held_out(histories, targets, m), parts


def test_cohorts_are_switched_to_the_part_that_is_best_for_them():
    held, parts = planted()
    fused = Switching(FusionConfig(tune=False), parts).taught(held, RUN)
    table = fused.weights_table()
    assert table["short"]["one"] == table["long"]["two"] == 1.0
    figures = fused.learnt.figures
    assert figures["fused"] > 1.2 * max(figures["one"], figures["two"])


def test_words_alone_are_read_by_a_part_that_reads():
    held, parts = planted()
    fused = Switching(FusionConfig(tune=False), parts).taught(held, RUN)
    assert fused.weights_table()["none+text"]["words"] == 1.0


def test_a_cohort_with_few_queries_follows_all_queries():
    held, parts = planted()
    few = held.take(np.concatenate([np.flatnonzero(held.queries.lengths == 1), [0, 2, 4]]))
    lesson = teach(parts, few, FusionConfig(tune=False), RUN)
    rows = merits(lesson, 10, 1)
    assert rows[QUERY_COHORTS.index("long")].argmax() == 0
    assert rows[QUERY_COHORTS.index("none")] == pytest.approx(rows[QUERY_COHORTS.index("long+text")])


def test_a_part_that_no_cohort_is_switched_to_is_left_out():
    held, parts = planted()
    fused = Switching(FusionConfig(tune=False), {**parts, "never": Paper(np.zeros((700, 30)))}).taught(
        held, RUN
    )
    fused._drop_unused(Spending(None))
    assert list(fused.parts) == ["one", "two", "words"]
    assert fused.score(held.queries.take(np.arange(4))).answered.all()
