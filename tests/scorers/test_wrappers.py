"""Scorers made of other scorers: debiased, averaged, augmented; by name, and by a key beside any part."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from small_ratings import RUN, dataset, random_dataset

from fuserec.config import create_parts
from fuserec.data.query import QueryBatch
from fuserec.encoders.features import FeatureConfig, ItemFeatures
from fuserec.encoders.reading import Words, with_words
from fuserec.errors import ConfigError, NotFittedError
from fuserec.numerics.topk import top_k
from fuserec.run import RunOptions
from fuserec.scorers import create
from fuserec.testing import check_scorer, dataset_of, small_dataset, small_features, small_queries

ALS = {"embedding_dim": 8, "iterations": 3}


def lists(scorer, q, k=5):
    """Return the best k items of every query, those of the history left out."""
    found = scorer.score(q)
    visible = np.where(found.answered, found.values, np.float32(-np.inf))
    ties = np.arange(visible.shape[1], dtype=np.uint64)
    return top_k(visible, k, exclude=q.seen(), ties=ties)[0]


class TestDebiased:
    """The exponent and popularity."""

    @pytest.mark.parametrize("of", ["cooccurrence", "als", "popularity"])
    def test_a_larger_exponent_never_makes_lists_more_popular(self, of):
        data = small_dataset()
        features = small_features(data, RUN)
        q, counts = data.queries(np.arange(4, 56)), data.item_counts
        scorer = create("debiased", {"of": of, "exponent": 0.0}).fit(data, features, RUN)
        means = []
        for exponent in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0):
            found = lists(scorer.retuned(exponent=exponent), q)
            means.append(counts[found[found >= 0]].mean())
        assert all(later <= before + 0.01 for before, later in pairwise(means)), means
        if of == "cooccurrence":
            assert means[-1] < 0.9 * means[0]

    def test_exponent_zero_is_the_wrapped_scorer_and_one_divides_by_popularity(self):
        data = small_dataset()
        features = small_features(data, RUN)
        q = data.queries(np.array([5, 20]))
        plain = create("als", ALS).fit(data, features, RUN).score(q)
        same = create("debiased", {"of": "als", "options": ALS, "exponent": 0}).fit(data, features, RUN)
        np.testing.assert_array_equal(same.score(q).values, plain.values)
        divided = same.retuned(exponent=1.0).score(q).values
        positive = plain.values > 0
        wanted = plain.values / (data.item_counts + 1)
        np.testing.assert_allclose(divided[positive], wanted[positive], rtol=1e-5)
        assert (plain.values < 0).any()
        np.testing.assert_array_equal(divided[~positive], plain.values[~positive])

    def test_nothing_known_stays_nothing_and_signs_stay(self):
        data = dataset_of([[0, 1], [0, 1], [0, 2], [3, 4]], 5)
        scorer = create("debiased", {"of": "cooccurrence", "exponent": 1.0}).fit(data, None, RUN)
        values = scorer.score(QueryBatch.of_histories([[0]])).values[0]
        assert values[1] > 0
        assert values[2] > 0
        assert values[3] == values[4] == 0  # a shift would have made evidence of it
        disliked = QueryBatch.of_histories([[0]]).with_weights(np.array([-1.0]))
        plain = create("cooccurrence").fit(data, None, RUN).score(disliked).values
        np.testing.assert_array_equal(scorer.score(disliked).values, plain)
        assert plain[0, 1] < plain[0, 2] < 0  # popular items are not lifted by being divided

    def test_rows_stay_exact_where_all_have_one_sign(self):
        data = dataset_of([[0, 1, 2], [0, 2], [1, 2], [3, 2]], 4)
        scorer = create("debiased", {"of": "cooccurrence", "exponent": 0.5}).fit(data, None, RUN)
        q, items = QueryBatch.of_histories([[0, 1]]), np.array([[2]])
        (cell,) = scorer.evidence(q, items)[0]
        assert {row.method for row in cell} == {"exact"}
        without = q.with_weights(np.array([0.0, 1.0]))
        change = scorer.score(q, items).values - scorer.score(without, items).values
        assert float(change[0, 0]) == pytest.approx(
            next(row.contribution for row in cell if row.key == 0), rel=1e-5
        )
        mixed = q.with_weights(np.array([-0.2, 1.0]))
        (cell,) = scorer.evidence(mixed, items)[0]
        assert {row.method for row in cell} == {"attributed"}
        assert sum(row.contribution for row in cell) == pytest.approx(
            float(scorer.score(mixed, items).values[0, 0]), rel=1e-5
        )

    def test_predicted_ratings_keep_their_scale(self):
        data = random_dataset(1)
        features = small_features(data, RUN)
        q, items = data.queries(np.arange(3)), np.tile(np.arange(6), (3, 1))
        scorer = create("debiased", {"of": "svd", "exponent": 1.0}).fit(data, features, RUN)
        plain = create("svd").fit(data, features, RUN)
        np.testing.assert_array_equal(scorer.predict(q, items), plain.predict(q, items))


class TestAveraged:
    """Copies with seeds of their own."""

    def test_an_average_varies_less_than_a_single_fit(self):
        data = random_dataset(2)
        q = data.queries(np.arange(20))
        alone, joined = [], []
        for seed in range(6):
            run = RunOptions(seed=100 + seed, threads=1)
            alone.append(create("als", ALS).fit(data, None, run).score(q).values)
            config = {"of": "als", "options": ALS, "seeds": 5}
            joined.append(create("averaged", config).fit(data, None, run).score(q).values)
        assert np.var(alone, axis=0).mean() > 0
        assert np.var(joined, axis=0).mean() < 0.5 * np.var(alone, axis=0).mean()

    def test_one_seed_is_the_scorer_and_more_are_its_mean(self):
        data = random_dataset(2)
        q, items = data.queries(np.arange(4)), np.tile(np.arange(5), (4, 1))
        alone = create("als", ALS).fit(data, None, RUN)
        one = create("averaged", {"of": "als", "options": ALS, "seeds": 1}).fit(data, None, RUN)
        np.testing.assert_array_equal(one.score(q).values, alone.score(q).values)
        three = create("averaged", {"of": "als", "options": ALS, "seeds": 3}).fit(data, None, RUN)
        parts = [inner.score(q).values for inner in three._inner.values()]
        assert not np.array_equal(parts[0], parts[1])
        np.testing.assert_allclose(three.score(q).values, np.mean(parts, axis=0), atol=1e-6)
        for cell in (cell for cells in three.evidence(q, items) for cell in cells):
            sources = [(row.kind, row.key) for row in cell]
            assert len(sources) == len(set(sources))

    def test_tunable_values_reach_every_copy_and_survive_storage(self):
        data = random_dataset(2)
        q = data.queries(np.arange(4))
        scorer = create("averaged", {"of": "als", "options": ALS, "seeds": 2}).fit(data, None, RUN)
        assert scorer.config.recency == 0.8
        tuned = scorer.retuned(recency=0.6)
        assert [inner.config.recency for inner in tuned._inner.values()] == [0.6, 0.6]
        assert tuned.config.options == {**ALS, "recency": 0.6}
        assert scorer.config.options == ALS
        config = type(tuned.config).parse(json.loads(tuned.config.model_dump_json()), "stored")
        again = type(tuned).from_state(config, *tuned.state(), None)
        np.testing.assert_array_equal(again.score(q).values, tuned.score(q).values)
        with pytest.raises(AttributeError):
            _ = scorer.config.embedding

    def test_ratings_are_averaged_and_refused_where_the_scorer_gives_none(self):
        data = random_dataset(1)
        q, items = data.queries(np.arange(3)), np.tile(np.arange(6), (3, 1))
        scorer = create("averaged", {"of": "svd", "seeds": 2}).fit(data, None, RUN)
        wanted = np.mean([inner.predict(q, items) for inner in scorer._inner.values()], axis=0)
        np.testing.assert_allclose(scorer.predict(q, items), wanted, rtol=1e-6)
        with pytest.raises(NotFittedError, match="'als' ranks but does not predict"):
            create("averaged", {"options": ALS}).fit(data, None, RUN).predict(q, items)


def shelf():
    """Return two shelves of books whose words say which; people who keep to one; and who has taken almost nothing."""
    titles = [f"{'robot galaxy' if i < 6 else 'soup garlic'} {i}" for i in range(12)]
    rows = [[(u // 2 + s) % 6 + 6 * (u % 2) for s in range(3)] for u in range(30)]
    data = dataset_of(rows, 12, titles=titles)
    return data, ItemFeatures.build(data, FeatureConfig(use_sentence="never"), RUN)


class TestAugmented:
    """Histories that another scorer extends."""

    def test_the_added_items_come_first_oldest_and_light(self):
        data, features = shelf()
        scorer = create("augmented", {"added": 2, "weight": 0.25}).fit(data, features, RUN)
        q = QueryBatch.of_histories([[0, 1], [], [7]])
        extended = scorer._extended(q)
        long = extended.queries
        assert long.lengths.tolist() == [4, 0, 3]
        assert long.items[2:4].tolist() == [0, 1]
        assert set(long.items[:2].tolist()) < set(range(2, 6))
        assert long.items[1] == extended.added[0, 0]
        assert long.weights.tolist() == [0.25, 0.25, 1, 1, 0.25, 0.25, 1]
        assert long.items[-1] == 7
        assert (extended.added[1] == -1).all()

    def test_scores_are_those_of_the_extended_history(self):
        data, features = shelf()
        scorer = create("augmented", {"of": "item_knn", "by": "content"}).fit(data, features, RUN)
        q = QueryBatch.of_histories([[0], [8, 2]])
        outer = create("item_knn").fit(data, features, RUN)
        wanted = outer.score(scorer._extended(q).queries)
        np.testing.assert_array_equal(scorer.score(q).values, wanted.values)
        assert not np.allclose(wanted.values, outer.score(q).values)

    def test_words_alone_are_answered_by_a_scorer_of_behaviour(self):
        data, features = shelf()
        q = with_words(QueryBatch.of_histories([[]]), [Words(request="garlic soup")], features, RUN)
        assert not create("item_knn").fit(data, features, RUN).score(q).queries[0]
        scorer = create("augmented").fit(data, features, RUN)
        found = scorer.score(q)
        assert found.queries[0]
        assert found.values[0, 6:].max() > 0
        assert not found.values[0, :6].any()

    def test_evidence_names_what_the_items_were_added_for(self):
        data, features = shelf()
        scorer = create("augmented").fit(data, features, RUN)
        q = with_words(QueryBatch.of_histories([[8]]), [Words(request="garlic")], features, RUN)
        items = np.array([[9, 10, 3]])
        values = scorer.score(q, items).values[0]
        for value, cell in zip(values, scorer.evidence(q, items)[0], strict=True):
            assert sum(row.contribution for row in cell) == pytest.approx(float(value), abs=1e-5)
            assert {(row.kind, row.key) for row in cell} <= {("item", 8), ("word", "garlic")}
        assert any(row.kind == "word" for row in scorer.evidence(q, items)[0][0])

    def test_added_items_bear_predicted_ratings_where_they_are_read(self):
        data = random_dataset(1)
        features = small_features(data, RUN)
        scorer = create("augmented", {"of": "svd", "by": "user_knn"}).fit(data, features, RUN)
        q = data.queries(np.arange(3))
        extended = scorer._extended(q)
        added = extended.queries.weights == np.float32(0.3)
        assert added.any()
        assert np.isfinite(extended.queries.ratings[added]).all()
        with pytest.raises(ConfigError, match="by = 'content' predicts none"):
            create("augmented", {"of": "svd", "by": "content"})


class TestKeysOfAnyPart:
    """``seeds`` and ``debias`` in a table of ``[parts]``."""

    def test_they_wrap_the_part(self):
        parts = create_parts({"calm": {"scorer": "als", "seeds": 2, "debias": 0.3, **ALS}, "als": {}})
        assert [part.name for part in parts.values()] == ["debiased", "als"]
        assert parts["calm"].config.exponent == 0.3
        assert set(parts["calm"].tunable) == {"recency", "exponent"}
        data = small_dataset()
        features = small_features(data, RUN)
        q = small_queries(data, features, RUN)
        fitted = parts["calm"].fit(data, features, RUN)
        inner = create("averaged", {"of": "als", "options": ALS, "seeds": 2}).fit(data, features, RUN)
        wanted = inner.retuned(recency=0.6).score(q).values
        found = fitted.retuned(recency=0.6, exponent=0.0)
        np.testing.assert_allclose(found.score(q).values, wanted, atol=1e-6)
        assert found.config.recency == 0.6

    def test_a_scorer_s_own_key_of_that_name_is_its_own(self):
        part = create_parts({"averaged": {"of": "als", "seeds": 4}})["averaged"]
        assert (part.name, part.config.of, part.config.seeds) == ("averaged", "als", 4)

    @pytest.mark.parametrize(
        ("table", "message"),
        [
            ({"als": {"seeds": 0}}, r"\[parts.als\] seeds: seeds = 0"),
            ({"als": {"debias": 1.5}}, r"\[parts.als\] debias: exponent = 1.5"),
            ({"als": {"debias": 0.5, "alfa": 1}}, r"\[parts.als\]: unknown key 'alfa'; did you mean 'alpha'"),
            ({"x": {"scorer": "averaged", "of": "alss"}}, "unknown scorer 'alss'; did you mean 'als'"),
            (
                {"x": {"scorer": "debiased", "options": {"windo": 2}}},
                "options of 'cooccurrence': unknown key 'windo'",
            ),
        ],
    )
    def test_what_is_wrong_is_named(self, table, message):
        with pytest.raises(ConfigError, match=message):
            create_parts(table)


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("averaged", {"of": "svd", "seeds": 2}),
        ("averaged", {"of": "content", "seeds": 2}),
        ("debiased", {"of": "item_knn"}),
        ("debiased", {"of": "averaged", "options": {"of": "als", "seeds": 2}}),
        ("augmented", {"of": "als", "by": "popularity"}),
        ("augmented", {"of": "svd", "by": "item_knn"}),
    ],
    ids=str,
)
def test_other_scorers_keep_the_contract_when_they_are_wrapped(name, config):
    check_scorer(create(name, config))


def test_meta_level_is_user_knn_in_the_space_of_texts():
    """Pazzani 1999, "collaboration via content": people are compared by the content profile learnt of each alone.

    Two halves of the people took disjoint items with the same words: no collaborative comparison can find them alike.
    """
    titles = ["robot galaxy orbit", "robot galaxy alien", "robot galaxy ship", "robot galaxy star"]
    titles += ["soup garlic oven", "soup garlic bread", "soup garlic spice", "soup garlic pan"]
    rows = [(u, i, None) for u in range(10) for i in ((0, 1) if u < 5 else (4, 5))]
    rows += [(u, i, None) for u in range(10, 20) for i in ((2, 3) if u < 15 else (6, 7))]
    data = dataset(rows, titles=titles)
    features = ItemFeatures.build(data, FeatureConfig(use_sentence="never"), RUN)
    q = QueryBatch.of_histories([[0, 1]])
    meta = create("user_knn", {"space": "text"}).fit(data, features, RUN)
    profile = meta._readers[[12]].toarray()
    words = features.lexical[[2, 3]].toarray().mean(axis=0)
    np.testing.assert_allclose(
        profile[0], words / np.linalg.norm(words), atol=1e-5
    )  # the model that is the input
    values = meta.score(q).values[0]
    assert values[[2, 3]].min() > values[[6, 7]].max()
    plain = create("user_knn").fit(data, features, RUN).score(q).values[0]
    assert not plain[2:].any()
