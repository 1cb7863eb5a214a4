from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuserec.fusion.candidates import CandidateTable
from fuserec.fusion.cohorts import ITEM_COHORTS, QUERY_COHORTS
from fuserec.fusion.search import FEW, FLOOR, SHRINK, BlendWeights, Objective, constants, learn, singles
from fuserec.run import RunOptions

RUN = RunOptions(threads=1)
HEAD = np.full(50, ITEM_COHORTS.index("head"), np.int8)
ZERO = np.zeros(len(ITEM_COHORTS))


def table(queries, *, cohorts=None, scale=1.0):
    """Build a table from one list a query of (item, part scores with None where it abstains, is target)."""
    rows = [row for query in queries for row in query]
    scores = np.array([[np.nan if s is None else s for s in r[1]] for r in rows], np.float32)
    target = np.array([r[2] for r in rows], dtype=bool)
    n_parts = scores.shape[1]
    return CandidateTable(
        np.concatenate([[0], np.cumsum([len(q) for q in queries])]).astype(np.int64),
        np.array([r[0] for r in rows], np.int32),
        np.nan_to_num(scores),
        ~np.isnan(scores),
        target,
        np.ones(len(queries), np.int8) if cohorts is None else np.array(cohorts, np.int8),
        np.array([sum(r[2] for r in q) for q in queries], np.int64),
        np.full((len(queries), n_parts), scale, np.float32),
        tuple(f"part {p}" for p in range(n_parts)),
    )


def gain(t, weights, offsets=ZERO, cohorts=HEAD, depth=10):
    return Objective(t, cohorts, depth, 1)(
        np.array(weights, float), np.array(offsets, float), np.arange(len(t))
    )


def test_ndcg_by_hand():
    t = table([[(0, (3.0,), False), (1, (2.0,), True), (2, (1.0,), False)]])
    assert gain(t, [1.0]) == pytest.approx(1 / np.log2(3))


def test_equal_scores_share_their_mean_rank():
    t = table([[(0, (1.0,), True), (1, (1.0,), False), (2, (1.0,), False)]])
    assert gain(t, [1.0]) == pytest.approx(1 / np.log2(3))


def test_several_targets_are_measured_against_the_ideal():
    t = table([[(0, (3.0,), True), (1, (2.0,), False), (2, (1.0,), True)]])
    assert gain(t, [1.0]) == pytest.approx((1 + 1 / np.log2(4)) / (1 + 1 / np.log2(3)))
    assert gain(t, [1.0], depth=2) == pytest.approx(1 / (1 + 1 / np.log2(3)))


def test_a_part_that_abstains_is_no_zero():
    """Part 0 does not know item 1; by part 1 alone it is best, so it stays best however strong part 0 is."""
    t = table([[(0, (9.0, 1.0), False), (1, (None, 10.0), True)]])
    assert gain(t, [0.5, 0.5]) == 1.0
    drowned = table([[(0, (9.0, 1.0), False), (1, (0.0, 9.5), True)]])
    assert gain(drowned, [0.5, 0.5]) < 1.0


def test_a_candidate_nobody_knows_is_last():
    t = table([[(0, (-5.0,), False), (1, (None,), True)]])
    assert gain(t, [1.0]) == pytest.approx(1 / np.log2(3))


def test_offsets_lift_a_cohort():
    cohorts = HEAD.copy()
    cohorts[1] = ITEM_COHORTS.index("cold")
    t = table([[(0, (2.0,), False), (1, (1.5,), True)]])
    assert gain(t, [1.0], [0.4, 0, 0], cohorts) < 1
    assert gain(t, [1.0], [0.6, 0, 0], cohorts) == 1


def test_constants_are_the_mean_of_the_cohort_pulled_to_that_of_all():
    t = table([[(0, (1.0,), True)]] * 4, cohorts=[1, 1, 2, 2])
    t.scale[:, 0] = [2, 4, np.nan, 6]
    found = constants(t)
    overall = 4.0
    assert found[0, 0] == pytest.approx(overall)
    assert found[1, 0] == pytest.approx((2 + 4 + SHRINK * overall) / (2 + SHRINK))
    assert found[2, 0] == pytest.approx((6 + SHRINK * overall) / (1 + SHRINK))


