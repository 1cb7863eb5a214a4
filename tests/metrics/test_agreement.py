"""Every ranking metric beside trec_eval (pytrec_eval) and scikit-learn, and under ties beside all orders.

Convention of trec_eval: recall over all relevant items, precision over k, average precision over all relevant items,
NDCG with linear gains and the discount 1/log2(1 + rank), ``success`` is the hit rate. The cases are free of ties, which
every library breaks in a way of its own.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import pytrec_eval
from scipy.stats import rankdata
from sklearn.metrics import f1_score, ndcg_score, roc_auc_score

from fuserec.errors import DataError
from fuserec.metrics import graded, ranking
from fuserec.metrics.targets import TargetRanks, target_ranks

CASES = 1000
CUTS = (1, 3, 10, 40)
SAME = {"rtol": 0, "atol": 1e-9}


class Cases:
    """Rankings with graded truth: short and long lists, a tenth of them without any truth."""

    def __init__(self) -> None:
        rng = np.random.default_rng(5)
        sizes = np.where(rng.random(CASES) < 0.5, rng.integers(1, 9, CASES), rng.integers(9, 200, CASES))
        self.scores = [rng.permutation(n).astype(float) for n in sizes]
        counts = np.where(rng.random(CASES) < 0.1, 0, rng.integers(1, 1 + np.minimum(sizes, 30)))
        self.truth = [rng.choice(n, count, replace=False) for n, count in zip(sizes, counts, strict=True)]
        self.grades = [rng.integers(1, 5, count) for count in counts]
        ranks = [rankdata(-row)[wanted] for row, wanted in zip(self.scores, self.truth, strict=True)]
        self.targets = target_ranks(
            np.concatenate(([0], np.cumsum(counts))),
            np.concatenate(ranks),
            sizes,
            tied=np.ones(counts.sum(), int),
            gain=np.concatenate(self.grades),
        )
        self.full = np.flatnonzero(counts)

    def qrels(self, exponential: bool = False) -> dict[str, dict[str, int]]:
        return {
            str(q): {
                str(item): int(2**grade - 1 if exponential else grade)
                for item, grade in zip(self.truth[q], self.grades[q], strict=True)
            }
            for q in self.full
        }

    def run(self, first: int | None = None) -> dict[str, dict[str, float]]:
        return {
            str(q): {str(i): self.scores[q][i] for i in np.argsort(-self.scores[q])[:first]}
            for q in self.full
        }


@pytest.fixture(scope="module")
def cases() -> Cases:
    return Cases()


def trec(cases: Cases, measures: set[str], first: int | None = None, exponential: bool = False):
    found = pytrec_eval.RelevanceEvaluator(cases.qrels(exponential), measures).evaluate(cases.run(first))
    return {name: np.array([found[str(q)][name] for q in cases.full]) for name in next(iter(found.values()))}


def test_metrics_at_k_agree_with_trec_eval(cases: Cases) -> None:
    cuts = ",".join(map(str, CUTS))
    found = trec(cases, {f"{name}.{cuts}" for name in ("P", "recall", "map_cut", "success", "ndcg_cut")})
    names = {"P": "precision", "recall": "recall", "map_cut": "map", "success": "hit_rate"}
    for k, (theirs, ours) in itertools.product(CUTS, names.items()):
        values = ranking.AT_K[ours](cases.targets, k)
        np.testing.assert_allclose(values[cases.full], found[f"{theirs}_{k}"], **SAME, err_msg=f"{ours}@{k}")
        assert np.isnan(np.delete(values, cases.full)).all()
    exponential = trec(cases, {f"ndcg_cut.{cuts}"}, exponential=True)
    for k in CUTS:
        linear = graded.linear_ndcg(cases.targets, k)[cases.full]
        np.testing.assert_allclose(linear, found[f"ndcg_cut_{k}"], **SAME)
        np.testing.assert_allclose(
            graded.graded_ndcg(cases.targets, k)[cases.full], exponential[f"ndcg_cut_{k}"], **SAME
        )
        assert len(cases.full) < CASES
        best = trec(cases, {"recip_rank"}, first=k)["recip_rank"]
        np.testing.assert_allclose(ranking.reciprocal_rank(cases.targets, k)[cases.full], best, **SAME)


def test_metrics_of_the_whole_ranking_agree_with_trec_eval(cases: Cases) -> None:
    found = trec(cases, {"map", "recip_rank", "Rprec"})
    for name, values in {
        "map": ranking.average_precision(cases.targets),
        "recip_rank": ranking.reciprocal_rank(cases.targets),
        "Rprec": ranking.r_precision(cases.targets),
    }.items():
        np.testing.assert_allclose(values[cases.full], found[name], **SAME, err_msg=name)


def test_binary_ndcg_f1_and_auc_agree_with_sklearn(cases: Cases) -> None:
    ndcg, f1 = ranking.ndcg(cases.targets, 10), ranking.f1(cases.targets, 10)
    auc = ranking.auc(cases.targets)
    weighted, weights = [], []
    for q in range(CASES):
        truth = np.zeros(len(cases.scores[q]))
        truth[cases.truth[q]] = 1
        if not truth.any():
            assert np.isnan([ndcg[q], f1[q], auc[q]]).all()
            continue
        if len(truth) > 1:
            assert ndcg[q] == pytest.approx(ndcg_score([truth], [cases.scores[q]], k=10), abs=1e-9)
        if len(truth) >= 10:
            shown = cases.scores[q] >= np.sort(cases.scores[q])[-10]
            assert f1[q] == pytest.approx(f1_score(truth, shown), abs=1e-9)
        if truth.all():
            assert np.isnan(auc[q])
            continue
        expected = roc_auc_score(truth, cases.scores[q])
        assert auc[q] == pytest.approx(expected, abs=1e-9)
        weighted.append(expected * truth.sum())
        weights.append(truth.sum())
    value = np.nanmean(ranking.gauc(cases.targets))
    assert value == pytest.approx(sum(weighted) / sum(weights), abs=1e-9)


def test_pooled_auc_agrees_with_sklearn() -> None:
    rng = np.random.default_rng(2)
    for _ in range(100):
        scores = rng.integers(0, 9, 40).astype(float)
        taken = rng.random(40) < 0.3
        if taken.any() and not taken.all():
            assert ranking.pooled_auc(scores, taken) == pytest.approx(roc_auc_score(taken, scores), abs=1e-9)
    assert np.isnan(ranking.pooled_auc([1.0, 2.0], [True, True]))


METRICS = {
    **ranking.AT_K,
    "graded_ndcg": graded.graded_ndcg,
    "linear_ndcg": graded.linear_ndcg,
    "mrr_whole": lambda targets, _: ranking.reciprocal_rank(targets),
    "map_whole": lambda targets, _: ranking.average_precision(targets),
    "r_precision": lambda targets, _: ranking.r_precision(targets),
    "auc": lambda targets, _: ranking.auc(targets),
}


def orders(scores: np.ndarray, wanted: np.ndarray) -> list[np.ndarray]:
    """Return the ranks of the targets in every order that the scores allow."""
    groups = [np.flatnonzero(scores == value) for value in np.unique(scores)[::-1]]
    found = []
    for order in itertools.product(*(itertools.permutations(group) for group in groups)):
        ranked = np.concatenate([np.array(part) for part in order])
        found.append(1.0 + np.argsort(ranked)[wanted])
    return found


def tied_case(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return scores with small ties, targets, and their grades."""
    n = int(rng.integers(2, 8))
    scores = rng.integers(0, int(rng.integers(1, 5)), n).astype(float)
    if max(np.unique(scores, return_counts=True)[1]) > 5:
        scores[: n // 2] += 10
    wanted = rng.choice(n, int(rng.integers(1, n + 1)), replace=False)
    return scores, wanted, rng.integers(0, 5, len(wanted)).astype(float)


def single(ranks: np.ndarray, n: int, gain: np.ndarray, tied: np.ndarray | None = None) -> TargetRanks:
    return target_ranks([0, len(ranks)], ranks, n, tied=tied, gain=gain)


@pytest.mark.parametrize("k", [1, 2, 4, 9])
def test_ties_give_the_mean_over_all_orders(k: int) -> None:
    rng = np.random.default_rng(k)
    batch, expected, gains = [], {name: [] for name in METRICS}, []
    for _ in range(25):
        scores, wanted, gain = tied_case(rng)
        ranks = orders(scores, wanted)
        whole = target_ranks(
            np.arange(len(ranks) + 1) * len(wanted),
            np.concatenate(ranks),
            len(scores),
            gain=np.tile(gain, len(ranks)),
        )
        for name, metric in METRICS.items():
            expected[name].append(metric(whole, k).mean())
        tied = np.array([np.sum(scores == scores[item]) for item in wanted])
        batch.append((rankdata(-scores)[wanted], tied, len(scores)))
        gains.append(gain)
    targets = target_ranks(
        np.concatenate(([0], np.cumsum([len(part[0]) for part in batch]))),
        np.concatenate([part[0] for part in batch]),
        [part[2] for part in batch],
        tied=np.concatenate([part[1] for part in batch]),
        gain=np.concatenate(gains),
    )
    assert len(targets.ties) > 20
    for name, metric in METRICS.items():
        np.testing.assert_allclose(metric(targets, k), expected[name], rtol=0, atol=1e-9, err_msg=name)


def test_a_constant_scorer_is_chance() -> None:
    n, wanted = 50, 5
    targets = target_ranks([0, wanted], [25.5] * wanted, n, tied=[n] * wanted)
    assert ranking.recall(targets, 10)[0] == pytest.approx(10 / n)
    assert ranking.precision(targets, 10)[0] == pytest.approx(wanted / n)
    assert ranking.r_precision(targets)[0] == pytest.approx(wanted / n)
    assert ranking.auc(targets)[0] == pytest.approx(0.5)
    missed = np.prod([(n - wanted - i) / (n - i) for i in range(10)])
    assert ranking.hit_rate(targets, 10)[0] == pytest.approx(1 - missed)


def test_ndcg_under_ties_agrees_with_sklearn() -> None:
    rng = np.random.default_rng(3)
    for _ in range(200):
        n = int(rng.integers(2, 30))
        scores, grade = rng.integers(0, 4, n).astype(float), rng.integers(0, 3, n)
        wanted = np.flatnonzero(grade)
        if not len(wanted):
            continue
        tied = np.array([np.sum(scores == scores[item]) for item in wanted])
        targets = single(rankdata(-scores)[wanted], n, grade[wanted].astype(float), tied)
        assert graded.linear_ndcg(targets, 5)[0] == pytest.approx(
            ndcg_score([grade], [scores], k=5), abs=1e-9
        )


@pytest.mark.parametrize(
    ("ranks", "tied"), [([1.5], [1]), ([1.0], [2]), ([2.0], [0]), ([3.0], [7]), ([2.0], [2])]
)
def test_impossible_ties_are_refused(ranks: list[float], tied: list[int]) -> None:
    with pytest.raises(DataError, match="no tie of"):
        target_ranks([0, 1], ranks, 9, tied=tied)
