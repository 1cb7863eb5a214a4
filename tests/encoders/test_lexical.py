"""TF-IDF: against scikit-learn, across scripts, and read back as words."""

from __future__ import annotations

import json
import lzma
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from fuserec.encoders.lexical import LexicalConfig, LexicalEncoder, fold, tokenize
from fuserec.errors import ModelFormatError
from fuserec.run import CancelledError, RunOptions

RUN = RunOptions()
TEXTS = [
    "Red nail polish, quick dry nail polish",
    "blue NAIL file",
    "洗发水 shampoo 500ml",
    "护发素 洗发 conditioner",
    "",
    "red red red",
    "Crème brûlée candle",
]


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("Women's Gel 3.4 oz, don't", ["women", "gel", "3.4", "oz", "dont"]),
        ("Women’s L'Oréal CRÈME", ["women", "loreal", "creme"]),
        ("snake_case under-score", ["snake", "case", "under", "score"]),
        ("洗发水", ["洗", "发", "水", "洗发", "发水"]),
        ("iPhone手机壳15", ["iphone", "手", "机", "壳", "手机", "机壳", "15"]),
        ("ﾃﾚﾋﾞ", ["テ", "レ", "ビ", "テレ", "レビ"]),  # half-width kana, the voicing mark joined to its letter
        ("กำลัง", ["กํ", "า", "ลั", "ง", "กํา", "าลั", "ลัง"]),  # vowel signs stay with their consonants
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),  # not cut at vowel signs
        ("한국어 책", ["한국어", "책"]),
        ("йод ЁЛКА", ["йод", "елка"]),
        ("أحمد", ["احمد"]),
        ("ＦＵＬＬ ﬁne", ["full", "fine"]),
        ("Straße", ["strasse"]),
        ("🎬 !?— …", []),
        ("", []),
    ],
)
def test_tokens_of_many_scripts(text: str, terms: list[str]) -> None:
    assert tokenize(text) == terms


def test_longer_ngrams() -> None:
    assert tokenize("洗发水", (2, 3)) == ["洗发", "发水", "洗发水"]
    assert tokenize("水", (2, 3)) == []


@given(st.text(max_size=60))
def test_folding_twice_changes_nothing_and_tokens_are_folded(text: str) -> None:
    once = fold(text)
    assert fold(fold(once)) == fold(once)
    assert all(term and not term.isspace() for term in tokenize(text))


@given(st.text(alphabet=st.characters(max_codepoint=127), max_size=80))
def test_the_fast_way_for_ascii_equals_the_general_one(text: str) -> None:
    assert tokenize(text + " é")[:-1] == tokenize(text + " e")[:-1]


def test_equals_scikit_learn() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    rng = np.random.default_rng(0)
    words = np.array([f"w{i}" for i in range(300)])
    texts = [" ".join(words[rng.zipf(1.3, rng.integers(1, 40)) % 300]) for _ in range(400)]
    for options in ({}, {"min_df": 3}, {"max_df": 0.3}):
        oracle = TfidfVectorizer(sublinear_tf=True, token_pattern=r"\w+", **options)
        expected = oracle.fit_transform(texts)
        encoder = LexicalEncoder.fit(texts, RUN, LexicalConfig(**options))
        assert encoder.terms == oracle.get_feature_names_out().tolist()
        np.testing.assert_allclose(encoder.idf, oracle.idf_, rtol=1e-6)
        rows = encoder.encode(texts, RUN)
        assert rows.dtype == np.float32
        np.testing.assert_allclose(rows.toarray(), expected.toarray(), atol=1e-6)


def test_empty_texts_do_not_count_as_documents() -> None:
    with_empty = LexicalEncoder.fit([*TEXTS, "", "", " "], RUN)
    np.testing.assert_array_equal(with_empty.idf, LexicalEncoder.fit(TEXTS, RUN).idf)


def test_the_vocabulary_does_not_depend_on_the_order_of_items() -> None:
    one, other = LexicalEncoder.fit(TEXTS, RUN), LexicalEncoder.fit(TEXTS[::-1], RUN)
    assert one.fingerprint == other.fingerprint
    assert one.terms == sorted(one.terms)


def test_new_words_do_not_break_old_rows() -> None:
    encoder = LexicalEncoder.fit(TEXTS, RUN)
    rows = encoder.encode(TEXTS, RUN)
    new = encoder.encode(["red zebra", "zebra", *TEXTS], RUN)
    assert new.shape == (9, encoder.dim)
    assert encoder.weights(new[[0]]) == [("red", 1.0)]
    assert new[[1]].nnz == 0
    assert (new[2:] != rows).nnz == 0


