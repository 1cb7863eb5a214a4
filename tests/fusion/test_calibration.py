from __future__ import annotations

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fuserec.fusion.calibration import BINS, Calibration


def sample(n=20_000, seed=0):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=n)
    true = 0.3 / (1 + np.exp(-3 * (scores - 1)))
    return scores, rng.random(n) < true, true


def test_recovers_the_probability():
    scores, taken, true = sample()
    found = Calibration.fit(scores, taken)(scores)
    assert np.abs(found - true).mean() < 0.01
    assert abs(found.mean() - taken.mean()) < 0.005
    high = scores > 2
    assert abs(found[high].mean() - true[high].mean()) < 0.03  # where thresholds act


def test_a_few_knots_are_kept():
    scores, taken, _ = sample()
    fitted = Calibration.fit(scores, taken)
    assert 10 < fitted.scores.size <= BINS
    assert np.all(np.diff(fitted.scores) >= 0)


@given(
    st.lists(
        st.tuples(st.floats(-1e3, 1e3, allow_nan=False, width=32), st.booleans()), min_size=1, max_size=60
    )
)
@example([(0.0, False), (2.220446049250313e-16, False), (-1.0, False)])
@settings(max_examples=80, deadline=None)
def test_always_monotone_and_a_probability(rows):
    scores, taken = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    asked = np.linspace(scores.min() - 1, scores.max() + 1, 50)
    found = Calibration.fit(scores, taken)(asked)
    assert np.all((found >= 0) & (found <= 1))
    assert np.all(np.diff(found) >= -1e-12)


def test_separated_scores():
    fitted = Calibration.fit(np.array([0.0] * 50 + [1.0] * 50), np.array([False] * 50 + [True] * 50))
    assert fitted(np.array([-5.0, 0.0]))[0] < 0.05
    assert fitted(np.array([1.0, 9.0]))[1] > 0.95


def test_nothing_to_learn_from():
    assert Calibration.fit(np.empty(0), np.empty(0, bool))(np.array([1.0])).tolist() == [0.0]
    assert Calibration.fit(np.ones(9), np.zeros(9, bool))(np.array([1.0])).tolist() == [0.0]
