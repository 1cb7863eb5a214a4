"""What the contract suite asks of the default configurations, asked of the others."""

from __future__ import annotations

import numpy as np
import pytest
from small_ratings import RUN, features, random_dataset, rated_queries

from fuserec.data.query import QueryBatch
from fuserec.scorers import create

VARIANTS = [
    *[
        ("item_knn", {"values": v, "similarity": s})
        for v in ("implicit", "ratings")
        for s in ("cosine", "jaccard")
    ],
    *[("item_knn", {"values": "ratings", "similarity": s}) for s in ("pearson", "euclidean")],
    *[
        ("user_knn", {"values": v, "similarity": s})
        for v in ("implicit", "ratings")
        for s in ("cosine", "jaccard")
    ],
    *[("user_knn", {"values": "ratings", "similarity": s}) for s in ("pearson", "euclidean")],
    ("user_knn", {"space": "text"}),
    ("user_knn", {"space": "text", "values": "ratings"}),
    ("als", {"embedding_dim": 6}),
    ("svd", {"embedding_dim": 6}),
    ("nmf", {"embedding_dim": 6}),
]


@pytest.fixture(scope="module", params=VARIANTS, ids=lambda v: "-".join([v[0], *map(str, v[1].values())]))
def case(request):
    name, config = request.param
    data = random_dataset(11)
    content = features(data, sentence_dim=8) if config.get("space") == "text" else features(data)
    return create(name, config).fit(data, content, RUN), data, content


def queries(data):
    stored = data.queries(np.array([3, 8, 20]))
    fresh = rated_queries([[(0, 5.0), (4, 4.0), (9, 2.0)], [], [(data.n_items - 1, 4.0)]])
    names = [f for f in QueryBatch.__dataclass_fields__ if f not in ("indptr", "text", "contexts")]
    joined = {f: np.concatenate([getattr(stored, f), getattr(fresh, f)]) for f in names}
    return QueryBatch(indptr=np.concatenate([stored.indptr, stored.indptr[-1] + fresh.indptr[1:]]), **joined)


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_batch_equals_singles_in_any_order(case):
    scorer, data, _ = case
    q = queries(data)
    whole = scorer.score(q)
    for row in range(len(q)):
        single = scorer.score(q.take([row]))
        close(single.values[0], whole.values[row])
        assert single.queries[0] == whole.queries[row]
    turned = scorer.score(q.take(np.arange(len(q))[::-1]))
    close(turned.values[::-1], whole.values)


def test_candidates_equal_the_slice_of_the_whole(case):
    scorer, data, _ = case
    q, rng = queries(data), np.random.default_rng(0)
    whole = scorer.score(q)
    each = rng.integers(0, data.n_items, (len(q), 7))
    close(scorer.score(q, each[0]).values, whole.values[:, each[0]])
    assert np.array_equal(scorer.score(q, each[0]).items, whole.items[each[0]])
    picked = scorer.score(q, each)
    close(picked.values, np.take_along_axis(whole.values, each, axis=1))
    assert np.array_equal(picked.items, whole.items[each])


def test_scores_are_finite_float32_and_abstention_is_marked(case):
    scorer, data, _ = case
    scores = scorer.score(queries(data))
    assert scores.values.dtype == np.float32
    assert scores.values.shape == (6, data.n_items)
    assert np.all(np.isfinite(scores.values))
    assert scores.queries[:4].all()
    assert not scores.queries[4]
    assert scores.items[:-2].all()
    assert not scores.items[-2:].any()


def test_nothing_asked_is_nothing_answered(case):
    scorer, data, _ = case
    assert scorer.score(queries(data).take([])).values.shape == (0, data.n_items)


def test_inputs_are_left_alone(case):
    scorer, data, _ = case
    q, again = queries(data), queries(data)
    items = np.tile(np.arange(5), (len(q), 1))
    scorer.score(q)
    scorer.evidence(q, items)
    for name in ("indptr", "items", "weights", "ratings", "ages", "users", "at"):
        assert np.array_equal(getattr(q, name), getattr(again, name), equal_nan=True)


def test_evidence_sums_to_the_score(case):
    scorer, data, _ = case
    q = queries(data)
    items = np.tile(np.arange(data.n_items), (len(q), 1))
    values, rows = scorer.score(q).values, scorer.evidence(q, items)
    named = total_size = 0.0
    for query in range(len(q)):
        for item in range(data.n_items):
            parts = rows[query][item]
            total = sum(row.contribution for row in parts)
            assert abs(total - values[query, item]) <= 1e-4 * max(1.0, abs(values[query, item]))
            sizes = [abs(r.contribution) for r in parts if r.kind != "bias"]
            named += sum(abs(r.contribution) for r in parts if r.kind == "item")
            total_size += sum(sizes)
    assert named >= 0.99 * total_size > 0


def test_an_exact_row_is_what_the_score_loses_without_that_event(case):
    scorer, data, _ = case
    if scorer.capabilities.evidence != "exact":
        pytest.skip("not a linear scorer")
    q = queries(data).take([0])
    items = np.arange(data.n_items)[None, :]
    full, rows = scorer.score(q).values[0], scorer.evidence(q, items)[0]
    for event in range(q.items.size):
        weights = q.weights.copy()
        weights[event] = 0
        without = scorer.score(q.with_weights(weights)).values[0]
        stated = [
            sum(r.contribution for r in rows[i] if r.key == q.items[event]) for i in range(data.n_items)
        ]
        np.testing.assert_allclose(full - without, stated, atol=1e-5)


def test_it_survives_being_saved(case):
    scorer, data, content = case
    arrays, meta = scorer.state()
    assert all(a.dtype != object for a in arrays.values())
    again = type(scorer).from_state(scorer.config, arrays, meta, content)
    q = queries(data)
    close(again.score(q).values, scorer.score(q).values)
    items = np.tile(np.arange(6), (len(q), 1))
    if scorer.capabilities.predicts:
        close(again.predict(q, items), scorer.predict(q, items))


def test_fits_are_equal_and_leave_the_scorer_they_came_from(case):
    scorer, data, content = case
    before = {key: value.copy() for key, value in scorer.state()[0].items()}
    again = scorer.fit(data, content, RUN)
    smaller = scorer.fit(data.with_rows(np.arange(data.n_interactions) % 2 == 0), content, RUN)
    assert smaller is not scorer
    for key, value in before.items():
        assert np.array_equal(scorer.state()[0][key], value)
        assert np.array_equal(again.state()[0][key], value)


def test_threads_change_nothing(case):
    from dataclasses import replace

    scorer, data, content = case
    other = scorer.fit(data, content, replace(RUN, threads=1))
    close(other.score(queries(data)).values, scorer.score(queries(data)).values)


def test_ratings_stay_in_their_scale(case):
    scorer, data, _ = case
    if not scorer.capabilities.predicts:
        pytest.skip("predicts no ratings")
    q = queries(data)
    found = scorer.predict(q, np.tile(np.arange(data.n_items), (len(q), 1)))
    assert found.dtype == np.float32
    assert found.min() >= 1
    assert found.max() <= 5
    rows = [scorer.predict(q.take([r]), np.arange(data.n_items)[None, :])[0] for r in range(len(q))]
    close(np.array(rows), found)
