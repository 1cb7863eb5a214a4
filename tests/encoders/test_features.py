from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from fuserec.encoders.features import FeatureConfig, ItemFeatures
from fuserec.errors import ConfigError, FuseRecError
from fuserec.run import RunOptions
from fuserec.testing import dataset_of, small_dataset, small_features
from fuserec.testing.life import grown_dataset

RUN = RunOptions(threads=1)
NEVER = FeatureConfig(use_sentence="never")


def with_table(**columns):
    data = dataset_of([[0, 1]], 3)
    return replace(data, item_table=pl.DataFrame(columns))


def test_words_and_tags_of_items():
    data = with_table(
        title=["Space robot", "Space soup", None],
        categories=[["Sci-Fi", "Film"], ["Food "], []],
        tags=[["food", "sci-fi"], None, [""]],
        brand=[None, "FOOD", ""],
    )
    features = ItemFeatures.build(data, NEVER, RUN)
    assert features.has_text.tolist() == [True, True, False]
    assert features.sentence is None
    assert features.n_items == 3
    assert features.tag_names == ("sci-fi", "film", "food")  # case folded, spaces stripped
    assert features.tags.toarray().tolist() == [[1, 1, 1], [0, 0, 1], [0, 0, 0]]  # a tag named twice is one
    np.testing.assert_allclose(np.sqrt(features.lexical.power(2).sum(axis=1)).ravel(), [[1, 1, 0]], rtol=1e-5)
    assert 0 < features.lexical[0].multiply(features.lexical[1]).sum() < 1


def test_no_tags_at_all():
    features = ItemFeatures.build(with_table(title=["a robot", "b soup", "c"]), NEVER, RUN)
    assert features.tags.shape == (3, 0)
    assert features.tag_names == ()


def test_queries_are_read_as_items_are():
    data = small_dataset()
    features = small_features(data, RUN)
    title = data.item_table["title"][8]
    read = features.read([title, "  ", "unheard-of"], RUN)
    assert read.present.tolist() == [True, False, True]
    assert read.sentence is None
    assert read.lexical.shape == (3, features.lexical.shape[1])
    assert (read.lexical @ features.lexical.T).toarray()[0].argmax() == 8
    assert read.lexical[[1, 2]].nnz == 0


def test_configured_columns_are_read():
    config = FeatureConfig.parse({"use_sentence": "never", "text": {"columns": ["note"]}}, "[features]")
    data = with_table(title=["robot"] * 3, note=["soup", None, ""])
    assert ItemFeatures.build(data, config, RUN).has_text.tolist() == [True, False, False]
    with pytest.raises(ConfigError, match="text column 'note' is not in the items table"):
        ItemFeatures.build(with_table(title=["robot"] * 3), config, RUN)


def test_growth_keeps_the_vocabulary_and_adds_rows():
    data = small_dataset()
    features, grown = small_features(data, RUN), grown_dataset(data)
    later = features.extended(grown, RUN)
    assert later.n_items == data.n_items + 2
    assert later.has_text[-2:].all()
    np.testing.assert_array_equal(later.lexical[: data.n_items].toarray(), features.lexical.toarray())
    assert later.lexical[[data.n_items]].nnz > 0
    assert later.lexical_encoder is features.lexical_encoder
    assert features.n_items == data.n_items


def test_state_round_trip():
    data = small_dataset()
    features = small_features(data, RUN)
    arrays, meta = features.state()
    assert all(isinstance(a, np.ndarray) and a.dtype.kind in "biuf" for a in arrays.values())
    again = ItemFeatures.from_state({k: v.copy() for k, v in arrays.items()}, json.loads(json.dumps(meta)))
    for name in ("lexical", "tags"):
        np.testing.assert_array_equal(getattr(again, name).toarray(), getattr(features, name).toarray())
    assert again.tag_names == features.tag_names
    assert again.config == features.config
    np.testing.assert_array_equal(again.has_text, features.has_text)
    one, other = (f.read(["detective 江湖", "soup"], RUN).lexical.toarray() for f in (features, again))
    np.testing.assert_array_equal(one, other)


def missing_model(tmp_path, use):
    return FeatureConfig.parse(
        {
            "use_sentence": use,
            "sentence": {"model": str(tmp_path / "nothing")},
            "cache": {"folder": str(tmp_path / "cache")} if "folder" in _cache_fields() else {},
        },
        "[features]",
    )


def _cache_fields():
    return FeatureConfig.model_fields["cache"].annotation.model_fields


def test_without_a_language_model_words_alone_read_with_a_notice(tmp_path, caplog):
    data = small_dataset()
    features = ItemFeatures.build(data, missing_model(tmp_path, "auto"), RUN)
    assert features.sentence is None
    assert features.lexical.nnz > 0
    assert "words alone do" in caplog.text
    with pytest.raises(FuseRecError):
        ItemFeatures.build(data, missing_model(tmp_path, "always"), RUN)


def test_unknown_keys_are_named():
    with pytest.raises(ConfigError, match="unknown key 'use_sentense'; did you mean 'use_sentence'"):
        FeatureConfig.parse({"use_sentense": "never"}, "[features]")


def test_a_query_is_read_by_words_alone_where_the_language_model_is_missing(caplog):
    from fuserec.encoders.base import WeightsError
    from fuserec.encoders.features import FeatureConfig, ItemFeatures
    from fuserec.encoders.sentence import SentenceEncoder
    from fuserec.encoders.whitening import Whitening
    from fuserec.testing.small import small_dataset

    class Elsewhere(SentenceEncoder):
        """An encoder whose weights are on another machine."""

        def encode(self, texts, run):
            raise WeightsError("the weights are not here: install them")

    run = RunOptions(threads=1)
    features = ItemFeatures.build(small_dataset(0), FeatureConfig(use_sentence="never"), run)
    vectors = np.random.default_rng(0).standard_normal((features.n_items, 8)).astype(np.float32)
    moved = replace(
        features, sentence=vectors, sentence_encoder=Elsewhere(), whitening=Whitening.fit(vectors)
    )
    read = moved.read([features.lexical_encoder.terms[0]], run)
    assert read.sentence is None
    assert read.lexical.nnz == 1
    assert "install them" in caplog.text
