from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_ratings import RUN, dataset, events, features, random_dataset, rated_queries

from fuserec.data.query import QueryBatch, TextVectors
from fuserec.scorers.user_knn import UserKNN, UserKNNConfig


def fitted(data, **config):
    content = features(data, sentence_dim=8) if config.get("space") == "text" else None
    return UserKNN(UserKNNConfig(**{"recency": 1.0, **config})).fit(data, content, RUN)


def vectors_of(data, config, baseline=None):
    """Return a dict of item to value for every user, as the configuration compares them."""
    if config.get("values") != "ratings":
        matrix = data.matrix("positive")
        return [dict(zip(r.indices.tolist(), r.data.tolist(), strict=True)) for r in matrix]
    if not config.get("centered", True):
        return [dict(events(data, u)) for u in range(data.n_users)]
    rows = []
    for user in range(data.n_users):
        history = events(data, user)
        above = {i: r - baseline.mean - baseline.item_bias[i] for i, r in history}
        bias = sum(above.values()) / (baseline.damping + len(above))
        rows.append({i: v - bias for i, v in above.items()})
    return rows


def similar(kind, a, b, shrinkage=0.0):
    """Return the textbook similarity of two dicts of item to value."""
    both = sorted(set(a) & set(b))
    x, y = np.array([a[i] for i in both], float), np.array([b[i] for i in both], float)
    if not both:
        return 0.0
    if kind == "cosine":
        norms = np.sqrt(sum(v * v for v in a.values())) * np.sqrt(sum(v * v for v in b.values()))
        value = x @ y / norms if norms else 0.0
    elif kind == "jaccard":
        value = len(both) / len(set(a) | set(b))
    elif kind == "euclidean":
        value = 1 / (1 + np.linalg.norm(x - y))
    else:
        flat = len(both) < 2 or np.ptp(x) < 1e-4 or np.ptp(y) < 1e-4
        value = 0.0 if flat else float(np.corrcoef(x, y)[0, 1])
    return value * len(both) / (len(both) + shrinkage) if shrinkage else value


KINDS = ["cosine", "pearson", "euclidean", "jaccard"]


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 500),
    kind=st.sampled_from(KINDS),
    values=st.sampled_from(["implicit", "ratings"]),
    centered=st.booleans(),
)
def test_scores_are_sums_over_the_nearest_users_less_oneself(seed, kind, values, centered):
    centered = (
        centered and kind != "pearson"
    )  # which magnifies the rounding of deviations that are all but equal
    data = random_dataset(seed)
    config = {
        "similarity": kind,
        "values": values,
        "n_neighbors": 1000,
        "shrinkage": 2.0,
        "centered": centered,
    }
    scorer = fitted(data, **config)
    vectors, given_rows = vectors_of(data, config, scorer._baseline), data.matrix("positive").toarray()
    values_found = scorer.score(data.queries(np.arange(4))).values
    for user in range(4):
        likeness = [similar(kind, vectors[user], other, 2.0) for other in vectors]
        likeness[user] = 0.0
        np.testing.assert_allclose(values_found[user], np.maximum(likeness, 0) @ given_rows, atol=2e-3)


def test_a_known_user_gets_what_a_fit_without_them_gives_a_stranger():
    data = random_dataset(5)
    whole, without = fitted(data), fitted(data.without_user(7))
    query = data.queries(np.array([7]))
    assert query.users[0] == 7
    stranger = without.score(replace(query, users=np.array([-1], np.int32)))
    np.testing.assert_allclose(whole.score(query).values, stranger.values, rtol=1e-5, atol=1e-6)


