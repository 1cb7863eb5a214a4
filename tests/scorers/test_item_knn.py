from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_ratings import RUN, dataset, events, random_dataset, rated_queries

from fuserec.data.query import QueryBatch
from fuserec.errors import DataError, NotFittedError
from fuserec.scorers.item_knn import ItemKNN, ItemKNNConfig


def stated(near, mean=0.0, bias=None, **config):
    """Return a scorer of given neighbour similarities (rows: candidates) and a baseline without user bias."""
    n = len(near)
    near = np.array(near, np.float32)
    rows = [np.argsort(-row, kind="stable")[: np.count_nonzero(row)] for row in near]
    arrays = {
        "near.indptr": np.concatenate([[0], np.cumsum([r.size for r in rows])]).astype(np.int64),
        "near.indices": np.concatenate(rows).astype(np.int32),
        "near.values": np.concatenate([near[i][r] for i, r in enumerate(rows)]).astype(np.float32),
        "items": np.ones(n, bool),
        "item_bias": np.zeros(n, np.float32) if bias is None else np.array(bias, np.float32),
    }
    meta = {"baseline": {"mean": mean, "damping": 1e12, "scale": [0.0, 5.0]}}
    return ItemKNN.from_state(ItemKNNConfig(**config), arrays, meta, None)


def prediction(scorer, history, item):
    return float(scorer.predict(rated_queries([history]), np.array([[item]], np.int32))[0, 0])


def test_three_neighbours_rated_four_at_similarity_point_eight_predict_four():
    # Without the division by Σ|w| it is 3 · 0.8 · 4 = 9.6, cut to 5.
    scorer = stated([[0, 0.8, 0.8, 0.8]] + [[0, 0, 0, 0]] * 3)
    assert prediction(scorer, [(1, 4.0), (2, 4.0), (3, 4.0)], 0) == pytest.approx(4.0)


def test_similarities_are_those_of_the_candidate_with_the_items_rated():
    # Row 0 says that item 1 counts three times item 2; the transposed matrix says the opposite.
    scorer = stated([[0, 0.9, 0.3], [0.1, 0, 0], [0.5, 0, 0]])
    assert prediction(scorer, [(1, 5.0), (2, 1.0)], 0) == pytest.approx((0.9 * 5 + 0.3 * 1) / 1.2)


def test_only_the_most_similar_rated_items_count():
    scorer = stated([[0, 0.9, 0.5, 0.1], [0] * 4, [0] * 4, [0] * 4], n_rated=2)
    assert prediction(scorer, [(3, 1.0), (2, 2.0), (1, 4.0)], 0) == pytest.approx((0.9 * 4 + 0.5 * 2) / 1.4)


def test_without_a_rated_neighbour_it_is_the_baseline_and_never_leaves_the_scale():
    scorer = stated([[0, 0.8], [0, 0]], mean=4.5, bias=[0.25, 0.0])
    assert prediction(scorer, [], 0) == pytest.approx(4.75)
    assert prediction(scorer, [(0, 1.0)], 1) == pytest.approx(4.5)
    high = stated([[0, 0.8], [0, 0]], mean=4.5, bias=[2.0, -2.0])
    assert prediction(high, [(1, 5.0)], 0) == 5.0


def test_deviations_from_the_baseline_are_averaged_not_ratings():
    # A neighbour rated one above its own baseline lifts the candidate one above its baseline.
    scorer = stated([[0, 0.4], [0, 0]], mean=3.0, bias=[-1.0, 1.0])
    assert prediction(scorer, [(1, 5.0)], 0) == pytest.approx(3.0)


def fitted(data, **config):
    return ItemKNN(ItemKNNConfig(**{"shrinkage": 0, "n_neighbors": 100, **config})).fit(data, None, RUN)


def similarity(scorer, i, j):
    """Return the similarity of two items, as one event of weight 1 gives it."""
    one = QueryBatch.of_histories([[i]])
    return float(scorer.score(one).values[0, j])


RATED = [(0, 0, 5), (0, 1, 4), (1, 0, 2), (1, 1, 3), (2, 0, 4), (2, 1, 5), (3, 0, 1), (4, 1, 1), (4, 2, 3)]


def test_pearson_takes_its_means_over_the_people_who_rated_both():
    scorer = fitted(dataset(RATED), values="ratings", similarity="pearson", centered=False)
    assert similarity(scorer, 0, 1) == pytest.approx(np.corrcoef([5, 2, 4], [4, 3, 5])[0, 1], abs=1e-5)
    # One person alone rated both 1 and 2: no correlation.
    assert similarity(scorer, 1, 2) == 0.0


