"""Losses against their formulas: PyTorch's own cross-entropy, finite differences, and sums written out."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")
losses = pytest.importorskip("fuserec.neural.losses")

N, D = 12, 6
TARGETS = torch.tensor([0, 3, 3, 7, 11])


def drawn(t=5, n=N, d=D):
    """Return hidden (t, d) and items (n, d) that ask for gradients."""
    return torch.randn(t, d, requires_grad=True), torch.randn(n, d, requires_grad=True)


def gradients(loss, *of):
    """Return the gradients of a loss as one vector."""
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, of)])


def cross_entropy(hidden, items, targets):
    return torch.nn.functional.cross_entropy(hidden @ items.T, targets)


class TestFullSoftmax:
    @pytest.mark.parametrize("t", [0, 1, 63, 64, 65, 128, 130])
    def test_equals_cross_entropy_on_both_sides_of_every_chunk(self, t, monkeypatch):
        monkeypatch.setattr(losses, "CHUNK_ENTRIES", 1)  # a chunk is 64 rows then
        hidden, items = drawn(t)
        targets = torch.randint(0, N, (t,))
        ours = losses.full_softmax(hidden, items, targets)
        if t == 0:
            assert ours == 0
            return
        theirs = cross_entropy(hidden, items, targets)
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
        found, wanted = gradients(3.0 * ours, hidden, items), gradients(3.0 * theirs, hidden, items)
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)

    def test_half_precision_is_near(self):
        hidden, items = drawn(200)
        targets = torch.randint(0, N, (200,))
        ours = losses.full_softmax(hidden, items, targets, torch.bfloat16)
        theirs = cross_entropy(hidden, items, targets)
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours, theirs, rtol=0.02, atol=0.0)
        found, wanted = gradients(ours, hidden, items), gradients(theirs, hidden, items)
        assert found.dtype == torch.float32
        assert (found - wanted).norm() < 0.02 * wanted.norm()

    def test_absurd_logits_stay_finite(self):
        hidden = torch.full((2, 1), 200.0, requires_grad=True)
        items = torch.tensor([[1.0], [-1.0]], requires_grad=True)
        targets = torch.tensor([0, 1])
        loss = losses.full_softmax(hidden, items, targets)
        assert math.isfinite(loss.item())
        wanted = gradients(cross_entropy(hidden, items, targets), hidden, items)
        torch.testing.assert_close(gradients(loss, hidden, items), wanted)


class TestSampledSoftmax:
    def error(self, k, corrected=True, hits=True, draws=30):
        """Return how far the mean gradient of many draws is from the full softmax's, relative to its length."""
        hidden, items = drawn()
        q = torch.rand(N).square() + 0.02
        q /= q.sum()
        log_q = q.log() if corrected else torch.full((N,), losses.log_uniform(N))
        wanted = gradients(cross_entropy(hidden, items, TARGETS), hidden, items)
        mean = torch.zeros_like(wanted)
        for _ in range(draws):
            negatives = torch.multinomial(q, k, replacement=True)
            loss = losses.sampled_softmax(hidden, items, TARGETS, negatives, log_q, hits=hits)
            mean += gradients(loss, hidden, items) / draws
        return float((mean - wanted).norm() / wanted.norm())

    def test_the_expected_gradient_approaches_the_full_one_s(self):
        few, many, most = (self.error(k) for k in (8, 128, 4096))
        assert few > many > most
        assert most < 0.01

    def test_without_the_correction_it_does_not(self):
        assert self.error(4096, corrected=False) > 0.15

    def test_leaving_hits_out_is_no_matter_only_while_draws_are_few(self):
        """What the parameter's documentation says: a target drawn in every batch comes out too strong without hits."""
        assert self.error(4096, hits=False) > 0.15

    def test_a_hit_of_the_target_counts_nothing(self):
        hidden = torch.ones(1, D)
        items = torch.randn(N, D)
        items[4] = -1e4  # never chosen: as good as not drawn
        items.requires_grad_()
        log_q = torch.full((N,), losses.log_uniform(N))
        assert log_q[0] == pytest.approx(-math.log(N))
        hit, none = (
            losses.sampled_softmax(hidden, items, torch.tensor([3]), torch.tensor([1, 5, other]), log_q)
            for other in (3, 4)
        )
        torch.testing.assert_close(hit, none)
        torch.testing.assert_close(gradients(hit, items), gradients(none, items))


