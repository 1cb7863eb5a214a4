"""Both stackers: what they re-score, that they are judged fairly, and that they replace no blend unproven."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace

import numpy as np
import pytest
from paper_parts import Paper, held_out, sums

from fuserec.errors import MissingExtraError
from fuserec.fusion import fusion_class
from fuserec.fusion.blend import Blend
from fuserec.fusion.config import FusionConfig
from fuserec.fusion.crossfit import StackTable, crossfitted, slope_of, user_folds
from fuserec.fusion.merits import BLEND_FIGURE
from fuserec.fusion.stacking import STACK_FIGURE
from fuserec.run import RunOptions

RUN = RunOptions(seed=3, threads=1)
STACKERS = ("lambdamart", "logistic")


def planted(n=500, m=40, seed=0):
    """Part A is right for popular items, part B for rare ones; each is noise on the other half."""
    rng = np.random.default_rng(seed)
    popular = np.arange(m) < m // 2
    chances = np.where(popular, 12.0, 1.0)
    histories = [rng.choice(m, 3, replace=False, p=chances / chances.sum()).tolist() for _ in range(n)]
    targets = [
        int(rng.choice(np.setdiff1d(np.arange(m)[popular == (u % 2)], histories[u]))) for u in range(n)
    ]
    signal = rng.random((n, m))
    signal[np.arange(n), targets] += 0.7
    noise = 2.0 * rng.random((2, n, m))
    parts = {
        "a": Paper(np.where(popular, signal, noise[0])),
        "b": Paper(np.where(popular, noise[1], signal)),
    }
    return held_out(histories, targets, m), parts


def stacked(kind, held, parts, **settings):
    config = FusionConfig.parse({"tune": False, "stack": settings}, "test")
    return fusion_class(kind)(config, parts).taught(held, RUN)


def ndcg(fused, held):
    """NDCG at 10 of queries with one target each."""
    found = fused.score(held.queries)
    values = np.where(found.answered, found.values, -np.inf)
    values[held.queries.rows, held.queries.items] = -np.inf
    mine = values[np.arange(len(held)), held.items][:, None]
    ranks = (values > mine).sum(axis=1) + 0.5 * ((values == mine).sum(axis=1) + 1)
    return float(np.where(ranks <= 10, 1 / np.log2(1 + ranks), 0).mean())


@pytest.fixture(scope="module")
def told():
    held, parts = planted()
    config = FusionConfig(tune=False)
    fused = {kind: stacked(kind, held, parts, folds=3, trees=60) for kind in STACKERS}
    return held, parts, {"blend": Blend(config, parts).taught(held, RUN), **fused}


def test_trees_learn_which_part_is_right_for_which_items(told):
    """An interaction that no weights can express; on people that neither has seen."""
    _, _, fused = told
    tree = fused["lambdamart"]
    assert tree.stacked
    figures = tree.learnt.figures
    assert figures[STACK_FIGURE] == figures["fused"] > 1.15 * figures[BLEND_FIGURE]
    held, parts = planted(seed=1)
    fresh = {kind: ndcg(_on(fused[kind], parts), held) for kind in ("blend", "lambdamart")}
    assert fresh["lambdamart"] > 1.15 * fresh["blend"]
    assert fresh["lambdamart"] == pytest.approx(
        figures[STACK_FIGURE], abs=0.05
    )  # cross-fitting told the truth


def _on(fused, parts):
    """The same fusion over the parts of other people."""
    other = fused.without_user(-1)
    other.parts = parts
    return other


def noisy():
    """One part knows something, five say things about a person and an item that mean nothing."""
    held, parts = planted(n=240)
    rng = np.random.default_rng(5)
    junk = {f"junk{i}": Paper(rng.random(parts["a"].values.shape)) for i in range(5)}
    known = rng.random(parts["a"].values.shape)
    known[np.arange(len(held)), held.items] += 0.4
    return held, {"good": Paper(known), **junk}


@pytest.mark.parametrize("kind", STACKERS)
def test_what_fits_noise_is_found_out_and_the_blend_stays(kind):
    held, parts = noisy()
    fused = stacked(kind, held, parts, folds=3, leaves=31, trees=60, learning_rate=0.15)
    figures = fused.learnt.figures
    assert not fused.stacked
    assert figures["fused"] == pytest.approx(figures[BLEND_FIGURE], abs=0.01)
    assert STACK_FIGURE in figures
    blend = Blend(FusionConfig(tune=False), parts).taught(held, RUN)
    np.testing.assert_array_equal(fused.score(held.queries).values, blend.score(held.queries).values)
    assert fused.weights_table() == blend.weights_table()


def test_in_sample_the_noise_would_have_fooled():
    held, parts = noisy()
    forced = stacked(
        "lambdamart", held, parts, folds=3, leaves=31, trees=60, learning_rate=0.15, if_better=False
    )
    assert forced.stacked
    assert ndcg(forced, held) > 1.3 * forced.learnt.figures[BLEND_FIGURE]
    assert forced.learnt.figures["fused"] <= 1.02 * forced.learnt.figures[BLEND_FIGURE]


def test_folds_are_of_users_so_that_a_twin_query_tells_nothing():
    """Each person asks twice; what identifies them would give the answer away if their queries were parted."""
    rng = np.random.default_rng(0)
    n_users, m = 80, 15
    trait = rng.random((n_users, m, 4)).astype(np.float32)
    users = np.repeat(np.arange(n_users), 2).astype(np.int32)
    target = np.zeros((users.size, m), bool)
    target[np.arange(users.size), (users * 7) % m] = True
    hashes = rng.integers(2**63, size=n_users).astype(np.uint64)
    folds = user_folds(users, hashes, 5, 0)
    np.testing.assert_array_equal(folds[::2], folds[1::2])
    table = StackTable(
        np.arange(0, users.size * m + 1, m),
        trait[users].reshape(-1, 4),
        np.zeros(users.size * m, np.float32),
        target.ravel(),
        np.ones(users.size, np.int64),
        folds,
    )
    learner = fusion_class("lambdamart")(
        FusionConfig.parse({"stack": {"leaves": 31, "trees": 60, "learning_rate": 0.2}}, "test"),
        {"p": Paper([[0.0]])},
    )._learner
    chance = table.gains(table.first, 10).mean()
    honest = table.gains(crossfitted(table, 1.0, learner, RUN), 10).mean()
    leaky = table.gains(
        crossfitted(replace(table, folds=np.arange(users.size) % 2), 1.0, learner, RUN), 10
    ).mean()
    assert honest < chance + 0.08
    assert leaky > honest + 0.2


@pytest.mark.parametrize("kind", STACKERS)
def test_the_best_of_the_blend_are_re_scored_and_stay_above_the_rest(kind):
    held, parts = planted(n=300)
    fused = stacked(kind, held, parts, depth=8, if_better=False, folds=2, trees=15)
    first = Blend.combine(fused, {n: p.score(held.queries) for n, p in parts.items()}, held.queries).values
    found = fused.score(held.queries).values
    changed = found != first
    assert (changed.sum(axis=1) == 8).all()
    assert not changed[held.queries.rows, held.queries.items].any()
    open_ = np.ones(found.shape, bool)
    open_[held.queries.rows, held.queries.items] = False
    for row in range(len(held)):
        rest = open_[row] & ~changed[row]
        assert first[row, changed[row]].min() >= first[row, rest].max()
        assert found[row, changed[row]].min() > found[row, rest].max()


@pytest.mark.parametrize("kind", STACKERS)
def test_evidence_sums_and_is_marked(kind, told):
    held, _, fused = told
    q = held.queries.take(np.arange(6))
    made = fused[kind]
    told_sums, score = sums(made, q)
    assert np.all(np.abs(told_sums - score) <= 1e-4 * np.maximum(1, np.abs(score)))
    best = int(np.argmax(made.score(q).values[0]))
    rows = made.evidence(q, np.full((6, 1), best))[0][0]
    mark = {"lambdamart": "shapley", "logistic": "scorer"}[kind]
    assert {row.scorer for row in rows if row.method == mark} == {"a", "b", "fused"}
    assert [row.key for row in rows].count("re-scored") == 1


@pytest.mark.parametrize("kind", STACKERS)
def test_probabilities_are_those_of_people_not_seen(kind, told):
    """Among the shown, about as many are taken as the probabilities say."""
    _, _, fused = told
    held, parts = planted(seed=2)
    made = _on(fused[kind], parts)
    values = made.score(held.queries).values
    values[held.queries.rows, held.queries.items] = -np.inf
    best = np.argsort(-values, axis=1)[:, :3]
    claimed = made.probability(np.take_along_axis(values, best, 1)).mean()
    assert claimed == pytest.approx((best == held.items[:, None]).mean(), rel=0.25)


def test_too_few_queries_are_not_stacked(caplog):
    held, parts = planted(n=30)
    with caplog.at_level(logging.WARNING, logger="fuserec"):
        fused = stacked("logistic", held, parts)
    assert not fused.stacked
    assert "only 30 validation queries tell anything" in caplog.text


def test_the_slope_is_where_the_blend_is_a_softmax():
    rng = np.random.default_rng(0)
    first = rng.normal(size=(4000, 8)).astype(np.float32)
    logits = 2.5 * first + rng.gumbel(size=first.shape)
    target = logits == logits.max(axis=1, keepdims=True)
    table = StackTable(
        np.arange(0, first.size + 1, 8),
        first.reshape(-1, 1),
        first.ravel(),
        target.ravel(),
        np.ones(4000, np.int64),
        np.zeros(4000, np.int64),
    )
    assert slope_of(table) == pytest.approx(2.5, rel=0.05)


@pytest.mark.parametrize("kind", STACKERS)
def test_kept_and_read_again_it_scores_the_same(kind, told):
    held, parts, fused = told
    arrays, meta = fused[kind].state()
    assert all(array.dtype.kind in "biuf" for array in arrays.values())
    again = fusion_class(kind)(fused[kind].config, parts).restored(arrays, meta)
    q = held.queries.take(np.arange(20))
    np.testing.assert_array_equal(again.score(q).values, fused[kind].score(q).values)


def test_without_the_library_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    held, parts = planted(n=60)
    with pytest.raises(MissingExtraError, match=r"lambdamart.*pip install 'fuserec\[deep\]'"):
        stacked("lambdamart", held, parts)
    stacked("logistic", held, parts)


def test_a_logistic_stacker_recovers_planted_weights():
    rng = np.random.default_rng(0)
    n, m = 4000, 10
    features = rng.normal(3.0, 2.0, (n * m, 3)).astype(np.float32)
    first = rng.normal(size=n * m).astype(np.float32)
    logits = 1.7 * first + 0.6 * features[:, 0] - 0.3 * features[:, 1] - 4.0
    target = rng.random(n * m) < 1 / (1 + np.exp(-logits))
    table = StackTable(
        np.arange(0, n * m + 1, m),
        features,
        first,
        target,
        target.reshape(n, m).sum(axis=1),
        np.zeros(n, np.int64),
    )
    config = FusionConfig.parse({"stack": {"regularization": 1e-6}}, "test")
    found = fusion_class("logistic")(config, {"p": Paper([[0.0]])})._learner(table, 1.7, RUN)
    np.testing.assert_allclose(found.beta / found.scale, [0.6, -0.3, 0.0], atol=0.04)
    shares = found.shares(features[:50])
    np.testing.assert_allclose(shares.sum(axis=1), found.values(features[:50]))
    extreme = np.full((1, 3), 1e9, np.float32) * -np.sign(found.beta)
    assert found.lowest < found.values(extreme.astype(np.float32))[0] < 0
