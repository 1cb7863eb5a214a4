"""Learning to learn: local steps, what is derived through them, and what a person is adapted to."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")

from fuserec.neural.meta.fitted import LocalHead  # noqa: E402
from fuserec.neural.meta.model import MetaModel, MetaPlan, MetaTask, logits_of, stepped  # noqa: E402
from fuserec.neural.negatives import Negatives  # noqa: E402
from fuserec.neural.semantic.examples import Bags, Reading, examples_of  # noqa: E402
from fuserec.testing.planted import dataset_of  # noqa: E402

D, H, N = 4, 3, 7


def drawn(seed=0):
    rng = np.random.default_rng(seed)
    head = LocalHead(*(rng.normal(size=shape).astype(np.float32) for shape in ((D,), (H, D), (H,), (H,))))
    vectors, bias = rng.normal(size=(N, D)).astype(np.float32), rng.normal(size=N).astype(np.float32)
    labels = (rng.random(N) < 0.5).astype(np.float32)
    return head, vectors, bias, labels, rng.random(N).astype(np.float32)


def as_tensors(head):
    return tuple(torch.from_numpy(part)[None] for part in (head.direct, head.inner, head.shift, head.outer))


def test_a_local_step_goes_against_the_gradient_of_the_cross_entropy():
    head, vectors, bias, labels, weights = drawn()
    begun = [part.clone().requires_grad_() for part in as_tensors(head)]
    logits = logits_of(tuple(begun), torch.from_numpy(vectors)[None])[0] + torch.from_numpy(bias)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, torch.from_numpy(labels), weight=torch.from_numpy(weights), reduction="sum"
    )
    grads = torch.autograd.grad(loss, begun)
    wanted = [(part - 0.7 * grad)[0].detach() for part, grad in zip(begun, grads, strict=True)]
    given = [torch.from_numpy(part)[None] for part in (vectors, bias, labels, weights)]
    taught = stepped(as_tensors(head), *given, 0.7)
    served = head.stepped(vectors, bias, labels, weights, 0.7)
    for name, want, torch_part in zip(("direct", "inner", "shift", "outer"), wanted, taught, strict=True):
        torch.testing.assert_close(torch_part[0], want)
        np.testing.assert_allclose(getattr(served, name), want.numpy(), rtol=1e-4, atol=1e-6)


def task_of(first_order=True, steps=1, length=3):
    data = dataset_of([[0, 1, 2, 3], [4, 5, 6], [1, 6, 0]], N)
    examples = examples_of(data, np.full(10, -1), np.ones(N, bool), Reading("earlier", 1.0, 0.0, length))
    model = MetaModel(torch.randn(N, D), torch.ones(N, dtype=torch.bool), torch.zeros(N, 0), H)
    rows = data.interactions
    negatives = Negatives.of(data.item_counts, 0.0, rows.user, rows.item)
    plan = MetaPlan(length=length, steps=steps, rate=0.5, first_order=first_order, negatives=2)
    nobody = examples.only(np.zeros(len(examples), bool))
    return MetaTask(model, examples, nobody, negatives, np.array([3, 5]), plan)


def test_a_person_is_adapted_to_their_newest_events_and_to_the_background():
    task = task_of()
    bags = Bags(np.array([0, 4, 4, 5]), np.array([6, 1, 2, 3, 0]), np.array([1, 1, -0.5, 1, 0.7], np.float32))
    items, labels, weights = task.support(bags, np.array([3, 3, 0]))
    told = {
        (int(i), float(y)): round(float(w), 4)
        for i, y, w in zip(items[0], labels[0], weights[0], strict=True)
        if w
    }
    # item 6 is too old; 3 is taken, and so no part of the background; a dislike is not wanted
    assert told == {(1, 1.0): 0.4, (2, 0.0): 0.2, (3, 1.0): 0.4, (5, 0.0): 1.0}
    assert not weights[1:].any()  # nothing known: nothing to adapt to


def outer_gradients(task):
    """Return the gradients of the loss after adaptation by where the heads begin."""
    task.model.zero_grad()
    task.loss((np.arange(len(task.examples)), 3)).backward()
    names = ("direct", "inner", "shift", "outer")
    return [getattr(task.model, name).grad.clone() for name in names]


def test_of_first_order_the_steps_are_constants():
    torch.manual_seed(3)
    first = task_of(first_order=True)
    torch.manual_seed(3)
    whole = task_of(first_order=False)
    with torch.no_grad():
        one, other = (task.loss((np.arange(len(task.examples)), 3)) for task in (first, whole))
    torch.testing.assert_close(one, other)  # the same loss, another derivative
    a, b = outer_gradients(first), outer_gradients(whole)
    assert max(float((x - y).abs().max()) for x, y in zip(a, b, strict=True)) > 1e-3

    steps, names = 1e-3, ("direct", "outer")
    for name, index in zip(names, (0, 3), strict=True):
        parameter = getattr(whole.model, name).data
        for place in range(parameter.numel()):
            before, sides = float(parameter[place]), []
            for value in (before + steps, before - steps):
                parameter[place] = value
                sides.append(float(whole.loss((np.arange(len(whole.examples)), 3)).detach()))
            parameter[place] = before
            slope = (sides[0] - sides[1]) / (2 * steps)
            assert float(b[index][place]) == pytest.approx(slope, abs=2e-3)


def test_without_steps_both_orders_are_one():
    torch.manual_seed(3)
    first = outer_gradients(task_of(first_order=True, steps=0))
    torch.manual_seed(3)
    whole = outer_gradients(task_of(first_order=False, steps=0))
    for x, y in zip(first, whole, strict=True):
        torch.testing.assert_close(x, y)