def test_max_features_keeps_the_commonest() -> None:
    encoder = LexicalEncoder.fit(TEXTS, RUN, LexicalConfig(max_features=4))
    assert encoder.terms == ["nail", "red", "发", "洗"]


def test_words_read_back() -> None:
    encoder = LexicalEncoder.fit(TEXTS, RUN)
    rows = encoder.encode(TEXTS, RUN)
    assert encoder.weights(rows[[5]]) == [("red", 1.0)]
    shared = encoder.shared(rows[[2]], rows[[3]])
    assert {term for term, _ in shared} == {"洗", "发", "洗发"}
    assert sum(weight for _, weight in shared) == pytest.approx(
        (rows[[2]] @ rows[[3]].T).toarray()[0, 0], rel=1e-6
    )
    assert encoder.shared(rows[[0]], rows[[4]]) == []


def test_a_chinese_query_finds_the_chinese_item() -> None:
    encoder = LexicalEncoder.fit(TEXTS, RUN)
    scores = (encoder.encode(["洗发水"], RUN) @ encoder.encode(TEXTS, RUN).T).toarray()[0]
    assert scores.argmax() == 2
    assert scores[3] > scores[0] == 0


@settings(max_examples=60)
@given(st.lists(st.text(max_size=40), max_size=12), st.lists(st.text(max_size=40), max_size=4))
def test_rows_are_unit_or_empty_and_independent(texts: list[str], queries: list[str]) -> None:
    encoder = LexicalEncoder.fit(texts, RUN)
    rows = encoder.encode(texts + queries, RUN)
    assert rows.shape == (len(texts) + len(queries), encoder.dim)
    assert np.isfinite(rows.data).all()
    lengths = np.sqrt(rows.multiply(rows).sum(axis=1))
    np.testing.assert_allclose(lengths[np.diff(rows.indptr) > 0], 1, rtol=1e-5)
    assert all((length > 0) == bool(tokenize(text)) for length, text in zip(lengths, texts, strict=False))
    for i, text in enumerate(texts + queries):
        assert (encoder.encode([text], RUN) != rows[[i]]).nnz == 0
    again = LexicalEncoder.from_state(encoder.state()[0], json.loads(json.dumps(encoder.state()[1])))
    assert (again.encode(texts + queries, RUN) != rows).nnz == 0


def test_nothing_to_read() -> None:
    for texts in ([], ["", " "], ["!?"]):
        encoder = LexicalEncoder.fit(texts, RUN)
        assert encoder.dim == 0
        assert encoder.encode(["red", ""], RUN).shape == (2, 0)


def test_state_holds_arrays_and_json_and_damage_is_noticed() -> None:
    encoder = LexicalEncoder.fit(TEXTS, RUN)
    arrays, info = encoder.state()
    assert {name: array.dtype.kind for name, array in arrays.items()} == {
        "terms": "u",
        "offsets": "i",
        "idf": "f",
    }
    assert LexicalEncoder.from_state(arrays, info).fingerprint == encoder.fingerprint
    for name in arrays:
        changed = arrays[name].copy()
        changed[1] += 1
        with pytest.raises(ModelFormatError, match="damaged"):
            LexicalEncoder.from_state({**arrays, name: changed}, info)
        with pytest.raises(ModelFormatError, match="damaged"):
            LexicalEncoder.from_state({k: v for k, v in arrays.items() if k != name}, info)
    with pytest.raises(ModelFormatError, match="damaged"):
        LexicalEncoder.from_state(arrays, {**info, "config": {"ngrams": [0, 9]}})


@pytest.mark.parametrize(
    "wrong", [{"ngrams": (0, 2)}, {"ngrams": (3, 2)}, {"min_df": 0}, {"max_df": 0}, {"stop": 1}]
)
def test_configuration_is_checked(wrong: dict) -> None:
    with pytest.raises(ValidationError):
        LexicalConfig(**wrong)


def test_can_be_cancelled() -> None:
    with pytest.raises(CancelledError):
        LexicalEncoder.fit(TEXTS, RunOptions(cancel=lambda: True))


@pytest.mark.realdata
def test_twelve_thousand_titles_take_well_under_two_seconds(realdata: Path) -> None:
    with lzma.open(realdata / "amazon-beauty" / "items.jsonl.xz", "rt") as file:
        titles = [json.loads(line).get("title") or "" for line in file]
    assert len(titles) == 12_101
    start = time.process_time()
    encoder = LexicalEncoder.fit(titles, RUN)
    rows = encoder.encode(titles, RUN)
    assert time.process_time() - start < 1.5
    assert rows.nnz > 80_000
