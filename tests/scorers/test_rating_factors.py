from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_ratings import RUN, dataset, events, random_dataset, random_ratings, rated_queries

from fuserec.data.query import QueryBatch
from fuserec.errors import DataError
from fuserec.scorers.nmf import NMF, NMFConfig
from fuserec.scorers.svd import BiasedSVD, BiasedSVDConfig

SMALL = [
    BiasedSVD(BiasedSVDConfig(embedding_dim=4, regularization=0.5, iterations=15)),
    NMF(NMFConfig(embedding_dim=4, regularization=0.5, iterations=15)),
]
BOTH = pytest.mark.parametrize("scorer", SMALL, ids=lambda s: s.name)


def rmse(scorer, data, rows):
    users = np.array([u for u, _, _ in rows])
    items = np.array([[i] for _, i, _ in rows], np.int32)
    return float(
        np.sqrt(np.mean((scorer.predict(data.queries(users), items)[:, 0] - [r for *_, r in rows]) ** 2))
    )


@BOTH
def test_held_out_ratings_are_predicted_better_than_by_their_baseline(scorer):
    rows = random_ratings(4, n_users=120, n_items=40)
    held = [r for i, r in enumerate(rows) if i % 10 == 3 and r[1] != 0]
    data = dataset(
        [r for i, r in enumerate(rows) if i % 10 != 3 or r[1] == 0], items=[str(i) for i in range(40)]
    )
    fitted = scorer.fit(data, None, RUN)
    ratings = [r for *_, r in held]
    assert 0.3 < rmse(fitted, data, held) < 0.75 * float(np.std(ratings))


def test_the_user_is_the_ridge_solution_of_bias_and_factors():
    data = random_dataset(1)
    fitted = SMALL[0].fit(data, None, RUN)
    bias, q, mu = fitted._vectors[:, 0].astype(float), fitted._vectors[:, 1:].astype(float), fitted._mean
    history = events(data, 3)
    items, t = [i for i, _ in history], np.array([r - mu - bias[i] for i, r in history])
    x = np.column_stack([np.ones(len(items)), q[items]])
    penalty = np.diag([5.0] + [0.5 * np.sqrt(len(items))] * 4)
    user = np.linalg.solve(x.T @ x + penalty, x.T @ t)
    expected = mu + bias + user[0] + q @ user[1:]
    np.testing.assert_allclose(fitted.score(data.queries(np.array([3]))).values[0], expected, atol=1e-4)


def test_nmf_has_no_negative_factor_and_reaches_zero():
    data = random_dataset(1)
    fitted = NMF(NMFConfig(embedding_dim=6, regularization=0.1)).fit(data, None, RUN)
    assert fitted._vectors.min() >= 0
    assert np.any(fitted._vectors == 0)


@BOTH
def test_nothing_known_predicts_about_the_mean_and_never_leaves_the_scale(scorer):
    data = random_dataset(1)
    fitted = scorer.fit(data, None, RUN)
    mean, cold = float(np.nanmean(data.interactions.rating)), data.n_items - 1
    empty = QueryBatch.of_histories([[]])
    assert fitted.predict(empty, np.array([[cold]]))[0, 0] == pytest.approx(mean, abs=0.02)
    item = data.interactions.rating[data.interactions.item == 0]
    assert abs(fitted.predict(empty, np.array([[0]]))[0, 0] - item.mean()) < 0.4
    fan = rated_queries([[(i, 5.0) for i in range(15)]])
    found = fitted.predict(fan, np.arange(data.n_items)[None, :])
    assert found.max() <= 5.0
    assert found[0, cold] > mean + 0.2
    scores = fitted.score(QueryBatch.of_histories([[], [0]]))
    assert not scores.queries.any()
    assert not scores.items[cold]


