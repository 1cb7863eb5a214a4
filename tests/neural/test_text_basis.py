"""The text basis: whitened numbers, the most telling first, zero where a text says nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fuserec.data.query import QueryBatch
from fuserec.encoders.reading import Words, with_words
from fuserec.neural.text_basis import MIN_ROWS, TextBasis  # numpy alone
from fuserec.run import RunOptions
from fuserec.testing import sentence_vectors, small_dataset
from fuserec.testing.planted import dataset_of
from fuserec.testing.small import WORDLESS, small_features

RUN = RunOptions(threads=1)
RNG = np.random.default_rng


@pytest.fixture(scope="module")
def words():
    """The small catalogue, read by words alone."""
    return small_features(small_dataset(), RUN)


@pytest.fixture(scope="module")
def both(words):
    """The same with vectors that stand in for a language model's; two directions tell most."""
    vectors = sentence_vectors(words.n_items)
    vectors[:, :2] *= 6.0
    vectors[~words.has_text] = 0.0
    return replace(words, sentence=vectors)


def spread(told):
    """Return the covariance of what is told, over the items."""
    return np.cov(told.astype(np.float64), rowvar=False, bias=True)


@pytest.mark.parametrize("reads", ["sentence", "words", "both"])
@pytest.mark.parametrize("dim", [3, 10])
def test_directions_have_unit_variance_and_nothing_in_common(both, reads, dim):
    basis = TextBasis.fit(both, dim, reads, RNG(0))
    told, heard = basis(both)
    assert told.shape == (both.n_items, dim)
    assert told.dtype == np.float32
    assert basis.dim == dim
    np.testing.assert_array_equal(heard, both.has_text)
    np.testing.assert_allclose(told[heard].mean(axis=0), 0.0, atol=1e-4)
    np.testing.assert_allclose(spread(told[heard]), np.eye(dim), atol=1e-3)


def test_the_most_telling_direction_comes_first(both):
    told, heard = TextBasis.fit(both, 8, "sentence", RNG(0))(both)
    centred = both.sentence[heard] - both.sentence[heard].mean(axis=0)
    explained = np.square(centred.T @ told[heard] / heard.sum()).sum(axis=0)
    assert np.all(np.diff(explained) < 1e-6)
    assert explained[:2].sum() > explained[2:].sum()


def test_no_more_directions_than_the_texts_have():
    texts = [("red apple", "green pear", "blue plum", "old tree")[i % 4] for i in range(12)]
    features = small_features(dataset_of([[0, 1]], 12, titles=texts), RUN)
    basis = TextBasis.fit(features, 50, "both", RNG(0))
    assert basis.dim == 3  # four texts span three directions
    assert np.isfinite(basis(features)[0]).all()


def test_items_without_text_are_zero(words):
    told, heard = TextBasis.fit(words, 6, "both", RNG(0))(words)
    assert not told[list(WORDLESS)].any()
    assert np.flatnonzero(~heard).tolist() == sorted(WORDLESS)


def test_equal_texts_are_equal_numbers():
    features = small_features(
        dataset_of([[0, 1]], 24, titles=[f"word{i % 6} and word{i % 4}" for i in range(24)]), RUN
    )
    told, _ = TextBasis.fit(features, 4, "words", RNG(0))(features)
    np.testing.assert_allclose(told[0], told[12], atol=1e-5)
    assert np.abs(told[0] - told[1]).max() > 0.1


@pytest.mark.parametrize("reads", ["sentence", "words", "both"])
def test_it_comes_back_from_its_arrays(both, reads):
    basis = TextBasis.fit(both, 7, reads, RNG(0))
    kept = basis.arrays()
    for name, array in kept.items():  # a file keeps neither another order nor arrays without a dimension
        assert array.ndim > 0, name
        assert array.flags.c_contiguous, name
    again = TextBasis.from_arrays({name: array.copy() for name, array in kept.items()})
    for one, other in zip(basis(both), again(both), strict=True):
        np.testing.assert_array_equal(one, other)
    assert TextBasis.from_arrays({}) is None


def test_the_words_of_a_query_lie_where_the_item_of_those_words_lies():
    titles = [
        f"{colour} {thing}" for colour in ("red", "green", "blue") for thing in ("pear", "plum", "tree")
    ]
    data = dataset_of([[0, 1]], 9, titles=titles)
    features = small_features(data, RUN)
    basis = TextBasis.fit(features, 8, "both", RNG(0))
    asked = QueryBatch.of_histories([[]] * 9)
    q = with_words(asked, [Words(request=title) for title in titles], features, RUN)
    said, heard = basis.of(q.text.lexical, q.text.sentence)
    assert heard.all()
    alike = said @ basis(features)[0].T
    assert np.array_equal(alike.argmax(axis=1), np.arange(9))


def test_a_query_that_the_language_model_has_not_read_is_read_by_its_words(both):
    basis = TextBasis.fit(both, 6, "both", RNG(0))
    told, heard = basis.of(both.lexical, None)
    assert heard[both.has_text].all()
    assert np.abs(told[both.has_text]).max(axis=1).min() > 0.0


def test_too_few_texts_tell_nothing_of_their_spread():
    few = [f"title {i}" if i < MIN_ROWS - 1 else None for i in range(20)]
    enough = [f"title {i}" if i < MIN_ROWS else None for i in range(20)]
    for titles, there in ((few, False), (enough, True)):
        features = small_features(dataset_of([[0, 1]], 20, titles=titles), RUN)
        assert (TextBasis.fit(features, 4, "both", RNG(0)) is not None) == there


def test_one_text_for_all_items_tells_nothing():
    features = small_features(dataset_of([[0, 1]], 20, titles=["the same"] * 20), RUN)
    basis = TextBasis.fit(features, 4, "both", RNG(0))
    assert basis is None or np.isfinite(basis(features)[0]).all()
