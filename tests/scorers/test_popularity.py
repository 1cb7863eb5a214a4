from __future__ import annotations

import numpy as np
import pytest

from fuserec.data.query import QueryBatch
from fuserec.errors import DataError
from fuserec.run import RunOptions
from fuserec.scorers import create
from fuserec.testing import dataset_of, small_features

RUN = RunOptions(threads=1)


def scores(dataset, **config):
    fitted = create("popularity", config).fit(dataset, small_features(dataset, RUN), RUN)
    return fitted.score(QueryBatch.of_histories([[], [0]]))


def test_counts_positive_weights():
    data = dataset_of([[0, 1], [0, 2], [0]], 4, weights=[[1, 0.5], [1, -1], [1]])
    found = scores(data)
    np.testing.assert_allclose(found.values, np.tile(np.log1p([3, 0.5, 0, 0]), (2, 1)), rtol=1e-6)
    assert found.items.tolist() == [True, True, True, False]  # 2 is known to be disliked, 3 is not known
    assert found.queries.all()


def test_half_life_counts_from_the_newest_event():
    data = dataset_of([[0, 1], [2]], days=[[0, 10], [20]])
    np.testing.assert_allclose(
        scores(data, half_life_days=10.0).values[0], np.log1p([0.25, 0.5, 1.0]), rtol=1e-6
    )


def test_half_life_needs_time():
    data = dataset_of([[0, 1]], days=[[0, np.nan]])
    with pytest.raises(
        DataError, match=r"half_life_days = 3 needs a time for every interaction: 1 of 2 have none"
    ):
        scores(data, half_life_days=3.0)
