"""Dials on public datasets: what each does never falls while it is turned up, and it costs accuracy at the end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fuserec import RecommenderConfig, RunOptions, read
from fuserec.data.splits import SplitConfig
from fuserec.evaluation.dials import DIALS, measure_dials

pytestmark = pytest.mark.realdata

CONFIG = {"features": {"use_sentence": "never"}, "parts": {"popularity": {}, "item_knn": {}, "content": {}}}
USERS = 400
SOURCES = {
    "ml-100k": ("movielens", "more:categories: Comedy", "less:categories: Drama"),
    "goodbooks-sample": ("goodbooks", "more:brand: Stephen King", "less:a magic school"),
}


@pytest.mark.parametrize("name", SOURCES)
def test_dials_are_monotone(realdata: Path, name: str) -> None:
    form, *topics = SOURCES[name]
    whole, _ = read(realdata / name, form)
    few = whole.with_rows(whole.interactions.user < USERS)
    plain = [dial for dial in DIALS if dial not in ("more", "less")]
    dated = few.has_time or "year" in few.item_table.columns
    dials = [dial for dial in (*plain, *topics) if dated or dial != "freshness"]
    config = RecommenderConfig.parse(CONFIG, "test")
    facts, curves = measure_dials(few, dials, config, split=SplitConfig(), run=RunOptions(threads=1))
    assert facts["users"] > 300
    assert [curve.name for curve in curves] == dials
    first = {step.ndcg.value for curve in curves for step in curve.steps[:1]}
    assert len(first) == 1  # a dial at 0 shows one and the same list, whichever dial it is
    for curve in curves:
        effects = [step.effect.value or 0.0 for step in curve.steps]
        assert curve.monotone, (curve.name, effects)
        assert effects[-1] > effects[0], curve.name
        assert curve.falling == 0 or curve.dial == "diversity", curve.name
        assert curve.falling < 0.05, curve.name
        last = curve.steps[-1]
        assert last.change is not None
        assert last.change.low is not None
        assert last.change.low > 0
        assert last.cost is not None
        assert last.cost.difference is not None
        assert last.cost.difference < 0.02  # nothing here can make lists much better than the fusion's own
    assert np.isfinite([step.ndcg.value for curve in curves for step in curve.steps]).all()
