"""The towers of the semantic softmax: planted matrices are recovered, and the traps of the method show."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from fuserec.numerics.similar import unit_rows
from fuserec.run import RunOptions

torch = pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")
from fuserec.neural.checkpoints import Checkpoint  # noqa: E402
from fuserec.neural.device import training  # noqa: E402
from fuserec.neural.semantic.examples import Bags, Examples, Reading  # noqa: E402
from fuserec.neural.semantic.model import SemanticTask, TowerPlan, Towers  # noqa: E402
from fuserec.neural.training import Plan, train  # noqa: E402

RUN = RunOptions(seed=5, threads=1)
PLAIN = Reading("earlier", 1.0, 0.0, 50)


@dataclass
class Planted:
    """Samples of p(y | x, z) ∝ exp(y·(x W₁ + z W₂)): the third event of a person, after two at random and some words.

    What people took before (the first half of the items) and what is predicted (the others) are kept apart, so that
    the samples follow the model exactly.

    Parameters
    ----------
    text, said : float32 (n_items, d), (n_texts, d)
        Of unit length.
    w1 : float64 (n_items or d, d)
    w2 : float64 (d, d)
        What is said has a common direction, so that some items are taken far more often than others.
    examples : Examples
    """

    text: np.ndarray
    said: np.ndarray
    w1: np.ndarray
    w2: np.ndarray
    examples: Examples


def planted(history: str, n: int = 12_000, n_items: int = 60, d: int = 4) -> Planted:
    rng, half = np.random.default_rng(11), n_items // 2
    text = np.asarray(unit_rows(rng.normal(size=(n_items, d))), np.float32)
    said = np.asarray(unit_rows(rng.normal(np.where(np.arange(d) == 0, 1.5, 0.0), size=(40, d))), np.float32)
    w1 = rng.normal(0.0, 0.7, size=(n_items if history == "items" else d, d))
    w2 = rng.normal(0.0, 0.7, size=(d, d))
    w2[0] += [2.5, -2.5, 0.0, 1.5]
    taken = rng.integers(0, half, size=(n, 2))
    words = rng.integers(0, said.shape[0], n)
    read = w1 if history == "items" else text @ w1
    f = read[taken].sum(axis=1) + said[words] @ w2
    logits = f @ text[half:].T * d**0.25
    drawn = half + np.argmax(logits + rng.gumbel(size=logits.shape), axis=1)
    items = np.concatenate([taken, drawn[:, None]], axis=1).ravel()
    indptr = np.arange(n + 1) * 3
    rows = np.where(np.arange(3 * n) % 3 == 2, np.repeat(words, 3), -1)
    examples = Examples(indptr, items, np.ones(3 * n, np.float32), indptr[1:] - 1, rows)
    return Planted(text, said, w1, w2, examples)


def learnt(case: Planted, history: str, plan: TowerPlan, epochs: int = 25) -> Towers:
    """Return towers taught on the samples."""
    with training(3, RUN, "semantic_softmax", "batch_size"):
        model = Towers(torch.from_numpy(case.text), None, semantic=True, history=history)
        nobody = case.examples.only(np.zeros(len(case.examples), dtype=bool))
        task = SemanticTask(model, case.examples, nobody, case.said, plan)
        train(task, Plan("planted", epochs, 0.05), RUN, Checkpoint(None, "planted", ""))
    return model


def distance(case: Planted, model: Towers) -> tuple[float, float]:
    """Return how far W₁ and W₂ are from those planted: root mean square of the differences of logits.

    A softmax does not change when the same number is added to all logits: W₁ and W₂ are only determined up to
    directions v with (y_j − ȳ)·v = 0 for all items j that are predicted. What is determined is W (y_j − ȳ).
    """
    half = case.text.shape[0] // 2
    y = (case.text[half:] - case.text[half:].mean(axis=0)).T * model.scale
    ours = model.by_item if model.by_item is not None else model.by_text
    first = (ours.detach().numpy() - case.w1)[: half if model.by_item is not None else None] @ y
    second = (model.by_words.detach().numpy() - case.w2) @ y
    return float(np.sqrt(np.mean(first**2))), float(np.sqrt(np.mean(second**2)))


NEAR = 0.2
"""Of logits whose root mean square is 1 to 2: a few standard errors of what the samples can tell."""


@pytest.mark.parametrize("history", ["items", "content"])
@pytest.mark.parametrize("loss", ["softmax", "sampled_softmax"])
def test_planted_matrices_are_recovered(history, loss):
    case = planted(history)
    plan = TowerPlan(PLAIN, loss, negatives=25, popularity=1.0, batch_size=500)
    first, second = distance(case, learnt(case, history, plan))
    assert first < NEAR
    assert second < NEAR


@pytest.mark.parametrize("history", ["items", "content"])
def test_without_the_logq_correction_they_are_not(history):
    case = planted(history)
    plan = TowerPlan(PLAIN, "sampled_softmax", negatives=25, popularity=1.0, batch_size=500, corrected=False)
    assert distance(case, learnt(case, history, plan))[1] > 2 * NEAR


def test_directions_in_which_all_targets_are_alike_are_free():
    """The invariance itself: with such a direction W₂ is not recovered along it, and every probability is the same."""
    case = planted("items", n=3000)
    case.text[30:, 0] = 0.5
    model = learnt(case, "items", TowerPlan(PLAIN, batch_size=500), epochs=3)
    y = model.targets().detach()[30:]
    f = model(Bags(np.array([0, 1]), np.array([2]), np.ones(1, np.float32)), torch.from_numpy(case.said[:1]))
    moved = f + torch.tensor([5.0, 0.0, 0.0, 0.0])
    torch.testing.assert_close(torch.softmax(f @ y.T, 1), torch.softmax(moved @ y.T, 1), rtol=1e-4, atol=1e-6)


class Leaky(Examples):
    """The same examples with the mistake: what is to be predicted stands in its own x."""

    def bags(self, which, reading):
        honest = super().bags(which, reading)
        ends, targets = honest.indptr[1:], self.targets[which]
        return Bags(
            honest.indptr + np.arange(honest.indptr.size),
            np.insert(honest.items, ends, targets),
            np.insert(honest.values, ends, np.float32(1.0)),
        )


def noise(kind, n_users=1500, n_items=100, length=6):
    """Return examples of histories at random: there is nothing to learn of them."""
    rng = np.random.default_rng(2)
    items = np.concatenate([rng.permutation(n_items)[:length] for _ in range(n_users)])
    indptr = np.arange(n_users + 1) * length
    at = np.flatnonzero(np.arange(items.size) % length)
    nothing = np.full(items.size, -1)
    return kind(indptr, items, np.ones(items.size, np.float32), at, nothing)


def ndcg(model, examples):
    """Return NDCG@10 of examples, from the x that they say they have, among the items not taken earlier."""
    bags = examples.bags(np.arange(len(examples)), PLAIN)
    with torch.inference_mode():
        scores = (model(bags, None) @ model.targets().T).numpy()
    mine = scores[np.arange(len(examples)), examples.targets][:, None]
    earlier = Examples.bags(examples, np.arange(len(examples)), PLAIN)
    scores[earlier.rows, earlier.items] = -np.inf
    ranks = 1 + (scores > mine).sum(axis=1)
    return float(np.where(ranks <= 10, 1 / np.log2(1 + ranks), 0).mean())


CHANCE = float((1 / np.log2(1 + np.arange(1, 11))).sum() / 100)
"""NDCG@10 of any order of 100 items that knows nothing."""


def test_a_target_in_its_own_x_would_only_teach_that_x_predicts_itself():
    figures = {}
    for kind in (Examples, Leaky):
        whole = noise(kind)
        held = np.arange(len(whole)) % 5 == 4  # the last event of each history
        rest, later = whole.only(~held), noise(Examples).only(held)
        empty = torch.zeros(100, 0)
        with training(3, RUN, "semantic_softmax", "batch_size"):
            start = 0.02 * torch.randn(100, 24)
            model = Towers(empty, start, semantic=False, history="items")
            task = SemanticTask(
                model, rest, later, np.zeros((0, 0), np.float32), TowerPlan(PLAIN, batch_size=300)
            )
            train(task, Plan("trap", 25, 0.03), RUN, Checkpoint(None, "trap", ""))
        figures[kind] = ndcg(model, rest), ndcg(model, later)
    (ours, ours_later), (leaky, leaky_later) = figures[Examples], figures[Leaky]
    assert leaky > 0.9
    assert ours < 0.3  # by heart, as far as 24 numbers an item go
    assert leaky_later < 2 * CHANCE
    assert ours_later < 2 * CHANCE


def test_an_interaction_counts_by_its_weight():
    case = planted("items", n=500)
    case.examples.weights[:] = np.random.default_rng(0).uniform(0.1, 1.0, case.examples.weights.size)
    model = Towers(torch.from_numpy(case.text), None, semantic=True, history="items")
    torch.nn.init.normal_(model.by_item)
    nobody = case.examples.only(np.zeros(500, dtype=bool))
    for loss in ("softmax", "sampled_softmax"):
        task = SemanticTask(model, case.examples, nobody, case.said, TowerPlan(PLAIN, loss, negatives=20_000))
        found = task.loss((np.arange(500), 0)).item()
        bags, z = task.inputs(np.arange(500))
        logits = (model(bags, torch.from_numpy(z)) @ model.targets()[task.trained].T).detach().double()
        log_p = torch.log_softmax(logits, 1)[np.arange(500), task.place[case.examples.targets]].numpy()
        weights = case.examples.weights[case.examples.at].astype(float)
        if loss == "sampled_softmax":  # with so many draws: log(k q) apart
            log_p -= np.log(20_000) + task.draw.log().double().numpy()[task.place[case.examples.targets]]
        assert found == pytest.approx(-(weights * log_p).mean() / weights.mean(), rel=2e-3)


def test_an_event_read_as_words_is_never_the_target():
    examples = noise(Examples)
    one_hot = torch.eye(100)
    model = Towers(one_hot, None, semantic=True, history="items")
    plan = TowerPlan(replace(PLAIN, context="others"), as_words=0.9, dropout=0.3)
    task = SemanticTask(model, examples, examples, np.zeros((0, 100), np.float32), plan)
    which = np.arange(len(examples))
    bags, z = task.inputs(which, np.random.default_rng(0))
    honest, silent = task.inputs(which)
    assert silent is None
    assert 0.85 < z.any(axis=1).mean() < 0.95
    for example in which[:300]:
        span = slice(bags.indptr[example], bags.indptr[example + 1])
        target = examples.targets[example]
        for event in np.flatnonzero(z[example]):
            assert event != target
            assert event in honest.items[span]
            assert bags.values[span][bags.items[span] == event] == 0.0  # it is read once
    thinned = bags.values[bags.values > 0]
    assert thinned == pytest.approx(1 / 0.7)
