from __future__ import annotations

import doctest
import itertools
import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata
from sklearn.metrics import label_ranking_average_precision_score, ndcg_score, roc_auc_score

from fuserec.errors import DataError, RequestError
from fuserec.metrics import auc, ranking, targets
from fuserec.metrics.ranking import TargetRanks, target_ranks


@pytest.mark.parametrize(("module", "examples"), [(ranking, 8), (auc, 3), (targets, 3)])
def test_docstring_examples(module, examples):
    result = doctest.testmod(module)
    assert result.attempted >= examples
    assert result.failed == 0


def ranks_of(scores: list[np.ndarray], relevant: list[list[int]]) -> TargetRanks:
    """Mean ranks of the relevant items under scores, as the evaluator gives them."""
    ranks = [rankdata(-row)[targets] for row, targets in zip(scores, relevant, strict=True)]
    indptr = np.concatenate(([0], np.cumsum([len(part) for part in ranks])))
    return target_ranks(indptr, np.concatenate(ranks) if ranks else [], [len(row) for row in scores])


def oracle(order: list[int], targets: set[int], k: int) -> dict[str, float]:
    """Every metric from a list of items, best first, as its textbook sentence says."""
    flags = [item in targets for item in order]
    top = flags[:k]
    dcg = sum(1 / math.log2(place + 1) for place, hit in enumerate(top, 1) if hit)
    ideal = sum(1 / math.log2(place + 1) for place in range(1, min(k, len(targets)) + 1))
    first = next((place for place, hit in enumerate(flags, 1) if hit), math.inf)
    precisions = [sum(flags[:place]) / place for place, hit in enumerate(flags, 1) if hit]
    within = [value for value, place in zip(precisions, np.flatnonzero(flags) + 1, strict=True) if place <= k]
    pairs = [(a, b) for a, b in itertools.product(range(len(flags)), repeat=2) if flags[a] and not flags[b]]
    return {
        "recall": sum(top) / len(targets),
        "precision": sum(top) / k,
        "hit_rate": float(any(top)),
        "ndcg": dcg / ideal,
        "mrr": 1 / first if first <= k else 0.0,
        "map": sum(within) / len(targets),
        "mrr_whole": 1 / first,
        "map_whole": sum(precisions) / len(targets),
        "auc": sum(a < b for a, b in pairs) / len(pairs) if pairs else math.nan,
    }


@st.composite
def query(draw):
    n = draw(st.integers(1, 12))
    order = draw(st.permutations(range(n)))
    targets = draw(st.sets(st.integers(0, n - 1), min_size=1))
    return order, targets


@given(st.lists(query(), min_size=1, max_size=5), st.integers(1, 15))
def test_every_metric_equals_the_brute_force_oracle(queries, k):
    scores = [-np.argsort(order).astype(float) for order, _ in queries]
    targets = ranks_of(scores, [sorted(wanted) for _, wanted in queries])
    got = {name: metric(targets, k) for name, metric in ranking.AT_K.items()}
    got |= {"auc": ranking.auc(targets), "mrr_whole": ranking.reciprocal_rank(targets)}
    got["map_whole"] = ranking.average_precision(targets)
    for row, (order, wanted) in enumerate(queries):
        for name, value in oracle(list(order), wanted, k).items():
            np.testing.assert_allclose(got[name][row], value, atol=1e-12, err_msg=name)


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_agrees_with_sklearn_without_ties(seed, k):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 30))
    scores = rng.permutation(n).astype(float)
    truth = np.zeros(n, int)
    truth[rng.choice(n, int(rng.integers(1, n)), replace=False)] = 1
    targets = ranks_of([scores], [np.flatnonzero(truth).tolist()])
    assert ranking.ndcg(targets, k)[0] == pytest.approx(ndcg_score([truth], [scores], k=k), abs=1e-12)
    assert ranking.auc(targets)[0] == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
    expected = label_ranking_average_precision_score([truth], [scores])
    assert ranking.average_precision(targets)[0] == pytest.approx(expected, abs=1e-12)


@given(st.integers(0, 2**32 - 1))
def test_auc_equals_sklearn_with_ties(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 20))
    scores = rng.integers(0, 4, n).astype(float)
    truth = np.zeros(n, int)
    truth[rng.choice(n, int(rng.integers(1, n)), replace=False)] = 1
    targets = ranks_of([scores], [np.flatnonzero(truth).tolist()])
    assert ranking.auc(targets)[0] == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)