def test_left_in_their_own_row_would_dominate():
    data = random_dataset(5)
    scorer, query = fitted(data), data.queries(np.array([7]))
    anonymous = replace(query, users=np.array([-1], np.int32))
    assert scorer.score(anonymous).values.max() > scorer.score(query).values.max() + 0.3


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 500), n_raters=st.integers(1, 8), kind=st.sampled_from(KINDS))
def test_predictions_equal_the_formula(seed, n_raters, kind):
    data = random_dataset(seed)
    centered = kind != "pearson"
    config = {
        "similarity": kind,
        "values": "ratings",
        "n_raters": n_raters,
        "shrinkage": 3.0,
        "centered": centered,
    }
    scorer = fitted(data, **config)
    baseline = scorer._baseline
    compared = vectors_of(data, config, baseline)
    deviations = vectors_of(data, {"values": "ratings"}, baseline)
    items = np.arange(0, data.n_items, 4, dtype=np.int32)
    found = scorer.predict(data.queries(np.array([2])), items[None, :])[0]
    history = events(data, 2)
    above = sum(r - baseline.mean - baseline.item_bias[i] for i, r in history)
    b_u = above / (baseline.damping + len(history))
    likeness = [similar(kind, compared[2], other, 3.0) for other in compared]
    for candidate, value in zip(items.tolist(), found, strict=True):
        raters = [u for u in range(data.n_users) if candidate in compared[u] and u != 2 and likeness[u] > 0]
        raters.sort(key=lambda u: (-round(likeness[u], 6), int(data.users.hashes[u])))
        if kind != "jaccard" and len(raters) > n_raters:
            within, beyond = (likeness[raters[place]] for place in (n_raters - 1, n_raters))
            if within - beyond < 1e-4:
                continue  # too close for float32 to say which of the two counts
        expected = baseline.mean + baseline.item_bias[candidate] + b_u
        best = raters[:n_raters]
        if best:
            weights = [likeness[u] for u in best]
            expected += np.average([deviations[u][candidate] for u in best], weights=weights)
        assert value == pytest.approx(np.clip(expected, 1, 5), abs=5e-3)


def test_three_neighbours_rating_alike_are_averaged_not_added():
    alike = [(u, i, r) for u in range(3) for i, r in ((0, 5), (1, 1), (2, 4))]
    scorer = fitted(dataset([*alike, (3, 0, 5), (3, 1, 1)]), values="ratings", damping=1e-6)
    value = scorer.predict(rated_queries([[(0, 5.0), (1, 1.0)]]), np.array([[2]], np.int32))[0, 0]
    assert value == pytest.approx(4.0, abs=0.35)


def test_in_the_text_space_users_are_the_mean_of_what_they_read():
    data = random_dataset(2)
    scorer = fitted(data, space="text", n_neighbors=1000)
    content, given_rows = features(data, sentence_dim=8).sentence, data.matrix("positive").toarray()
    places = given_rows @ content
    places /= np.linalg.norm(places, axis=1, keepdims=True)
    likeness = places @ places[6]
    likeness[6] = 0.0
    expected = np.maximum(likeness, 0) @ given_rows
    np.testing.assert_allclose(
        scorer.score(data.queries(np.array([6]))).values[0], expected, rtol=1e-4, atol=1e-4
    )


def test_readers_of_like_texts_are_neighbours_without_a_common_item():
    titles = ["space robot war"] * 2 + ["love comedy paris"] * 2 + ["space robot music", "love comedy school"]
    rows = [(0, 0, None), (0, 4, None), (1, 2, None), (1, 5, None)]
    data = dataset(rows, titles=titles, items=list("abcdef"))
    by_text = UserKNN(UserKNNConfig(space="text")).fit(data, features(data), RUN)
    by_item = UserKNN(UserKNNConfig()).fit(data, features(data), RUN)
    query = QueryBatch.of_histories([[1]])  # a film about space robots that nobody has seen
    found = by_text.score(query)
    assert found.queries[0]
    assert not by_item.score(query).queries[0]
    assert found.values[0, 4] > 0 >= found.values[0, 5]


def test_words_alone_place_somebody_in_the_text_space():
    titles = ["space robot war", "love comedy paris"]
    data = dataset([(0, 0, None), (1, 1, None)], titles=titles)
    content = features(data)
    scorer = UserKNN(UserKNNConfig(space="text")).fit(data, content, RUN)
    silent = QueryBatch.of_histories([[]])
    text: TextVectors = content.read(["a comedy about love"], RUN)
    asked = QueryBatch(**{**vars(silent), "text": text})
    assert scorer.score(asked).queries[0]
    assert scorer.score(asked).values[0, 1] > scorer.score(asked).values[0, 0]
    assert not scorer.score(silent).queries[0]
    assert scorer.capabilities.answers == {"history", "text"}
    assert UserKNN().capabilities.answers == {"history"}
    kinds = {row.kind for row in scorer.evidence(asked, np.array([[1]]))[0][0]}
    assert kinds == {"text"}
