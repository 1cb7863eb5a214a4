"""Runs side by side: paired where the queries are the same, refused where the question is another."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from rich.console import Console

from fuserec.errors import RequestError
from fuserec.evaluation import wording
from fuserec.evaluation.compared import RunComparison
from fuserec.evaluation.comparison import compare
from fuserec.evaluation.comparison_tables import shown, verdicts
from fuserec.evaluation.queries import Queries, packed
from fuserec.evaluation.report import to_html
from fuserec.evaluation.results import DatasetFacts, EvaluationResults, ModelResult
from fuserec.evaluation.statistics import interval, paired_difference, paired_ratio_difference, ratio_interval
from fuserec.evaluation.texts import CHINESE, ENGLISH

N = 600
UNIT = (0.0, 1.0)
RNG = np.random.default_rng(0)
HISTORY = RNG.integers(0, 12, N)
COUNTS = RNG.integers(0, 40, N)
RATINGS = RNG.integers(1, 5, N)
BASE = np.where(RNG.random(N) < 0.2, 0.5, 0.0)


def better(share: float, seed: int = 1) -> np.ndarray:
    """Values of a model that finds some more."""
    return np.where(np.random.default_rng(seed).random(N) < share, 1.0, BASE)


def run(
    fingerprint="q", data="d", kind="last-out", ids=False, queries=True, name="toy", **models
) -> EvaluationResults:
    made, values, squared = {}, {}, {}
    for model, column in models.items():
        wrong = 3.0 - column * RATINGS
        rng = np.random.default_rng(0)
        made[model] = ModelResult(
            metrics={
                "ndcg@10": interval(column, rng=rng, within=UNIT),
                "rmse": ratio_interval(wrong**2, RATINGS, rng=rng, root=True),
            },
            users=N,
        )
        values[model] = {"ndcg@10": packed(column, np.float32)}
        squared[model] = packed(wrong**2, np.float32)
    block = Queries(
        n=N,
        fingerprint=fingerprint,
        history=packed(HISTORY, np.int32),
        popularity=packed(COUNTS, np.int32),
        values=values,
        squared=squared,
        ratings=packed(RATINGS, np.int32),
        users=_ids() if ids else "",
    )
    return EvaluationResults(
        dataset=DatasetFacts(users=N, items=50, interactions=9000, fingerprint=data, name=name),
        split={"kind": kind, "seed": 0},
        models=made,
        queries=block if queries else None,
    )


def _ids() -> str:
    import base64
    import json
    import zlib

    return base64.b64encode(zlib.compress(json.dumps([f"u{at}" for at in range(N)]).encode())).decode()


def test_runs_on_the_same_queries_are_paired():
    a, b = run(fused=BASE), run(fused=better(0.06))
    found = compare({"a": a, "b": b})
    (pair,) = found.pairs
    assert (pair.model, pair.reference, pair.paired) == ("b:fused", "a:fused", True)
    assert [change.metric for change in pair.changes] == ["ndcg@10", "rmse"]
    first, second = (change.difference for change in pair.changes)
    direct = paired_difference(better(0.06), BASE, rng=np.random.default_rng(0), within=UNIT)
    assert (first.difference, first.low, first.p) == pytest.approx((direct.difference, direct.low, direct.p))
    errors = [(3.0 - column * RATINGS) ** 2 for column in (better(0.06), BASE)]
    direct = paired_ratio_difference(*errors, RATINGS, rng=np.random.default_rng(0), root=True)
    assert (second.difference, second.high) == pytest.approx((direct.difference, direct.high), rel=1e-5)
    assert second.p_holm >= second.p
    assert pair.changes[0].verdict.startswith("better by 0.0")
    assert verdicts(found)[0].startswith("b:fused against a:fused, NDCG@10: better by")
    assert found.remarks == []
    assert RunComparison.model_validate_json(found.to_json()) == found


def test_segments_hold_the_users_they_name():
    change = np.where(HISTORY == 0, 1.0, BASE)  # everybody without history gains, nobody else
    (pair,) = compare({"a": run(fused=BASE), "b": run(fused=change)}).pairs
    by_name = {one.segment: one for one in pair.segments}
    assert by_name["query:none"].difference.users == np.count_nonzero(HISTORY == 0)
    assert by_name["query:none"].after == 1.0
    assert by_name["query:none"].difference.above == 1.0
    assert by_name["query:long"].verdict.startswith("no difference: both give each of")
    assert by_name["target:cold"].difference.users == np.count_nonzero(COUNTS == 0)
    assert by_name["target:tail"].difference.users == np.count_nonzero((COUNTS > 0) & (COUNTS <= 5))


def test_users_are_named_where_a_file_knows_them():
    change = BASE.copy()
    change[[3, 8]], change[np.flatnonzero(BASE)[0]] = (1.0, 0.9), 0.0
    (pair,) = compare({"a": run(fused=BASE), "b": run(ids=True, fused=change)}).pairs
    assert [one.user for one in pair.gained[:2]] == ["u3", "u8"]
    assert [one.user for one in pair.lost] == [f"u{np.flatnonzero(BASE)[0]}"]
    assert pair.gained[0].history == HISTORY[3]
    (unnamed,) = compare({"a": run(fused=BASE), "b": run(fused=change)}).pairs
    assert unnamed.gained == unnamed.lost == []


@pytest.mark.parametrize("other", [{"fingerprint": "other"}, {"queries": False}])
def test_without_common_queries_intervals_are_compared_and_it_is_said(other):
    paired = compare({"a": run(fused=BASE), "b": run(fused=better(0.06))}).pairs[0].changes[0].difference
    found = compare({"a": run(fused=BASE), "b": run(**other, fused=better(0.06))})
    (pair,) = found.pairs
    gap = pair.changes[0].difference
    assert not pair.paired
    assert pair.segments == []
    assert gap.above is None
    assert gap.high - gap.low > paired.high - paired.low
    assert any("as if different people" in remark for remark in found.remarks)
    assert any("test queries of b are not those of a" in remark for remark in found.remarks) == (
        "fingerprint" in other
    )


def test_a_file_of_an_earlier_version_still_loads():
    text = run(fused=BASE).model_copy(update={"queries": None}).to_json()
    old = EvaluationResults.from_json(
        text.replace(' "queries": null,\n', "").replace(' "baseline": null\n', "").replace("],\n}", "]\n}")
    )
    assert old.queries is None
    assert not compare({"old": old, "new": run(fused=better(0.06))}).pairs[0].paired


def test_other_data_and_other_splits_are_refused_or_remarked():
    with pytest.raises(RequestError, match="the split last-out, b by temporal"):
        compare({"a": run(fused=BASE), "b": run(kind="temporal", fused=BASE)})
    with pytest.raises(RequestError, match="figures of different data"):
        compare({"a": run(fused=BASE), "b": run(data="e", name="else", fused=BASE)})
    sampled = run(fused=BASE)
    sampled = sampled.model_copy(update={"split": {**sampled.split, "candidates": "uniform:100"}})
    with pytest.raises(RequestError, match="among full candidates, those of b among uniform:100"):
        compare({"a": run(fused=BASE), "b": sampled})
    found = compare({"a": run(fused=BASE), "b": run(data="e", fused=better(0.06))})
    assert found.pairs[0].paired  # the same people asked for the same items, by a model that learnt from more
    assert any("The data of b are not those of a" in remark for remark in found.remarks)


def test_models_of_one_run_and_of_several():
    one = run(fused=better(0.06), als=BASE, ease=better(0.02, 3))
    assert [(pair.model, pair.reference) for pair in compare({"a": one}).pairs] == [
        ("als", "fused"),
        ("ease", "fused"),
    ]
    assert [pair.reference for pair in compare({"a": one}, reference="als").pairs] == ["als", "als"]
    two = compare({"a": one, "b": run(fused=BASE, als=BASE, new=BASE)})
    assert [(p.model, p.reference) for p in two.pairs] == [("b:fused", "a:fused"), ("b:als", "a:als")]
    assert [p.reference for p in compare({"a": one, "b": run(new=BASE)}).pairs] == ["a:fused"]
    only = compare({"a": one, "b": run(fused=BASE, als=BASE)}, models=["als"], metrics=["rmse"])
    assert [(p.model, p.changes[0].metric) for p in only.pairs] == [("b:als", "rmse")]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"models": ["fuse"]}, "did you mean 'fused'"),
        ({"reference": "xx"}, "has no model 'xx'"),
        ({"metrics": ["recall@10"]}, "not every model has 'recall@10'"),
        ({"models": ["fused"]}, "nothing to compare"),
    ],
)
def test_requests_at_fault(options, said):
    with pytest.raises(RequestError, match=said):
        compare({"a": run(fused=BASE, als=BASE)}, **options)


def test_many_comparisons_are_corrected():
    noise = {f"m{at}": better(0.004, at) for at in range(12)}
    found = compare({"a": run(fused=BASE, **noise)}, metrics=["ndcg@10"])
    gaps = [pair.changes[0].difference for pair in found.pairs]
    assert any(gap.p <= 0.13 for gap in gaps)
    assert min(gap.p_holm for gap in gaps) == pytest.approx(min(1, 12 * min(gap.p for gap in gaps)))


def test_tables_show_figures_verdicts_and_segments():
    found = compare({"a": run(fused=BASE), "b": run(ids=True, fused=better(0.06))})
    console = Console(file=io.StringIO(), width=100, highlight=False, markup=False)
    for part in shown(found):
        console.print(part)
    text = console.file.getvalue()
    for said in (
        "b:fused",
        "RMSE",
        "better by",
        "Users without history",
        "Everybody",
        "gained: user u",
        " * ",
    ):
        assert said in text


def test_the_report_shows_the_earlier_run():
    before, after = run(fused=BASE), run(ids=True, fused=better(0.06))
    found = compare({"old": before, "this run": after})
    whole = after.model_copy(update={"baseline": found})
    change = found.pairs[0].changes[0]
    for language, texts, title, this in (
        ("en", ENGLISH, "Compared with the earlier run", "this run"),
        ("zh", CHINESE, "与先前运行的比较", "本次运行"),
    ):
        page = to_html(whole, language)
        assert title not in to_html(after, language)
        part = page[page.index('id="baseline"') :]
        part = re.sub(r"<[^>]*>", " ", part[: part.index("</section>")])
        assert title in part
        assert wording.verdict("ndcg@10", change.difference, texts).split(" [")[0] in part
        for piece in (
            f"{this}:fused",
            "old:fused",
            wording.figure("ndcg@10", change.before),
            wording.figure("ndcg@10", change.after),
            wording.plus("ndcg@10", change.difference.low),
            "RMSE",
            wording.segment_title("query:none", texts),
            found.pairs[0].gained[0].user,
        ):
            assert piece in part, piece
        assert f'href="#baseline">{title}' in page
        unpaired = compare({"old": run(queries=False, fused=BASE), "this run": after})
        remarked = re.sub(r"<[^>]*>", " ", to_html(after.model_copy(update={"baseline": unpaired}), language))
        assert ("as if different people" in remarked) == (language == "en")
        assert ("如同询问了不同的人" in remarked) == (language == "zh")
