"""Models that know what is held out are caught by what they do; a model that knows nothing comes out as chance."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest

from fuserec.config import RecommenderConfig
from fuserec.data.dataset import Dataset
from fuserec.data.splits import Split, SplitConfig, split
from fuserec.encoders.features import FeatureConfig, ItemFeatures
from fuserec.errors import RequestError
from fuserec.evaluation.leakage import audit
from fuserec.evaluation.leakage.audit import replaced
from fuserec.evaluation.leakage.trial import audit_all, audit_notes
from fuserec.evaluation.runner import evaluate
from fuserec.fusion.config import FusionConfig
from fuserec.run import RunOptions
from fuserec.scorers import SCORERS, create
from fuserec.scorers.base import Scores
from fuserec.scorers.popularity import Popularity
from fuserec.testing import dataset_of, small_dataset
from fuserec.testing.probes import Shuffled

WORDS = FeatureConfig(use_sentence="never")
RUN = RunOptions(seed=1, threads=1)
PROTOCOLS = ("last-out", "temporal", "random", "users", "cold-users", "cold-items")


class FuturePopularity(Popularity):
    """Counts all rows, those that are held out too: it was given a table that was made before the split."""

    name: ClassVar[str] = "future_popularity"
    whole: ClassVar[Dataset]

    def _fit(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> None:
        super()._fit(self.whole, features, run)


class KnowsTheTarget(Popularity):
    """Looks up who asks in all of the data: the target stands in the history that it reads."""

    name: ClassVar[str] = "knows_the_target"
    whole: ClassVar[Dataset]

    def score(self, q: Any, items: np.ndarray | None = None) -> Scores:
        scores = super().score(q)
        values = scores.values.copy()
        every = self.whole.queries(q.users)
        values[every.rows, every.items] += 10
        out = (
            values
            if items is None
            else (values[:, items] if items.ndim == 1 else np.take_along_axis(values, items, 1))
        )
        return Scores(
            np.ascontiguousarray(out), np.ones(out.shape[1], dtype=bool), np.ones(len(q), dtype=bool)
        )


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that makes a scorer known by its name, as if it were one of ours."""

    def planted(cls: type) -> str:
        module = ModuleType(f"fuserec.scorers.planted_{cls.name}")
        setattr(module, cls.__name__, cls)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(SCORERS, cls.name, f"planted_{cls.name}:{cls.__name__}")
        return cls.name

    return planted


def catalogue(n_users: int = 150, n_items: int = 120, seed: int = 0) -> Dataset:
    rng = np.random.default_rng(seed)
    chance = 1 / np.arange(5, n_items + 5)
    histories = [
        rng.choice(n_items, 8, replace=False, p=chance / chance.sum()).tolist() for _ in range(n_users)
    ]
    return dataset_of(histories, n_items)


def config(*parts: str) -> RecommenderConfig:
    return RecommenderConfig(
        features=WORDS, fusion=FusionConfig(tune=False), parts={name: {} for name in parts}
    )


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", ["popularity", "item_knn", "cooccurrence", "content"])
def test_our_scorers_know_nothing_of_what_is_held_out(protocol: str, name: str) -> None:
    found = audit(
        create(name), small_dataset(), SplitConfig(protocol=protocol, share=0.2), run=RUN, features=WORDS
    )
    assert found.verdict == "clean"
    assert found.changed == 0
    assert found.rows > 0
    assert f"of {found.queries:,} test queries" in found.message


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_whole_configuration_knows_nothing_of_what_is_held_out(protocol: str) -> None:
    found = audit_all(
        small_dataset(),
        config("popularity", "item_knn", "content"),
        split=SplitConfig(protocol=protocol, share=0.2),
        run=RUN,
    )
    assert {name: one.verdict for name, one in found.items()} == dict.fromkeys(
        ("fused", "popularity", "item_knn", "content"), "clean"
    )
    assert len(audit_notes(found)) == 1


def test_what_is_replaced_is_hidden_and_all_else_stays() -> None:
    data = small_dataset()
    held = split(data, SplitConfig(protocol="random", share=0.3), 1)
    other, changed = replaced(data, held, RUN)
    same = np.ones(data.n_interactions, dtype=bool)
    same[held.test.hidden] = False
    rows, new = data.interactions, other.interactions
    for name in ("user", "item", "weight", "rating", "time", "kind"):
        np.testing.assert_array_equal(getattr(rows, name)[same], getattr(new, name)[same])
    assert (rows.item != new.item)[~same].all()
    assert ((rows.rating != new.rating) | np.isnan(rows.rating) | (rows.rating == 3))[~same].all()
    np.testing.assert_array_equal(rows.time, new.time)
    assert changed.test.queries is held.test.queries
    assert changed.train is held.train
    assert (changed.test.items != held.test.items).all()


@pytest.mark.parametrize("leaky", [FuturePopularity, KnowsTheTarget])
def test_a_model_that_knows_the_held_out_rows_is_caught(leaky: type) -> None:
    """The pipeline hands the whole data to the model, which only its scores betray."""
    data = catalogue()

    def fit(whole: Dataset, held: Split) -> Any:
        features = ItemFeatures.build(held.train, WORDS, RUN)
        planted = type(leaky.__name__, (leaky,), {"whole": whole})
        return planted(planted.Config()).fit(held.train, features, RUN).score

    found = audit(fit, data, SplitConfig(), run=RUN)
    assert found.verdict == "leak"
    assert found.changed == found.queries == 150
    assert found.largest > 0.1
    assert "when the 150 held-out rows are replaced" in found.message


