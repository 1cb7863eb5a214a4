"""Worst-group weighting: the game against its closed form, and a group that is served worse on purpose."""

from __future__ import annotations

import numpy as np
import pytest
from planted_shop import planted

from fuserec import RunOptions
from fuserec.data.query import QueryBatch
from fuserec.data.splits import Holdout
from fuserec.errors import DataError
from fuserec.rerank import create
from fuserec.rerank.base import Pool
from fuserec.rerank.hedge import Game, hedged, worst_ndcg
from fuserec.rerank.user_groups import UserGroups
from fuserec.rerank.worst_group import COPIED

RUN = RunOptions(threads=1)


def opposed(sizes: tuple[int, int], right: tuple[float, float]) -> Game:
    """Return two groups who want the opposite of one piece of evidence, each with a share of lists as it wants."""
    rows = []
    for group, (size, share) in enumerate(zip(sizes, right, strict=True)):
        liked = np.arange(size) < round(share * size)
        rows += [(group, int(one) if group == 0 else 1 - int(one)) for one in liked]
    group, first = np.array(rows).T
    evidence = np.zeros((len(rows), 2, 1), np.float32)
    evidence[:, 0, 0] = 1.0  # the first of two candidates carries the evidence
    taken = np.stack([first == 1, first == 0], axis=1).astype(np.float64)
    return Game(evidence, np.ones((len(rows), 2), bool), taken, group, 2)


def test_a_newton_step_is_the_gradient_of_the_loss() -> None:
    rng = np.random.default_rng(0)
    taken = np.eye(5)[rng.integers(0, 5, 30)]
    there = rng.random((30, 5)) < 0.8
    there |= taken > 0
    game = Game(rng.normal(size=(30, 5, 3)).astype(np.float32), there, taken, rng.integers(0, 2, 30), 2)
    mixture, start, ridge = np.array([0.3, 0.7]), np.array([0.2, -0.1, 0.4]), 0.05

    def loss(w: np.ndarray) -> float:
        return float(mixture @ game.losses(w) + ridge / 2 * np.sum((w - start) ** 2))

    best = start
    for _ in range(20):
        best = game.improved(best, mixture, start, ridge)
    for axis in np.eye(3):  # no small step from it is downhill
        assert loss(best + 1e-3 * axis) > loss(best) - 1e-9
        assert loss(best - 1e-3 * axis) > loss(best) - 1e-9
    assert loss(best) < loss(start)


def test_the_game_comes_to_the_weights_that_serve_both_groups_alike() -> None:
    """A large group and a small one with opposite wishes of equal clarity: alone the large one would decide."""
    game = opposed((900, 100), (0.9, 0.9))
    average, _ = hedged(game, np.zeros(1), 1, 1.0, 1e-6)
    for _ in range(5):
        pooled = game.improved(average, np.array([0.9, 0.1]), np.zeros(1), 1e-6)
        average = pooled
    weights, mixture = hedged(game, np.zeros(1), 400, 0.5, 1e-6)
    assert game.losses(pooled)[1] > 1.5  # by the many: the few are lost
    assert abs(weights[0]) < 0.1  # the value of the game is at 0, by symmetry
    assert mixture == pytest.approx([0.5, 0.5], abs=0.05)
    assert game.losses(weights).max() < np.log(2) + 0.05


def test_ndcg_by_group_is_that_of_the_hand() -> None:
    game = opposed((4, 2), (0.5, 1.0))  # the first group takes places 1, 1, 2, 2; the second 2, 2
    low = 1 / np.log2(3)
    assert worst_ndcg(game, np.ones(1)) == pytest.approx([(1 + low) / 2, low])
    assert worst_ndcg(game, -np.ones(1)) == pytest.approx([(1 + low) / 2, 1.0])


