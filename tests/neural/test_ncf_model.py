"""Neural collaborative filtering: its head, its gradients, and what it learns of what was planted."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")

from fuserec.neural.checkpoints import Checkpoint  # noqa: E402
from fuserec.neural.collaborative.fitted import TILE  # noqa: E402
from fuserec.neural.collaborative.model import JoinHead, NeuralCFModel  # noqa: E402
from fuserec.neural.collaborative.task import NCFPlan, Rated, RatedTask, TakenTask  # noqa: E402
from fuserec.neural.negatives import Negatives  # noqa: E402
from fuserec.neural.semantic.examples import Reading, examples_of  # noqa: E402
from fuserec.neural.training import Plan, train  # noqa: E402
from fuserec.run import RunOptions  # noqa: E402
from fuserec.testing.planted import dataset_of  # noqa: E402

FORMS = ("neumf", "dot", "gmf", "mlp")
RUN = RunOptions(threads=1)


def head_of(form, dim=6, mlp_dim=3, hidden=(5, 4)):
    """Return a head with all of its numbers drawn, those that begin at zero too."""
    head = JoinHead(form, dim, mlp_dim, hidden)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    return head


@pytest.mark.parametrize("form", FORMS)
def test_the_head_that_answers_is_the_one_that_was_taught(form):
    head, n = head_of(form), TILE + 10
    user, items = torch.randn(9), torch.randn(n, 9)
    if form in ("dot", "gmf"):
        user, items = user[:6], items[:, :6]
    wanted = head(user[None, :], items).detach().numpy()
    kept = head.kept()
    targets = items.numpy()
    np.testing.assert_allclose(
        kept.logits(user.numpy(), targets, kept.first(targets)), wanted, rtol=1e-4, atol=1e-5
    )


def test_training_begins_at_the_plain_product():
    user, items = torch.randn(9), torch.randn(50, 9)
    begun = JoinHead("neumf", 6, 3, (5, 4))(user[None, :], items)
    plain = JoinHead("dot", 6, 0, (5, 4))(user[None, :6], items[:, :6])
    torch.testing.assert_close(begun, plain)
    torch.testing.assert_close(JoinHead("gmf", 6, 0, (5, 4))(user[None, :6], items[:, :6]), plain)


def test_the_network_reads_the_product():
    head = head_of("neumf")
    user, items = torch.randn(1, 9), torch.randn(1, 9)
    items[:, 6:] = 0.0
    bare = head(user, items) - (user[:, :6] * items[:, :6]) @ (1.0 + head.product)
    other = items.clone()
    other[:, :6] *= 3.0
    moved = head(user, other) - (user[:, :6] * other[:, :6]) @ (1.0 + head.product)
    assert abs(float((moved - bare).detach())) > 1e-4


@pytest.mark.parametrize("form", FORMS)
def test_gradients_equal_finite_differences(form):
    torch.manual_seed(1)
    head = head_of(form).double()
    width = 9 if form in ("neumf", "mlp") else 6
    user, items = (torch.randn(n, width, dtype=torch.float64, requires_grad=True) for n in (1, 4))
    assert torch.autograd.gradcheck(head, (user, items), eps=1e-6, atol=1e-5)
    labels = torch.tensor([1.0, 0.0, 0.0, 1.0], dtype=torch.float64)
    loss = torch.nn.functional.binary_cross_entropy_with_logits
    loss(head(user, items), labels).backward()
    for name, parameter in head.named_parameters():
        flat, grad = parameter.data.view(-1), parameter.grad.view(-1)
        for place in range(0, flat.numel(), max(1, flat.numel() // 3)):
            before, sides = float(flat[place]), []
            for value in (before + 1e-6, before - 1e-6):
                flat[place] = value
                sides.append(float(loss(head(user, items), labels).detach()))
            flat[place] = before
            assert float(grad[place]) == pytest.approx((sides[0] - sides[1]) / 2e-6, rel=1e-4, abs=1e-7), name


N_ITEMS, N_USERS = 60, 400
READING = Reading("others", 1.0, 0.5, 50)


def product_data(seed=0, shuffled=False):
    """Return people who take what fits them best: log-odds are a product of planted vectors of equal length.

    No item is more popular than others by much, so that only the product tells.
    """
    rng = np.random.default_rng(seed)
    p, q = rng.normal(size=(N_USERS, 3)), rng.normal(size=(N_ITEMS, 3))
    p, q = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (p, q))
    fit = np.zeros((N_USERS, N_ITEMS)) if shuffled else 4.0 * p @ q.T
    rows = np.argsort(-(fit + rng.gumbel(size=fit.shape)), axis=1)[:, :8]
    return dataset_of(rng.permuted(rows, axis=1).tolist(), N_ITEMS)


def trained(data, form, epochs=12):
    """Return the task after training on everything but each person's last event."""
    last = data.indptr[1:] - 1
    kept = np.ones(data.n_interactions, dtype=bool)
    kept[last] = False
    seen = data.with_rows(kept)
    examples = examples_of(seen, np.full(kept.sum(), -1), np.ones(N_ITEMS, bool), READING)
    rows = seen.interactions
    negatives = Negatives.of(seen.item_counts, 0.0, rows.user, rows.item)
    width = {"neumf": 12, "mlp": 8}.get(form, 8)
    start = 0.1 * torch.randn(N_ITEMS, 2 * width)
    text = torch.zeros(N_ITEMS, 0)
    model = NeuralCFModel(start, torch.ones(N_ITEMS, dtype=torch.bool), text, form, 4, (16, 8))
    plan = NCFPlan(READING, negatives=4, batch_size=256, seed=3)
    nobody = examples.only(np.zeros(len(examples), bool))
    task = TakenTask(model, examples, nobody, np.zeros((0, 0), np.float32), negatives, plan)
    train(task, Plan("paper", epochs, 0.02), RUN, Checkpoint(None, "paper", ""))
    return task, seen, data.interactions.item[last]