@pytest.mark.parametrize(("early", "verdict"), [(True, "leak"), (False, "clean")])
def test_a_column_that_was_computed_before_the_split_is_caught_by_what_it_does(
    early: bool, verdict: str
) -> None:
    """A pipeline of the caller's own: columns, then a scorer that reads them."""

    def fit(whole: Dataset, held: Split) -> Any:
        source = whole if early else held.train
        column = pl.Series("popularity", source.item_counts.astype(np.float32))
        train = replace(held.train, item_table=held.train.item_table.with_columns(column))
        scores = train.item_table["popularity"].to_numpy()
        every = np.ones(train.n_items, dtype=bool)
        return lambda q: Scores(
            np.tile(scores, (len(q), 1)).astype(np.float32), every, np.ones(len(q), dtype=bool)
        )

    assert audit(fit, catalogue(), SplitConfig(protocol="temporal"), run=RUN).verdict == verdict


def test_a_model_that_reads_the_test_targets_is_caught() -> None:
    def fit(whole: Dataset, held: Split) -> Any:
        best = np.bincount(held.test.items, minlength=whole.n_items).astype(np.float32)
        every = np.ones(whole.n_items, dtype=bool)
        return lambda q: Scores(np.tile(best, (len(q), 1)), every, np.ones(len(q), dtype=bool))

    assert audit(fit, catalogue(), SplitConfig(), run=RUN).verdict == "leak"


def test_a_model_without_a_seed_is_not_accused() -> None:
    rng = np.random.default_rng()

    def fit(whole: Dataset, held: Split) -> Any:
        scores = rng.random(whole.n_items, np.float32)
        every = np.ones(whole.n_items, dtype=bool)
        return lambda q: Scores(np.tile(scores, (len(q), 1)), every, np.ones(len(q), dtype=bool))

    found = audit(fit, catalogue(), SplitConfig(), run=RUN)
    assert found.verdict == "unsteady"
    assert "seed the model by run.rng" in found.message


def test_a_leak_of_one_bit_of_one_query_is_seen() -> None:
    def fit(whole: Dataset, held: Split) -> Any:
        seen = int(whole.interactions.item[held.test.hidden[0]])
        who = int(held.test.queries.users[0])
        every = np.ones(whole.n_items, dtype=bool)

        def score(q: Any) -> Scores:
            values = np.ones((len(q), whole.n_items), np.float32)
            values[q.users == who, seen] = np.nextafter(np.float32(1), np.float32(2))
            return Scores(values, every, np.ones(len(q), dtype=bool))

        return score

    found = audit(fit, catalogue(), SplitConfig(), run=RUN)
    assert (found.verdict, found.changed) == ("leak", 1)


def test_a_split_that_hides_nothing_cannot_be_tried() -> None:
    data = catalogue()
    held = split(data, SplitConfig())
    blind = replace(held, test=replace(held.test, hidden=np.empty(0, np.int64)))
    with pytest.raises(RequestError, match="the split hides no rows"):
        audit(create("popularity"), data, blind, run=RUN, features=WORDS)


def test_a_planted_scorer_is_caught_in_an_evaluation_and_named_in_its_notes(plant: Any, caplog: Any) -> None:
    """The target in its history: too good, and the audit of the line-up says why."""
    data = catalogue()
    KnowsTheTarget.whole = data
    name = plant(KnowsTheTarget)
    results = evaluate(
        data, config("popularity"), split=SplitConfig(), models=[name, "popularity"], ks=(10,), run=RUN
    )
    assert (results.models[name].metrics["mrr"].value or 0) > 0.9
    told = [note for note in results.notes if "too-good" in note]
    assert len(told) == 1
    assert told[0].startswith(f"Look at this (too-good): {name} finds nearly every target")
    assert any("too-good" in record.message for record in caplog.records)


@pytest.mark.parametrize("of", ["popularity", "item_knn"])
def test_shuffled_scores_come_out_as_chance(plant: Any, of: str) -> None:
    """Whatever an evaluation adds to a model that knows nothing would show here."""
    n, others = 2000, 73  # of 80 items 7 are in the history
    data = catalogue(n_users=n, n_items=80)
    name = plant(type("ShuffledOne", (Shuffled,), {"name": f"shuffled_{of}"}))
    parts = RecommenderConfig(features=WORDS, fusion=FusionConfig(tune=False), parts={name: {"of": of}})
    for protocol in ("last-out", "random"):
        results = evaluate(
            data, parts, split=SplitConfig(protocol=protocol), models=[name], ks=(5, 10), run=RUN
        )
        found = {metric: estimate.value for metric, estimate in results.models[name].metrics.items()}
        for k in (5, 10):
            chance = k / others
            assert found[f"recall@{k}"] == pytest.approx(chance, abs=4 * np.sqrt(chance * (1 - chance) / n))
        assert found["auc"] == pytest.approx(0.5, abs=4 * np.sqrt(1 / 12 / n))
        assert not any("too-good" in note for note in results.notes)


def test_a_model_that_tells_silent_queries_apart_is_too_good(plant: Any) -> None:
    """People of whom nothing is known all get one list, and no list finds more than the best one."""
    data = catalogue(n_users=400)
    KnowsTheTarget.whole = data
    name = plant(KnowsTheTarget)
    cold = SplitConfig(protocol="cold-users", share=0.3)
    results = evaluate(data, config("popularity"), split=cold, models=[name, "popularity"], ks=(5,), run=RUN)
    told = [note for note in results.notes if "queries without history" in note]
    assert len(told) == 1
    assert name in told[0]
