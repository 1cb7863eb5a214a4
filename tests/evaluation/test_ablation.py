"""Ablations: which variants are compared, and that each figure is that of its configuration alone."""

from __future__ import annotations

import io

import numpy as np
import pytest

from fuserec.config import RecommenderConfig
from fuserec.data.splits import SplitConfig
from fuserec.encoders.features import FeatureConfig
from fuserec.errors import ConfigError
from fuserec.evaluation.ablation import FULL, ablate, ablation_table, variants
from fuserec.evaluation.runner import evaluate
from fuserec.fusion.config import FusionConfig
from fuserec.run import RunOptions
from fuserec.scorers import SCORERS, create, scorer_class
from fuserec.testing.planted import dataset_of

RUN = RunOptions(seed=3, threads=1)
PARTS = {"popularity": {}, "near": {"scorer": "item_knn", "n_neighbors": 5}, "v2.joint": {"scorer": "joint"}}


def config(**parts):
    return RecommenderConfig(
        features=FeatureConfig(use_sentence="never"), fusion=FusionConfig(tune=False), parts=parts
    )


def walks(n_users=80, n_items=15):
    rng = np.random.default_rng(0)
    rows = [rng.permutation(np.arange(u % 3, n_items, 3))[:5].tolist() for u in range(n_users)]
    return dataset_of(rows, n_items)


class TestVariants:
    def test_what_a_scorer_declares(self):
        found = variants({"joint": {"epochs": 3}}, "joint")
        assert list(found) == [
            FULL,
            "without-content",
            "without-deep",
            "without-feedback",
            "next-item",
            "policy-gradient",
            "learnt-weights",
        ]
        assert found[FULL] == {"scorer": "joint", "epochs": 3}
        assert found["without-deep"] == {"scorer": "joint", "epochs": 3, "lambda_deep": 0.0}

    def test_a_variant_that_changes_nothing_is_left_out(self, caplog):
        found = variants({"joint": {"weights": "learnt", "lambda_deep": 0.0}}, "joint")
        assert "learnt-weights" not in found
        assert "without-deep" not in found
        one = {"lambda_deep": 0.0, "lambda_feedback": 0.0}
        assert "without-content" not in variants({"joint": one}, "joint")  # no loss would be left
        assert "left out" in caplog.text

    def test_all_values_of_a_key_or_those_given(self):
        assert list(variants(PARTS, "v2.joint.head")) == [FULL, "head-dot"]
        found = variants(PARTS, "near.n_neighbors=2, 5,20")
        assert [table.get("n_neighbors") for table in found.values()] == [5, 2, 20]
        assert list(variants(PARTS, "joint.deep_loss=next_item")) == [FULL, "deep_loss-next_item"]

    def test_a_scorer_that_the_configuration_does_not_have(self):
        assert variants(PARTS, "als.embedding_dim=8")[FULL] == {"scorer": "als"}

    @pytest.mark.parametrize(
        ("what", "said"),
        [
            ("joitn", "unknown part 'joitn'; did you mean 'joint'?"),
            ("near.neighbours", "did you mean 'n_neighbors'?"),
            ("near", "the scorer 'item_knn' declares none"),
            ("near.n_neighbors", "has no list of values"),
            ("near=3", "name the key"),
            ("near.n_neighbors=5", "nothing is changed"),
            ("near.n_neighbors=few", "n_neighbors = 'few'"),
        ],
    )
    def test_faults(self, what, said):
        with pytest.raises(ConfigError) as caught:
            variants(PARTS, what)
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_whatever_a_scorer_declares_can_be_made(self):
        for name in SCORERS:
            for change in scorer_class(name).ablations.values():
                assert create(name, change).name == name


class TestFigures:
    def test_each_is_that_of_its_configuration_alone(self):
        data, split = walks(), SplitConfig()
        base = config(near={"scorer": "item_knn", "n_neighbors": 5}, popularity={})
        results = ablate(data, "near.n_neighbors=1", base, split=split, ks=(5,), run=RUN)
        assert list(results.models) == [FULL, "n_neighbors-1"]
        for name, count in ((FULL, 5), ("n_neighbors-1", 1)):
            alone = evaluate(
                data,
                config(one={"scorer": "item_knn", "n_neighbors": count}),
                split=split,
                models=["one"],
                ks=(5,),
                run=RUN,
            )
            assert results.models[name].metrics == alone.models["one"].metrics
        (compared,) = results.comparisons
        assert (compared.reference, list(compared.models)) == (FULL, ["n_neighbors-1"])
        gap = compared.models["n_neighbors-1"]
        less, full = (results.models[name].metrics["ndcg@5"].value for name in ("n_neighbors-1", FULL))
        assert gap.difference == pytest.approx(less - full)
        assert gap.low <= gap.difference <= gap.high

    def test_the_table_puts_the_whole_first_and_says_how_far_each_is_from_it(self):
        from rich.console import Console

        results = ablate(
            walks(), "near.n_neighbors=1", config(near=PARTS["near"]), split=SplitConfig(), ks=(5,), run=RUN
        )
        console = Console(width=120, record=True, file=io.StringIO())
        console.print(ablation_table(results))
        said = console.export_text()
        assert said.index("full") < said.index("n_neighbors-1")
        gap = results.comparisons[0].models["n_neighbors-1"]
        assert f"{abs(gap.difference):.4f}" in said
        assert " to " in said
        narrow = Console(width=80, record=True, file=io.StringIO())
        narrow.print(ablation_table(results, 80))
        told = narrow.export_text()
        assert "…" not in told  # no figure is cut
        for figure in (f"{abs(gap.difference):.4f}", f"{abs(gap.low):.4f}", f"{abs(gap.high):.4f}"):
            assert figure in told

    def test_every_loss_of_joint_training_is_measured(self):
        pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")
        small = {"epochs": 1, "embedding_dim": 4, "hidden": 4, "negatives": 5}
        results = ablate(walks(), "joint", config(joint=small), split=SplitConfig(), ks=(5,), run=RUN)
        assert list(results.models) == list(variants({"joint": small}, "joint"))
        (compared,) = results.comparisons
        assert len(compared.models) == 6
        assert all(gap.low <= gap.high for gap in compared.models.values())