def random_table(seed, n=40, parts=3, size=12, signal=(2.0, 1.0, 0.0)):
    rng = np.random.default_rng(seed)
    queries = []
    for _ in range(n):
        items = rng.permutation(50)[:size]
        target = int(rng.integers(size))
        rows = []
        for c in range(size):
            scores = [float(rng.normal() + (signal[p] if c == target else 0)) for p in range(parts)]
            heard = [s if rng.random() < 0.9 else None for s in scores]
            rows.append((int(items[c]), tuple(heard), c == target))
        queries.append(rows)
    return table(queries, cohorts=rng.integers(0, 3, n))


@given(st.integers(0, 10_000), st.lists(st.floats(0, 2), min_size=3, max_size=3))
@settings(max_examples=15, deadline=None)
def test_never_below_the_best_part_on_validation(seed, signal):
    t = random_table(seed, n=80, signal=signal)  # from FEW targets on
    cohorts = (np.arange(50) % 3).astype(np.int8)
    found = learn(t, cohorts, RUN)
    alone = singles(t, cohorts, RUN)
    assert reached(t, found, cohorts) >= max(alone.values()) - 1e-12
    assert set(alone) == set(t.names)
    np.testing.assert_allclose(found.weights.sum(axis=1), 1.0)
    assert (found.weights >= 0).all()
    assert found.offsets[ITEM_COHORTS.index("head")] == 0


def reached(t, found: BlendWeights, cohorts):
    objective = Objective(t, cohorts, 10, 1)
    gains = [
        objective.gains(found.weights[c], found.offsets, np.flatnonzero(t.cohorts == c)).sum()
        for c in range(len(QUERY_COHORTS))
    ]
    return sum(gains) / len(t)


def test_two_halves_are_better_than_each():
    """Each part ranks by half of what counts: their sum is right, each alone is not."""
    rng = np.random.default_rng(0)
    queries = []
    for _ in range(60):
        halves = rng.normal(size=(15, 2))
        best = int(halves.sum(axis=1).argmax())
        queries.append([(c, tuple(halves[c].tolist()), c == best) for c in range(15)])
    t = table(queries)
    found = learn(t, HEAD, RUN)
    assert reached(t, found, HEAD) > max(singles(t, HEAD, RUN).values()) + 0.1
    assert abs(found.weights[1, 0] - 0.5) < 0.1


def test_an_offset_is_learnt_where_a_cohort_is_scored_too_low_and_only_there():
    """Cold items are always taken but stand a little lower: an offset mends it. Without such, it stays 0."""
    cohorts = HEAD.copy()
    cohorts[25:] = ITEM_COHORTS.index("cold")
    rng = np.random.default_rng(1)
    low = [
        [(i, (float(rng.random()),), False) for i in range(10)] + [(30, (float(rng.random()) - 0.5,), True)]
        for _ in range(80)
    ]
    assert learn(table(low), cohorts, RUN).offsets[0] > 0.2
    fair = [[(i, (float(rng.random()),), i == 4) for i in range(30, 40)] for _ in range(80)]
    fair = [[(i, s, j == k % 10) for j, (i, s, _) in enumerate(q)] for k, q in enumerate(fair)]
    assert abs(learn(table(fair), cohorts, RUN).offsets[0]) <= 0.1


def test_noise_teaches_no_offset():
    """Cold items are taken as often as any and scored alike; what 80 queries seem to say of them is luck."""
    cohorts = HEAD.copy()
    cohorts[25:] = ITEM_COHORTS.index("cold")
    learnt = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        queries = [
            [(i, (float(rng.random()),), i == target) for i in range(20, 30)]
            for target in rng.integers(20, 30, 80)
        ]
        learnt.append(learn(table(queries), cohorts, RUN).offsets[0])
    assert np.count_nonzero(learnt) <= 1
    assert np.abs(learnt).max() < 0.5


def test_few_targets_shrink_an_offset():
    cohorts = HEAD.copy()
    cohorts[25:] = ITEM_COHORTS.index("cold")
    rng = np.random.default_rng(1)

    def offset(n):
        low = [
            [(i, (float(rng.random()),), False) for i in range(10)]
            + [(30, (float(rng.random()) - 0.5,), True)]
            for _ in range(n)
        ]
        return learn(table(low), cohorts, RUN).offsets[0]

    few, many = offset(20), offset(10 * SHRINK)
    assert 0 < few < 2.5 * 20 / (20 + SHRINK)
    assert many > 0.8


