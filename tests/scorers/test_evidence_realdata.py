"""Evidence on warm queries of Amazon Beauty: rows sum to the score, and nearly all of it names its source."""

from __future__ import annotations

import numpy as np
import pytest

from fuserec.data.readers import read
from fuserec.data.splits import SplitConfig, split
from fuserec.encoders.features import FeatureConfig, ItemFeatures
from fuserec.numerics.topk import top_k
from fuserec.run import RunOptions
from fuserec.scorers import create

RUN = RunOptions()
NAMED = 0.9


@pytest.fixture(scope="module")
def beauty(realdata):
    dataset, _ = read(realdata / "amazon-beauty", "sequences")
    parts = split(dataset, SplitConfig())
    return parts, ItemFeatures.build(dataset, FeatureConfig(use_sentence="never"), RUN)


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["cooccurrence", "item_knn", "als", "content"])
def test_nearly_all_of_a_warm_score_names_the_history_item_it_comes_from(beauty, name):
    parts, features = beauty
    scorer = create(name).fit(parts.train, features, RUN)
    rng = np.random.default_rng(3)
    q = parts.test.queries.take(np.sort(rng.choice(len(parts.test), 60, replace=False)))
    scores = scorer.score(q)
    visible = np.where(scores.answered, scores.values, np.float32(-np.inf))
    items, values, counts = top_k(visible, 10, exclude=q.seen(), ties=parts.train.items.hashes)
    named = total = 0.0
    for query, rows in enumerate(scorer.evidence(q, np.maximum(items, 0))):
        for column in range(int(counts[query])):
            found = rows[column]
            score = float(values[query, column])
            assert abs(sum(row.contribution for row in found) - score) <= 1e-4 * max(1.0, abs(score))
            total += sum(abs(row.contribution) for row in found)
            named += sum(abs(row.contribution) for row in found if row.kind == "item")
    assert total > 0
    assert named / total >= NAMED