@given(st.integers(0, 2**32 - 1), st.integers(1, 10))
def test_ties_keep_every_metric_in_its_range_and_the_sum_of_ranks(seed, k):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 15, 4)
    scores = [rng.integers(0, 3, n).astype(float) for n in sizes]
    wanted = [rng.choice(n, int(rng.integers(1, n + 1)), replace=False).tolist() for n in sizes]
    targets = ranks_of(scores, wanted)
    for name, metric in (ranking.AT_K | {"auc": lambda t, _: ranking.auc(t)}).items():
        values = metric(targets, k)
        values = values[~np.isnan(values)]
        assert ((values >= 0) & (values <= 1 + 1e-12)).all(), name
    assert (targets.rank >= targets.position).all()
    raw = [rankdata(-row)[items].sum() for row, items in zip(scores, wanted, strict=True)]
    np.testing.assert_allclose(targets.sums(targets.rank), raw)


def test_a_tied_target_has_its_mean_rank():
    targets = target_ranks([0, 1, 2], [2.5, 1.5], 10)
    assert ranking.recall(targets, 2).tolist() == [0.0, 1.0]
    np.testing.assert_allclose(ranking.ndcg(targets, 3), [1 / math.log2(3.5), 1 / math.log2(2.5)])
    np.testing.assert_allclose(ranking.reciprocal_rank(targets), [1 / 2.5, 1 / 1.5])


def test_constant_scores_are_chance():
    targets = ranks_of([np.zeros(9)], [[0, 4]])
    assert ranking.auc(targets)[0] == 0.5
    assert ranking.recall(targets, 4)[0] == 0.0
    assert ranking.recall(targets, 5)[0] == 0.5


def test_empty_queries_have_no_value_and_no_warning():
    targets = target_ranks([0, 0, 1], [1.0], [5, 5])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for metric in ranking.AT_K.values():
            values = metric(targets, 3)
            assert np.isnan(values[0])
            assert values[1] > 0
        assert np.isnan(ranking.auc(targets)).tolist() == [True, False]
        assert len(ranking.recall(target_ranks([0], [], []), 1)) == 0


def test_a_target_that_was_not_ranked_is_relevant_and_not_found():
    targets = target_ranks([0, 2], [1.0, np.inf], 5)
    assert ranking.recall(targets, 5).tolist() == [0.5]
    assert ranking.average_precision(targets).tolist() == [0.5]
    assert ranking.auc(targets).tolist() == [0.5]  # 3 of 3 pairs right, then 0 of 3
    assert ranking.reciprocal_rank(target_ranks([0, 1], [np.inf], 5)).tolist() == [0.0]


def test_k_beyond_the_catalogue():
    targets = target_ranks([0, 2], [1, 3], 3)
    assert ranking.recall(targets, 50).tolist() == [1.0]
    assert ranking.precision(targets, 50).tolist() == [2 / 50]
    assert ranking.ndcg(targets, 10**12)[0] == pytest.approx(1.5 / (1 + 1 / math.log2(3)))


def test_all_candidates_are_targets():
    assert np.isnan(ranking.auc(target_ranks([0, 2], [1, 2], 2))).all()


@pytest.mark.parametrize("k", [0, -1])
def test_k_is_checked(k):
    targets = target_ranks([0, 1], [1], 2)
    for metric in ranking.AT_K.values():
        with pytest.raises(RequestError, match="at least 1"):
            metric(targets, k)


@pytest.mark.parametrize(
    ("indptr", "ranks", "candidates"),
    [([0, 2], [1.0], 5), ([0, 1], [0.5], 5), ([0, 1], [6.0], 5), ([0, 1], [np.nan], 5), ([1, 1], [1.0], 5)],
)
def test_bad_ranks_are_refused(indptr, ranks, candidates):
    with pytest.raises(DataError, match="target ranks"):
        target_ranks(indptr, ranks, candidates)


def test_input_is_untouched():
    ranks = np.array([5.0, 2.0, 2.0])
    target_ranks([0, 3], ranks, 9)
    assert ranks.tolist() == [5.0, 2.0, 2.0]
