"""Marks of all metrics: paired tests against the leading model, without resamples, corrected within each table."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest

from fuserec.evaluation.further import further
from fuserec.evaluation.report import to_html
from fuserec.evaluation.results import DatasetFacts, EvaluationResults, ModelResult
from fuserec.evaluation.statistics import Estimate, holm, paired_difference, permuted_differences
from fuserec.evaluation.statistics.paired import _normal_p
from fuserec.evaluation.statistics.signflip import sign_flip_p
from fuserec.evaluation.wording import versus_on

N = 400


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def values(shift: float, seed: int) -> dict[str, np.ndarray]:
    hits = (rng(1).random(N) < 0.2) | (rng(seed).random(N) < shift)
    return {
        "ndcg@10": hits * 0.63,
        "recall@10": hits.astype(float),
        "mrr@10": hits * 0.5,
        "ild@10": np.float32(0.5 + shift + 0.01 * rng(seed).normal(size=N)),
        "novelty@10": np.float32(8 + 3 * shift + rng(seed).normal(size=N)),
    }


def results(columns: dict[str, dict[str, np.ndarray]]) -> EvaluationResults:
    models = {
        name: ModelResult(metrics={m: Estimate(float(it.mean())) for m, it in own.items()}, users=N)
        for name, own in columns.items()
    }
    data = DatasetFacts(users=N, items=90, interactions=4000, fingerprint="f")
    return EvaluationResults(dataset=data, split={"kind": "last-out"}, models=models)


@pytest.fixture
def columns() -> dict[str, dict[str, np.ndarray]]:
    return {"fused": values(0.3, 2), "weak": values(0.0, 3), "twin": values(0.3, 2)}


def test_every_metric_by_query_but_the_deciding_one_is_tested_against_the_leading_model(columns):
    found = further(results(columns), columns)
    assert {one.metric for one in found} == {"recall@10", "mrr@10", "ild@10", "novelty@10"}
    assert {one.reference for one in found} == {"fused"}
    by_name = {one.metric: one.models for one in found}
    for metric, within in (("recall@10", (0.0, 1.0)), ("mrr@10", (0.0, 1.0)), ("novelty@10", None)):
        gap = by_name[metric]["weak"]
        whole = paired_difference(columns["weak"][metric], columns["fused"][metric], rng=rng(), within=within)
        assert (gap.difference, gap.p, gap.users) == pytest.approx((whole.difference, whole.p, N))
        assert (gap.low, gap.high) == pytest.approx((whole.low, whole.high), rel=0.1)
        assert gap.p_bootstrap is None
    same = by_name["recall@10"]["twin"]
    assert (same.difference, same.low, same.high) == (0.0, 0.0, 0.0)


def test_p_values_are_corrected_within_a_family_of_metrics(columns):
    found = further(results(columns), columns)
    accuracy = [gap for one in found if one.metric in ("recall@10", "mrr@10") for gap in one.models.values()]
    assert [gap.p_holm for gap in accuracy] == pytest.approx(holm([gap.p for gap in accuracy]))


def test_the_table_marks_every_metric_that_was_tested(columns):
    bare = results(columns)
    marked = bare.model_copy(update={"further": further(bare, columns)})
    page = to_html(marked)
    rows = re.findall(r"<tr><th[^>]*>(?:(?!</tr>).)*</tr>", page[page.index('id="metrics"') :], re.DOTALL)
    signs = {name: row for row in rows for name in ("Recall", "MRR", "Novelty") if f">{name}</button>" in row}
    assert "▼" in signs["Recall"]
    assert "≈" in signs["Recall"]
    assert "▼" in signs["MRR"]
    assert re.search("[▲▼◆]", signs["Novelty"])
    assert not re.search("[▲▼◆≈]", to_html(bare).partition('id="metrics"')[2].partition("<table")[2])
    assert versus_on(marked, "recall@10", "fused", "weak").difference > 0
    assert EvaluationResults.from_json(marked.to_json()) == marked


def test_without_a_leading_model_nothing_is_tested(columns):
    assert further(results({}), {}) == []
    assert further(results({"fused": columns["fused"]}), {"fused": columns["fused"]}) == []


def test_of_very_many_users_the_limit_is_taken():
    d = rng().normal(0.01, 1, 120_000)
    gap = permuted_differences({"a": d}, np.zeros(d.size))["a"]
    assert gap.p == _normal_p(d) == pytest.approx(sign_flip_p(d), rel=1e-2)
    assert permuted_differences({"a": d[:1000]}, np.zeros(1000))["a"].p == sign_flip_p(d[:1000])


def test_it_is_fast():
    table = {f"m{at}": {f"recall@{k}": rng(at).random(6040) for k in range(1, 41)} for at in range(7)}
    table["fused"] = {f"recall@{k}": rng(99).random(6040) for k in range(1, 41)}
    made = {name: ModelResult(metrics={}, users=6040) for name in table}
    start = time.perf_counter()
    further(results({}).model_copy(update={"models": made}), table)
    assert time.perf_counter() - start < 10
