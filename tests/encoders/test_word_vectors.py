from __future__ import annotations

import json

import numpy as np
import pytest

from fuserec.encoders.word_config import FastTextConfig, GloveConfig, SifConfig, Word2VecConfig
from fuserec.encoders.word_training import together, train_glove, train_words
from fuserec.encoders.word_vectors import WordVectorEncoder, common_directions
from fuserec.encoders.words import Words
from fuserec.errors import DataError, ModelFormatError, RequestError
from fuserec.run import RunOptions

RUN = RunOptions(threads=1, seed=4)
RUNS = (1, 2)
SMALL = {"embedding_dim": 24, "epochs": 25, "min_count": 1, "window": 3, "subsample": 0.0}


def by_hand(**changes):
    """Three words on paper: a (6 of 10 occurrences), b (3), c (1)."""
    words = Words(("a", "b", "c"), np.array([6, 3, 1]), 10, RUNS)
    table = np.array([[1, 0], [0, 2], [3, 3]], np.float32)
    parts = {"components": np.zeros((0, 2), np.float32), "sif": SifConfig(a=0.1), **changes}
    return WordVectorEncoder("word2vec", words, table, **parts)


def test_weights_by_hand():
    means = by_hand().means(["a b", "a a c z", "z", ""], RUN)
    wa, wb, wc = 0.1 / 0.7, 0.1 / 0.4, 0.1 / 0.2
    np.testing.assert_allclose(means[0], [wa / 2, 2 * wb / 2], rtol=1e-5)
    np.testing.assert_allclose(
        means[1], [(2 * wa + 3 * wc) / 3, wc], rtol=1e-5
    )  # z has no vector: of three words
    assert not means[2:].any()


def test_the_common_direction_is_taken_out_and_rows_have_unit_length():
    encoder = by_hand(components=np.array([[0.6, 0.8]], np.float32))
    mean = by_hand().means(["a b"], RUN)[0]
    left = mean - (mean @ [0.6, 0.8]) * np.array([0.6, 0.8])
    found = encoder.encode(["a b", "z", " "], RUN)
    np.testing.assert_allclose(found[0], left / np.linalg.norm(left), atol=1e-6)
    assert not found[1:].any()


def test_common_directions_are_the_first_singular_vectors():
    rng = np.random.default_rng(0)
    rows = (rng.normal(size=(60, 5)) * [1, 1, 1, 1, 6]).astype(np.float32)
    rows[7] = 0
    found = common_directions(rows, 2)
    right = np.linalg.svd(rows.astype(np.float64))[2][:2]
    np.testing.assert_allclose(np.abs(np.sum(found * right, axis=1)), 1, atol=1e-6)
    assert common_directions(rows[:9], 1).shape == (0, 5)  # of few texts it would be one of them


def test_one_text_is_no_list_of_texts():
    with pytest.raises(RequestError, match=r"pass \[text\]"):
        by_hand().encode("a b", RUN)


def synonyms(seed=0, shuffled=False):
    """Return texts in which couch and sofa stand among the same words, and so do tea and mate."""
    rng = np.random.default_rng(seed)
    scenes = {
        ("couch", "sofa"): ["leather", "corner", "cushion", "legs", "seat", "living"],
        ("tea", "mate"): ["green", "leaves", "cup", "hot", "herbal", "bag"],
        ("lamp", "light"): ["bulb", "shade", "desk", "dim", "watt", "switch"],
    }
    texts = []
    for _ in range(150):
        for names, around in scenes.items():
            words = [*rng.choice(around, 4, replace=False), str(rng.choice(names))]
            texts.append([str(word) for word in rng.permutation(words)])
    if shuffled:
        flat = rng.permutation([word for text in texts for word in text])
        texts = [list(map(str, part)) for part in np.array_split(flat, len(texts))]
    return [" ".join(text) for text in texts]


def nearest(words, table, query, among):
    vectors = np.asarray(words.reading([query, *among]) @ table)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return among[int((vectors[1:] @ vectors[0]).argmax())]


PAIRS = [
    ("couch", "sofa"),
    ("sofa", "couch"),
    ("tea", "mate"),
    ("mate", "tea"),
    ("lamp", "light"),
    ("light", "lamp"),
]
NAMES = ("couch", "sofa", "tea", "mate", "lamp", "light")


def right(texts, config):
    train = train_glove if isinstance(config, GloveConfig) else train_words
    words, table = train(texts, config, RUNS, RUN)
    return sum(nearest(words, table, q, [n for n in NAMES if n != q]) == answer for q, answer in PAIRS)


OF_EACH = [
    Word2VecConfig(**SMALL),
    Word2VecConfig(architecture="cbow", **SMALL),
    FastTextConfig(**SMALL),
    GloveConfig(embedding_dim=24, epochs=60, min_count=1, window=3),
]


@pytest.mark.parametrize("config", OF_EACH, ids=["skipgram", "cbow", "fasttext", "glove"])
def test_words_in_the_same_contexts_end_up_beside_each_other(config):
    assert right(synonyms(), config) == 6


@pytest.mark.parametrize("config", OF_EACH, ids=["skipgram", "cbow", "fasttext", "glove"])
def test_shuffled_text_teaches_nothing(config):
    found = [right(synonyms(seed, shuffled=True), config) for seed in range(3)]
    assert sum(found) <= 9  # 18 questions with five answers each: 3.6 by chance