def pairwise_right(task, seen, held):
    """Return how often each person's held-out item beats one they never took: .5 is chance; and its standard error."""
    fitted = task.model.kept(None)
    x = seen.matrix().toarray() / np.sqrt(7)
    scores = fitted.logits((x @ fitted.read).astype(np.float32))
    rng, found = np.random.default_rng(5), []
    for user in range(N_USERS):
        others = np.setdiff1d(np.arange(N_ITEMS), [*np.flatnonzero(x[user]), held[user]])
        found.append((scores[user, held[user]] > scores[user, rng.choice(others, 20)]).mean())
    return float(np.mean(found)), float(np.std(found) / np.sqrt(N_USERS))


@pytest.mark.parametrize("form", FORMS)
def test_a_planted_product_is_learnt(form):
    right, error = pairwise_right(*trained(product_data(), form))
    assert right > (0.5 if form == "mlp" else 0.75) + 4 * error


def test_a_network_alone_learns_the_product_worse_than_a_product_does():
    alone, error = pairwise_right(*trained(product_data(), "mlp"))
    joined, _ = pairwise_right(*trained(product_data(), "neumf"))
    assert joined > alone + 4 * error


@pytest.mark.parametrize("form", ["neumf", "dot"])
def test_shuffled_labels_give_chance(form):
    right, error = pairwise_right(*trained(product_data(shuffled=True), form))
    assert abs(right - 0.5) < 4 * error


def test_what_is_asked_for_is_no_part_of_the_history_it_is_asked_from():
    task, _, _ = trained(product_data(), "dot", epochs=1)
    which = np.arange(len(task.examples))
    bags, _ = task.inputs(which, np.random.default_rng(0))
    assert not (bags.items == task.examples.targets[which][bags.rows]).any()


def rated_people(seed=0, n=300, n_items=25):
    """Return ratings that are noise around what everybody gives: nothing but the mean is to be learnt."""
    rng = np.random.default_rng(seed)
    items = np.stack([np.sort(rng.permutation(n_items)[:6]) for _ in range(n)])
    indptr = np.arange(0, items.size + 1, 6)
    above = rng.normal(0, 1, items.size).astype(np.float32)
    return Rated(indptr.astype(np.int64), items.ravel().astype(np.int64), above, 0.0)


def rated_task(rated, n_items=25):
    width = 8
    model = NeuralCFModel(
        torch.zeros(n_items, 2 * width),
        torch.ones(n_items, dtype=torch.bool),
        torch.zeros(n_items, 0),
        "dot",
        4,
        (8, 4),
    )
    return RatedTask(model, rated, NCFPlan(Reading("others", 1.0, 0.5, 1000), batch_size=200))


def test_a_rating_is_in_neither_the_bias_nor_the_history_that_it_is_predicted_from():
    rated = rated_people()
    for place in (0, 7, 100):
        changed = rated.above.copy()
        changed[place] += 3.0
        other = Rated(rated.indptr, rated.items, changed, rated.damping)
        one = np.array([place])
        before, after = rated_task(rated), rated_task(other)
        assert before.bias[place] == pytest.approx(after.bias[place], abs=1e-6)
        np.testing.assert_allclose(before.inputs(one).values, after.inputs(one).values, atol=1e-6)
        assert rated.items[place] not in before.inputs(one).items


def test_deviations_from_a_bias_that_holds_the_rating_would_tell_it():
    rated = rated_people()
    users, counts = rated.users, np.diff(rated.indptr)
    whole = np.bincount(users, rated.above)[users] / counts[users]  # with the rating in question: wrong
    told = {}
    for name, bias in (("wrong", whole), ("right", rated.bias_without())):
        task = rated_task(rated)
        task.bias = bias.astype(np.float32)
        bags = task.inputs(np.arange(users.size))
        sums = np.bincount(bags.rows, bags.values, minlength=users.size)
        told[name] = abs(np.corrcoef(sums, rated.above - bias)[0, 1])
    assert told["wrong"] > 0.99
    assert told["right"] < 0.1