def test_shrinkage_holds_back_similarities_that_rest_on_few_people():
    config = {"values": "ratings", "similarity": "pearson", "centered": False}
    plain, shrunk = fitted(dataset(RATED), **config), fitted(dataset(RATED), **config, shrinkage=6)
    assert similarity(shrunk, 0, 1) == pytest.approx(similarity(plain, 0, 1) * 3 / 9, rel=1e-5)


def test_cosine_euclidean_and_jaccard_by_hand():
    data = dataset(RATED)
    ratings = {"values": "ratings", "centered": False}
    dot, norms = 5 * 4 + 2 * 3 + 4 * 5, np.sqrt(25 + 4 + 16 + 1) * np.sqrt(16 + 9 + 25 + 1)
    assert similarity(fitted(data, **ratings), 0, 1) == pytest.approx(dot / norms, rel=1e-5)
    euclidean = fitted(data, **ratings, similarity="euclidean")
    assert similarity(euclidean, 0, 1) == pytest.approx(1 / (1 + np.sqrt(1 + 1 + 1)), rel=1e-5)
    assert similarity(fitted(data, **ratings, similarity="jaccard"), 0, 1) == pytest.approx(3 / 5)


def test_implicit_values_are_positive_weights_and_an_item_nobody_likes_is_like_none():
    data = dataset([(0, 0, None), (0, 1, None), (1, 0, None), (1, 2, 1.0), (2, 1, None)])
    scorer = fitted(data)
    assert similarity(scorer, 0, 1) == pytest.approx(1 / 2)
    assert similarity(scorer, 0, 2) == 0.0
    assert not scorer.score(QueryBatch.of_histories([[0]])).items[2]


def test_recency_fades_older_events():
    data = dataset([(0, 0, None), (0, 2, None), (1, 1, None), (1, 3, None)])
    scorer = fitted(data, recency=0.5)
    values = scorer.score(QueryBatch.of_histories([[0, 1]])).values[0]
    assert values[2] == pytest.approx(0.5)
    assert values[3] == pytest.approx(1.0)


def test_a_candidate_is_scored_by_its_own_nearest_items():
    data = random_dataset(1)
    few, many = fitted(data, n_neighbors=3), fitted(data, n_neighbors=100)
    m_few = few.score(QueryBatch.of_histories([[i] for i in range(data.n_items)])).values
    m_many = many.score(QueryBatch.of_histories([[i] for i in range(data.n_items)])).values
    for candidate in range(data.n_items):
        kept = np.flatnonzero(m_few[:, candidate])
        best = np.sort(m_many[:, candidate])[-3:]
        assert kept.size <= 3
        np.testing.assert_allclose(np.sort(m_few[kept, candidate]), best[best > 0])


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), n_rated=st.integers(1, 6))
def test_predictions_equal_the_formula(seed, n_rated):
    data = random_dataset(seed)
    scorer = fitted(data, values="ratings", n_rated=n_rated, shrinkage=5, n_neighbors=1000)
    baseline, near = scorer._baseline, scorer._near.toarray()
    for user in range(3):
        history = events(data, user)
        b_u = sum(r - baseline.mean - baseline.item_bias[i] for i, r in history) / (
            baseline.damping + len(history)
        )
        for candidate in range(0, data.n_items, 5):
            best = sorted(
                ((near[candidate, i], i, r) for i, r in history if near[candidate, i] > 0), reverse=True
            )
            best = best[:n_rated]
            expected = baseline.mean + baseline.item_bias[candidate] + b_u
            if best:
                parts = [w * (r - baseline.mean - baseline.item_bias[i] - b_u) for w, i, r in best]
                expected += sum(parts) / sum(w for w, _, _ in best)
            assert prediction(scorer, history, candidate) == pytest.approx(np.clip(expected, 1, 5), abs=1e-4)


def test_the_newest_rating_of_an_item_counts():
    scorer = stated([[0, 0.8], [0, 0]])
    assert prediction(scorer, [(1, 1.0), (1, 4.0)], 0) == pytest.approx(4.0)
    assert prediction(scorer, [(1, 4.0), (1, None)], 0) == pytest.approx(4.0)


def test_a_refitted_scorer_forgets_which_items_spoke_before():
    few = dataset([(0, 0, None), (0, 1, None)], items=list("abcd"))
    more = dataset([(0, 0, None), (0, 1, None), (1, 2, None), (1, 3, None)], items=list("abcd"))
    scorer, q = fitted(few), QueryBatch.of_histories([[2]])
    assert not scorer.score(q).queries[0]
    assert scorer.updated(more, None, RUN).score(q).queries[0]
    assert not scorer.score(q).queries[0]


def test_without_ratings_it_says_so():
    data = dataset([(0, 0, None), (1, 0, None)])
    with pytest.raises(DataError, match="needs ratings"):
        fitted(data, values="ratings")
    with pytest.raises(NotFittedError, match="without ratings"):
        prediction(fitted(data), [(0, 4.0)], 0)
