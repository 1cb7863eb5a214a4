from __future__ import annotations

import itertools
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from fuserec.config import RecommenderConfig
from fuserec.data.dataset import Dataset
from fuserec.data.readers import read
from fuserec.data.sample import path
from fuserec.data.splits import Holdout, SplitConfig
from fuserec.data.splits import split as split_data
from fuserec.encoders.features import FeatureConfig, ItemFeatures
from fuserec.encoders.reading import stored_words, with_words
from fuserec.errors import ConfigError, RequestError
from fuserec.evaluation import ranking_pass
from fuserec.evaluation.results import EvaluationResults
from fuserec.evaluation.runner import evaluate
from fuserec.fusion.blend import Blend
from fuserec.fusion.cohorts import item_cohorts
from fuserec.fusion.config import FusionConfig
from fuserec.run import CancelledError, RunOptions
from fuserec.scorers import create
from fuserec.scorers.base import Capabilities, Scores
from fuserec.scorers.cooccurrence import Cooccurrence

WORDS = FeatureConfig(use_sentence="never")
FIXED = FusionConfig(tune=False)
LAST_OUT = SplitConfig()


def config(*parts: str, tune: bool = False, **tables: dict[str, object]) -> RecommenderConfig:
    return RecommenderConfig(
        features=WORDS, fusion=FusionConfig(tune=tune), parts={**{name: {} for name in parts}, **tables}
    )


def dataset(histories: dict[str, str | list[str]], items: pl.DataFrame | None = None) -> Dataset:
    pairs = [(user, item) for user, history in histories.items() for item in history]
    frame = pl.DataFrame(pairs, schema=["user_id", "item_id"], orient="row")
    return Dataset.from_frames(frame, items)


def random_histories(rng: np.random.Generator, n_users: int, n_items: int, length: int) -> Dataset:
    histories = {
        f"u{user}": [f"i{item}" for item in rng.choice(n_items, length, replace=False)]
        for user in range(n_users)
    }
    titles = [f"word{item % 17} word{item % 13}" for item in range(n_items)]
    items = pl.DataFrame({"item_id": [f"i{item}" for item in range(n_items)], "title": titles})
    return dataset(histories, items)


def value(results: EvaluationResults, model: str, metric: str) -> float:
    found = results.models[model].metrics[metric].value
    assert found is not None
    return found


@pytest.fixture(scope="module")
def tiny() -> Dataset:
    # Training holds a, b (u1), a (u2), b (u3), d, c (u4): a and b twice, c and d once, e never.
    items = pl.DataFrame({"item_id": list("abcde"), "title": ["Alpha", "Beta", "Gamma", "Delta", ""]})
    return dataset({"u1": "abcd", "u2": "acd", "u3": "bde", "u4": "dcba"}, items)


@pytest.fixture(scope="module")
def sample() -> Dataset:
    return read(path())[0]


@pytest.fixture(scope="module")
def sample_results(sample: Dataset) -> EvaluationResults:
    split = SplitConfig(protocol="random")
    parts = config("popularity", "cooccurrence", "content")
    return evaluate(sample, parts, split=split, ks=(5, 10), run=RunOptions(seed=3))


