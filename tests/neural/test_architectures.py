"""Bodies: what each position may see, that filling up changes nothing, and that the order matters."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")
architectures = pytest.importorskip("fuserec.neural.architectures")

ALL = ("transformer", "masked", "gru", "cnn")
CAUSAL = ("transformer", "gru", "cnn")
DIM, LENGTH = 8, 10


def made(kind, blocks=2, dropout=0.3):
    """Return an untrained body that drops nothing."""
    return architectures.body(kind, DIM, blocks, 2, LENGTH, dropout).eval()


def full(b, length):
    return torch.full((b,), length)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("blocks", [1, 2])
def test_one_vector_a_position(kind, blocks):
    x = torch.randn(3, 5, DIM)
    assert made(kind, blocks)(x, full(3, 5)).shape == (3, 5, DIM)


@pytest.mark.parametrize("kind", CAUSAL)
@pytest.mark.parametrize("changed", [1, 3, 5])
def test_a_later_event_changes_nothing_before_it(kind, changed):
    body, x = made(kind), torch.randn(2, 6, DIM)
    other = x.clone()
    other[:, changed] = torch.randn(2, DIM)
    one, two = body(x, full(2, 6)), body(other, full(2, 6))
    torch.testing.assert_close(one[:, :changed], two[:, :changed], rtol=0.0, atol=1e-6)
    assert not torch.allclose(one[:, changed], two[:, changed], atol=1e-3)


@pytest.mark.parametrize("kind", CAUSAL)
def test_no_gradient_flows_from_an_output_to_a_later_input(kind):
    x = torch.randn(1, 6, DIM, requires_grad=True)
    slope = torch.autograd.grad(made(kind)(x, full(1, 6))[0, 2].square().sum(), x)[0][0]
    assert slope[:3].any(dim=1).all()
    assert not slope[3:].any()


def test_the_masked_one_looks_both_ways():
    body, x = made("masked"), torch.randn(2, 6, DIM)
    other = x.clone()
    other[:, 4] = torch.randn(2, DIM)
    one, two = body(x, full(2, 6)), body(other, full(2, 6))
    assert not torch.isclose(one, two, atol=1e-4).all(dim=2).any()


@pytest.mark.parametrize("kind", ALL)
def test_what_fills_a_row_up_changes_nothing(kind):
    body = made(kind)
    rows = [torch.randn(size, DIM) for size in (6, 1, 4)]
    filled = torch.randn(3, 6, DIM)  # anything may stand there
    for row, events in enumerate(rows):
        filled[row, : len(events)] = events
    together = body(filled, torch.tensor([6, 1, 4]))
    for row, events in enumerate(rows):
        alone = body(events[None], full(1, len(events)))[0]
        torch.testing.assert_close(together[row, : len(events)], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ALL)
def test_the_order_of_earlier_events_matters(kind):
    body, x = made(kind), torch.randn(1, 5, DIM)
    there = body(x, full(1, 5))[0, -1]
    back = body(x[:, [2, 0, 3, 1, 4]], full(1, 5))[0, -1]
    assert (there - back).abs().max() > 1e-4


@pytest.mark.parametrize("kind", ALL)
def test_windows_of_the_greatest_length_are_read(kind):
    assert made(kind)(torch.randn(1, LENGTH, DIM), full(1, LENGTH)).isfinite().all()


@pytest.mark.parametrize("kind", ALL)
def test_numbers_are_dropped_in_training_only(kind):
    body, x = made(kind, dropout=0.5), torch.randn(2, 5, DIM)
    assert torch.equal(body(x, full(2, 5)), body(x, full(2, 5)))
    body.train()
    assert not torch.allclose(body(x, full(2, 5)), body(x, full(2, 5)))
