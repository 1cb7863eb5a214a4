from __future__ import annotations

import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mean_absolute_error, root_mean_squared_error

from fuserec.errors import DataError
from fuserec.metrics import rating

pairs = st.lists(
    st.tuples(st.floats(-10, 10), st.floats(-10, 10), st.integers(0, 4)), min_size=1, max_size=40
)


def test_docstring_examples():
    result = doctest.testmod(rating)
    assert result.attempted >= 6
    assert result.failed == 0


@given(pairs)
def test_equals_sklearn(rows):
    predicted, actual, _ = map(np.array, zip(*rows, strict=True))
    assert rating.rmse(predicted, actual) == pytest.approx(
        root_mean_squared_error(actual, predicted), abs=1e-12
    )
    assert rating.mae(predicted, actual) == pytest.approx(mean_absolute_error(actual, predicted), abs=1e-12)


@given(pairs)
def test_sums_by_user_give_the_overall_error(rows):
    predicted, actual, user = map(np.array, zip(*rows, strict=True))
    sums, counts = rating.by_user(rating.squared_errors(predicted, actual), user, 5)
    assert np.sqrt(sums.sum() / counts.sum()) == pytest.approx(rating.rmse(predicted, actual), abs=1e-12)
    assert counts.tolist() == [int((user == u).sum()) for u in range(5)]


def test_clipping_never_hurts_and_single_precision_is_widened():
    predicted = np.array([0.0, 3.0, 9.0], np.float32)
    inside = rating.clipped(predicted, 1, 5)
    assert inside.dtype == np.float64
    assert rating.rmse(inside, [1, 3, 5]) == 0


def test_nothing_has_no_error():
    assert np.isnan(rating.rmse([], []))
    assert np.isnan(rating.mae([], []))


def test_bad_input():
    with pytest.raises(DataError, match="do not match"):
        rating.rmse([1, 2], [1])
    for low, high in [(5, 1), (np.nan, 5), (1, np.inf)]:
        with pytest.raises(DataError, match="scale"):
            rating.clipped([1], low, high)