def test_words_together_by_hand():
    flat, indptr = np.array([0, 1, 2, 1, 0], np.int32), np.array([0, 3, 5])
    found = together(flat, indptr, 3, 2).toarray()
    np.testing.assert_allclose(
        found, [[0, 2, 0.5], [2, 0, 1], [0.5, 1, 0]]
    )  # "a b c", "b a"; no window leaves a text


def test_fasttext_reads_a_misspelt_word():
    texts = synonyms() + ["moisturizer cream night", "moisturizer lotion skin", "cream lotion skin"] * 40
    words, table = train_words(texts, FastTextConfig(**SMALL), RUNS, RUN)
    assert words.index("moisturiser") < 0
    among = ["couch", "tea", "lamp", "moisturizer", "leather", "cup"]
    assert nearest(words, table, "moisturiser", among) == "moisturizer"
    plain, vectors = train_words(texts, Word2VecConfig(**SMALL), RUNS, RUN)
    assert not (plain.reading(["moisturiser"]) @ vectors).any()


def test_equal_seeds_give_equal_bits_on_any_number_of_threads():
    texts = synonyms()
    one = train_words(texts, FastTextConfig(**SMALL), RUNS, RUN)[1]
    two = train_words(texts, FastTextConfig(**SMALL), RUNS, RunOptions(threads=4, seed=4))[1]
    other = train_words(texts, FastTextConfig(**SMALL), RUNS, RunOptions(seed=5))[1]
    np.testing.assert_array_equal(one, two)
    assert not np.allclose(one, other)


def test_text_without_two_words_is_an_error():
    with pytest.raises(DataError, match="no two words, of 2 occurrences or more, beside each other"):
        train_words(["one", "two", ""], Word2VecConfig(), RUNS, RUN)
    with pytest.raises(DataError, match="lower min_count"):
        train_words(["one two", "three four"], Word2VecConfig(), RUNS, RUN)


def test_chinese_texts_are_near_by_what_they_are_about():
    rng = np.random.default_rng(0)
    scenes = ["武侠江湖剑客门派", "宇宙飞船星际科幻"]
    texts = ["".join(rng.permutation(list(scenes[i % 2]))) for i in range(200)]
    words, table = train_words(texts, Word2VecConfig(**SMALL), RUNS, RUN)
    encoder = WordVectorEncoder.over("word2vec", words, table, texts, SifConfig(), RUN)
    a, b, c = encoder.encode(["剑客江湖", "门派武侠", "星际飞船"], RUN)
    assert a @ b > a @ c + 0.5


def test_what_has_no_vector_is_counted():
    texts = ["red shoe", "red shoe", "red boat", "zebra", ""]
    words, table = train_words(texts, Word2VecConfig(**{**SMALL, "min_count": 2}), RUNS, RUN)
    facts = WordVectorEncoder.over("word2vec", words, table, texts, SifConfig(), RUN).facts
    assert facts["words"] == 2
    assert facts["unknown_words"] == 2  # boat, zebra
    assert facts["unknown_share"] == round(2 / 7, 4)
    assert facts["texts_without"] == 1  # the zebra; the empty text says nothing at all


def test_a_text_is_read_alike_whatever_stands_beside_it():
    texts = synonyms()
    words, table = train_words(texts, FastTextConfig(**SMALL), RUNS, RUN)
    encoder = WordVectorEncoder.over("fasttext", words, table, texts, SifConfig(), RUN)
    together = encoder.encode(texts[:50], RUN)
    np.testing.assert_allclose(together[7:8], encoder.encode([texts[7]], RUN), atol=1e-6)


def test_state_round_trip_and_damage():
    texts = synonyms()
    words, table = train_words(texts, FastTextConfig(**SMALL), RUNS, RUN)
    encoder = WordVectorEncoder.over("fasttext", words, table, texts, SifConfig(), RUN, "key")
    arrays, info = encoder.state()
    info = json.loads(json.dumps(info))
    again = WordVectorEncoder.from_state({k: v.copy() for k, v in arrays.items()}, info)
    np.testing.assert_array_equal(again.encode(texts, RUN), encoder.encode(texts, RUN))
    assert (again.fingerprint, again.made_from, again.facts) == (encoder.fingerprint, "key", encoder.facts)
    for name, value in {
        "table": table[:-1],
        "components": np.zeros((1, 3), np.float32),
        "counts": arrays["counts"] + 1,
        "terms.offsets": arrays["terms.offsets"][:-2],
    }.items():
        with pytest.raises(ModelFormatError, match="word vectors of this model are damaged"):
            WordVectorEncoder.from_state({**arrays, name: value}, info)
    with pytest.raises(ModelFormatError, match="fit it again"):
        WordVectorEncoder.from_state(arrays, {**info, "words": None})


def test_fingerprints_differ_with_the_corpus():
    config = Word2VecConfig(**SMALL)
    found = set()
    for texts in (synonyms(0), synonyms(1)):
        words, table = train_words(texts, config, RUNS, RUN)
        found.add(WordVectorEncoder.over("word2vec", words, table, texts, SifConfig(), RUN).fingerprint)
    assert len(found) == 2
