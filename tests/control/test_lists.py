"""Lists by dials: nothing moves at 0, an effect never falls while its dial is turned up, quotas and oracles."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuserec import RunOptions
from fuserec.control.board import Board, weight
from fuserec.control.controls import Controls
from fuserec.control.items import Items
from fuserec.control.lists import Maker
from fuserec.control.shown import Showings
from fuserec.data.query import QueryBatch
from fuserec.numerics.dialled import dialled_order
from fuserec.numerics.diverse import space_of
from fuserec.rerank.chain import Chain, Lists, lists_of

N = 7
RUN = RunOptions(threads=1)
STEPS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97, 1.0)


def scores_of(items: Items, seed: int) -> tuple[np.ndarray, QueryBatch]:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(N, items.dataset.n_items)).astype(np.float32)
    values[:, rng.integers(items.dataset.n_items, size=5)] = -np.inf
    return values, items.dataset.queries(np.arange(N))


def made(
    items: Items, controls: Controls, seed: int = 0, k: int = 10, shown: Showings | None = None
) -> Lists:
    values, q = scores_of(items, seed)
    board = Board.of(controls, items, RUN, shown)
    return Maker(board, Chain(), items.dataset.items.hashes).lists(values, k, q, q.seen())


def effect(items: Items, name: str, shown: Lists) -> np.ndarray:
    """Return the summed effect of each list."""
    fresh = items.freshness(None)
    of = {"novelty": items.rarity, "freshness": fresh, "new_share": items.dataset.item_counts <= 5}
    jazz = np.array(["Jazz" in kinds for kinds in items.dataset.item_table["categories"].to_list()])
    of |= {"more": jazz, "less": -jazz.astype(float)}
    return np.where(shown.items >= 0, np.asarray(of[name], np.float64)[shown.items], 0).sum(axis=1)


def with_dial(name: str, strength: float, **others: object) -> Controls:
    value = {"Jazz": strength} if name in ("more", "less") else strength
    return Controls.parse({name: value, "depth": 20, **others}, "test")


@pytest.mark.parametrize("name", ["more", "less", "novelty", "freshness", "diversity", "new_share"])
def test_at_zero_a_dial_moves_nothing(items: Items, name: str) -> None:
    values, q = scores_of(items, 1)
    plain = lists_of(values, 10, Chain(), q, exclude=q.seen(), ties=items.dataset.items.hashes)
    found = made(items, with_dial(name, 0.0), 1)
    assert np.array_equal(found.items, plain.items)
    assert np.array_equal(found.scores, plain.scores)
    assert not any(found.moves(0))
    assert not np.array_equal(made(items, with_dial(name, 0.9), 1).items, plain.items)


@pytest.mark.parametrize("name", ["more", "less", "novelty", "freshness", "new_share"])
@pytest.mark.parametrize("others", [{}, {"novelty": 0.2, "more": {"Rock": 0.2}}])
def test_an_effect_never_falls_while_its_dial_is_turned_up(
    items: Items, name: str, others: dict[str, object]
) -> None:
    others = {key: value for key, value in others.items() if key != name}
    for seed in range(12):
        found = [effect(items, name, made(items, with_dial(name, s, **others), seed)) for s in STEPS]
        for lower, higher in itertools.pairwise(found):
            assert (higher >= lower - 1e-6).all()
        assert found[-1].sum() > found[0].sum()


def test_diversity_rises_on_average(items: Items) -> None:
    found = []
    vectors = items.vectors.toarray()
    for strength in STEPS:
        gaps = []
        for seed in range(12):
            for row in made(items, with_dial("diversity", strength), seed).items:
                near = vectors[row] @ vectors[row].T
                gaps.append(1 - (near.sum() - np.trace(near)) / (row.size * (row.size - 1)))
        found.append(np.mean(gaps))
    assert all(higher >= lower - 1e-3 for lower, higher in itertools.pairwise(found))
    assert found[-1] > found[0] + 0.02


def test_scores_stay_with_their_items(items: Items) -> None:
    values, _ = scores_of(items, 3)
    controls = Controls(more={"Jazz": 0.8}, diversity=0.5, novelty=0.3, new_share=0.2, depth=20)
    found = made(items, controls, 3)
    for row in range(N):
        assert np.array_equal(found.scores[row], values[row, found.items[row]])
        assert len(set(found.items[row].tolist())) == 10


def test_the_summed_worth_is_the_largest_there_is(items: Items) -> None:
    """Without diversity the chosen ten are the best ten of relevance + w · effect, computed here by hand."""
    values, q = scores_of(items, 5)
    found = made(items, Controls(novelty=0.6, more={"Jazz": 0.25}, depth=20), 5)
    jazz = np.arange(items.dataset.n_items) % 3 == 0
    for row in range(N):
        free = [
            i
            for i in range(values.shape[1])
            if np.isfinite(values[row, i]) and i not in q.items[q.rows == row]
        ]
        best = sorted(free, key=lambda i: -values[row, i])
        top, low = values[row, best[0]], values[row, best[19]]
        pool = best[:20] + [i for i in best[20:] if jazz[i]]
        rare = items.rarity[pool]
        rare = (rare - rare.min()) / max(rare.max() - rare.min(), 0.1)
        worth = (values[row, pool] - top) / (top - low) + 1 + weight(0.6) * rare + weight(0.25) * jazz[pool]
        assert set(found.items[row]) == {pool[j] for j in np.argsort(-worth, kind="stable")[:10]}


def test_a_share_of_places_is_kept_for_what_is_new(items: Items) -> None:
    new = items.dataset.item_counts <= 0
    for share in (0.1, 0.3, 0.5):
        counts = []
        for seed in range(20):
            found = made(items, Controls(new_share=share, new_interactions=0, depth=10), seed)
            stands = np.cumsum(new[found.items], axis=1)
            places = np.arange(1, 11)
            assert (stands >= np.minimum(np.floor(share * places), new.sum())).all()
            counts.append(new[found.items].sum(axis=1))
        assert np.mean(counts) >= share * 10 - 0.4
    fractions = [
        new[made(items, Controls(new_share=0.04, new_interactions=0), seed).items].any(axis=1)
        for seed in range(3)
    ]
    assert np.mean(fractions) > 0


def test_what_is_shown_and_not_taken_sinks_and_comes_back(items: Items) -> None:
    first = made(items, Controls(depth=20), 2).items[0]
    day = 86_400.0

    def place(controls: Controls, ages: list[float]) -> int:
        shown = Showings(np.full(len(ages), first[0], np.int64), 1_700_000_000 - day * np.array(ages))
        board = Board.of(controls, items, RUN, shown, at=1_700_000_000.0)
        values, q = scores_of(items, 2)
        listed = Maker(board, Chain(), items.dataset.items.hashes).lists(values, 20, q, q.seen()).items[0]
        return int(np.flatnonzero(listed == first[0])[0]) if first[0] in listed else 99

    tired = Controls(fatigue=0.5, depth=20)
    fresh, week, year = (place(tired, [age]) for age in (0.0, 7.0, 365.0))
    assert fresh > week >= year == 0
    assert place(tired, [0.0, 0.0, 0.0]) >= fresh
    assert place(Controls(fatigue=0.9, depth=20), [0.0]) >= fresh
    assert place(Controls(max_shown=2), [1.0]) == 0
    assert place(Controls(max_shown=2), [1.0, 2.0]) == 99
    assert place(Controls(max_shown=2), [1.0, 31.0]) == 0
    assert place(Controls(max_shown=1), [-1.0]) == 0  # a showing of later than the request is not known yet


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 5), st.floats(0, 1), st.integers(1, 8), st.booleans())
def test_the_kernel_equals_its_definition(
    seed: int, spread: float, share: float, places: int, sparse: bool
) -> None:
    import scipy.sparse as sp

    rng = np.random.default_rng(seed)
    m = 9
    vectors = rng.normal(size=(20, 4)).astype(np.float32)
    vectors[rng.integers(20)] = 0
    pool = rng.permutation(20)[:m].astype(np.int32)[None]
    count = int(rng.integers(0, m + 1))
    worth, due = rng.normal(size=(1, m)), rng.random((1, m)) < 0.4
    quota = np.floor(share * np.arange(1, places + 1) + 0.5).astype(np.int32)[None]
    space = space_of(sp.csr_array(vectors) if sparse else vectors)
    found = dialled_order(pool, np.array([count], np.int32), worth, space, spread, due, quota, places)[0]
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-30)
    zero = ~vectors.any(axis=1)
    chosen: list[int] = []
    for place in range(min(places, count)):
        left = [j for j in range(count) if j not in chosen]
        if sum(due[0, chosen]) < quota[0, place] and any(due[0, j] for j in left):
            left = [j for j in left if due[0, j]]

        def gain(j: int) -> float:
            gaps = []
            for i in chosen:
                a, b = pool[0, i], pool[0, j]
                gaps.append(
                    1 - (float(zero[a] and zero[b]) if zero[a] or zero[b] else float(unit[a] @ unit[b]))
                )
            return float(worth[0, j]) + (spread * float(np.mean(gaps)) if gaps else 0.0)

        best = max(left, key=gain)
        assert gain(int(found[place])) >= gain(best) - 1e-4
        chosen.append(int(found[place]))
        assert found[place] in left
    assert sorted(found.tolist()) == list(range(m))
    assert found[len(chosen) :].tolist() == [j for j in range(m) if j not in chosen]


def test_words_say_which_dial_moved_an_item(items: Items) -> None:
    found = made(items, Controls(more={"Jazz": 0.9}, depth=20), 4)
    jazz = np.arange(items.dataset.n_items) % 3 == 0
    for row in range(N):
        for item, moves in zip(found.items[row], found.moves(row), strict=True):
            if jazz[item] and moves and moves[0].before > moves[0].after:
                assert str(moves[0]).endswith("more of “Jazz” is wanted")
                assert found.moves(row, "zh")[0] is not None
            elif not jazz[item] and moves:
                assert moves[0].because == "other items fit “Jazz” better"
    told = [str(m[0]) for m in made(items, Controls(more={"Jazz": 0.9}, depth=20), 4).moves(0, "zh") if m]
    assert any("希望多看“Jazz”" in text for text in told)