def a_shop_with_a_neglected_group(seed: int) -> tuple[Holdout, Pool]:
    """Return pools where scores serve those who take popular items, and the others want what is rare."""
    dataset = planted()
    rng = np.random.default_rng(seed)
    rare = np.argsort(dataset.item_counts, kind="stable")
    n, m = 400, 20
    niche = np.arange(n) % 4 == 0
    histories = [rare[:8] if own else rare[-8:] for own in niche]
    items = np.stack([rng.permutation(np.concatenate([rare[20:30], rare[50:60]])) for _ in range(n)])
    popular = np.isin(items, rare[50:60])
    scores = popular + rng.random((n, m))
    order = np.argsort(-scores, axis=1)
    items, scores = np.take_along_axis(items, order, 1), np.take_along_axis(scores, order, 1)
    chance = np.where(np.isin(items, rare[50:60]) == ~niche[:, None], 1.0, 0.05)
    taken = np.array([rng.choice(m, p=c / c.sum()) for c in chance])
    pool = Pool.of(items.astype(np.int32), scores.astype(np.float32), np.full(n, m, np.int32))
    held = Holdout(
        dataset,
        QueryBatch.of_histories(histories),
        np.arange(n + 1),
        items[np.arange(n), taken].astype(np.int32),
        np.full(n, np.nan, np.float32),
    )
    return held, pool


def worst(reranker, held: Holdout, pool: Pool) -> np.ndarray:
    """Return NDCG@10 of the two groups in the order of a reranker."""
    shown = pool.reordered(reranker.order(pool, held.queries, 20))
    place = np.argmax(shown.items == held.items[:, None], axis=1)
    gain = np.where(place < 10, 1 / np.log2(place + 2), 0.0)
    niche = np.arange(len(held)) % 4 == 0
    return np.array([gain[~niche].mean(), gain[niche].mean()])


def test_the_neglected_group_gains_and_more_with_strength(shop) -> None:
    held, pool = a_shop_with_a_neglected_group(1)
    test, other = a_shop_with_a_neglected_group(2)
    reranker = create("worst_group", {"groups": 2}).fit(shop.dataset, shop.features, RUN)
    taught = reranker.taught(held, pool, RUN)
    assert taught.facts["kept"]
    assert not np.array_equal(taught._weights, COPIED)
    reached = [worst(taught.retuned(strength=s), test, other) for s in (0.0, 0.5, 1.0)]
    least = [min(pair) for pair in reached]
    assert least[0] < least[1] < least[2]
    assert least[2] > least[0] + 0.1
    assert reached[2][0] < reached[0][0]  # and it costs the others: that is what the curve is for
    group, names = taught.audience(test.queries)
    assert len(names) == 3
    assert (group == np.where(np.arange(400) % 4 == 0, 0, 1)).all()


def test_what_proves_nothing_changes_nothing(shop) -> None:
    """Where nobody is neglected and what is taken follows the scores, the order stays."""
    held, pool = a_shop_with_a_neglected_group(3)
    first = Holdout(held.train, held.queries, held.indptr, pool.items[:, 0].copy(), held.ratings)
    reranker = create("worst_group").fit(shop.dataset, shop.features, RUN)
    taught = reranker.taught(first, pool, RUN)
    assert taught.facts["kept"] is False
    assert np.array_equal(taught._weights, COPIED)
    few = held.take(np.arange(30))
    small = Pool(*(getattr(pool, f)[:30] for f in ("items", "scores", "counts", "relevance")))
    assert reranker.taught(few, small, RUN).facts == {}


def test_groups_by_column(shop) -> None:
    ages = UserGroups.of("age", 3, shop.queries, np.zeros(shop.dataset.n_items))
    assert ages.names[0].startswith("below ")
    assert ages.names[-1] == "unknown"
    found = ages.group(shop.queries, np.zeros(shop.dataset.n_items))
    assert set(found.tolist()) == {0, 1, 2}
    again = UserGroups.from_json(ages.to_json())
    assert (again.group(shop.queries, np.zeros(shop.dataset.n_items)) == found).all()
    with pytest.raises(DataError, match="no user has a value in this column"):
        UserGroups.of("gender", 3, shop.queries, np.zeros(shop.dataset.n_items))
