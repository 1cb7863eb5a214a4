"""Our EASE and popularity beside the figures that other libraries reach on the same split of ML-1M."""

from __future__ import annotations

import numpy as np
import pytest

from fuserec.data.readers import read
from fuserec.data.splits import SplitConfig, hold_out
from fuserec.encoders.features import FeatureConfig, ItemFeatures
from fuserec.numerics.ranks import target_ranks
from fuserec.run import RunOptions
from fuserec.scorers import create

RUN = RunOptions()
PEERS = {
    # EASE: cornac, LensKit on its users, and a plain numpy reference agree on these digits.
    "ease": ({"regularization": 500.0, "recency": 1.0}, 0.1108, 0.0551),
    "popularity": ({}, 0.0392, 0.0193),
}


@pytest.fixture(scope="module")
def held(realdata):
    """Hold out each user's last item and fit on all the rest: the peers' `loo`, one item more than last-out."""
    dataset, _ = read(realdata / "ml-1m", "sequences")
    return hold_out(dataset, SplitConfig(), 0, "test")


@pytest.mark.realdata
@pytest.mark.parametrize("name", PEERS)
def test_equals_the_peers_to_four_digits(held, name):
    config, recall, ndcg = PEERS[name]
    features = ItemFeatures.build(held.train, FeatureConfig(use_sentence="never"), RUN)
    scores = create(name, config).fit(held.train, features, RUN).score(held.queries)
    visible = np.where(scores.answered, scores.values, np.float32(-np.inf))
    ranks, _ = target_ranks(visible, held.queries.seen(), (held.indptr, held.items), RUN.threads)
    assert round(float((ranks <= 10).mean()), 4) == recall
    assert round(float(np.where(ranks <= 10, 1 / np.log2(1 + ranks), 0.0).mean()), 4) == ndcg
