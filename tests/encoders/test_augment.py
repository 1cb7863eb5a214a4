"""Variants of the text of rare items: off by default, for rare items alone, the same in any order of the catalogue."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from fuserec.encoders.augment import AugmentConfig, Variation, Varied, nearest_words
from fuserec.encoders.features import FeatureConfig, ItemFeatures
from fuserec.encoders.lexical import LexicalEncoder, fold
from fuserec.errors import ConfigError
from fuserec.run import RunOptions
from fuserec.testing import dataset_of, small_dataset
from fuserec.testing.life import grown_dataset

RUN = RunOptions(seed=3, threads=1)


def config(**augment):
    return FeatureConfig.parse({"use_sentence": "never", "augment": augment}, "[features]")


def built(data, **augment):
    return ItemFeatures.build(data, config(**augment), RUN)


def variation(synonyms=None, seed=0, **values):
    return Variation(AugmentConfig(variants=values.pop("variants", 8), **values), synonyms or {}, seed)


def test_off_by_default_nothing_changes_bit_for_bit():
    data = small_dataset()
    plain, off = ItemFeatures.build(data, FeatureConfig(use_sentence="never"), RUN), built(data, rare=100)
    for part in ("data", "indices", "indptr"):
        assert getattr(plain.lexical, part).tobytes() == getattr(off.lexical, part).tobytes()
    assert plain.variation is None
    assert "variation" not in plain.state()[1]


def test_only_the_vectors_of_rare_items_change_and_stay_of_unit_length():
    data = small_dataset()
    plain, varied = built(data), built(data, variants=4, rare=8, dropout=0.4)
    before, after = plain.lexical.toarray(), varied.lexical.toarray()
    changed = (before != after).any(axis=1)
    rare = (data.item_counts < 8) & plain.has_text
    assert 5 < changed.sum() <= rare.sum() < data.n_items
    assert not changed[~rare].any()
    lengths = np.linalg.norm(after, axis=1)
    np.testing.assert_allclose(lengths[plain.has_text], 1.0, rtol=1e-5)
    assert not lengths[~plain.has_text].any()
    assert varied.lexical.has_sorted_indices


def test_an_item_has_the_same_vector_in_any_order_of_the_catalogue():
    data = small_dataset()
    order = np.random.default_rng(0).permutation(data.n_items)
    place = np.argsort(order)
    rows = data.interactions
    shuffled = replace(
        data,
        items=type(data.items).from_ids(data.items.ids(order)),
        item_table=data.item_table[order],
        interactions=replace(rows, item=place[rows.item].astype(np.int32)),
    )
    here, there = (built(d, variants=4, rare=8, dropout=0.3, replacement=0.9) for d in (data, shuffled))
    assert here.variation.synonyms == there.variation.synonyms != {}
    np.testing.assert_allclose(there.lexical.toarray()[place], here.lexical.toarray(), atol=1e-6)
    other = ItemFeatures.build(data, config(variants=4, rare=8, dropout=0.3), RUN.with_seed(4))
    assert abs(other.lexical - here.lexical).max() > 0.01


def test_sentence_vectors_of_rare_items_are_means_and_the_unreadable_stay_without():
    vectors = np.array([[1, 0], [0, 1], [0, 0]], np.float32)
    theirs = np.array([[0, 1], [1, 0], [1, 0], [1, 0]], np.float32)
    found = Varied(np.array([0, 2]), ["a"] * 4).sentences(vectors, theirs)
    np.testing.assert_allclose(found, [[2 / 5**0.5, 1 / 5**0.5], [0, 1], [0, 0]], atol=1e-6)
    assert vectors[0].tolist() == [1, 0]


def test_words_are_left_out_and_replaced_and_one_stays():
    text = "The quick brown fox jumps"
    for variant in variation(dropout=0.5).variants(text, 7):
        words = variant.split()
        assert words
        assert [word for word in text.split() if word in words] == words
    assert variation(dropout=0.99).variants("fox", 7) == ["fox"] * 8
    always = variation(
        {"fox": ("vixen",), "the quick": ("a slow",), "剑客": ("侠士",)}, dropout=0.0, replacement=1.0
    )
    assert set(always.variants("The Quick Fox, foxes 剑客行", 7)) == {"a slow vixen, foxes 侠士行"}
    assert variation(dropout=0.5, replacement=0.0).variants("", 7) == [""] * 8
    one, same, other = (variation(dropout=0.5).variants(text, identity) for identity in (7, 7, 8))
    assert one == same != other
    assert len(set(one)) > 1
    assert variation(dropout=0.5, seed=1).variants(text, 7) != one


def test_nearest_words_keep_the_same_company():
    texts = [
        f"{drink} cup {place} {n}"
        for n in range(6)
        for drink in ("coffee", "tea")
        for place in ("kitchen", "cafe")
    ]
    texts += [
        f"{boat} {sea} harbour {n}"
        for n in range(6)
        for boat in ("ship", "ferry")
        for sea in ("ocean", "coast")
    ]
    encoder = LexicalEncoder.fit(texts, RUN)
    near = nearest_words(encoder.encode(texts, RUN), encoder.terms, 1, RUN)
    assert near["coffee"] == ("tea",)
    assert near["ferry"] == ("ship",)
    assert near["coast"] == ("ocean",)
    assert nearest_words(encoder.encode([], RUN), encoder.terms, 1, RUN) == {}


def test_synonyms_come_from_a_table_or_a_file(tmp_path):
    path = tmp_path / "synonyms.txt"
    path.write_text("# furniture\nSofa, couch, divan\n\ncouch, settee\n", encoding="utf-8")
    data = replace(dataset_of([[0, 1]], 2), item_table=pl.DataFrame({"title": ["blue sofa", "red chair"]}))
    features = built(data, variants=16, dropout=0.0, replacement=1.0, synonyms=str(path))
    assert features.variation.synonyms["sofa"] == ("couch", "divan")
    assert features.variation.synonyms["couch"] == ("Sofa", "divan", "settee")
    assert {v.split()[1] for v in features.variation.variants("blue sofa", 1)} == {"couch", "divan"}
    table = built(data, variants=1, synonyms={"Sofa": ["seat"]})
    assert table.variation.synonyms == {fold("Sofa"): ("seat",)}


def test_wrong_synonyms_are_named(tmp_path):
    data, path = small_dataset(), tmp_path / "s.txt"
    with pytest.raises(ConfigError, match=r"synonyms .*s\.txt: cannot be read"):
        built(data, variants=1, synonyms=str(path))
    path.write_text("sofa, couch\nalone\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"line 2: 'alone' stands alone"):
        built(data, variants=1, synonyms=str(path))
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="it is not UTF-8 text"):
        built(data, variants=1, synonyms=str(path))
    with pytest.raises(ConfigError, match="'sofa' needs words"):
        built(data, variants=1, synonyms={"sofa": []})
    with pytest.raises(ConfigError, match=r"augment.dropout = 1\.5"):
        config(dropout=1.5)
    with pytest.raises(ConfigError, match="did you mean 'variants'"):
        config(variant=3)


def test_growth_keeps_what_texts_are_varied_by_and_counts_anew():
    data = small_dataset()
    features, grown = built(data, variants=3, rare=8, dropout=0.4), grown_dataset(data)
    later = features.extended(grown, RUN)
    assert later.variation is features.variation
    same = (data.item_counts < 8) == (grown.item_counts[: data.n_items] < 8)
    np.testing.assert_array_equal(
        later.lexical[: data.n_items].toarray()[same], features.lexical.toarray()[same]
    )


def test_state_round_trip():
    data = small_dataset()
    features = built(data, variants=3, rare=8, synonyms={"robot": ["android"]})
    again = ItemFeatures.from_state(*features.state())
    assert again.variation == features.variation
    grown = grown_dataset(data)
    assert (again.extended(grown, RUN).lexical != features.extended(grown, RUN).lexical).nnz == 0
