"""The contract of scorers as a test suite.

A scorer of your own passes it by one line in a test::

    from fuserec.testing import check_scorer

    def test_contract():
        check_scorer(MyScorer())

:data:`CHECKS` holds the checks one by one, so that a parametrised test can name the promise that is broken.
"""

from __future__ import annotations

from fuserec.testing.contract import CHECKS, check_scorer
from fuserec.testing.lists import check_list
from fuserec.testing.planted import dataset_of, ring_dataset
from fuserec.testing.small import sentence_vectors, small_dataset, small_features, small_queries
from fuserec.testing.subject import Subject

__all__ = [
    "CHECKS",
    "Subject",
    "check_list",
    "check_scorer",
    "dataset_of",
    "ring_dataset",
    "sentence_vectors",
    "small_dataset",
    "small_features",
    "small_queries",
]
