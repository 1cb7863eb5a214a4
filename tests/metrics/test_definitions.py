from __future__ import annotations

import doctest

import pytest

from fuserec import metrics
from fuserec.errors import RequestError
from fuserec.metrics import grouping, ranking


def test_docstring_examples():
    for module, examples in ((metrics, 2), (grouping, 3)):
        result = doctest.testmod(module)
        assert result.attempted == examples
        assert result.failed == 0


def test_every_metric_of_the_ranking_tables_is_defined():
    for name in [*ranking.AT_K, *ranking.WHOLE]:
        assert metrics.definition(f"{name}@5").family == "accuracy"


def test_errors_are_lower_is_better():
    lower = {name for name, about in metrics.DEFINITIONS.items() if about.better == "lower"}
    assert {"rmse", "mae", "log_loss", "brier", "ece", "gini", "miscalibration"} <= lower
    assert not lower & {*ranking.AT_K, *ranking.WHOLE}


def test_a_metric_by_column_is_named_with_it():
    about = metrics.definition("group_gap:gender@10")
    assert about.title == "NDCG gap (gender)"
    assert about.better == metrics.DEFINITIONS["group_gap"].better == "lower"
    assert metrics.base_name("group_gap:gender@10") == metrics.base_name("group_gap") == "group_gap"


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(RequestError, match="did you mean 'recall'"):
        metrics.definition("recal@10")


@pytest.mark.parametrize("name", ["recall@", "recall@0", "recall@x", "recall@1.5", "recall@-3", "recall@²"])
def test_a_bad_cut_is_refused(name):
    with pytest.raises(RequestError, match="whole number"):
        metrics.name_and_k(name)
