from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_ratings import RUN, dataset, events, random_dataset, rated_queries

from fuserec.data.query import QueryBatch
from fuserec.scorers.als import ImplicitALS, ImplicitALSConfig

SCORER = ImplicitALS(
    ImplicitALSConfig(embedding_dim=8, regularization=2.0, alpha=5.0, recency=0.9, iterations=30)
)


def exact_scores(fitted, items, confidences):
    """Return the scores of a history by the normal equations of the paper (eq. 4), in float64."""
    y = fitted._factors.astype(np.float64)
    mine = y[items]
    system = y.T @ y + fitted.config.regularization * np.eye(y.shape[1])
    system += mine.T @ (mine * (np.array(confidences) - 1)[:, None])
    return y @ np.linalg.solve(system, mine.T @ confidences)


def test_a_history_is_solved_exactly():
    fitted = SCORER.fit(random_dataset(1), None, RUN)
    values = fitted.score(QueryBatch.of_histories([[4, 9, 2]])).values[0]
    expected = exact_scores(fitted, [4, 9, 2], [6 * 0.81, 6 * 0.9, 6.0])
    np.testing.assert_allclose(values, expected, atol=1e-5)


def test_repeats_add_up_to_at_most_one_and_keep_their_newest_place():
    fitted = SCORER.fit(random_dataset(1), None, RUN)
    q = QueryBatch.of_histories([[4, 9, 4]]).with_weights(np.array([0.4, 0.5, 0.3]))
    expected = exact_scores(fitted, [4, 9], [1 + 5 * 0.7, (1 + 5 * 0.5) * 0.9])
    np.testing.assert_allclose(fitted.score(q).values[0], expected, atol=1e-5)
    often = fitted.score(QueryBatch.of_histories([[4, 4, 4]])).values
    np.testing.assert_allclose(often, fitted.score(QueryBatch.of_histories([[4]])).values, atol=1e-6)


def test_dislikes_and_unknown_items_leave_a_query_unanswered():
    data = random_dataset(1)
    fitted, cold = SCORER.fit(data, None, RUN), data.n_items - 1
    scores = fitted.score(rated_queries([[(0, 1.0)], [(cold, 5.0)], [], [(0, 1.0), (1, 5.0)]]))
    assert scores.queries.tolist() == [False, False, False, True]
    assert not scores.items[cold]
    assert np.all(scores.values[:3] == 0)
    alone = fitted.score(rated_queries([[(1, 5.0)]]))
    np.testing.assert_allclose(scores.values[3], alone.values[0], atol=1e-6)


def test_two_tastes_are_told_apart():
    rows = [(u, i, None) for u in range(20) for i in range(10) if i % 2 == u % 2 and (u + i) % 5]
    fitted = SCORER.fit(dataset(rows), None, RUN)
    values = fitted.score(QueryBatch.of_histories([[0, 2]])).values[0]
    assert values[[4, 6, 8]].min() > values[[1, 3, 5, 7, 9]].max() + 0.2


def test_the_order_of_the_catalogue_changes_nothing():
    data, rng = random_dataset(2), np.random.default_rng(0)
    order, users = rng.permutation(data.n_items), rng.permutation(data.n_users)
    place, user_place = np.argsort(order), np.argsort(users)
    rows = [(int(user_place[u]), int(place[i]), r) for u in range(data.n_users) for i, r in events(data, u)]
    names = data.items.ids()
    shuffled = dataset(sorted(rows), items=[names[i] for i in order], users=[str(u) for u in users])
    one, other = SCORER.fit(data, None, RUN), SCORER.fit(shuffled, None, RUN)
    here = one.score(QueryBatch.of_histories([[1, 2, 5]])).values[0]
    there = other.score(QueryBatch.of_histories([place[[1, 2, 5]]])).values[0]
    np.testing.assert_allclose(there[place], here, atol=2e-3)


def test_evidence_is_the_paper_s_decomposition():
    fitted = SCORER.fit(random_dataset(3), None, RUN)
    q, items = QueryBatch.of_histories([[4, 9, 2], [], [7]]), np.tile(np.arange(30), (3, 1))
    values, rows = fitted.score(q).values, fitted.evidence(q, items)
    for query in range(3):
        for item in range(30):
            total = sum(row.contribution for row in rows[query][item])
            assert abs(total - values[query, item]) <= 1e-5 * max(1.0, abs(values[query, item]))
    assert rows[1][0] == []
    y, c = fitted._factors.astype(np.float64), np.array([6 * 0.81, 6 * 0.9, 6.0])
    system = y.T @ y + 2.0 * np.eye(8) + y[[4, 9, 2]].T @ (y[[4, 9, 2]] * (c - 1)[:, None])
    expected = c[1] * y[11] @ np.linalg.solve(system, y[9])
    found = {row.key: row.contribution for row in rows[0][11]}
    assert found[9] == pytest.approx(expected, abs=1e-5)


def test_an_update_solves_new_items_and_leaves_the_others():
    rows = [(u, i, None) for u in range(20) for i in range(10) if i % 2 == u % 2 and (u + i) % 5]
    late = [(u, 10, None) for u in range(0, 20, 2)]
    names = [str(i) for i in range(10)]
    data, grown = dataset(rows, items=names), dataset(sorted(rows + late), items=[*names, "late"])
    before = SCORER.fit(data, None, RUN)
    after, refit = before.updated(grown, None, RUN), SCORER.fit(grown, None, RUN)
    assert np.array_equal(after._factors[:10], before._factors)
    assert before._items.size == 10
    q = QueryBatch.of_histories([[0, 2], [1, 3]])
    assert after.score(q).items[10]
    values, fresh = after.score(q).values[:, 10], refit.score(q).values[:, 10]
    assert values[0] > values[1] + 0.2
    np.testing.assert_allclose(values, fresh, atol=0.15)


def test_seed_and_cancel_are_honoured():
    from fuserec.run import CancelledError

    data = random_dataset(1)
    short = ImplicitALS(ImplicitALSConfig(embedding_dim=8, iterations=2))
    one, same, other = (short.fit(data, None, replace(RUN, seed=seed))._factors for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    with pytest.raises(CancelledError):
        short.fit(data, None, replace(RUN, cancel=lambda: True))
