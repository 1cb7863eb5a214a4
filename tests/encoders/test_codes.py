from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from fuserec.data.query import QueryBatch
from fuserec.encoders.codes import NO_CODE, SemanticIds, codebook_size
from fuserec.encoders.features import FeatureConfig, ItemFeatures
from fuserec.errors import ConfigError
from fuserec.run import RunOptions
from fuserec.scorers import create
from fuserec.testing import dataset_of, small_dataset
from fuserec.testing.life import grown_dataset

RUN = RunOptions(threads=1)


def no_words(n):
    return sparse.csr_matrix(np.zeros((n, 1), np.float32))


def ids_of(vectors, levels=2, size=4, seed=0, **more):
    vectors = np.asarray(vectors, np.float32)
    return SemanticIds.fit(no_words(len(vectors)), vectors, levels, size, np.random.default_rng(seed), **more)


A, B, C = np.eye(3, 4)


class TestHandMade:
    """Six items: three that are A, two that are B, one that is C, and one of which nothing is known."""

    ids = ids_of([A, B, A, C, np.zeros(4), B, A])

    def test_collisions_are_counted(self):
        assert self.ids.collisions == 3  # six items, three codes
        assert self.ids.facts == {
            "codes": 6,
            "code_sizes": [3, 1, 3],
            "code_collisions": 3,
            "code_collision_share": 0.5,
        }

    def test_the_last_digit_tells_them_apart_in_the_order_of_the_catalogue(self):
        assert self.ids.digits[:, -1].tolist() == [0, 0, 1, 0, NO_CODE, 1, 2]
        first = self.ids.digits[:, 0]
        assert first[0] == first[2] == first[6]
        assert len({first[0], first[1], first[3]}) == 3

    def test_what_nothing_is_known_of_has_no_code(self):
        assert self.ids.coded.tolist() == [True, True, True, True, False, True, True]
        assert self.ids.digits[4].tolist() == [NO_CODE] * 3

    def test_a_code_is_its_item(self):
        assert self.ids.decoded(self.ids.digits).tolist() == [0, 1, 2, 3, -1, 5, 6]
        free = self.ids.digits[3] + [0, 0, 1]
        assert self.ids.decoded(np.array([free, [9, 0, 0], [-1, 0, 0]])).tolist() == [-1, -1, -1]

    def test_without_collisions_there_are_none(self):
        assert ids_of(np.eye(4)).collisions == 0


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 60), levels=st.integers(1, 4), size=st.integers(2, 9), seed=st.integers(0, 99))
def test_each_item_has_one_code_and_each_code_one_item(n, levels, size, seed):
    vectors = np.round(np.random.default_rng(seed).normal(size=(n, 3)))  # some alike, some zero
    ids = ids_of(vectors, levels, size, seed)
    coded = np.flatnonzero(vectors.any(axis=1))
    assert np.array_equal(np.flatnonzero(ids.coded), coded)
    assert len({tuple(code) for code in ids.digits[coded].tolist()}) == coded.size
    assert np.array_equal(ids.decoded(ids.digits[coded]), coded)
    distinct = {tuple(code) for code in ids.digits[coded, :-1].tolist()}
    assert ids.collisions == coded.size - len(distinct)


def test_each_digit_is_the_nearest_centroid_to_what_the_others_leave():
    vectors = np.random.default_rng(0).normal(size=(80, 6)).astype(np.float32)
    ids = ids_of(vectors, levels=3, size=8)
    for item, vector in enumerate(vectors):
        left = vector / np.linalg.norm(vector)
        for level, book in enumerate(ids.codebooks):
            gaps = np.square(left - book).sum(axis=1)
            assert gaps[ids.digits[item, level]] == pytest.approx(gaps.min(), abs=1e-5)
            left = left - book[ids.digits[item, level]]


