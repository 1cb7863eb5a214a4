from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from fuserec.data.query import QueryBatch
from fuserec.encoders.reading import Words, with_words
from fuserec.run import RunOptions
from fuserec.scorers import create
from fuserec.testing import dataset_of, small_features

RUN = RunOptions(threads=1)
TITLES = ["galaxy robot", "galaxy robot", "soup bread", "robot soup", None]


@pytest.fixture
def data():
    return dataset_of([[0, 2], [1, 3]], 5, titles=TITLES)


@pytest.fixture
def features(data):
    return small_features(data, RUN)


def fit(data, features, **config):
    return create("content", {"recency": 1.0, **config}).fit(data, features, RUN)


def test_similarity_is_the_sharpened_cosine(data, features):
    found = (
        fit(data, features, sharpness=2.0, min_similarity=0.0)
        .score(QueryBatch.of_histories([[0], [3]]))
        .values
    )
    cosine = (features.lexical @ features.lexical.T).toarray()
    assert cosine[0, 1] == pytest.approx(1.0)
    np.fill_diagonal(cosine, 0.0)
    np.testing.assert_allclose(found, cosine[[0, 3]] ** 2, rtol=1e-5, atol=1e-7)
    assert found[0, 0] == 0  # an item says nothing for itself
    assert found[0, 2] == 0
    assert 0 < found[0, 3] < found[0, 1]


def test_an_item_without_text_is_not_judged_and_says_nothing(data, features):
    scores = fit(data, features).score(QueryBatch.of_histories([[4], [4, 0]]))
    assert scores.items.tolist() == [True, True, True, True, False]
    assert scores.queries.tolist() == [False, True]


def test_weak_similarities_count_as_none(data, features):
    found = fit(data, features, min_similarity=0.9).score(QueryBatch.of_histories([[0]])).values
    assert found[0, 1] > 0
    assert found[0, 3] == 0


def test_words_ask_for_items(data, features):
    fitted = fit(data, features)
    q = with_words(
        QueryBatch.of_histories([[], [], []]), [Words("soup"), Words("nonsense"), Words()], features, RUN
    )
    scores = fitted.score(q)
    assert scores.queries.tolist() == [True, False, False]  # words that nobody knows say nothing
    assert set(np.argsort(-scores.values[0])[:2].tolist()) == {2, 3}
    wanted = (q.text.lexical[0] @ features.lexical.T).toarray()[0]
    np.testing.assert_allclose(scores.values[0], wanted, rtol=1e-5)
    silent = fit(data, features, text_weight=0.0).score(q)
    assert not silent.queries.any()


def test_evidence_names_words_and_items(data, features):
    fitted = fit(data, features)
    q = with_words(QueryBatch.of_histories([[0]]), [Words("soup robot")], features, RUN)
    rows = fitted.evidence(q, np.array([[3]]))[0][0]
    assert {(row.kind, row.key) for row in rows} == {("item", 0), ("word", "soup"), ("word", "robot")}
    assert all(row.method == "exact" and row.contribution > 0 for row in rows)


def sentences(data):
    """Two directions: items 0 and 2 alike, 1 and 3 alike, whatever the words say."""
    table = np.array([[1, 0], [0, 1], [1, 0], [0, 1], [0, 0]], np.float32)
    return table[: data.n_items]


def test_sentence_share_mixes_the_two_spaces(data, features):
    both = replace(features, sentence=sentences(data))
    q = QueryBatch.of_histories([[0]])
    words = fit(data, both, sentence_share=0.0).score(q).values[0]
    meaning = fit(data, both, sentence_share=1.0).score(q).values[0]
    mixed = fit(data, both, sentence_share=0.3).score(q).values[0]
    np.testing.assert_allclose(meaning, [0, 0, 1, 0, 0])
    assert words[2] == 0
    np.testing.assert_allclose(mixed, 0.7 * words + 0.3 * meaning, rtol=1e-5)
    retuned = fit(data, both, sentence_share=0.0).retuned(sentence_share=1.0).score(q)
    np.testing.assert_allclose(retuned.values[0], meaning)


def test_without_sentence_vectors_words_get_all_the_weight(data, features):
    q = QueryBatch.of_histories([[0]])
    one, other = (fit(data, features, sentence_share=share).score(q).values for share in (0.0, 0.9))
    np.testing.assert_array_equal(one, other)


def test_sentence_of_the_query_asks_by_meaning(data, features):
    both = replace(features, sentence=sentences(data))
    q = with_words(QueryBatch.of_histories([[]]), [Words("bread")], features, RUN)
    q = replace(q, text=replace(q.text, sentence=np.array([[0.6, -0.8]], np.float32)))
    fitted = fit(data, both, text_sentence_share=1.0)
    np.testing.assert_allclose(
        fitted.score(q).values[0], [0.6, 0, 0.6, 0, 0], rtol=1e-5
    )  # opposite is no evidence
    rows = fitted.evidence(q, np.array([[0, 1]]))[0]
    assert [(r.kind, pytest.approx(r.contribution)) for r in rows[0]] == [("text", 0.6)]
    assert rows[1] == []


@pytest.mark.parametrize(("how", "expected"), [("jaccard", 1 / 3), ("cosine", 1 / 2)])
def test_tags_are_compared_as_sets(how, expected):
    data = dataset_of([[0, 1]], 3, titles=[None, None, None])
    table = data.item_table.with_columns(
        pl.Series("tags", [["A", "b"], ["b ", "c"], []], dtype=pl.List(pl.String))
    )
    data = replace(data, item_table=table.select("title", "tags"))
    features = replace(small_features(data, RUN), has_text=np.zeros(3, dtype=bool))
    fitted = fit(data, features, tag_weight=2.0, tag_similarity=how, sharpness=1.0, min_similarity=0.0)
    scores = fitted.score(QueryBatch.of_histories([[0]]))
    np.testing.assert_allclose(scores.values, [[0, 2.0 * expected, 0]], rtol=1e-6)
    assert scores.items.tolist() == [True, True, False]


def test_tags_without_weight_are_no_content():
    data = dataset_of([[0, 1]], 2, titles=[None, "soup"])
    table = data.item_table.with_columns(pl.Series("tags", [["a"], []], dtype=pl.List(pl.String)))
    data = replace(data, item_table=table)
    fitted = fit(data, small_features(data, RUN))
    assert fitted.score(QueryBatch.of_histories([[1]])).items.tolist() == [False, True]


def test_a_query_that_the_language_model_cannot_read_speaks_through_its_words_alone(data, features):
    """A zero vector is no meaning: the words get its share, and what was tuned on histories changes nothing."""
    both = replace(features, sentence=sentences(data))
    q = with_words(QueryBatch.of_histories([[]]), [Words("bread")], features, RUN)
    unread = replace(q, text=replace(q.text, sentence=np.zeros((1, 2), np.float32)))
    expected = fit(data, features).score(q).values
    for share in (0.15, 0.85):
        found = fit(data, both, sentence_share=share, text_sentence_share=0.9).score(unread)
        np.testing.assert_allclose(found.values, expected, rtol=1e-6)
