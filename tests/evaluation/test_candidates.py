"""Sampled candidates: what is drawn, the ranks among them, and that they disagree with ranking everything."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fuserec.config import RecommenderConfig
from fuserec.data.readers import read
from fuserec.data.splits import SplitConfig, hold_out, split
from fuserec.encoders.features import FeatureConfig
from fuserec.errors import ConfigError
from fuserec.evaluation.candidates import Candidates, Sampler, sampled_ranks
from fuserec.evaluation.report import to_html
from fuserec.evaluation.runner import evaluate
from fuserec.fusion.config import FusionConfig
from fuserec.metrics.ranking import AT_K, target_ranks
from fuserec.run import RunOptions
from fuserec.testing import dataset_of, small_dataset

WORDS = FeatureConfig(use_sentence="never")


def config(*parts):
    return RecommenderConfig(
        features=WORDS, fusion=FusionConfig(tune=False), parts={name: {} for name in parts}
    )


@pytest.mark.parametrize(
    ("text", "kind", "size"),
    [("full", "full", 0), ("uniform:100", "uniform", 100), ("popularity:7", "popularity", 7)],
)
def test_what_a_text_asks_for(text, kind, size):
    found = Candidates.parse(text)
    assert (found.kind, found.size, str(found)) == (kind, size, text)
    assert bool(found.warning) == found.sampled == (kind != "full")


@pytest.mark.parametrize(
    "text", ["unifrom:10", "uniform", "uniform:0", "uniform:-3", "uniform:x", "full:9", ""]
)
def test_what_is_no_candidates(text):
    with pytest.raises(ConfigError, match="candidates"):
        Candidates.parse(text)


@pytest.mark.parametrize("kind", ["uniform", "popularity"])
def test_drawn_items_are_distinct_and_neither_known_nor_right(kind):
    data = small_dataset()
    held = hold_out(data, SplitConfig(protocol="random", share=0.3), 0, "test")
    counts = held.train.item_counts
    drawn = Sampler(Candidates(kind, 25), counts, np.random.default_rng(0)).draw(held)
    q = held.queries
    for row in range(len(held)):
        there = drawn[row][drawn[row] >= 0]
        taken = {*q.items[q.indptr[row] : q.indptr[row + 1]].tolist()}
        right = {*held.items[held.indptr[row] : held.indptr[row + 1]].tolist()}
        assert len(set(there.tolist())) == there.size
        assert not set(there.tolist()) & (taken | right)
        possible = set(range(data.n_items)) - taken - right
        possible = {i for i in possible if kind == "uniform" or counts[i] > 0}
        assert there.size == min(25, len(possible))


def test_pieces_draw_as_the_whole():
    held = hold_out(small_dataset(), SplitConfig(protocol="random", share=0.3), 0, "test")
    make = lambda: Sampler(Candidates("popularity", 5), held.train.item_counts, np.random.default_rng(4))  # noqa: E731
    whole, pieces = make().draw(held), make()
    again = [pieces.draw(held.take(np.arange(lo, min(lo + 7, len(held))))) for lo in range(0, len(held), 7)]
    np.testing.assert_array_equal(np.concatenate(again), whole)


def test_items_are_drawn_by_their_weight():
    n = 4000
    data = dataset_of([[0, 1, 2]] * n, 6)
    held = hold_out(data, SplitConfig(), 0, "test")  # history 0, 1 and target 2: of 3, 4 and 5 one is drawn
    weights = np.array([9, 9, 9, 1, 2, 5])
    drawn = Sampler(Candidates("popularity", 1), weights, np.random.default_rng(1)).draw(held)
    shares = np.bincount(drawn[:, 0], minlength=6)[3:] / n
    np.testing.assert_allclose(shares, np.array([1, 2, 5]) / 8, atol=4 * 0.5 / math.sqrt(n))
    alike = Sampler(Candidates("uniform", 1), weights, np.random.default_rng(1)).draw(held)
    np.testing.assert_allclose(
        np.bincount(alike[:, 0], minlength=6)[3:] / n, 1 / 3, atol=4 * 0.5 / math.sqrt(n)
    )


def test_ranks_equal_a_plain_count():
    held = hold_out(small_dataset(), SplitConfig(protocol="random", share=0.3), 0, "test")
    n_items = held.train.n_items
    scores = np.random.default_rng(2).integers(0, 6, (len(held), n_items)).astype(np.float32)  # many ties
    scores[scores == 0] = -np.inf  # what a model abstains on
    drawn = Sampler(Candidates("popularity", 12), held.train.item_counts, np.random.default_rng(3)).draw(held)
    ranks, tied, candidates = sampled_ranks(scores, drawn, held)
    for at, (row, item) in enumerate(zip(held.rows.tolist(), held.items.tolist(), strict=True)):
        right = held.items[held.indptr[row] : held.indptr[row + 1]].tolist()
        among = [*drawn[row][drawn[row] >= 0].tolist(), *right]
        values = scores[row, among]
        above, equal = int((values > scores[row, item]).sum()), int((values == scores[row, item]).sum())
        assert ranks[at] == above + (equal + 1) / 2
        assert tied[at] == equal
        assert candidates[row] == len(among)


def test_the_mean_sampled_rank_is_the_one_of_theory():
    """Krichene and Rendle (2020), section 4: of m drawn of n others, each is above with chance (r - 1) / n."""
    n_items, m, above = 101, 10, 30
    data = dataset_of([[100, 99, 98]] * 3000, n_items)
    held = hold_out(data, SplitConfig(), 0, "test")
    scores = np.tile(-np.arange(n_items, dtype=np.float32), (len(held), 1))
    scores[:, 98] = -above + 0.5  # the target: 30 of the 98 others are above it
    drawn = Sampler(Candidates("uniform", m), np.ones(n_items), np.random.default_rng(0)).draw(held)
    ranks, _, _ = sampled_ranks(scores, drawn, held)
    assert np.mean(ranks) == pytest.approx(1 + m * above / 98, abs=4 * math.sqrt(m * 0.25 / len(held)))


def test_a_sample_turns_the_order_of_two_models_round():
    """One finds a half of all targets and loses the others; the other puts every target behind 50 of 1,001 items."""
    n, n_items, m = 400, 1001, 100
    sharp = np.where(np.arange(n) % 2 == 0, 1.0, n_items)
    steady = np.full(n, 51.0)
    rng = np.random.default_rng(0)
    indptr = np.arange(n + 1)

    def ndcg(ranks, candidates):
        return float(np.mean(AT_K["ndcg"](target_ranks(indptr, ranks, np.full(n, candidates)), 10)))

    sampled = {
        name: 1 + rng.hypergeometric((ranks - 1).astype(int), (n_items - ranks).astype(int), m)
        for name, ranks in (("sharp", sharp), ("steady", steady))
    }
    assert ndcg(sharp, n_items) == 0.5
    assert ndcg(steady, n_items) == 0.0
    assert ndcg(sampled["sharp"], m + 1) == 0.5
    assert ndcg(sampled["steady"], m + 1) < 0.45  # places 4 to 8 of a sample: seen, though never seen of all
    recall = {
        name: float(np.mean(AT_K["recall"](target_ranks(indptr, ranks, np.full(n, m + 1)), 10)))
        for name, ranks in sampled.items()
    }
    assert (
        recall["steady"] > 0.95 > 0.5 == recall["sharp"]
    )  # by recall@10 of a sample the order is turned round


def test_every_figure_goes_with_the_warning(caplog):
    data, drawn = small_dataset(), Candidates.parse("uniform:5")
    full = evaluate(data, config("popularity"), split=SplitConfig(), ks=(3,), run=RunOptions())
    results = evaluate(
        data, config("popularity"), split=SplitConfig(), ks=(3,), run=RunOptions(), candidates=drawn
    )
    assert results.split["candidates"] == "uniform:5"
    assert "candidates" not in full.split
    assert "not comparable" in results.notes[0]
    assert any("not comparable" in record.message for record in caplog.records)
    page = to_html(results)
    assert "not comparable" in page
    assert "a sample of items alone (uniform:5)" in page
    assert "Every item of the catalogue competes" not in page
    assert "Every item of the catalogue competes" in to_html(full)
    chinese = to_html(results, "zh")
    assert "目标只与抽样的物品竞争（uniform:5）" in chinese
    assert "5 个抽样候选（随机抽取）" in chinese
    assert "Every item of the catalogue competes" not in page
    assert "not comparable" in results.to_json()
    assert not any("not comparable" in note for note in full.notes)
    easier = results.models["fused"].metrics["recall@3"].value
    assert easier is not None
    assert easier > 1.5 * (full.models["fused"].metrics["recall@3"].value or 0)
    assert results.models["fused"].metrics["coverage@3"] == full.models["fused"].metrics["coverage@3"]


def test_a_sample_of_everything_is_the_whole():
    data = small_dataset()
    held = split(data, SplitConfig())
    assert held.test.train.n_items == 40
    results = [
        evaluate(data, config("item_knn"), split=SplitConfig(), ks=(3,), run=RunOptions(), candidates=drawn)
        for drawn in (Candidates(), Candidates("uniform", 40))
    ]
    one, other = (each.models["fused"].metrics for each in results)
    for name in ("ndcg@3", "recall@3", "mrr", "auc"):
        assert one[name].value == pytest.approx(other[name].value, abs=1e-12), name


@pytest.mark.realdata
def test_sampled_and_full_disagree_on_ml_100k_even_in_the_order_of_models(realdata):
    """Popularity beats content on the whole catalogue; among 100 candidates drawn by popularity content beats it."""
    data, _ = read(realdata / "ml-100k", "movielens")
    found = {}
    for drawn in ("full", "uniform:100", "popularity:100"):
        found[drawn] = evaluate(
            data,
            config("popularity", "content"),
            split=SplitConfig(),
            models=["popularity", "content"],
            ks=(10,),
            run=RunOptions(),
            reference="popularity",
            candidates=Candidates.parse(drawn),
        )
    less = {drawn: each.comparisons[0].models["content"] for drawn, each in found.items()}
    ndcg = {drawn: each.models["popularity"].metrics["ndcg@10"].value for drawn, each in found.items()}
    assert (less["full"].high or 0) < 0 < (less["popularity:100"].low or 0)
    assert ndcg["uniform:100"] > 3 * ndcg["full"]