def test_more_digits_say_more():
    vectors = np.random.default_rng(0).normal(size=(200, 6)).astype(np.float32)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    lost = []
    for levels in (1, 2, 3):
        ids = ids_of(vectors, levels, 8)
        told = sum(book[ids.digits[:, k]] for k, book in enumerate(ids.codebooks))
        lost.append(np.square(unit - told).sum())
    assert lost[0] > 1.3 * lost[1] > 1.3**2 * lost[2]


class TestBehaviour:
    text = np.repeat(np.eye(2, 3, dtype=np.float32), 4, axis=0)
    acted = np.tile(np.eye(2, dtype=np.float32), (4, 1))

    def test_what_is_alike_in_text_is_told_apart_by_behaviour(self):
        assert ids_of(self.text).collisions == 6
        ids = ids_of(self.text, behaviour=self.acted, share=0.5)
        assert ids.collisions == 4
        assert ids_of(self.text, behaviour=self.acted, share=0.0).collisions == 6

    def test_half_a_vector_is_compared_by_that_half(self):
        text, acted = self.text.copy(), self.acted.copy()
        acted[7], text[6] = 0.0, 0.0
        ids = ids_of(text, levels=1, behaviour=acted, share=0.5)
        assert ids.coded.all()
        assert ids.digits[7, 0] in ids.digits[4:6, 0]  # it reads like these
        assert ids.digits[6, 0] in ids.digits[[0, 2, 4], 0]  # it is taken like these

    def test_later_items_are_coded_by_their_text(self):
        ids = ids_of(self.text, levels=1, behaviour=self.acted, share=0.5)
        grown = ids.extended(no_words(9), np.concatenate([self.text, self.text[:1]]))
        assert np.array_equal(grown.digits[:8], ids.digits)
        assert grown.digits[8, 0] in ids.digits[:4, 0]


class TestGrowth:
    def test_earlier_items_keep_their_codes_and_later_ones_get_their_own(self):
        ids = ids_of([A, B, A])
        grown = ids.extended(no_words(6), np.array([A, B, A, B, np.zeros(4), A], np.float32))
        assert np.array_equal(grown.digits[:3], ids.digits)
        assert grown.digits[3].tolist() == [*ids.digits[1, :2], 1]
        assert grown.digits[4].tolist() == [NO_CODE] * 3
        assert grown.digits[5].tolist() == [*ids.digits[0, :2], 2]
        assert grown.decoded(grown.digits).tolist() == [0, 1, 2, 3, -1, 5]

    def test_nothing_new_changes_nothing(self):
        ids = ids_of([A, B])
        assert ids.extended(no_words(2), np.array([B, A], np.float32)) is ids

    def test_a_catalogue_without_text_gets_none_later_either(self):
        ids = ids_of(np.zeros((3, 4)))
        assert not ids.coded.any()
        assert not ids.extended(no_words(4), np.ones((4, 4), np.float32)).coded.any()


def test_words_stand_in_for_a_language_model():
    words = sparse.csr_matrix(np.repeat(np.eye(3, 7, dtype=np.float32), 2, axis=0))
    ids = SemanticIds.fit(words, None, 2, 4, np.random.default_rng(0))
    assert ids.collisions == 3
    read = ids.of_text(words[[4, 0]], None)
    assert read.tolist() == ids.digits[[4, 0], :2].tolist()
    assert (ids.of_text(sparse.csr_matrix((1, 7), dtype=np.float32), None) == NO_CODE).all()


def test_equal_seeds_give_equal_codes_and_a_state_gives_them_back():
    vectors = np.random.default_rng(0).normal(size=(60, 5))
    one, other, third = ids_of(vectors, seed=1), ids_of(vectors, seed=1), ids_of(vectors, seed=2)
    assert np.array_equal(one.digits, other.digits)
    assert not np.array_equal(one.digits, third.digits)
    again = SemanticIds.from_state(*one.state())
    assert np.array_equal(again.digits, one.digits)
    later = np.concatenate([vectors, vectors[:1]]).astype(np.float32)
    assert np.array_equal(
        again.extended(no_words(61), later).digits, one.extended(no_words(61), later).digits
    )


