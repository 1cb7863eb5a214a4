from __future__ import annotations

from dataclasses import replace
from functools import cache, cached_property

import pytest

from fuserec.config import create_parts, default_parts
from fuserec.fusion import FUSIONS, fusion_of
from fuserec.fusion.config import FusionConfig
from fuserec.scorers import SCORERS, create
from fuserec.testing import CHECKS, Subject, sentence_vectors, small_dataset
from fuserec.testing.contract import subject_of
from fuserec.testing.meaning import own_row_is_left_out

EXACT = ("popularity", "cooccurrence", "ease", "item_knn", "content")
FUSED = {
    "fused": (tuple(default_parts(small_dataset())), "blend"),
    **{f"{kind} of exact parts": (EXACT, kind) for kind in FUSIONS},
}
STACK = {"if_better": False, "folds": 2, "trees": 20}


class WithSentences(Subject):
    """Features and words with vectors that stand in for a language model's."""

    @cached_property
    def features(self):
        return replace(super().features, sentence=sentence_vectors(self.dataset.n_items))

    @cached_property
    def queries(self):
        q = super().queries
        sentence = sentence_vectors(len(q), seed=1) * q.text.present[:, None]
        return replace(q, text=replace(q.text, sentence=sentence))


@cache
def subject(name: str) -> Subject:
    """Every scorer by name and the fusion, each fitted once for all checks."""
    if name in FUSED:
        parts, kind = FUSED[name]
        config = FusionConfig.parse({"kind": kind, "stack": STACK}, "test")
        return Subject(fusion_of(config, create_parts({part: {} for part in parts})))
    if name.endswith(" with sentence vectors"):
        plain = subject_of(create(name.split(maxsplit=1)[0]))
        return WithSentences(plain.scorer, plain.oracle)
    return subject_of(create(name))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", [*SCORERS, *FUSED, "content with sentence vectors"])
def test_contract(name, check):
    check(subject(name))


def test_user_knn_leaves_the_askers_own_row_out():
    own_row_is_left_out(subject("user_knn"))