class TestGeneralisedCrossEntropy:
    NEGATIVES = torch.tensor([1, 5, 8, 5])

    def test_equals_the_formula_written_out(self):
        hidden, items = drawn()
        ours = losses.gbce(hidden, items, TARGETS, self.NEGATIVES, 0.75)
        alpha = 4 / (N - 1)
        beta = alpha * (0.75 * (1 - 1 / alpha) + 1 / alpha)
        total = 0.0
        for row, target in zip(hidden, TARGETS, strict=True):
            right = torch.sigmoid(row @ items[target])
            total = total - torch.log(right**beta)
            for negative in self.NEGATIVES:
                total = total - torch.log(1 - torch.sigmoid(row @ items[negative]))
        theirs = total / TARGETS.numel()
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(
            gradients(ours, hidden, items), gradients(theirs, hidden, items), rtol=1e-4, atol=1e-6
        )

    def test_without_calibration_it_is_plain_cross_entropy(self):
        hidden, items = drawn()
        ours = losses.gbce(hidden, items, TARGETS, self.NEGATIVES, 0.0)
        logits = torch.cat(
            [(hidden * items[TARGETS]).sum(1, keepdim=True), hidden @ items[self.NEGATIVES].T], 1
        )
        labels = torch.zeros_like(logits)
        labels[:, 0] = 1.0
        theirs = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels, reduction="sum") / 5
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)

    def test_calibration_weighs_the_right_item_less(self):
        hidden, items = drawn()
        some, none = (losses.gbce(hidden, items, TARGETS, self.NEGATIVES, t) for t in (1.0, 0.0))
        assert some < none

    def test_a_hit_of_the_target_counts_nothing(self):
        hidden, items = drawn()
        one = losses.gbce(hidden[1:3], items, TARGETS[1:3], torch.tensor([1, 5, 3]), 0.0)
        other = losses.gbce(hidden[1:3], items, TARGETS[1:3], torch.tensor([1, 5]), 0.0)
        torch.testing.assert_close(one, other)


class TestPairs:
    def test_gradients_equal_finite_differences(self):
        hidden = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
        items = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)
        negatives = torch.tensor([[1, 2], [0, 3], [5, 5]])  # 3 is the second row's own target
        targets = torch.tensor([0, 3, 4])
        assert torch.autograd.gradcheck(lambda h, w: losses.bpr(h, w, targets, negatives), (hidden, items))

    def test_equals_the_formula_written_out(self):
        hidden, items = drawn(2)
        targets, negatives = torch.tensor([0, 3]), torch.tensor([[1, 2], [3, 4]])
        pairs = [(0, 0, 1), (0, 0, 2), (1, 3, 4)]  # the hit of 3 by itself is no pair
        wanted = -sum(
            torch.log(torch.sigmoid(hidden[r] @ items[i] - hidden[r] @ items[j])) for r, i, j in pairs
        ) / len(pairs)
        torch.testing.assert_close(losses.bpr(hidden, items, targets, negatives), wanted)

    def test_only_hits_cost_nothing(self):
        hidden, items = drawn(1)
        loss = losses.bpr(hidden, items, torch.tensor([2]), torch.tensor([[2, 2]]))
        assert loss == 0
        assert not gradients(loss, hidden, items).any()


@pytest.mark.parametrize("kind", ["full", "sampled", "gbce", "bpr"])
def test_a_step_down_the_gradient_lifts_the_right_item_alone(kind):
    hidden, items = torch.ones(1, 2), torch.randn(4, 2, requires_grad=True)
    targets, negatives = torch.tensor([1]), torch.tensor([0, 1, 2, 3])
    loss = {
        "full": lambda: losses.full_softmax(hidden, items, targets),
        "sampled": lambda: losses.sampled_softmax(hidden, items, targets, negatives, torch.zeros(4)),
        "gbce": lambda: losses.gbce(hidden, items, targets, negatives, 0.5),
        "bpr": lambda: losses.bpr(hidden, items, targets, negatives[None]),
    }[kind]()
    slope = (torch.autograd.grad(loss, items)[0] @ hidden[0]).tolist()
    assert [s < 0 for s in slope] == [False, True, False, False]
    assert all(slope)


@pytest.mark.parametrize("kind", ["full", "sampled"])
def test_weights_multiply_what_each_prediction_loses(kind):
    hidden, items = drawn()
    weights, negatives = torch.tensor([0.0, 2.0, 0.5, 1.0, 3.0]), torch.tensor([1, 2, 4])

    def loss(rows, weights=None):
        if kind == "full":
            return losses.full_softmax(hidden[rows], items, TARGETS[rows], weights=weights)
        return losses.sampled_softmax(
            hidden[rows], items, TARGETS[rows], negatives, torch.zeros(N), weights=weights
        )

    ours = loss(slice(None), weights)
    theirs = sum(w * loss(slice(r, r + 1)) for r, w in enumerate(weights)) / 5
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(gradients(ours, hidden, items), gradients(theirs, hidden, items))
