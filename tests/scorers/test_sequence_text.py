"""The sequence scorer beside text, dislikes, evidence, updates and a disk."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fuserec import Recommender, RunOptions
from fuserec.config import RecommenderConfig
from fuserec.data.query import QueryBatch
from fuserec.encoders.reading import Words, with_words
from fuserec.scorers import create
from fuserec.testing.planted import dataset_of
from fuserec.testing.small import small_features

pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")

RUN = RunOptions(seed=7, threads=1)
GENRES = (("galaxy", "robot", "orbit"), ("murder", "witness", "police"), ("bread", "spice", "oven"))
WARM, COLD = 8, 2
"""Items of a genre that people took, and that nobody took; one more item has neither text nor takers."""

N = len(GENRES) * (WARM + COLD) + 1
READING = ("auto", "text", "experts", "union", "sum", "sum_experts")
SMALL = {
    "embedding_dim": 16,
    "text_dim": 8,
    "max_length": 6,
    "batch_size": 128,
    "learning_rate": 0.01,
    "id_dropout": 0.3,
    "patience": 0,
    "epochs": 8,
}


def titles(n):
    """Return two words of its genre for each item but the last."""
    pairs = ((0, 1), (1, 2), (0, 2))
    words = [" ".join(GENRES[i % 3][w] for w in pairs[(i // 3) % 3]) for i in range(n)]
    return [*words[:-1], None]


def genre(item):
    return item % 3


def cold_items():
    """int (6,): the items with text that nobody took."""
    return np.arange(3 * WARM, N - 1)


@pytest.fixture(scope="module")
def data():
    """People who keep to a genre; items 24 to 29 are known by their text alone, item 30 not at all."""
    rng = np.random.default_rng(0)
    histories = [rng.permutation(np.arange(user % 3, 3 * WARM, 3))[:6] for user in range(90)]
    return dataset_of(histories, N, titles=titles(N))


@pytest.fixture(scope="module")
def features(data):
    return small_features(data, RUN)


@pytest.fixture(scope="module")
def fitted(data, features):
    """Return the scorer of each form of item vectors, fitted once."""
    made = {}

    def of(vectors="auto"):
        if vectors not in made:
            made[vectors] = create("sequence", {**SMALL, "item_vectors": vectors}).fit(data, features, RUN)
        return made[vectors]

    return of


def with_text(words, features, histories=None):
    """Return queries of words, beside histories or alone."""
    q = QueryBatch.of_histories(histories or [[]] * len(words))
    return with_words(q, [Words(request=one) for one in words], features, RUN)


class TestText:
    @pytest.mark.parametrize("vectors", READING)
    def test_an_item_that_nobody_took_is_ranked_by_its_text(self, fitted, vectors):
        scores = fitted(vectors).score(QueryBatch.of_histories([[g, g + 3, g + 6] for g in range(3)]))
        assert scores.items[cold_items()].all()
        assert not scores.items[N - 1]  # nobody took it, and it says nothing
        for wanted in range(3):
            found = scores.values[wanted, cold_items()]
            mine = genre(cold_items()) == wanted
            assert found[mine].min() > found[~mine].max()

    @pytest.mark.parametrize("vectors", ["ids", "initialised"])
    def test_ids_alone_abstain_on_it(self, fitted, vectors):
        scores = fitted(vectors).score(QueryBatch.of_histories([[0, 3]]))
        assert scores.items.tolist() == [True] * (3 * WARM) + [False] * 7

    @pytest.mark.parametrize("vectors", READING)
    def test_an_item_that_nobody_took_is_read_too(self, fitted, vectors):
        scores = fitted(vectors).score(QueryBatch.of_histories([[24], [25], [N - 1]]))
        assert scores.queries.tolist() == [True, True, False]
        assert genre(scores.values[0, :24].argmax()) == 0
        assert genre(scores.values[1, :24].argmax()) == 1

    @pytest.mark.parametrize("vectors", READING)
    def test_words_alone_get_an_answer(self, fitted, features, vectors):
        q = with_text(["murder witness", "bread oven", ""], features)
        scores = fitted(vectors).score(q)
        assert scores.queries.tolist() == [True, True, False]
        assert [genre(item) for item in scores.values[0].argsort()[-5:]] == [1] * 5
        assert [genre(item) for item in scores.values[1].argsort()[-5:]] == [2] * 5

    @pytest.mark.parametrize("vectors", READING)
    def test_words_are_read_as_an_item_of_that_text_before_the_history(self, fitted, features, vectors):
        texts = [titles(N)[24], titles(N)[29], "zzz unheard"]
        q = with_text(texts, features, [[0, 3], [], [0, 3]])
        wanted = fitted(vectors).score(QueryBatch.of_histories([[24, 0, 3], [29], [0, 3]])).values
        np.testing.assert_allclose(fitted(vectors).score(q).values, wanted, rtol=1e-4, atol=1e-7)
        assert np.abs(wanted[0] - wanted[2]).max() > 1e-4

    def test_ids_do_not_hear_words(self, fitted, features):
        scores = fitted("ids").score(with_text(["bread oven"], features))
        assert scores.queries.tolist() == [False]


class TestDislikes:
    def test_what_was_disliked_is_not_read(self, fitted):
        q = QueryBatch.of_histories([[0, 4, 3, 7], [0, 3], [5]])
        weights = np.array([1.0, -0.5, 0.7, -1.0, 1.0, 0.7, -1.0])
        scores = fitted().score(q.with_weights(weights))
        assert scores.queries.tolist() == [True, True, False]
        np.testing.assert_allclose(scores.values[0], scores.values[1], rtol=1e-5)
        liked = fitted().score(q).values[0]
        assert np.abs(liked - scores.values[0]).max() > 1e-3

    def test_it_has_no_row_of_evidence(self, fitted):
        q = QueryBatch.of_histories([[0, 4, 3]]).with_weights(np.array([1.0, -0.5, 0.7]))
        (rows,) = fitted().evidence(q, np.array([[6]]))[0]
        assert {row.key for row in rows if row.kind == "item"} <= {0, 3}

    def test_it_is_not_recommended_for_what_came_before_it(self, features):
        """After item 0 always comes 3, liked by some and disliked by the others: those who disliked teach nothing."""
        histories = [[0, 3, 6, 9]] * 10 + [[1, 12, 4, 7]] * 30
        weights = [[1.0] * 4] * 10 + [[1.0, -1.0, 1.0, 1.0]] * 30
        data = dataset_of(histories, N, weights=weights, titles=titles(N))
        scorer = create("sequence", {**SMALL, "item_vectors": "ids"}).fit(data, features, RUN)
        scores = scorer.score(QueryBatch.of_histories([[1]]))
        assert scores.values[0, : N - 1].argmax() == 4
        assert not scores.items[12]  # nobody liked it


class TestEvidence:
    @pytest.mark.parametrize("architecture", ["transformer", "masked", "gru", "cnn"])
    def test_rows_sum_to_the_score(self, data, features, architecture):
        config = {**SMALL, "architecture": architecture, "epochs": 3}
        scorer = create("sequence", config).fit(data, features, RUN)
        histories = [[0, 3, 6], [4], [], [2, 5, 2, 8, 11, 14, 17, 20], [1, 4]]
        q = with_text(["bread oven", "", "murder police", "", "zzz"], features, histories)
        items = np.tile(np.array([9, 24, 10, 25]), (5, 1))
        scores, found = scorer.score(q, items).values, scorer.evidence(q, items)
        for query, column in np.ndindex(*items.shape):
            rows = found[query][column]
            assert sum(row.contribution for row in rows) == pytest.approx(scores[query, column], abs=1e-5)
            assert {row.key for row in rows if row.kind == "item"} <= set(histories[query])
        assert {row.kind for row in found[0][0]} >= {"item", "text"}
        assert {row.kind for row in found[2][0]} == {"text"}

    def test_a_row_is_what_the_score_loses_without_the_event(self, fitted):
        whole, without = (
            fitted().score(QueryBatch.of_histories([h])).values[0, 9].astype(float)
            for h in ([0, 1, 3], [0, 3])
        )
        rows = fitted().evidence(QueryBatch.of_histories([[0, 1, 3]]), np.array([[9]]))[0][0]
        (told,) = (row.contribution for row in rows if row.key == 1)
        assert told == pytest.approx(whole - without, abs=1e-6)
        assert all(row.method == "attributed" for row in rows)


class TestLife:
    def test_a_seed_is_a_training(self, data, features, fitted):
        again = create("sequence", {**SMALL, "item_vectors": "auto"})
        one, other = again.fit(data, features, RUN), again.fit(data, features, replace(RUN, seed=8))
        for name, array in fitted().state()[0].items():
            np.testing.assert_array_equal(array, one.state()[0][name], err_msg=name)
        assert not np.array_equal(one.state()[0]["vectors"], other.state()[0]["vectors"])

    @pytest.mark.parametrize("vectors", [*READING, "ids", "initialised"])
    def test_new_items_are_known_by_their_text(self, data, features, fitted, vectors):
        before = fitted(vectors)
        more = dataset_of([], 3, titles=["robot galaxy", "police murder", None])
        from fuserec.data.vocabulary import Vocabulary

        grown = data.extended(replace(more, items=Vocabulary.from_ids(["new0", "new1", "new2"])))
        wider = features.extended(grown, RUN)
        after = before.updated(grown, wider, RUN)
        q = QueryBatch.of_histories([[0, 3, 6], [1, 4, 7]])
        old, new = before.score(q), after.score(q)
        np.testing.assert_allclose(new.values[:, :N], old.values, rtol=1e-5)
        np.testing.assert_array_equal(new.items[:N], old.items)
        reads = vectors not in ("ids", "initialised")
        assert new.items[N:].tolist() == [reads, reads, False]
        assert before.score(q).values.shape == (2, N)  # it stays as it is
        if reads:
            assert new.values[0, N] > new.values[0, N + 1]
            assert new.values[1, N] < new.values[1, N + 1]
            read = after.score(QueryBatch.of_histories([[N]]))
            assert read.queries[0]
            assert genre(read.values[0, :24].argmax()) == 0

    @pytest.mark.parametrize("vectors", [*READING, "ids", "initialised"])
    @pytest.mark.parametrize("architecture", ["transformer", "masked"])
    def test_it_comes_back_from_its_state(self, data, features, vectors, architecture):
        config = {**SMALL, "item_vectors": vectors, "architecture": architecture, "epochs": 1}
        scorer = create("sequence", config).fit(data, features, RUN)
        arrays, meta = scorer.state()
        assert all(array.dtype.kind in "biuf" for array in arrays.values())
        copies = {name: np.array(array) for name, array in arrays.items()}
        again = type(scorer).from_state(scorer.config, copies, meta, features)
        q = with_text(["bread oven", "", "murder"], features, [[], [0, 24], [4]])
        for one, other in ((scorer, again), (scorer.updated(data, features, RUN), again)):
            np.testing.assert_array_equal(one.score(q).values, other.score(q).values)
            np.testing.assert_array_equal(one.score(q).answered, other.score(q).answered)

    def test_the_training_data_are_not_in_its_state(self, fitted, data):
        arrays, meta = fitted().state()
        assert all(array.shape[:1] != (data.n_users,) for array in arrays.values())
        assert all(array.size != data.n_interactions for array in arrays.values())
        assert meta == {"item_vectors": "sum"}

    def test_a_recommender_is_saved_and_loaded(self, data, tmp_path):
        config = RecommenderConfig.parse(
            {
                "features": {"use_sentence": "never"},
                "fusion": {"tune": False},
                "parts": {"sequence": SMALL, "popularity": {}},
            },
            "the test's configuration",
        )
        model = Recommender(config).fit(data, RUN)
        model.save(tmp_path / "model")
        again = Recommender.load(tmp_path / "model")
        asked = (
            {"user": "u4"},
            {"history": ["i0", "i3"]},
            {"history": ["i24"], "text": "bread oven"},
            {"text": "a murder and a witness"},
        )
        for request in asked:
            one, other = (m.recommend(**request, k=6, explain=True) for m in (model, again))
            assert [item.item_id for item in one.items] == [item.item_id for item in other.items]
            assert [item.score for item in one.items] == [item.score for item in other.items]
        assert np.array_equal(
            model.fitted.fused.parts["sequence"].state()[0]["vectors"],
            again.fitted.fused.parts["sequence"].state()[0]["vectors"],
        )
