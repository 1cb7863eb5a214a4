from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fuserec.data.dataset import Searches
from fuserec.data.query import QueryBatch, TextVectors
from fuserec.encoders.reading import MAX_SEARCHES, Words, stored_words, with_words
from fuserec.run import RunOptions
from fuserec.testing import dataset_of, small_dataset, small_features

RUN = RunOptions(threads=1)
NAN = float("nan")


def test_newer_texts_weigh_more():
    words = Words(request="now", searches=["old", " ", "newer", "newest"], profile="always")
    assert dict(words.weighted()) == pytest.approx(
        {"now": 1.0, "always": 0.4, "newest": 0.7, "newer": 0.49, "old": 0.343}
    )
    assert Words(request=" ", searches=["", "\n"]).weighted() == []


def test_only_the_latest_searches_are_read():
    words = Words(searches=[f"s{i}" for i in range(MAX_SEARCHES + 3)])
    assert [text for text, _ in words.weighted()] == [f"s{i}" for i in range(MAX_SEARCHES + 2, 2, -1)]


class Letters:
    """Stands in for the features' reading: one column a letter, and a sentence vector where asked."""

    def __init__(self, sentence=False):
        self.sentence = sentence
        self.read_texts = []

    def read(self, texts, run):
        from scipy import sparse

        self.read_texts += texts
        rows = np.array([[float(c in t) for c in "abc"] for t in texts], np.float32)
        return TextVectors(
            sparse.csr_matrix(rows), -rows if self.sentence else None, np.ones(len(texts), bool)
        )


def test_vectors_are_weighted_sums_of_unit_length():
    reader = Letters(sentence=True)
    q = QueryBatch.of_histories([[], [1], []])
    found = with_words(q, [Words("a", ["b"], "c"), Words(), Words(searches=["a", "b"])], reader, RUN)
    first = np.array([1.0, 0.7, 0.4]) / np.linalg.norm([1.0, 0.7, 0.4])
    last = np.array([0.49, 0.7, 0]) / np.linalg.norm([0.49, 0.7])
    np.testing.assert_allclose(found.text.lexical.toarray(), [first, [0, 0, 0], last], rtol=1e-6)
    np.testing.assert_allclose(found.text.sentence, [-first, [0, 0, 0], -last], rtol=1e-6)
    assert found.text.sentence.dtype == np.float32
    assert found.has_text.tolist() == [True, False, True]
    assert sorted(reader.read_texts) == ["a", "b", "c"]  # each text once, whoever says it
    assert q.text is None


def test_without_words_nothing_is_read():
    q, reader = QueryBatch.of_histories([[0]]), Letters()
    assert with_words(q, [Words(" ")], reader, RUN) is q
    assert reader.read_texts == []


def test_a_text_said_twice_counts_twice():
    found = with_words(QueryBatch.of_histories([[]]), [Words("a", ["a"], "b")], Letters(), RUN)
    expected = np.array([1.7, 0.4, 0]) / np.linalg.norm([1.7, 0.4])
    np.testing.assert_allclose(found.text.lexical.toarray()[0], expected, rtol=1e-6)


@pytest.fixture
def data():
    base = dataset_of([[0, 1], [1], []], 2)
    users = base.user_table.with_columns(text=np.array(["likes soup", None, ""], dtype=object))
    searches = Searches(
        np.array([0, 1, 0, 0], np.int32),
        np.array([5.0, 6.0, 9.0, NAN]),
        ("early", "other", "late", "undated"),
    )
    return replace(base, user_table=users, searches=searches)


@pytest.mark.parametrize(
    ("moment", "past_only", "searches"),
    [
        (7.0, True, ["early"]),
        (7.0, False, ["early", "undated"]),
        (5.0, False, ["early", "undated"]),
        (5.0, True, []),  # of the very same moment: it may have come after the target
        (4.0, True, []),
        (NAN, True, []),  # an evaluation without times cannot know what came first
        (NAN, False, ["early", "late", "undated"]),
    ],
)
def test_searches_up_to_the_moment(data, moment, past_only, searches):
    found = stored_words(data, np.array([0]), np.array([moment]), past_only=past_only)[0]
    assert found == Words(searches=searches, profile="likes soup")


def test_what_a_user_searched_is_found_wherever_the_rows_stood(data):
    """An update adds searches of old users behind those of later ones."""
    grown = replace(
        data,
        searches=Searches(
            np.array([1, 0, 2, 0], np.int32), np.array([3.0, 9.0, 1.0, 4.0]), ("b", "late", "c", "early")
        ),
    )
    found = stored_words(grown, np.array([2, 0, -1, 1, 0]), np.full(5, NAN), past_only=False)
    assert [list(w.searches) for w in found] == [["c"], ["early", "late"], [], ["b"], ["early", "late"]]
    assert [w.profile for w in found] == ["", "likes soup", "", "", "likes soup"]


def test_one_query_reads_the_rows_of_its_user_only(data):
    class Counted(list):
        reads = 0

        def __getitem__(self, at):
            Counted.reads += 1
            return super().__getitem__(at)

    texts = Counted(data.searches.text)
    object.__setattr__(data.searches, "text", texts)
    assert stored_words(data, np.array([1]), np.array([NAN]), past_only=False)[0].searches == ["other"]
    assert Counted.reads == 1


def test_strangers_have_no_words(data):
    found = stored_words(data, np.array([-1, 1, 2]), np.full(3, NAN), past_only=False)
    assert found == [Words(searches=[]), Words(searches=["other"]), Words(searches=[])]


def test_real_features_read_profiles_and_searches():
    data = small_dataset()
    features = small_features(data, RUN)
    q = data.queries(np.array([58, 59]))
    found = with_words(q, stored_words(data, q.users, q.at, past_only=False), features, RUN)
    assert found.has_text.all()
    best = (found.text.lexical @ features.lexical.T).toarray().argmax(axis=1) % 4
    assert best.tolist() == [58 % 4, 59 % 4]  # the taste of each
