"""Texts with faults: as many as asked for, never an empty text, the same for the same chance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuserec.encoders.noise import FAULTS, WORD, Shift, faulty, shift_named
from fuserec.errors import RequestError

LONG = " ".join(f"word{n:04d}" for n in range(4000))


def noisy(text, fault, share, seed=0):
    return faulty(text, Shift(fault=fault, share=share), np.random.default_rng(seed))


@pytest.mark.parametrize("fault", FAULTS)
@given(text=st.text(max_size=60), share=st.floats(0.01, 0.99), seed=st.integers(0, 9))
def test_of_a_text_with_words_something_stays(fault, text, share, seed):
    found = noisy(text, fault, share, seed)
    assert found == noisy(text, fault, share, seed)
    assert bool(WORD.search(text)) == bool(WORD.search(found))


def test_the_share_is_that_of_the_words():
    words = LONG.split()
    typed = noisy(LONG, "typos", 0.1).split()
    assert len(typed) == len(words)
    assert 0.07 < np.mean([a != b for a, b in zip(typed, words, strict=True)]) < 0.11
    left = noisy(LONG, "words", 0.2).split()
    assert 0.78 < len(left) / len(words) < 0.82
    assert set(left) < set(words)
    rest = noisy(LONG, "span", 0.25).split()
    assert len(rest) == 3000
    gone = next(at for at, (a, b) in enumerate(zip(words, [*rest, ""], strict=False)) if a != b)
    assert rest == words[:gone] + words[gone + 1000 :]  # in one run


def test_a_mistyped_word_is_one_letter_off():
    kinds = {noisy("galaxy", "typos", 0.999, seed) for seed in range(200)}
    assert {len(word) for word in kinds} == {5, 6, 7}
    assert any(sorted(word) == sorted("galaxy") and word != "galaxy" for word in kinds)  # two letters swapped
    assert noisy("of it", "typos", 0.999) == "of it"


def test_chinese_is_read_by_characters():
    assert len(noisy("剑客江湖", "words", 0.5, 3)) in (1, 2, 3)
    assert len(noisy("剑客江湖", "span", 0.5)) == 2


def test_shifts_are_written_in_one_word():
    assert shift_named("typos:0.1") == Shift(fault="typos", share=0.1)
    assert shift_named("words:0.25").name == "words:0.25"
    for wrong, told in (
        ("typo:0.1", "did you mean 'typos'"),
        ("typos", "e.g. typos:0.1"),
        ("words:1", "below 1"),
        ("words:x", "below 1"),
    ):
        with pytest.raises(RequestError, match=told):
            shift_named(wrong)
