"""Every metric over lists beside a brute-force oracle that reads as its definition does."""

from __future__ import annotations

import doctest
import math

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.stats import entropy as scipy_entropy
from sklearn.metrics import brier_score_loss, log_loss
from sklearn.metrics.pairwise import cosine_similarity

from fuserec.errors import DataError, RequestError
from fuserec.metrics import (
    auc,
    beyond,
    calibration,
    concentration,
    contributions,
    diversity,
    families,
    graded,
    probability,
    serendipity,
    targets,
)
from fuserec.metrics.families import Known, Lists, list_columns
from fuserec.metrics.shown import Space

N_ITEMS, N_USERS = 30, 60


@pytest.mark.parametrize(
    "module",
    [
        auc,
        calibration,
        concentration,
        contributions,
        diversity,
        graded,
        probability,
        serendipity,
        targets,
    ],
)
def test_docstring_examples(module):
    result = doctest.testmod(module)
    assert result.attempted >= 1
    assert result.failed == 0


class World:
    """Random lists, histories, targets, categories and vectors, with gaps in all of them."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.counts = rng.integers(0, 9, N_USERS)
        self.items = np.full((N_USERS, 8), -1, np.int32)
        for row, count in enumerate(self.counts):
            self.items[row, :count] = rng.permutation(N_ITEMS)[:count]
        self.seen = [rng.integers(0, N_ITEMS, rng.integers(0, 7)).tolist() for _ in range(N_USERS)]
        self.wanted = [
            rng.choice(N_ITEMS, rng.integers(0, 6), replace=False).tolist() for _ in range(N_USERS)
        ]
        self.popularity = rng.integers(0, 15, N_ITEMS)
        self.categories = (rng.random((N_ITEMS, 5)) < 0.3) * rng.integers(1, 4, (N_ITEMS, 5))
        self.vectors = rng.normal(size=(N_ITEMS, 4)) * (rng.random((N_ITEMS, 1)) < 0.8)
        self.probabilities = rng.random((N_USERS, 8)).round(1)

    def shown(self, k: int) -> list[list[int]]:
        return [self.items[row, : min(k, count)].tolist() for row, count in enumerate(self.counts)]

    def columns(self, ks: tuple[int, ...], threads: int = 1) -> tuple[families.Columns, dict[str, float]]:
        known = Known(
            N_ITEMS,
            targets=ragged(self.wanted),
            seen=ragged(self.seen),
            item_users=self.popularity,
            n_users=20,
            space=Space.of(self.vectors),
            users_space=Space.of(sp.csr_array(self.vectors > 0.5)),
            categories=self.categories,
        )
        return list_columns(Lists(self.items, self.counts, self.probabilities), ks, known, threads)


def ragged(rows: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    starts = np.concatenate(([0], np.cumsum([len(row) for row in rows]))).astype(np.int64)
    return starts, np.array([item for row in rows for item in row], np.int32)


def mix(world: World, items: list[int]) -> np.ndarray | None:
    rows = [world.categories[i] / world.categories[i].sum() for i in items if world.categories[i].any()]
    return np.mean(rows, axis=0) if rows else None


def distance(matrix: np.ndarray, items: list[int]) -> float:
    known = [i for i in items if matrix[i].any()]
    if len(known) < 2:
        return math.nan
    gaps = 1 - cosine_similarity(matrix[known])
    return float(gaps[np.triu_indices(len(known), 1)].mean())


def expected(world: World, k: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    used = np.count_nonzero(world.categories.any(axis=0))
    for items, seen, wanted, count, chance in zip(
        world.shown(k), world.seen, world.wanted, world.counts, world.probabilities, strict=True
    ):
        shares = mix(world, items)
        history = mix(world, seen)
        popular = [i for i in np.argsort(-world.popularity, kind="stable") if i not in seen][:k]
        hit = [i for i in items if i in wanted]
        taken = [i in wanted for i in items]
        p = np.clip(chance[: len(items)], 1e-6, 1 - 1e-6)
        surprise = []
        for i in hit:
            known = [j for j in seen if world.vectors[j].any()]
            if known and world.vectors[i].any():
                surprise.append(1 - cosine_similarity(world.vectors[[i]], world.vectors[known]).mean())
        kl = math.nan
        if shares is not None and history is not None:
            kl = scipy_entropy(history, 0.99 * shares + 0.01 * history)
        row = {
            "user_coverage": float(count >= k),
            "ild": distance(world.vectors, items),
            "ild_users": distance((world.vectors > 0.5).astype(float), items),
            "ild_category": distance(
                world.categories / np.maximum(1, world.categories.sum(1, keepdims=True)), items
            ),
            "category_entropy": math.nan if shares is None else scipy_entropy(shares, base=2),
            "s_recall": math.nan if shares is None else np.count_nonzero(shares) / used,
            "miscalibration": kl,
            "popularity_complement": np.mean([1 - world.popularity[i] / 20 for i in items])
            if items
            else math.nan,
            "average_popularity": np.mean(world.popularity[items]) if items else math.nan,
            "serendipity": len([i for i in hit if i not in popular]) / k if wanted else math.nan,
            "profile_serendipity": sum(surprise) / k if wanted else math.nan,
            "log_loss": log_loss(taken, p, labels=[False, True]) if wanted and items else math.nan,
            "brier": brier_score_loss(taken, chance[: len(items)]) if wanted and items else math.nan,
        }
        for name, value in row.items():
            found.setdefault(name, []).append(float(value))
    return found


@pytest.mark.parametrize("seed", range(4))
def test_values_of_lists_equal_the_brute_force_oracle(seed: int) -> None:
    world = World(seed)
    ks = (1, 3, 20)
    columns, whole = world.columns(ks, threads=1 + seed % 2)
    for k in ks:
        for name, values in expected(world, k).items():
            np.testing.assert_allclose(
                columns[f"{name}@{k}"], values, rtol=0, atol=2e-6, err_msg=f"{name}@{k}"
            )
        shown = [item for items in world.shown(k) for item in items]
        assert whole[f"coverage@{k}"] == len(set(shown)) / N_ITEMS


def gini_by_pairs(exposure: np.ndarray) -> float:
    return float(np.abs(exposure[:, None] - exposure[None, :]).sum() / (2 * len(exposure) * exposure.sum()))


@pytest.mark.parametrize("seed", range(3))
def test_figures_of_all_lists_equal_the_brute_force_oracle(seed: int) -> None:
    world = World(seed)
    columns, _ = world.columns((3,))
    exposure = np.bincount([item for items in world.shown(3) for item in items], minlength=N_ITEMS)
    tail = concentration.long_tail(world.popularity)
    head = set(np.flatnonzero(~tail).tolist())
    most = np.sort(world.popularity)[::-1][: len(head)].sum()
    assert most >= 0.8 * world.popularity.sum() > most - world.popularity[list(head)].min()
    lists, histories = (
        [np.mean(world.popularity[items]) if items else math.nan for items in rows]
        for rows in (world.shown(3), world.seen)
    )
    both = ~np.isnan(lists) & ~np.isnan(histories)
    bits = scipy_entropy(exposure / exposure.sum(), base=2)
    wanted = {
        "gini": gini_by_pairs(exposure),
        "exposure_entropy": bits,
        "distributional_coverage": 2**bits / N_ITEMS,
        "popularity_lift": np.mean(np.array(lists)[both]) / np.mean(np.array(histories)[both]) - 1,
        "tail_share": np.mean([np.mean([i not in head for i in items]) for items in world.shown(3) if items]),
        "ece": ece_by_bins(world, 3),
    }
    for name, value in wanted.items():
        assert np.nanmean(columns[f"{name}@3"]) == pytest.approx(value, abs=1e-9), name


def ece_by_bins(world: World, k: int) -> float:
    pairs = [
        (chance, item in wanted)
        for items, row, wanted in zip(world.shown(k), world.probabilities, world.wanted, strict=True)
        for item, chance in zip(items, row, strict=False)
    ]
    p, y = (np.array(side, float) for side in zip(*pairs, strict=True))
    ordered = sorted(p)
    edges = [ordered[b * len(p) // 15] for b in range(1, 15)]
    which = [sum(edge <= value for edge in edges) for value in p]
    gaps = [abs(sum((p - y)[[b == c for c in which]])) for b in set(which)]
    assert probability.expected_calibration_error(p, y) == pytest.approx(sum(gaps) / len(p), abs=1e-12)
    return sum(gaps) / len(p)


def test_contributions_are_the_first_order_influence_of_each_list() -> None:
    """A list counted a little more often moves the figure by its contribution, for every figure of exposure."""
    world = World(9)
    columns, _ = world.columns((8,))
    rows = [np.bincount(items, minlength=N_ITEMS).astype(float) for items in world.shown(8)]
    total, step = np.sum(rows, axis=0), 1e-4
    for name, figure in {
        "gini": concentration.gini,
        "exposure_entropy": concentration.exposure_entropy,
        "distributional_coverage": concentration.distributional_coverage,
    }.items():
        base, column = figure(total), columns[f"{name}@8"]
        for row in range(0, N_USERS, 7):
            moved = (figure(total + step * rows[row]) - figure(total - step * rows[row])) / (2 * step)
            assert column[row] - base == pytest.approx(N_USERS * moved, abs=2e-2), name


def test_intervals_of_exposure_hold_the_truth() -> None:
    """Lists drawn from known chances: linearised intervals of entropy are neither too narrow nor too wide."""
    from fuserec.evaluation.statistics import interval

    rng = np.random.default_rng(0)
    chances = rng.dirichlet(np.ones(10))
    truth = scipy_entropy(chances, base=2)
    inside = 0
    for _ in range(200):
        items = rng.choice(10, (400, 1), p=chances).astype(np.int32)
        found = families.exposed(Lists(items, np.ones(400, int)), 1, 10)["exposure_entropy"]
        estimate = interval(found, rng=rng, n_resamples=200)
        inside += estimate.low <= truth <= estimate.high
    assert 0.88 <= inside / 200 <= 0.99


def test_perfect_probabilities_are_calibrated_and_constant_ones_are_not() -> None:
    rng = np.random.default_rng(1)
    p = rng.random(20_000)
    taken = rng.random(20_000) < p
    assert probability.expected_calibration_error(p, taken) < 0.02
    assert probability.expected_calibration_error(np.full(20_000, 0.9), taken) == pytest.approx(0.4, abs=0.02)


def test_the_diversity_of_users_looks_at_as_many_lists_as_it_can_afford(monkeypatch) -> None:
    world = World(2)
    whole, _ = world.columns((3,))
    monkeypatch.setattr(families, "WORK", 100)
    part, _ = world.columns((3,))
    there = ~np.isnan(part["ild_users@3"])
    assert 0 < there.sum() < (~np.isnan(whole["ild_users@3"])).sum()
    np.testing.assert_array_equal(part["ild_users@3"][there], whole["ild_users@3"][there])
    np.testing.assert_array_equal(part["ild@3"], whole["ild@3"])


def test_nothing_shown_and_nothing_known() -> None:
    lists = Lists(np.full((2, 3), -1, np.int32), np.zeros(2, int))
    columns, whole = list_columns(lists, (2,), Known(5))
    assert whole == {"coverage@2": 0.0}
    assert columns["user_coverage@2"].tolist() == [0.0, 0.0]
    assert np.isnan(columns["gini@2"]).all()
    assert "novelty@2" not in columns


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: diversity.category_entropy([[7]], [1], 1, [[1]]), "catalogue"),
        (lambda: diversity.category_entropy([[0]], [1], 1, [[-1]]), "from 0 up"),
        (lambda: concentration.gini([]), "exposure"),
        (lambda: concentration.gini([-1, 2]), "exposure"),
        (lambda: probability.log_losses([0.5], [True, False]), "match"),
        (lambda: probability.brier_scores([1.5], [True]), "0 to 1"),
        (lambda: graded.grades([1.0], 5, 5), "scale"),
        (lambda: targets.target_ranks([0, 1], [1], 5, gain=[-1.0]), "gains"),
    ],
)
def test_bad_input_is_refused(call, message: str) -> None:
    with pytest.raises(DataError, match=message):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: diversity.subtopic_recall([[0]], [1], 0, [[1]]),
        lambda: beyond.intra_list_diversities([[0]], [1], (0, 3), np.eye(2)),
        lambda: beyond.user_coverage([1], 0),
        lambda: probability.expected_calibration_error([0.5], [True], bins=0),
        lambda: calibration.miscalibration([[0]], [1], 1, ([0, 1], [0]), [[1]], alpha=0),
    ],
)
def test_bad_settings_are_refused(call) -> None:
    with pytest.raises(RequestError):
        call()
