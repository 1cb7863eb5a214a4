"""The content map: a planted map is found, new items rank by their text, rare ones lean on it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_ratings import RUN

from fuserec.data.query import QueryBatch
from fuserec.encoders.features import FeatureConfig, ItemFeatures
from fuserec.encoders.reading import Words, with_words
from fuserec.errors import ConfigError
from fuserec.scorers import create
from fuserec.testing import dataset_of

DIM, N_ITEMS, N_COLD, N_USERS = 5, 120, 20, 400
COLD = np.arange(N_ITEMS - N_COLD, N_ITEMS)


def planted(seed=0, shuffled=False):
    """People take the items nearest to their taste, which is a linear image of what the items' vectors say."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(N_ITEMS, DIM))
    image = vectors @ rng.normal(size=(DIM, DIM))
    tastes = rng.normal(size=(N_USERS, DIM))
    wants = tastes @ image.T
    noisy = wants + 0.5 * rng.normal(size=wants.shape)
    noisy[:, COLD] = -np.inf
    data = dataset_of(
        np.argsort(-noisy, axis=1)[:, :12].tolist(), N_ITEMS, titles=[f"w{i}" for i in range(N_ITEMS)]
    )
    features = ItemFeatures.build(data, FeatureConfig(use_sentence="never"), RUN)
    told = vectors[rng.permutation(N_ITEMS)] if shuffled else vectors
    unit = (told / np.linalg.norm(told, axis=1, keepdims=True)).astype(np.float32)
    return data, replace(features, sentence=unit), wants


def fitted(data, features, **config):
    values = {"embedding_dim": 8, "regularization": 3.0, "word_dim": 0, **config}
    return create("content_map", values).fit(data, features, RUN)


def agreement(scores, wants):
    """Return the mean rank correlation of the scores of new items with what people want."""
    ranks = [np.argsort(np.argsort(part, axis=1), axis=1) for part in (scores[:, COLD], wants[:, COLD])]
    return float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(*ranks, strict=True)]))


def test_a_planted_map_is_found_and_ranks_new_items():
    data, features, wants = planted()
    scorer = fitted(data, features)
    scores = scorer.score(data.queries(np.arange(100)))
    assert scores.items.all()
    assert agreement(scores.values, wants[:100]) > 0.8
    data, features, wants = planted(shuffled=True)
    blind = fitted(data, features).score(data.queries(np.arange(100)))
    assert abs(agreement(blind.values, wants[:100])) < 0.2


def test_a_new_item_reaches_the_top_of_lists():
    data, features, wants = planted()
    values = fitted(data, features).score(data.queries()).values
    best = COLD[np.argmax(wants[:, COLD], axis=1)]
    users = np.flatnonzero(wants[np.arange(N_USERS), best] >= np.sort(wants, axis=1)[:, -3])
    seen = data.matrix().toarray()[users] > 0
    ranks = (np.where(seen, -np.inf, values[users]) > values[users, best[users]][:, None]).sum(axis=1)
    assert users.size > 50
    assert np.mean(ranks < 10) > 0.7


def test_rare_items_lean_on_text_and_common_ones_on_behaviour():
    data, features, _ = planted()
    counts = np.bincount(data.interactions.item, minlength=N_ITEMS)
    q = data.queries(np.arange(20))
    alone = fitted(data, features, shrinkage=0.0, length=1.0)
    als = create("als", {"embedding_dim": 8, "regularization": 3.0}).fit(data, features, RUN)
    warm = np.flatnonzero(counts > 0)
    np.testing.assert_allclose(alone._factors[warm], als._factors[warm], rtol=1e-4, atol=1e-6)
    mixed = fitted(data, features, shrinkage=10.0, length=0.0, lift=1.0)
    own = mixed._own / np.maximum(np.linalg.norm(mixed._own, axis=1, keepdims=True), 1e-12)
    share = counts / (counts + 10.0)
    wanted = mixed._length * (share[:, None] * own + (1 - share[:, None]) * mixed._told)
    np.testing.assert_allclose(mixed._factors, wanted, atol=1e-5)
    text = fitted(data, features, shrinkage=1e9).score(q).values
    assert np.abs(text - mixed.score(q).values).max() > 0.01


def test_words_are_mapped_as_items_are():
    data, features, _ = planted()
    scorer = fitted(data, features)
    q = with_words(
        QueryBatch.of_histories([[]]), [Words(request="w3 w4")], features_with_words(features), RUN
    )
    assert scorer.score(q).queries.tolist() == [True]
    assert not fitted(data, features, text_weight=0.0).score(q).queries[0]
    rows = scorer.evidence(q, np.array([[0, 1]]))[0]
    assert {row.kind for cell in rows for row in cell} <= {"text", "residual"}


def features_with_words(features):
    """Return the features without sentence vectors: nothing reads a query but words."""
    return replace(features, sentence=None)


def test_without_text_it_is_als_and_abstains_on_new_items(caplog):
    data, features, _ = planted()
    bare = replace(
        features,
        sentence=None,
        has_text=np.zeros(N_ITEMS, bool),
        lexical=features.lexical * 0,
    )
    scorer = fitted(data, bare, length=1.0)
    assert "no map is learnt" in caplog.text
    scores = scorer.score(data.queries(np.arange(5)))
    assert not scores.items[COLD].any()
    als = create("als", {"embedding_dim": 8, "regularization": 3.0}).fit(data, bare, RUN)
    np.testing.assert_allclose(
        scores.values, als.score(data.queries(np.arange(5))).values, rtol=1e-4, atol=1e-5
    )


def test_tags_that_came_since_say_nothing_and_the_others_keep_their_meaning():
    data, features, _ = planted()
    rng = np.random.default_rng(1)
    from scipy import sparse

    tags = sparse.csr_matrix((rng.random((N_ITEMS, 3)) < 0.5).astype(np.float32))
    tagged = replace(features, tags=tags, tag_names=("a", "b", "c"))
    scorer = fitted(data, tagged, word_dim=8)
    moved = sparse.csr_matrix(sparse.hstack([tags[:, [2]], tags[:, [0]] * 0, tags[:, [0, 1]]]))
    later = scorer.updated(data, replace(tagged, tags=moved, tag_names=("c", "new", "a", "b")), RUN)
    np.testing.assert_allclose(later._told, scorer._told, atol=1e-6)
    assert np.abs(scorer._map["tags"]).max() > 0


def test_wrong_values_are_refused():
    with pytest.raises(ConfigError, match=r"ridges\.0 = 0\.0"):
        create("content_map", {"ridges": [0.0]})
    with pytest.raises(ConfigError, match="held_share = 1"):
        create("content_map", {"held_share": 1.0})
