from __future__ import annotations

import json

import numpy as np
import pytest

from fuserec.encoders.lexical import tokenize
from fuserec.encoders.words import Words, char_ngrams, packed, unpacked


def test_character_ngrams_of_the_paper():
    assert char_ngrams("where", (3, 3)) == ["<wh", "whe", "her", "ere", "re>"]  # Bojanowski and others, 3.2
    assert char_ngrams("as", (3, 6)) == ["<as", "as>"]  # <as> itself is the word, which has a row of its own
    assert char_ngrams("a", (3, 6)) == []
    assert len(char_ngrams("x" * 10_000, (3, 6))) < 300


def test_words_are_counted_and_read_by_their_rows():
    tokens = [["red", "shoe"], ["red", "shoes", "rare"], ["shoe", "red", "shoes"]]
    words = Words.of(tokens, (1, 2), min_count=2, sizes=(4, 4), max_ngrams=3)
    assert words.terms == ("red", "shoe", "shoes")
    assert words.counts.tolist() == [3, 2, 2]
    assert words.total == 8  # the rare word is text too
    assert words.ngrams == ("<sho", "shoe", "<red")  # in two words, two, one: then by letters
    assert words.rows("red") == [0, 5]
    assert words.rows("shoes") == [2, 3, 4]
    assert words.rows("shoehorn") == [3, 4]  # never seen
    assert words.rows("blue") == []
    reading = words.reading(["shoes", "blue"]).toarray()
    np.testing.assert_allclose(reading, [[0, 0, 1 / 3, 1 / 3, 1 / 3, 0], [0] * 6], rtol=1e-6)
    np.testing.assert_allclose(words.frequencies(["red", "shoehorn", "shoe"]), [3 / 8, 0, 2 / 8])


def test_chinese_is_cut_as_the_lexical_encoder_cuts_it():
    words = Words.of([], (1, 2))
    text = "三体 Cixin LIU"
    assert words.cut([text]) == [tokenize(text, (1, 2))]
    assert set(words.cut([text])[0]) == {"三", "体", "三体", "cixin", "liu"}


def test_state_round_trip():
    words = Words.of([["三体", "été", "été"]], (1, 3), sizes=(2, 3), max_ngrams=10)
    arrays, info = words.state()
    again = Words.from_state(arrays, json.loads(json.dumps(info)))
    assert (again.terms, again.ngrams, again.total) == (words.terms, words.ngrams, words.total)
    assert again.counts.tolist() == words.counts.tolist()
    assert again.runs == (1, 3)
    assert again.rows("été") == words.rows("été")


@pytest.mark.parametrize("strings", [[], [""], ["a", "", "三体"]])
def test_strings_are_packed(strings):
    assert unpacked(*packed(strings)) == tuple(strings)