@pytest.mark.parametrize(("n", "size"), [(0, 2), (1, 2), (40, 16), (3_000, 128), (12_101, 256), (10**6, 256)])
def test_small_catalogues_have_small_codebooks(n, size):
    assert codebook_size(n, 256) == size


class TestFeatures:
    ON = FeatureConfig.parse({"use_sentence": "never", "codes": {"levels": 2}}, "test")

    def test_prefixes_are_tags_of_the_items(self):
        tags, names = ids_of([A, B, A, np.zeros(4)], levels=2).prefixes()
        assert len(names) == 4  # two beginnings of each length
        first, second = (f"code:{d}" for d in ids_of([A, B, A, np.zeros(4)], levels=2).digits[:2, 0])
        assert names[:2] == tuple(sorted([first, second]))
        assert {first + "-0", second + "-0"} == set(names[2:])
        assert np.array_equal(tags.toarray()[0], tags.toarray()[2])
        assert (tags.toarray()[0] + tags.toarray()[1]).tolist() == [1, 1, 1, 1]
        assert not tags.toarray()[3].any()

    def test_they_are_off_by_default(self):
        features = ItemFeatures.build(small_dataset(), FeatureConfig(use_sentence="never"), RUN)
        assert features.codes is None
        assert not any(name.startswith("code:") for name in features.tag_names)

    def test_they_stand_beside_the_tags_of_the_table(self):
        data = small_dataset()
        plain = ItemFeatures.build(data, FeatureConfig(use_sentence="never"), RUN)
        coded = ItemFeatures.build(data, self.ON, RUN)
        before = len(plain.tag_names)
        assert coded.tag_names[:before] == plain.tag_names
        assert all(name.startswith("code:") for name in coded.tag_names[before:])
        assert (coded.tags[:, :before] != plain.tags).nnz == 0
        carried = np.asarray(coded.tags[:, before:].sum(axis=1)).ravel()
        assert np.array_equal(carried == 2, plain.has_text)  # a prefix of either length

    def test_they_are_kept_and_grow(self):
        data = small_dataset()
        coded = ItemFeatures.build(data, self.ON, RUN)
        again = ItemFeatures.from_state(*coded.state())
        assert (again.tags != coded.tags).nnz == 0
        grown = grown_dataset(data)
        later, same = (one.extended(grown, RUN) for one in (coded, again))
        assert later.tag_names == same.tag_names
        assert np.array_equal(later.codes.digits[: data.n_items], coded.codes.digits)
        assert later.tags.shape == (grown.n_items, len(later.tag_names))
        assert later.codes.coded[-2:].all()

    def test_a_scorer_of_tags_reads_them(self):
        """Items of the same code are alike by one tag more, and nothing else changes."""
        titles = [f"{('space robot', 'garlic soup')[item % 2]} {item}" for item in range(8)]
        data = replace(dataset_of([[0, 1]], 8), item_table=pl.DataFrame({"title": titles}))
        config = {"use_sentence": "never", "codes": {"levels": 1, "codebook_size": 2}}
        coded = ItemFeatures.build(data, FeatureConfig.parse(config, "test"), RUN)
        bare = ItemFeatures.build(data, FeatureConfig(use_sentence="never"), RUN)
        tagged = create("content", {"tag_weight": 1.0, "tag_similarity": "cosine"})
        q = QueryBatch.of_histories([[0]])
        more = tagged.fit(data, coded, RUN).score(q).values - tagged.fit(data, bare, RUN).score(q).values
        np.testing.assert_allclose(more[0, 1:], [0, 1, 0, 1, 0, 1, 0], atol=1e-6)

    @pytest.mark.parametrize(
        ("values", "says"),
        [
            ({"levels": 9}, r"codes.levels = 9.*less than or equal to 5"),
            ({"level": 2}, r"unknown key 'codes.level'.*did you mean 'levels'"),
        ],
    )
    def test_what_is_not_allowed_is_one_clear_line(self, values, says):
        with pytest.raises(ConfigError, match=says) as caught:
            FeatureConfig.parse({"codes": values}, "[features]")
        assert "\n" not in str(caught.value)
