from __future__ import annotations

import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuserec.errors import RequestError
from fuserec.metrics import text
from fuserec.metrics.text import distinct_n, lengths, ngrams, self_overlap, tokens

TEXTS = st.lists(st.lists(st.sampled_from("abcd"), max_size=6).map(" ".join), max_size=6)


def test_docstring_examples():
    result = doctest.testmod(text)
    assert result.attempted == 5
    assert result.failed == 0


@given(TEXTS, st.integers(1, 3))
def test_equals_the_brute_force_oracle(texts, n):
    grams = [[tuple(t.split()[i : i + n]) for i in range(len(t.split()) - n + 1)] for t in texts]
    every = [gram for own in grams for gram in own]
    expected = len(set(every)) / len(every) if every else np.nan
    assert distinct_n(texts, n) == pytest.approx(expected, nan_ok=True)
    found = self_overlap(texts, n)
    for at, own in enumerate(grams):
        others = {gram for place, other in enumerate(grams) if place != at for gram in other}
        share = np.mean([gram in others for gram in set(own)]) if own else np.nan
        assert found[at] == pytest.approx(share, nan_ok=True)
    assert lengths(texts).tolist() == [len(t.split()) for t in texts]


def test_words_of_any_script():
    assert tokens("Café “Amélie”, 2001 — 因为 O'Neill") == ["café", "amélie", "2001", "因", "为", "o'neill"]
    assert ngrams("一二三", 2) == [("一", "二"), ("二", "三")]
    with pytest.raises(RequestError, match="n of at least 1"):
        ngrams("a", 0)
