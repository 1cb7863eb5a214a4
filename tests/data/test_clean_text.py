"""Cleaning of texts: each step counted, nothing meaningful lost, and a second cleaning changes nothing."""

from __future__ import annotations

import unicodedata

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuserec.data.check import Findings
from fuserec.data.cleaning.catalogue import split_lists
from fuserec.data.cleaning.text import clean_lists, clean_texts

CASES = [
    ("Soap &amp; Glory", "Soap & Glory", "HTML entities or markup"),
    ("a&amp;amp;b", "a&b", "HTML entities or markup"),
    ("Caf&eacute; &#38; Bar &#x27;x&#x27;", "Café & Bar 'x'", "HTML entities or markup"),
    ("<b>Bold</b>er<br/>line", "Bolder line", "HTML entities or markup"),
    ("&lt;p&gt;text&lt;/p&gt;", "text", "HTML entities or markup"),
    ("a<script type='x'>alert(1)</script>b", "a b", "HTML entities or markup"),
    ("x<!-- hidden -->y", "x y", "HTML entities or markup"),
    ("cafe\u0301", "café", "Unicode form (not NFC)"),
    ("a\x07b\u200bc\ufeff", "abc", "control characters in a text"),
    ("  two\t lines\nhere ", "two lines here", "surplus whitespace"),
]


@pytest.mark.parametrize(("dirty", "clean", "reason"), CASES)
def test_each_fault_is_mended_and_counted(dirty, clean, reason):
    findings = Findings()
    assert clean_texts(pl.Series([dirty, "fine"]), "items.title", findings).to_list() == [clean, "fine"]
    found = {f.reason: f for f in findings.sorted()}
    assert found[reason].count == 1
    assert found[reason].where == "items.title"
    assert found[reason].example


@pytest.mark.parametrize(
    "text", ["I <3 you", "a < b > c", "AT&T", "R&D; more", "x <y> z", "fish & chips", "1 &2; 3"]
)
def test_words_that_only_look_like_markup_stay(text):
    findings = Findings()
    assert clean_texts(pl.Series([text]), "t", findings).to_list() == [text]
    assert not findings.sorted()


def test_missing_text_is_empty_text():
    assert clean_texts(pl.Series([None, "a"], dtype=pl.String), "t", Findings()).to_list() == ["", "a"]


@given(
    st.lists(
        st.text(max_size=30)
        | st.sampled_from([c[0] for c in CASES])
        | st.from_regex(r"[&<>;a-z#0-9 /]{0,20}")
    )
)
def test_cleaning_twice_is_cleaning_once(texts):
    once = clean_texts(pl.Series(texts, dtype=pl.String), "t", Findings())
    again = Findings()
    assert clean_texts(once, "t", again).to_list() == once.to_list()
    assert not again.sorted()
    for text in once:
        assert text == unicodedata.normalize("NFC", text)
        assert text == text.strip()


def test_lists_lose_empty_parts_and_repeats():
    lists = pl.Series("tags", [["a ", "", "a", None, "b &amp; c"], None, []], dtype=pl.List(pl.String))
    assert clean_lists(lists, "t", Findings()).to_list() == [["a", "b & c"], [], []]


@pytest.mark.parametrize(
    ("cells", "lists"),
    [
        (["a|b, c", "d"], [["a", "b, c"], ["d"]]),
        (["a; b", "c"], [["a", " b"], ["c"]]),
        (["a,b"], [["a", "b"]]),
        (["Home > Garden"], [["Home", "Garden"]]),
        (['["a", "b, c"]', "d,e"], [["a", "b, c"], ["d", "e"]]),
        (["['it''s', [\"x\"]]"], [["its", "x"]]),
        (["[a, b]"], [["a", " b"]]),
    ],
)
def test_cells_become_lists_by_the_separator_of_their_column(cells, lists):
    assert split_lists(pl.Series("tags", cells)).to_list() == lists
