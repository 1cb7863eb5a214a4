from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import sparse

from fuserec.data.query import QueryBatch, TextVectors
from fuserec.fusion.cohorts import ITEM_COHORTS, QUERY_COHORTS, item_cohorts, query_cohorts


def names(q):
    return [QUERY_COHORTS[code] for code in query_cohorts(q)]


def test_queries_by_length():
    q = QueryBatch.of_histories([[], [0], [0] * 5, [0] * 6])
    assert names(q) == ["none", "short", "short", "long"]


def test_queries_with_words():
    q = QueryBatch.of_histories([[], [0], [0] * 9, []])
    text = TextVectors(sparse.csr_matrix((4, 1), dtype=np.float32), None, np.array([True, True, True, False]))
    assert names(replace(q, text=text)) == ["none+text", "short+text", "long+text", "none"]


def test_items_by_training_interactions():
    assert [ITEM_COHORTS[c] for c in item_cohorts(np.array([0, 1, 5, 6, 900]))] == [
        "cold",
        "tail",
        "tail",
        "head",
        "head",
    ]
