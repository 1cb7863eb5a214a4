"""The measurement of intervals and tests, at a size of seconds: sound ones pass its bands, broken ones do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench import coverage

REPLICATES = 800
NOISE = 0.02  # some two and a half standard errors of a share of 95 % in 800


@pytest.mark.parametrize("at", range(len(coverage.MEANS)))
def test_intervals_hold_the_truth(at):
    row = coverage.mean_row(coverage.MEANS[at], 50, REPLICATES, np.random.default_rng(at))
    assert row.least - NOISE <= row.share <= row.most + NOISE, row


def test_the_percentile_bootstrap_would_fail():
    few = next(shape for shape in coverage.MEANS if shape.title.startswith("few hits: NDCG"))
    assert coverage.mean_row(few, 50, 400, np.random.default_rng(1)).beside < 0.85


def test_intervals_that_are_too_narrow_or_too_wide_fail(monkeypatch):
    shape = coverage.MEANS[2]
    for level in (0.9, 0.99):
        monkeypatch.setattr(
            coverage, "intervals", lambda *a, made=coverage.intervals, at=level, **b: made(*a, level=at, **b)
        )
        row = coverage.mean_row(shape, 500, REPLICATES, np.random.default_rng(2))
        assert not row.least - NOISE / 2 <= row.share <= row.most + NOISE / 2
        monkeypatch.undo()


def test_ratios_and_their_tests():
    rows = coverage.ratio_rows(50, 300, np.random.default_rng(3))
    for row in rows:
        assert row.least - 0.03 <= row.share <= row.most + 0.03, row


@pytest.mark.parametrize("title", coverage.NULLS)
def test_true_nulls_are_rejected_rarely(title):
    row = coverage.null_row(title, coverage.NULLS[title], 200, REPLICATES, np.random.default_rng(4))
    assert row.share <= coverage.FALSE_ALARMS + NOISE
    assert row.beside <= coverage.FALSE_ALARMS + NOISE


def test_a_test_that_cries_wolf_fails():
    row = coverage.null_row("x", coverage.pairs(0.2, 0.5, 1.2), 500, 200, np.random.default_rng(5))
    assert not row.holds  # a difference is there: rejected far more often than a null may be


def test_the_page_marks_what_fails():
    rows = [
        coverage.Row("coverage", "fine", 50, 0.95, 0.93, 0.97, 0.9),
        coverage.Row("false alarms", "loud", 50, 0.05, 0, 0.06, 0.2),
    ]
    assert [row.holds for row in rows] == [True, False]
    found = {"replicates": 10, "rows": [{**vars(row), "holds": row.holds} for row in rows]}
    text = coverage.section(found)
    assert "| fine | 50 | **95.0 %** | 90.0 % |" in text
    assert "| loud | 50 | **5.0 %** ! | 20.0 % |" in text
    assert replace(rows[1], beside=0.05).holds
