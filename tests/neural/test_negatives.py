"""Negatives are drawn as often as asked, never among what somebody has taken, and never what nobody has."""

from __future__ import annotations

import numpy as np
import pytest

from fuserec.neural.negatives import Negatives

COUNTS = np.array([4, 0, 1, 9, 0])


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_they_are_drawn_in_proportion_to_a_power_of_popularity(power):
    nobody = np.empty(0, np.int64)
    negatives = Negatives.of(COUNTS, power, nobody, nobody)
    drawn, free = negatives.draw(np.zeros(200, np.int64), 200, np.random.default_rng(0))
    share = np.bincount(drawn.ravel(), minlength=5) / drawn.size
    wanted = np.where(COUNTS > 0, np.power(np.maximum(COUNTS, 1.0), power), 0.0)
    np.testing.assert_allclose(share, wanted / wanted.sum(), atol=0.01)
    assert free.all()


def test_what_somebody_took_is_marked_for_them_alone():
    negatives = Negatives.of(COUNTS, 0.0, np.array([0, 0, 1]), np.array([3, 0, 2]))
    users = np.array([0, 1])
    drawn, free = negatives.draw(users, 50, np.random.default_rng(1))
    assert np.array_equal(free[0], drawn[0] == 2)
    assert np.array_equal(free[1], drawn[1] != 2)
    assert {0, 2, 3} == set(drawn.ravel().tolist())
