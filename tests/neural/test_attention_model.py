"""The attention over the history: its gradient, what it recovers, and how versions known to be wrong fail."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")

from planted_attention import BIAS, N_ITEMS, learnt, planted_cases, some_similarities  # noqa: E402

from fuserec.neural.attention.likeness import taken_by  # noqa: E402
from fuserec.neural.attention.model import (  # noqa: E402
    AttentionPlan,
    AttentionTask,
    HistoryAttentionModel,
    case_losses,
)
from fuserec.neural.negatives import Negatives  # noqa: E402
from fuserec.neural.semantic.examples import Reading, examples_of  # noqa: E402
from fuserec.numerics.item_similarity import similarities  # noqa: E402
from fuserec.numerics.similar import Kept  # noqa: E402
from fuserec.run import RunOptions  # noqa: E402
from fuserec.testing.planted import dataset_of  # noqa: E402


def planted_weights(seed=0):
    return (1.0 + 1.0 * np.random.default_rng(seed).normal(size=N_ITEMS)).astype(np.float32)


def auc(scores, labels):
    ranks = np.argsort(np.argsort(scores))
    right = labels > 0
    return (ranks[right].mean() - (right.sum() - 1) / 2) / (~right).sum()


def untrained(form="global", seed=0, **options):
    start = torch.from_numpy(np.random.default_rng(seed).normal(0, 0.5, (N_ITEMS, 16)).astype(np.float32))
    return HistoryAttentionModel(form, N_ITEMS, 1, start=start, **options)


def test_the_derivative_of_the_squared_loss_is_the_one_of_the_formula():
    weights = planted_weights()
    cases = planted_cases(weights, some_similarities(), untrained(), n=40)
    which = np.arange(40)
    with torch.no_grad():
        cases.model.own_table += torch.from_numpy(weights[:, None]) - 1.0
    pairs, labels = cases.pairs(which), torch.from_numpy(cases.labels)
    assert set(cases.labels.tolist()) == {0.0, 1.0}
    logits = cases.model(pairs)
    case_losses(logits, labels, "squared").sum().backward()
    p = torch.sigmoid(logits).detach()
    each = ((p - labels) * p * (1 - p))[pairs.cases] * pairs.similarity[:, 0]
    wanted = torch.zeros(N_ITEMS).index_add(0, pairs.sources, each)
    torch.testing.assert_close(cases.model.own_table.grad[:, 0], wanted)


@pytest.mark.parametrize("kind", ["bce", "squared"])
@pytest.mark.parametrize("form", ["global", "bilinear", "mlp"])
def test_gradients_equal_finite_differences(form, kind):
    cases = planted_cases(planted_weights(), some_similarities(), untrained(form), n=30)
    model, which = cases.model.double(), np.arange(30)
    pairs, labels = cases.pairs(which), torch.from_numpy(cases.labels).double()
    pairs = replace(pairs, similarity=pairs.similarity.double(), strength=pairs.strength.double())

    def lost():
        return case_losses(model(pairs), labels, kind).sum()

    lost().backward()
    checked = 0
    for name, parameter in model.named_parameters():
        if not parameter.numel():
            continue
        flat, grad = parameter.data.view(-1), parameter.grad.view(-1)
        for place in range(0, flat.numel(), max(1, flat.numel() // 5)):
            before, step = float(flat[place]), 1e-6
            sides = []
            for value in (before + step, before - step):
                flat[place] = value
                sides.append(float(lost().detach()))
            flat[place] = before
            slope = (sides[0] - sides[1]) / (2 * step)
            assert float(grad[place]) == pytest.approx(slope, rel=1e-4, abs=1e-6), name
            checked += 1
    assert checked >= 5


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_losses_from_logits_bear_any_logit(label):
    logits = torch.tensor([-100.0, 100.0], requires_grad=True)
    labels = torch.full((2,), label)
    for kind in ("bce", "squared"):
        lost = case_losses(logits, labels, kind)
        (grad,) = torch.autograd.grad(lost.sum(), logits)
        assert torch.isfinite(lost).all()
        assert torch.isfinite(grad).all()
        wrong = 0 if label else 1
        assert float(lost[wrong].detach()) == pytest.approx(100.0 if kind == "bce" else 0.5)
        if kind == "bce":  # where the answer is quite wrong, the pull is as strong as it gets
            assert float(grad[wrong]) == pytest.approx(-1.0 if label else 1.0)


@pytest.mark.parametrize("kind", ["bce", "squared"])
def test_planted_weights_are_recovered(kind):
    weights = planted_weights()
    cases = planted_cases(weights, some_similarities(), untrained(), loss_kind=kind)
    model = learnt(cases)
    found = (model.shared + model.own_table[:, 0]).detach().numpy()
    assert np.corrcoef(found, weights)[0, 1] > 0.97
    assert np.abs(found - weights).mean() < 0.2
    assert float(model.bias.detach()) == pytest.approx(BIAS, abs=0.15)


def test_from_shuffled_labels_nothing_is_recovered():
    weights = planted_weights()
    cases = planted_cases(weights, some_similarities(), untrained())
    cases.labels = np.random.default_rng(9).permutation(cases.labels)
    model = learnt(cases)
    found = (model.shared + model.own_table[:, 0]).detach().numpy()
    assert abs(np.corrcoef(found, weights)[0, 1]) < 0.4  # 30 items: beyond it by chance in 3 of 100
    assert np.abs(found).mean() < 0.4


def test_labels_that_are_always_one_teach_nothing():
    weights = planted_weights()
    cases = planted_cases(weights, some_similarities(), untrained())
    cases.labels = np.ones_like(cases.labels)
    model = learnt(cases)
    found = (model.shared + model.own_table[:, 0]).detach().numpy()
    assert np.abs(found - weights).mean() > 0.5
    assert float(torch.sigmoid(model.bias.detach())) > 0.9


def test_a_sum_that_forgets_the_candidate_cannot_tell_candidates_apart():
    weights, like = planted_weights(), some_similarities()
    found = {}
    for flat in (False, True):
        cases = planted_cases(weights, like, untrained(), flat=flat)
        model = learnt(cases)
        one = np.arange(200)
        with torch.no_grad():
            asked = [model(replace_candidates(cases, one, c)).numpy() for c in range(N_ITEMS)]
        found[flat] = np.stack(asked, axis=1)
        wanted = np.stack([plain_logits(cases, weights, like, one, c) for c in range(N_ITEMS)], axis=1)
        if not flat:
            within = [np.corrcoef(a, b)[0, 1] for a, b in zip(found[flat], wanted, strict=True)]
            assert np.mean(within) > 0.95
    assert found[True].std(axis=1).max() < 1e-5  # every candidate of a history gets the same


def replace_candidates(cases, which, candidate):
    asked = replace(cases, candidates=np.full_like(cases.candidates, candidate))
    return asked.pairs(which)


def plain_logits(cases, weights, like, which, candidate):
    dense = like.map_of(like.values[:, 0]).toarray()
    out = []
    for case in which:
        events = cases.events[cases.starts[case] : cases.starts[case + 1]]
        out.append(BIAS + float((weights[events] * dense[events, candidate]).sum()))
    return np.array(out)


@pytest.mark.parametrize("form", ["bilinear", "mlp"])
@pytest.mark.parametrize("smoothing", [0.0, 0.5, 1.0])
def test_attention_equals_its_formula_written_out_and_the_arrays_that_answer(form, smoothing):
    like = some_similarities()
    cases = planted_cases(planted_weights(), like, untrained(form, smoothing=smoothing), n=25)
    model = cases.model
    with torch.no_grad():
        model.bias += 0.3
        logits = model(cases.pairs(np.arange(25))).numpy()
        g, k = model.source_table.numpy(), model.target_table.numpy()
    dense = like.map_of(like.values[:, 0]).toarray()
    fitted = model.kept(like)
    x = (cases.starts.astype(np.int64), cases.events.astype(np.int32), np.ones(cases.events.size, np.float32))
    served = fitted.history(x, threads=1)
    for case in range(25):
        j, above, below = cases.candidates[case], 0.0, 0.0
        for i in cases.events[cases.starts[case] : cases.starts[case + 1]]:
            if dense[i, j] > 0:
                both = g[i] * k[j]
                f = both.sum()
                if form == "mlp":
                    inner, shift = model.inner.weight.detach().numpy(), model.inner.bias.detach().numpy()
                    f = np.maximum(inner @ both + shift, 0) @ model.outer.detach().numpy()
                above += np.exp(f) * dense[i, j]
                below += np.exp(f)
        wanted = above / below**smoothing if below else 0.0
        assert logits[case] == pytest.approx(0.3 + wanted, rel=1e-4, abs=1e-5)
        assert served[case, j] == pytest.approx(wanted, rel=1e-4, abs=1e-5)


def chance_task(own_pair):
    """Return a task on people who take things at random: there is nothing to be learnt."""
    rng = np.random.default_rng(4)
    n_items = 200
    data = dataset_of([rng.permutation(n_items)[:8] for _ in range(250)], n_items)
    reading = Reading("others", 1.0, 0.0, 50)
    examples = examples_of(data, np.full(data.n_interactions, -1), np.ones(n_items, dtype=bool), reading)
    rows = data.interactions
    taken = taken_by(rows.user, rows.item, rows.weight, (250, n_items))
    ties = np.arange(n_items, dtype=np.uint64)
    like = similarities(taken, {}, Kept(n_items, 0.0, 1.0), 1.0, ties, RunOptions(threads=1))
    negatives = Negatives.of(data.item_counts, 0.0, rows.user, rows.item)
    model = HistoryAttentionModel("global", n_items, 1)
    plan = AttentionPlan(reading, negatives=3, own_pair=own_pair)
    return AttentionTask(model, like, examples, examples.only(np.zeros(len(examples), bool)), negatives, plan)


@pytest.mark.parametrize("kind", ["bce", "squared"])
def test_what_was_taken_is_one_and_what_was_drawn_is_none(kind):
    """By hand: y = 1 for the first candidate alone, and a drawn one that was taken counts nothing."""
    rng = np.random.default_rng(0)
    histories = [rng.permutation(N_ITEMS)[:6].tolist() for _ in range(20)]
    data = dataset_of(histories, N_ITEMS)
    reading = Reading("earlier", 1.0, 0.0, 50)
    examples = examples_of(data, np.full(data.n_interactions, -1), np.ones(N_ITEMS, dtype=bool), reading)
    rows = data.interactions
    negatives = Negatives.of(data.item_counts, 0.0, rows.user, rows.item)
    plan = AttentionPlan(reading, loss=kind, negatives=8, own_pair=True)
    nobody = examples.only(np.zeros(len(examples), bool))
    task = AttentionTask(untrained(), some_similarities(), examples, nobody, negatives, plan)
    which = np.arange(len(examples))
    pairs, labels, weights = task.cases(which, 3)
    assert (labels == (np.arange(9) == 0)).all()
    drawn, _ = negatives.draw(task.users, 8, np.random.default_rng(3))
    met = np.array([[j in histories[u] for j in row] for u, row in zip(task.users, drawn, strict=True)])
    assert met.any()
    assert ((weights[:, 1:] == 0) == met).all()
    p = 1 / (1 + np.exp(-task.model(pairs).detach().double().numpy().reshape(-1, 9)))
    cost = np.where(np.arange(9) == 0, -np.log(p), -np.log(1 - p))
    if kind == "squared":
        cost = 0.5 * np.where(np.arange(9) == 0, 1 - p, p) ** 2
    kept = np.concatenate([np.ones((len(which), 1)), ~met], axis=1)
    assert task.loss((which, 3)).item() == pytest.approx((cost * kept).sum() / kept.sum(), rel=1e-5)


def test_that_somebody_took_both_is_no_part_of_what_they_are_asked():
    found = {}
    for own_pair in (False, True):
        task = chance_task(own_pair)
        pairs, labels, weights = task.cases(np.arange(len(task.examples)), 0)
        assert bool((pairs.sources != pairs.targets).all())
        with torch.no_grad():
            logits = task.model(pairs).numpy()
        counted = weights.ravel() > 0
        found[own_pair] = auc(logits[counted], labels.ravel()[counted])
    assert found[True] > 0.95  # similarities that hold the answer
    assert abs(found[False] - 0.5) < 0.05