def of_cohorts(n):
    """Short histories are told by part 0, long ones by part 1."""
    rng = np.random.default_rng(2)
    queries, cohorts = [], []
    for q in range(2 * n):
        noise = (6 * rng.random(12)).tolist()
        useful = [3.0 if c == q % 12 else 0.0 for c in range(12)]
        pair = (useful, noise) if q < n else (noise, useful)
        queries.append([(c, (pair[0][c], pair[1][c]), c == q % 12) for c in range(12)])
        cohorts.append(1 if q < n else 2)
    return table(queries, cohorts=cohorts)


def test_cohorts_with_enough_targets_have_weights_of_their_own():
    found = learn(of_cohorts(SHRINK), HEAD, RUN).weights
    assert found[1, 0] > found[2, 0]
    np.testing.assert_array_equal(found[0], found[3])  # without targets: the global ones


def test_cohorts_with_few_targets_take_the_global_weights():
    found = learn(of_cohorts(SHRINK - 1), HEAD, RUN).weights
    assert len(np.unique(found, axis=0)) == 1


def test_threads_do_not_change_what_is_learnt():
    t = random_table(5, n=300)
    one, many = learn(t, HEAD, RUN), learn(t, HEAD, RunOptions(threads=3))
    np.testing.assert_array_equal(one.weights, many.weights)


def test_words_are_heard_where_they_are_all_there_is():
    t = random_table(
        3, signal=(3.0, 0.0, 0.0)
    )  # histories only: part 0 tells everything, parts 1 and 2 read words
    reads = np.array([False, True, True])
    alone, rest = QUERY_COHORTS.index("none+text"), [c for c in range(6) if QUERY_COHORTS[c] != "none+text"]
    deaf, heard = learn(t, HEAD, RUN), learn(t, HEAD, RUN, reads=reads)
    assert deaf.weights[alone, reads].sum() < 0.5
    assert heard.weights[alone, reads].sum() == pytest.approx(0.5)
    np.testing.assert_allclose(heard.weights[rest], deaf.weights[rest], atol=0.01)
    t.cohorts[:] = alone  # now validation has such queries, and says that words do not help
    assert learn(t, HEAD, RUN, reads=reads).weights[alone, reads].sum() < 0.5


def test_a_part_that_reads_words_keeps_a_floor_of_weight():
    """Without it an item that nobody has taken yet would have no score for anybody with a history."""
    t = random_table(5, signal=(3.0, 3.0, 0.0))
    reads = np.array([False, False, True])
    found = learn(t, HEAD, RUN, reads=reads)
    assert (found.weights[:, 2] >= FLOOR - 1e-9).all()
    np.testing.assert_allclose(found.weights.sum(axis=1), 1.0)


def test_parts_that_read_words_share_one_floor():
    """A second one that brings nothing gets nothing: it would only blur the lists."""
    t = random_table(5, signal=(3.0, 0.0, 0.0))
    found = learn(t, HEAD, RUN, reads=np.array([False, True, True]))
    together = found.weights[:, 1:].sum(axis=1)
    assert (together >= FLOOR - 1e-9).all()
    objective = Objective(t, HEAD, 10, 1, np.array([False, True, True]))
    for weights, wanted in (
        ([1.0, 0.0, 0.0], [1 - FLOOR, FLOOR, 0.0] if objective.keeper == 1 else [1 - FLOOR, 0.0, FLOOR]),
        ([0.99, 0.0, 0.01], [1 - FLOOR, 0.0, FLOOR]),
        ([0.5, 0.5, 0.0], [0.5, 0.5, 0.0]),
    ):
        np.testing.assert_allclose(objective.allowed(np.array(weights)), wanted, atol=1e-12)
    singles_ = [objective(np.eye(3)[p], np.zeros(3), np.arange(len(t))) for p in (1, 2)]
    assert objective.keeper == 1 + int(np.argmax(singles_))


def test_a_dozen_validation_targets_hardly_move_the_weights_from_their_mean():
    t = random_table(7, signal=(3.0, 0.0, 0.0))
    few = CandidateTable(
        t.indptr[:13], t.items[: t.indptr[12]], t.scores[: t.indptr[12]], t.answered[: t.indptr[12]],
        t.target[: t.indptr[12]], t.cohorts[:12], t.n_targets[:12], t.scale[:12], t.names,
    )  # fmt: skip
    weights = learn(few, HEAD, RUN).weights
    assert (weights >= (1 - 12 / FEW) / 3 - 1e-9).all()
    assert learn(t, HEAD, RUN).weights[:, 0].min() > 0.6  # many targets are believed
