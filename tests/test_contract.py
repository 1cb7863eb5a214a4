from __future__ import annotations

import atexit
import shutil
import tempfile
from dataclasses import replace
from functools import cache, cached_property
from pathlib import Path

import pytest

from fuserec.config import create_parts, default_parts
from fuserec.encoders.text import item_text
from fuserec.fusion import FUSIONS, fusion_of
from fuserec.fusion.config import FusionConfig
from fuserec.scorers import SCORERS, create
from fuserec.testing import CHECKS, Subject, sentence_vectors, small_dataset
from fuserec.testing.contract import subject_of
from fuserec.testing.language import tiny_model
from fuserec.testing.meaning import own_row_is_left_out

EXACT = ("popularity", "cooccurrence", "ease", "item_knn", "content")
FUSED = {
    "fused": (tuple(default_parts(small_dataset())), "blend"),
    **{f"{kind} of exact parts": (EXACT, kind) for kind in FUSIONS},
}
RESCORED = "blend with a last stage"
STACK = {"if_better": False, "folds": 2, "trees": 20}
LAST_STAGE = {"depth": 5, "if_better": False, "folds": 2}


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
def language_pair(**options: object) -> dict[str, object]:
    """Return a table of the scorer that reads with a language model made here: the real one may not be installed."""
    data, folder = small_dataset(), Path(tempfile.mkdtemp(prefix="fuserec-contract-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    words = [*item_text(data.item_table), *data.user_table["text"].drop_nulls(), *data.searches.text]
    tiny = {
        "epochs": 1,
        "examples": 64,
        "learning_rate": 1e-3,
        "head_rate": 1.0,
        "head_dim": 8,
        "held_out": 5,
    }
    return {
        "model": str(
            tiny_model(folder, "bert", " ".join(words).lower().replace(",", " ").replace(".", " ").split())
        ),
        **tiny,
        **options,
    }


@cache
def subject(name: str) -> Subject:
    """Every scorer by name and the fusion, each fitted once for all checks."""
    if name == "language_pair":
        pytest.importorskip("transformers", reason="the extra `deep` (transformers) is not installed")
        return subject_of(create(name, language_pair()))
    if name == RESCORED:
        pytest.importorskip("transformers", reason="the extra `deep` (transformers) is not installed")
        stage = {**LAST_STAGE, "scorer": language_pair(form="cross")}
        config = FusionConfig.parse({"kind": "blend", "last_stage": stage}, "test")
        return Subject(fusion_of(config, create_parts({part: {} for part in ("popularity", "content")})))
    if name in FUSED:
        parts, kind = FUSED[name]
        config = FusionConfig.parse({"kind": kind, "stack": STACK}, "test")
        return Subject(fusion_of(config, create_parts({part: {} for part in parts})))
    if name.endswith(" with sentence vectors"):
        plain = subject_of(create(name.split(maxsplit=1)[0]))
        return WithSentences(plain.scorer, plain.oracle)
    return subject_of(create(name))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", [*SCORERS, *FUSED, RESCORED, "content with sentence vectors"])
def test_contract(name, check):
    check(subject(name))


def test_user_knn_leaves_the_askers_own_row_out():
    own_row_is_left_out(subject("user_knn"))
