from __future__ import annotations

import numpy as np
import pytest

from fuserec.data.query import QueryBatch
from fuserec.errors import ConfigError
from fuserec.run import RunOptions
from fuserec.scorers import create
from fuserec.testing import dataset_of, small_features

RUN = RunOptions(threads=1)


def fit(data, **config):
    return create("ease", config).fit(data, small_features(data, RUN), RUN)


def test_two_items_by_hand():
    """Three people took item 0, two of them item 1 too: XᵀX + λI = [[4, 2], [2, 3]] for λ = 1.

    P = [[3, -2], [-2, 4]] / 8, so B[0, 1] = 2 / 4 and B[1, 0] = 2 / 3: not symmetric.
    """
    fitted = fit(dataset_of([[0, 1], [0, 1], [0]]), regularization=1.0)
    found = fitted.score(QueryBatch.of_histories([[0], [1], [0, 1]])).values
    np.testing.assert_allclose(found, [[0, 1 / 2], [2 / 3, 0], [2 / 3, 1 / 2]], rtol=1e-5)


def test_dislikes_pull_down():
    fitted = fit(dataset_of([[0, 1], [0, 1], [0]]), regularization=1.0)
    q = QueryBatch.of_histories([[0]])
    liked, disliked = fitted.score(q).values, fitted.score(q.with_weights(np.array([-0.5]))).values
    np.testing.assert_allclose(disliked, -0.5 * liked)


def test_recency_weighs_by_steps_back():
    data = dataset_of([[0, 2], [0, 2], [1, 3], [1, 3]])
    fitted = fit(data, regularization=1.0).retuned(recency=0.5)
    found = fitted.score(QueryBatch.of_histories([[0, 1]])).values[0]
    np.testing.assert_allclose(found[2], 0.5 * found[3], rtol=1e-5)


def test_regularization_has_to_be_positive():
    with pytest.raises(ConfigError, match="regularization"):
        create("ease", {"regularization": 0})


def test_unknown_hyperparameter_names_the_nearest():
    with pytest.raises(
        ConfigError, match=r"\[scorers.ease\]: unknown key 'regularisation'; did you mean 'regularization'"
    ):
        create("ease", {"regularisation": 1})


def test_unknown_scorer_names_the_nearest():
    with pytest.raises(ConfigError, match="unknown scorer 'eese'; did you mean 'ease'"):
        create("eese")