def test_the_time_of_a_fusion_is_its_own_and_that_of_its_parts(
    tiny: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a clock that ticks once a reading: scoring, combining, and leaving out what rules forbid take 1 each."""
    ticks = itertools.count()
    monkeypatch.setattr(ranking_pass, "time", SimpleNamespace(perf_counter=lambda: float(next(ticks))))
    parts = config("popularity", "cooccurrence")
    found = evaluate(tiny, parts, split=LAST_OUT, ks=(1,), run=RunOptions()).models
    assert {name: model.score_s for name, model in found.items()} == {
        "fused": 2 * 1 + 1 + 1,
        "popularity": 1 + 1,
        "cooccurrence": 1 + 1,
    }


@pytest.mark.parametrize("model", ["popularity", "fused"])
def test_a_case_worked_by_hand(tiny: Dataset, model: str) -> None:
    results = evaluate(tiny, config("popularity"), split=LAST_OUT, ks=(1, 2, 3), run=RunOptions())
    # u1 chooses d among d, e: first. u2: d among b, d, e: b comes before. u3: e, which has no score, among
    # a, c, e: in no list, and last of the whole ranking. u4: a among a, e: first.
    expected = {
        "recall@1": 2 / 4,
        "recall@2": 3 / 4,
        "recall@3": 3 / 4,
        "precision@2": 3 / 8,
        "ndcg@2": (1 + 1 / math.log2(3) + 0 + 1) / 4,
        "mrr@3": (1 + 1 / 2 + 0 + 1) / 4,
        "mrr": (1 + 1 / 2 + 1 / 3 + 1) / 4,
        "auc": (1 + 1 / 2 + 0 + 1) / 4,
        "coverage@1": 3 / 5,  # d, b, a, a
        "novelty@1": (math.log2(4) + math.log2(4 / 2) * 3) / 4,  # of four people one knows d, two know a or b
    }
    for metric, wanted in expected.items():
        assert value(results, model, metric) == pytest.approx(wanted), metric
    segments = results.models[model].segments
    assert set(segments) == {"query:short", "target:cold", "target:tail"}
    assert {name: segment.users for name, segment in segments.items()} == {
        "query:short": 4,
        "target:cold": 1,
        "target:tail": 3,
    }
    assert segments["target:cold"].metrics["recall@3"].value == 0
    assert segments["target:tail"].metrics["recall@1"].value == pytest.approx(2 / 3)
    assert results.models[model].users == 4
    assert results.split == {
        "kind": "last-out",
        "seed": 0,
        "train": 6,
        "validation": 4,
        "test": 4,
        "validation_users": 4,
        "test_users": 4,
    }
    assert "Targets never seen in training: 1, reported as a segment of their own." in results.notes


def test_an_item_that_only_validation_has_is_new_to_the_models() -> None:
    rows = [
        (user, item) for user, items in {"u1": "abfc", "u2": "bacf", "u3": "abab"}.items() for item in items
    ]
    timed = [(*row, 1e9 + place) for place, row in enumerate(rows)]
    frame = pl.DataFrame(timed, schema=["user_id", "item_id", "timestamp"], orient="row")
    data = Dataset.from_frames(frame)
    results = evaluate(data, config("popularity"), split=LAST_OUT, ks=(2,), run=RunOptions())
    assert results.models["fused"].segments["target:cold"].users == 2
    assert results.models["fused"].users == 2  # of u3's two items none can be spared


def test_figures_equal_a_recomputation_query_by_query(
    sample: Dataset, sample_results: EvaluationResults
) -> None:
    run = RunOptions(seed=3)
    held = split_data(sample, SplitConfig(protocol="random"), 3)
    features = ItemFeatures.build(sample, WORDS, run)
    validation, test = (_worded(sample, part, features) for part in (held.validation, held.test))
    parts = {n: create(n).fit(held.train, features, run) for n in ("popularity", "cooccurrence", "content")}
    models = {**parts, "fused": Blend(FIXED, parts).taught(validation, run)}
    cohorts = item_cohorts(held.train.item_counts)
    for name, model in models.items():
        recall, ndcg, reciprocal, head = [], [], [], []
        for row in range(len(test)):
            one = test.take(np.array([row]))
            scores = model.score(one.queries)
            places = _places(scores, one.queries.items, one.items)
            gains = [_mean([1 / math.log2(1 + p) if p <= 10 else 0.0 for p in each]) for each in places]
            best = sum(1 / math.log2(2 + place) for place in range(min(10, len(places))))
            within = {k: [_mean([float(p <= k) for p in each]) for each in places] for k in (5, 10)}
            recall.append(np.mean(within[10]))
            ndcg.append(sum(gains) / best)
            reciprocal.append(_first(places, 5))
            popular = [w for w, item in zip(within[5], one.items, strict=True) if cohorts[item] == 2]
            head += [np.mean(popular)] if popular else []
        assert value(sample_results, name, "recall@10") == pytest.approx(np.mean(recall)), name
        assert value(sample_results, name, "ndcg@10") == pytest.approx(np.mean(ndcg)), name
        assert value(sample_results, name, "mrr@5") == pytest.approx(np.mean(reciprocal)), name
        segment = sample_results.models[name].segments["target:head"]
        assert segment.users == len(head)
        assert segment.metrics["recall@5"].value == pytest.approx(np.mean(head)), name


def _worded(data: Dataset, held: Holdout, features: ItemFeatures) -> Holdout:
    q = held.queries
    words = stored_words(data, q.users, q.at, past_only=True)
    return replace(held, queries=with_words(q, words, features, RunOptions()))


def _places(scores: Scores, history: np.ndarray, targets: np.ndarray) -> list[range]:
    """Return the places that each target may take, all as likely; none without a score."""
    allowed = set(range(scores.values.shape[1])) - set(history.tolist())
    ranked = {item: float(scores.values[0, item]) for item in allowed if scores.answered[0, item]}
    found = []
    for target in targets.tolist():
        mine = ranked.get(target, math.nan)
        above = sum(score > mine for score in ranked.values())
        found.append(range(above + 1, above + 1 + sum(score == mine for score in ranked.values())))
    return found


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _first(places: list[range], k: int) -> float:
    """Return the expected 1/place of the first target, 0 beyond the first k."""
    leading = min((each for each in places if each), key=lambda each: each.start, default=None)
    if leading is None:
        return 0.0
    size, members = len(leading), places.count(leading)
    later = [math.comb(size - j, members) / math.comb(size, members) for j in range(size + 1)]
    return sum((later[j] - later[j + 1]) / place for j, place in enumerate(leading) if place <= k)


def test_what_is_random_is_found_by_chance_alone() -> None:
    data = random_histories(np.random.default_rng(5), n_users=500, n_items=150, length=8)
    parts = config("popularity", "cooccurrence", "content", tune=True)
    results = evaluate(data, parts, split=LAST_OUT, ks=(10,), run=RunOptions(seed=1))
    chance = 10 / (150 - 7)
    spread = 4 * math.sqrt(chance * (1 - chance) / 500)
    for name in ("fused", "popularity", "cooccurrence", "content"):
        assert abs(value(results, name, "recall@10") - chance) < spread, name
        assert abs(value(results, name, "auc") - 0.5) < 4 / math.sqrt(12 * 500), name


def test_a_planted_order_is_found_by_cooccurrence_and_the_fusion() -> None:
    rng = np.random.default_rng(2)
    following, histories = rng.permutation(120), {}
    for user in range(400):
        walk = [int(rng.integers(120))]
        while len(walk) < 7:
            walk.append(int(following[walk[-1]]) if rng.random() < 0.9 else int(rng.integers(120)))
        histories[f"u{user}"] = [f"i{item}" for item in walk]
    parts = config("popularity", "cooccurrence", tune=True)
    results = evaluate(dataset(histories), parts, split=LAST_OUT, ks=(1, 5), run=RunOptions())
    assert results.primary == "ndcg@5"
    assert 0.6 < value(results, "cooccurrence", "recall@1") < 0.97  # a tenth of the steps cannot be known
    assert value(results, "fused", "recall@1") >= value(results, "cooccurrence", "recall@1") - 0.02
    assert value(results, "popularity", "recall@1") < 0.08
    gap = results.comparisons[0].models["popularity"]
    assert results.comparisons[0].reference == "fused"
    assert gap.high is not None
    assert gap.high < -0.3


def test_segments_sum_to_the_whole(sample_results: EvaluationResults) -> None:
    for model in sample_results.models.values():
        for metric in ("recall@10", "precision@10"):
            whole = model.users * (model.metrics[metric].value or 0)
            queries = [s for name, s in model.segments.items() if name.startswith("query:")]
            assert sum(s.users for s in queries) == model.users
            assert sum(s.users * (s.metrics[metric].value or 0) for s in queries) == pytest.approx(whole)
        # A query counts in every segment that it has a target of, so only what is not divided by the number
        # of its targets can be added up over them.
        targets = [s for name, s in model.segments.items() if name.startswith("target:")]
        hits = model.users * (model.metrics["precision@10"].value or 0)
        parts = sum(s.users * (s.metrics["precision@10"].value or 0) for s in targets)
        assert parts == pytest.approx(hits)
        assert sum(s.users for s in targets) > model.users


def test_the_table_holds_fusion_and_parts_with_intervals_and_costs(
    sample: Dataset, sample_results: EvaluationResults
) -> None:
    assert list(sample_results.models) == ["fused", "popularity", "cooccurrence", "content"]
    for model in sample_results.models.values():
        estimate = model.metrics["ndcg@10"]
        assert estimate.low is not None
        assert estimate.high is not None
        assert estimate.low <= (estimate.value or 0) <= estimate.high
        assert model.metrics["coverage@10"].low is None
        assert model.fit_s is not None
        assert model.score_s is not None
    models = sample_results.models
    parts = ("popularity", "cooccurrence", "content")
    assert (models["fused"].fit_s or 0) >= sum(models[name].fit_s or 0 for name in parts)
    assert sample_results.dataset.simulated
    assert sample_results.dataset.fingerprint == sample.fingerprint
    assert set(sample_results.comparisons[0].models) == set(parts)
    assert set(sample_results.weights["long"]) == set(parts)
    assert sample_results.configuration["parts"]["content"]["sentence_share"] == 0.5
    assert "cache" not in sample_results.configuration["features"]
    assert len(sample_results.sample) == 4
    titles = set(sample.item_table["title"])
    for user in sample_results.sample:
        assert set(user.lists) == set(models)
        assert all(item.title in titles for items in user.lists.values() for item in items)
        assert all(item.title in user.targets for items in user.lists.values() for item in items if item.hit)
    assert EvaluationResults.from_json(sample_results.to_json()).to_json() == sample_results.to_json()


def _without_clock(results: EvaluationResults) -> str:
    models = {
        name: model.model_copy(update={"fit_s": None, "score_s": None, "peak_mb": None})
        for name, model in results.models.items()
    }
    return results.model_copy(update={"models": models}).to_json()


def test_equal_seeds_give_equal_numbers_and_chunks_do_not_matter(sample: Dataset) -> None:
    def once(**options: int) -> EvaluationResults:
        parts = config("popularity", "cooccurrence", "content", tune=True)
        return evaluate(sample, parts, split=LAST_OUT, run=RunOptions(**options))

    first, again = once(seed=1, threads=2), once(seed=1, threads=2)
    assert _without_clock(first) == _without_clock(again)
    small = once(seed=1, threads=1, memory_mb=1)
    for name, model in first.models.items():
        for metric, estimate in model.metrics.items():
            assert value(small, name, metric) == pytest.approx(estimate.value, abs=1e-4), (name, metric)
    other = once(seed=2, threads=2)  # people are drawn anew, for figures without a range
    moved = [one.models["fused"].metrics["average_popularity@10"] for one in (first, other)]
    assert (moved[0].low, moved[0].high) != (moved[1].low, moved[1].high)


def test_new_items_are_found_by_content_and_the_fusion_keeps_them(sample: Dataset) -> None:
    split = SplitConfig(protocol="cold-items")
    results = evaluate(sample, config("popularity", "cooccurrence", "content"), split=split, run=RunOptions())
    content = value(results, "content", "recall@10")
    assert content > 0.1
    assert content >= 10 * value(results, "popularity", "recall@10")
    against = results.comparisons[0].models["content"]
    assert against.low is not None
    assert against.low <= 0  # content is not clearly above the fusion
    assert set(results.models["fused"].segments) <= {"query:short", "query:long", "target:cold"}
    assert results.split["share"] == 0.1


def test_only_what_is_asked_for_is_reported_and_its_figures_stay(sample: Dataset) -> None:
    parts = config("popularity", "cooccurrence", "content", tune=True)
    whole = evaluate(sample, parts, split=LAST_OUT, run=RunOptions())
    some = evaluate(sample, parts, split=LAST_OUT, models=("cooccurrence", "ease"), run=RunOptions())
    assert list(some.models) == ["cooccurrence", "ease"]
    assert some.models["cooccurrence"].metrics == whole.models["cooccurrence"].metrics
    assert some.weights == {}
    assert some.comparisons == []
    assert some.configuration["beside the fusion"]["ease"]["regularization"] == 500.0
    both = evaluate(sample, parts, split=LAST_OUT, models=("fused", "ease"), run=RunOptions())
    assert list(both.models) == ["fused", "ease"]
    assert both.models["fused"].metrics == whole.models["fused"].metrics
    assert both.models["ease"].metrics == some.models["ease"].metrics
    assert list(both.weights["long"]) == ["popularity", "cooccurrence", "content"]


def test_several_configurations_have_their_own_fusions(sample: Dataset) -> None:
    configs = {
        "plain": config("popularity", "cooccurrence"),
        "near": config("popularity", cooccurrence={"window": 2}),
    }
    results = evaluate(sample, configs, split=LAST_OUT, run=RunOptions())
    wanted = ["plain", "near", "popularity", "plain.cooccurrence", "near.cooccurrence"]
    assert list(results.models) == wanted
    assert [found.reference for found in results.comparisons] == ["plain", "near"]
    alone = evaluate(sample, configs["near"], split=LAST_OUT, run=RunOptions())
    assert alone.models["fused"].metrics == results.models["near"].metrics
    assert alone.models["cooccurrence"].metrics == results.models["near.cooccurrence"].metrics
    assert set(results.configuration["configurations"]) == {"plain", "near"}
    few = evaluate(sample, configs, split=LAST_OUT, models=("near", "plain.cooccurrence"), run=RunOptions())
    assert few.models["near"].metrics == results.models["near"].metrics
    assert few.models["plain.cooccurrence"].metrics == results.models["plain.cooccurrence"].metrics
    assert len(few.models) == 2
    with pytest.raises(ConfigError, match="'popularity' is the name of a fusion and of a part"):
        evaluate(
            sample, {"popularity": configs["plain"], "b": configs["near"]}, split=LAST_OUT, run=RunOptions()
        )


def test_mistakes_are_refused_before_any_work(sample: Dataset) -> None:
    def progress(label: str, done: int, total: int) -> None:
        pytest.fail(f"worked on {label}")

    run = RunOptions(progress=progress)
    with pytest.raises(ConfigError, match="unknown model 'coocurrence'; did you mean 'cooccurrence'"):
        evaluate(sample, split=LAST_OUT, models=("coocurrence",), run=run)
    for ks in ((0,), (5, -1), (2.5,), ()):
        with pytest.raises(RequestError, match=r"evaluate: .*k"):
            evaluate(sample, split=LAST_OUT, ks=ks, run=run)


def test_a_part_that_cannot_take_the_catalogue_is_left_out(
    tiny: Dataset, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Cooccurrence, "capabilities", Capabilities(max_items=4))
    parts = config("popularity", "cooccurrence")
    results = evaluate(tiny, parts, split=LAST_OUT, ks=(1,), run=RunOptions())
    assert list(results.models) == ["fused", "popularity"]
    assert "cooccurrence was left out: it takes at most 4 items, the data have 5." in results.notes
    assert "cooccurrence is left out: 5 items, it takes 4" in caplog.text
    with pytest.raises(ConfigError, match="no part of the fusion can take this catalogue"):
        evaluate(tiny, config("cooccurrence"), split=LAST_OUT, run=RunOptions())


def test_a_list_longer_than_the_catalogue_holds_what_there_is(tiny: Dataset) -> None:
    results = evaluate(tiny, config("popularity"), split=LAST_OUT, ks=(50,), run=RunOptions())
    assert value(results, "popularity", "recall@50") == 3 / 4  # the fourth target has no score
    assert value(results, "popularity", "coverage@50") == 4 / 5


def test_it_can_be_cancelled_in_the_middle(sample: Dataset) -> None:
    seen: list[str] = []
    run = RunOptions(
        progress=lambda label, done, total: seen.append(label),
        cancel=lambda: "scoring test queries" in seen,
    )
    with pytest.raises(CancelledError):
        evaluate(sample, config("popularity", "cooccurrence"), split=LAST_OUT, run=run)
    assert "figures and intervals" not in seen


def test_words_of_the_asking_are_heard_and_later_ones_are_not() -> None:
    rng = np.random.default_rng(8)
    rows, searches = [], []
    for user in range(60):
        items = rng.choice(80, 4, replace=False)
        rows += [(f"u{user}", f"i{item}", 1e9 + 100 * place, "view", "") for place, item in enumerate(items)]
        when = 1e9 + (299 if user % 2 else 301)  # the target comes at 300
        searches.append((f"u{user}", "", when, "search", f"name{items[-1]}"))
    schema = ["user_id", "item_id", "timestamp", "kind", "text"]
    frame = pl.DataFrame(rows + searches, schema=schema, orient="row")
    frame = frame.with_columns(pl.when(pl.col("item_id") != "").then(pl.col("item_id")).alias("item_id"))
    items = pl.DataFrame({"item_id": [f"i{i}" for i in range(80)], "title": [f"name{i}" for i in range(80)]})
    data = Dataset.from_frames(frame, items)
    results = evaluate(
        data, config("content"), split=LAST_OUT, models=("content",), ks=(1,), run=RunOptions()
    )
    assert value(results, "content", "recall@1") == pytest.approx(0.5, abs=0.05)


@pytest.mark.realdata
@pytest.mark.slow
def test_beauty_reaches_the_published_figures(realdata) -> None:
    data, _ = read(realdata / "amazon-beauty", "sequences")
    results = evaluate(data, split=LAST_OUT, run=RunOptions())
    assert results.models["fused"].users == 22_363
    assert 0.105 <= value(results, "fused", "recall@10") < 0.14
    assert 0.063 <= value(results, "fused", "ndcg@10") < 0.085
