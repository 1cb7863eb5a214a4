"""Vectors of items: what each form holds, what of it is learnt, and what an item is that nobody has taken."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")
items = pytest.importorskip("fuserec.neural.items")

KINDS = ("ids", "initialised", "text", "experts", "union", "sum", "sum_experts")
READING = ("text", "experts", "union", "sum", "sum_experts")
N, DIM, TOLD = 9, 8, 5
COLD = [2, 6]
"""Items that nobody has taken."""


def made(kind, hidden=0.0, told=TOLD):
    """Return untrained vectors of a kind, the text they were made of, and where ids start."""
    text = torch.randn(N, told)
    start = 0.02 * torch.randn(N, DIM)
    start[COLD] = 0.0
    return items.items_of(kind, text, start, hidden), text, start


def trained(vectors, steps=5):
    """Take steps that pull the vectors of all items that were taken somewhere."""
    optimizer = torch.optim.Adam(vectors.parameters(), lr=0.1)
    warm = [row for row in range(N) if row not in COLD]
    goal = torch.randn(N, DIM)
    for _ in range(steps):
        optimizer.zero_grad()
        (vectors()[warm] - goal[warm]).square().sum().backward()
        optimizer.step()
    return vectors.eval()


@pytest.mark.parametrize("kind", KINDS)
def test_one_vector_an_item(kind):
    vectors = made(kind)[0]
    assert vectors().shape == (N, DIM)
    assert vectors.of_text(torch.randn(3, TOLD)).shape == (3, DIM)
    assert vectors.reads_text == (kind in READING)


@pytest.mark.parametrize("kind", READING)
def test_an_item_that_nobody_took_is_its_text(kind):
    vectors, text, _ = made(kind)
    one = trained(vectors)
    found, told = one().detach(), one.of_text(text).detach()
    torch.testing.assert_close(found[COLD], told[COLD])
    if kind in ("union", "sum", "sum_experts"):  # what was taken has learnt something of its own
        assert (found - told).abs().amax(dim=1)[[0, 1, 3]].min() > 1e-3


@pytest.mark.parametrize("kind", ["union", "sum", "sum_experts"])
def test_ids_are_zero_for_what_is_known_by_text_alone(kind):
    vectors = trained(made(kind)[0])
    assert not vectors.ids.table[COLD].any()
    assert not vectors.ids.of_text(torch.randn(2, TOLD)).any()


def test_ids_know_nothing_of_a_text():
    vectors = trained(made("ids")[0])
    assert not vectors.of_text(torch.randn(2, TOLD)).any()
    assert not vectors()[COLD].any()


@pytest.mark.parametrize(("told", "kept"), [(TOLD, 4), (3, 3)])
def test_union_keeps_the_text_s_dimensions_as_they_are(told, kept):
    vectors, text, start = made("union", told=told)
    wanted = text[:, :kept] * items.START
    torch.testing.assert_close(vectors()[:, :kept], wanted)
    torch.testing.assert_close(vectors()[:, kept:], start[:, kept:])
    names = [name for name, _ in vectors.named_parameters()]
    trained(vectors)
    assert names == ["ids.table"]
    torch.testing.assert_close(vectors()[:, :kept], wanted)
    assert not torch.allclose(vectors()[0, kept:], start[0, kept:], atol=0.01)


@pytest.mark.parametrize("told", [TOLD, 12])
def test_initialised_starts_at_the_text(told):
    vectors, text, start = made("initialised", told=told)
    shared = min(told, DIM)
    warm = [row for row in range(N) if row not in COLD]
    torch.testing.assert_close(vectors()[warm, :shared], text[warm, :shared] * items.START)
    torch.testing.assert_close(vectors()[:, shared:], start[:, shared:])
    assert not vectors()[COLD].any()
    assert all(parameter.requires_grad for parameter in vectors.parameters())


def test_the_gates_of_experts_sum_to_one():
    """Where all experts agree, the mixture says what each of them says, whatever the gates are."""
    vectors, text, _ = made("experts")
    with torch.no_grad():
        vectors.gate.weight.mul_(5.0)
        vectors.maps[:] = vectors.maps[:1]
        vectors.shift[:] = 0.3
    torch.testing.assert_close(vectors(), (text - 0.3) @ vectors.maps[0], rtol=1e-4, atol=1e-5)


def test_experts_are_told_apart_by_the_text():
    vectors, text, _ = made("experts")
    gates = torch.softmax(vectors.gate(text), dim=1)
    wanted = sum(gates[:, k : k + 1] * ((text - vectors.shift[k]) @ vectors.maps[k]) for k in range(8))
    torch.testing.assert_close(vectors(), wanted)
    assert gates.std(dim=0).min() > 0.01


@pytest.mark.parametrize("kind", ["union", "sum"])
def test_hidden_ids_leave_the_text_and_only_in_training(kind):
    vectors, text, _ = made(kind, hidden=0.5)
    whole, bare = vectors.eval()().detach(), vectors.of_text(text).detach()
    step = vectors.train()().detach()
    shown = (step == whole).all(dim=1)
    hidden = (step == bare).all(dim=1)
    warm = torch.ones(N, dtype=torch.bool)
    warm[COLD] = False
    assert bool((shown | hidden).all())
    assert 0 < int((hidden & warm).sum()) < int(warm.sum())


def test_without_text_every_kind_is_ids():
    start = torch.randn(N, DIM)
    for kind in KINDS:
        vectors = items.items_of(kind, None, start)
        assert isinstance(vectors, items.Ids)
        assert torch.equal(vectors(), start)
