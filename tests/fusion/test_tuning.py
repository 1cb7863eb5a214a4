from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
from pydantic import Field

from fuserec.data.splits import SplitConfig, hold_out
from fuserec.fusion import tuning
from fuserec.fusion.tuning import ndcg, tuned
from fuserec.run import RunOptions
from fuserec.scorers.base import Capabilities, Scorer, Scores
from fuserec.settings import Settings
from fuserec.testing import dataset_of

RUN = RunOptions(threads=1)


class DialConfig(Settings):
    dial: float = Field(default=0.0, description="Where it points.")


class Dial(Scorer):
    """Scores are best for the item whose index is the dial."""

    name: ClassVar[str] = "dial"
    Config = DialConfig
    capabilities: ClassVar[Capabilities] = Capabilities(answers=frozenset({"anyone"}))
    tunable: ClassVar[dict[str, tuple[float, ...]]] = {"dial": (0.0, 3.0, 4.0, 9.0)}

    def _fit(self, train, features, run):
        self.n = train.n_items

    def score(self, q, items=None):
        values = -np.abs(np.arange(self.n, dtype=np.float32) - np.float32(self.config.dial))
        return Scores(np.tile(values, (len(q), 1)), np.ones(self.n, bool), np.ones(len(q), bool))

    def state(self):
        return {}, {}

    def _restore(self, arrays, meta):
        pass


@pytest.fixture
def held():
    """Everybody took 0 and 1, then 3 or (two of three) 4."""
    return hold_out(dataset_of([[0, 1, 4], [0, 1, 4], [0, 1, 3]], 10), SplitConfig(), 0, "test")


def dial(held, value=0.0):
    return Dial(DialConfig(dial=value)).fit(held.train, None, RUN)


def test_ndcg_by_hand(held):
    assert ndcg(dial(held, 4.0), held, 10, RUN) == pytest.approx(
        (1 + 1 + 1 / np.log2(3.5)) / 3
    )  # 3 ties with 5
    assert ndcg(dial(held, 9.0), held, 5, RUN) == 0.0


def test_the_best_value_is_taken(held):
    part = dial(held)
    best = tuned(part, held, 10, RUN)
    assert best.config.dial == 4.0
    assert part.config.dial == 0.0


def test_without_a_gain_the_part_stays(held):
    part = dial(held, 4.0)
    assert tuned(part, held, 10, RUN) is part


def test_chunks_do_not_change_the_figure(held, monkeypatch):
    whole = ndcg(dial(held, 3.0), held, 10, RUN)
    monkeypatch.setattr(tuning, "CHUNK_MB", 1e-9)
    assert ndcg(dial(held, 3.0), held, 10, RUN) == pytest.approx(whole)
