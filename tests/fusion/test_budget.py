"""A given time: what is fitted, how large, and what is said of it."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest

from fuserec.data.splits import SplitConfig, hold_out
from fuserec.errors import ConfigError
from fuserec.fusion.blend import Blend
from fuserec.fusion.budget import FEWEST_QUERIES, Spending
from fuserec.fusion.config import FusionConfig
from fuserec.run import RunOptions
from fuserec.scorers import create
from fuserec.scorers.base import Capabilities
from fuserec.scorers.popularity import Popularity
from fuserec.testing import small_dataset
from fuserec.testing.small import small_features

RUN = RunOptions(seed=1, threads=1)


@pytest.fixture(scope="module")
def data():
    dataset = small_dataset()
    return dataset, small_features(dataset, RUN)


class Slow(Popularity):
    """A part whose fit takes a fixed time, and that notes how often it was begun."""

    seconds: ClassVar[float] = 0.2
    begun: ClassVar[list[str]] = []

    def _fit(self, train, features, run):
        self.begun.append(type(self).__name__)
        time.sleep(self.seconds)
        super()._fit(train, features, run)


class Trained(Slow):
    """A part that can be made smaller: with under ``needs`` seconds it cannot be fitted at all."""

    capabilities = Capabilities(answers=frozenset({"anyone"}), evidence="exact", trained=True)
    needs: ClassVar[float] = 0.5
    given: ClassVar[list[float]] = []

    def within(self, seconds, train, features, run):
        self.given.append(seconds)
        return (self, "3 epochs") if seconds >= self.needs else (None, f"{seconds:.0f} s are too little")


@pytest.fixture(autouse=True)
def _fresh():
    Slow.begun.clear()
    Trained.given.clear()


def spending(seconds):
    return Spending(None if seconds is None else time.monotonic() + seconds)


def test_without_a_limit_everything_is_fitted_and_nothing_said(data):
    spent = spending(None)
    fitted = spent.fit({"a": Slow(), "b": Trained()}, *data, RUN)
    assert list(fitted) == ["a", "b"]
    assert spent.said == []
    assert Trained.given == []  # its size is its own


def test_cheap_parts_come_first_and_the_order_stays(data):
    fitted = spending(None).fit({"big": Trained(), "small": Slow()}, *data, RUN)
    assert Slow.begun == ["Slow", "Trained"]
    assert list(fitted) == ["big", "small"]


def test_what_there_is_no_time_for_is_left_out_and_said(data):
    spent = spending(1.5)
    fitted = spent.fit({f"part {i}": Slow() for i in range(9)}, *data, RUN)
    assert 1 <= len(fitted) <= 3  # a fifth of the time is 0.3 s, a part takes 0.2 s
    assert len(spent.said) == 9 - len(fitted)
    assert all("left out" in line for line in spent.said)


def test_the_first_part_is_fitted_however_late_it_is(data):
    assert list(spending(0.0).fit({"a": Slow(), "b": Slow()}, *data, RUN)) == ["a"]


def test_a_trained_part_gets_what_refits_and_learning_leave(data):
    spent = spending(10.0)
    spent.fit({"a": Slow(), "b": Trained()}, *data, RUN)
    # 10 s, less 0.2 s spent, 0.24 s for a refit, 2 s for learning, shared between fit and refit: about 3.4 s
    assert Trained.given == [pytest.approx(3.44, abs=0.2)]
    assert any("b is trained with 3 epochs" in line for line in spent.said)


def test_a_trained_part_without_enough_time_is_left_out(data):
    spent = spending(1.0)
    assert list(spent.fit({"a": Slow(), "b": Trained()}, *data, RUN)) == ["a"]
    assert any(line.startswith("b is left out") for line in spent.said)


def test_a_catalogue_that_is_too_large_is_said(data):
    class Small(Popularity):
        capabilities = replace(Popularity.capabilities, max_items=3)

    spent = spending(None)
    assert list(spent.fit({"a": create("popularity"), "b": Small()}, *data, RUN)) == ["a"]
    assert "b is left out" in spent.said[0]
    with pytest.raises(ConfigError, match="no part of the fusion"):
        spending(None).fit({"b": Small()}, *data, RUN)


def test_the_fusion_learns_on_fewer_queries_where_time_is_short(data):
    dataset, features = data

    class Dragging(Popularity):
        def score(self, q, items=None):
            time.sleep(0.002 * len(q))
            return super().score(q, items)

    held = hold_out(dataset, SplitConfig(), 0, "validation")
    many = held.take(np.resize(np.arange(len(held)), 5000))
    parts = {"a": Dragging().fit(dataset, features, RUN)}
    config = FusionConfig()
    spent = spending(5.0)
    short = spent.learning(config, parts, many)
    assert FEWEST_QUERIES <= short.max_queries < 2500
    assert "validation queries" in spent.said[0]
    assert spending(None).learning(config, parts, many) is config
    assert spending(3600.0).learning(config, parts, many) is config


def test_without_time_a_part_stays_as_it_was_fitted(data):
    spent = spending(None)
    fitted = spent.fit({"a": Slow()}, *data, RUN)
    late = Spending(time.monotonic() - 1.0, took=dict(spent.took))
    assert late.refit(fitted, *data, RUN)["a"] is fitted["a"]
    assert "not refitted" in late.said[0]
    assert spent.refit(fitted, *data, RUN)["a"] is not fitted["a"]


def test_a_fusion_keeps_to_its_time_and_tells_what_it_decided(data):
    run = replace(RUN, deadline=time.monotonic() + 3.0)
    began = time.monotonic()
    parts = {"popularity": create("popularity"), **{f"slow {i}": Slow() for i in range(20)}}
    fused = Blend(parts=parts).fit(*data, run)
    assert time.monotonic() - began < 4.0
    assert len(fused.parts) < 12
    assert any("left out" in line for line in fused.facts["decisions"])