@BOTH
def test_the_order_of_the_catalogue_changes_nothing(scorer):
    data, rng = random_dataset(2), np.random.default_rng(0)
    order, users = rng.permutation(data.n_items), rng.permutation(data.n_users)
    place, user_place = np.argsort(order), np.argsort(users)
    rows = [(int(user_place[u]), int(place[i]), r) for u in range(data.n_users) for i, r in events(data, u)]
    names = data.items.ids()
    shuffled = dataset(sorted(rows), items=[names[i] for i in order], users=[str(u) for u in users])
    here = scorer.fit(data, None, RUN).score(data.queries(np.array([5]))).values[0]
    there = scorer.fit(shuffled, None, RUN).score(shuffled.queries(user_place[[5]])).values[0]
    np.testing.assert_allclose(there[place], here, atol=2e-3)


@BOTH
def test_evidence_sums_to_the_score_and_weighs_liking_against_disliking(scorer):
    data = random_dataset(3)
    fitted, q = scorer.fit(data, None, RUN), data.queries(np.arange(6))
    items = np.tile(np.arange(data.n_items), (6, 1))
    values, rows = fitted.score(q).values, fitted.evidence(q, items)
    for query in range(6):
        for item in range(data.n_items):
            found = rows[query][item]
            total = sum(row.contribution for row in found)
            assert abs(total - values[query, item]) <= 1e-4 * max(1.0, abs(values[query, item]))
            assert {row.kind for row in found} <= {"bias", "item", "residual"}
            assert all(row.method == "attributed" for row in found)
            assert sum(abs(r.contribution) for r in found if r.kind == "residual") < 1e-3


@BOTH
def test_an_update_gives_new_items_factors_and_leaves_the_others(scorer):
    rows = [r for r in random_ratings(6, n_users=80) if r[1] != 4]
    new = [r for r in random_ratings(6, n_users=80) if r[1] == 4]
    items = [str(i) for i in range(30)]
    data, grown = dataset(rows, items=items), dataset(sorted(rows + new), items=[*items, "later"])
    before = scorer.fit(data, None, RUN)
    after = before.updated(grown, None, RUN)
    assert before._vectors.shape[0] == 30
    assert after._vectors.shape[0] == 31
    kept = np.setdiff1d(np.arange(30), [4])
    assert np.array_equal(after._vectors[kept], before._vectors[kept])
    assert after.score(grown.queries(np.arange(1))).items[4]
    assert not before.score(data.queries(np.arange(1))).items[4]
    refit = scorer.fit(grown, None, RUN)
    assert rmse(after, grown, new) < rmse(before, data, new) - 0.1
    assert rmse(after, grown, new) < rmse(refit, grown, new) + 0.15


@BOTH
def test_unrated_events_and_the_weights_of_events_say_nothing(scorer):
    fitted = scorer.fit(random_dataset(1), None, RUN)
    plain = rated_queries([[(0, 5.0), (3, 1.0)]])
    mixed = rated_queries([[(0, 2.0), (7, None), (0, 5.0), (3, 1.0)]])
    np.testing.assert_allclose(fitted.score(mixed).values, fitted.score(plain).values, rtol=1e-5)
    assert np.array_equal(
        fitted.score(plain.with_weights(plain.weights * 0.5)).values, fitted.score(plain).values
    )


@BOTH
def test_another_seed_starts_elsewhere_and_the_same_seed_does_not(scorer):
    data = random_dataset(1)
    one, same, other = (scorer.fit(data, None, replace(RUN, seed=seed))._vectors for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


@BOTH
def test_without_ratings_it_says_so(scorer):
    with pytest.raises(DataError, match="needs ratings: none of the 2 interactions"):
        scorer.fit(dataset([(0, 0, None), (1, 0, None)]), None, RUN)


@BOTH
def test_equal_ratings_and_a_single_user_are_borne(scorer):
    fitted = scorer.fit(dataset([(0, 0, 1.0), (0, 1, 1.0)]), None, RUN)
    assert fitted.predict(QueryBatch.of_histories([[]]), np.array([[0, 1]])) == pytest.approx(1.0, abs=1e-5)
