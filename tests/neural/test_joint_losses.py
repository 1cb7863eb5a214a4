"""Each loss by hand, its sign and gradient; what propensities are for; weights that are learnt and never vanish."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")
objective = pytest.importorskip("fuserec.neural.joint.losses")

NAN = float("nan")


def doubles(*values):
    return torch.tensor(values, dtype=torch.float64)


def logit(p):
    return math.log(p / (1 - p))


class TestCrossEntropy:
    def test_both_brackets_by_hand(self):
        lost = objective.cross_entropy(doubles(logit(0.8), logit(0.2), logit(0.2)), doubles(1.0, 0.0, 1.0))
        assert lost.tolist() == pytest.approx([-math.log(0.8), -math.log(0.8), -math.log(0.2)])
        assert lost[1].item() == pytest.approx(0.223, abs=5e-4)  # a loss, not a gain

    def test_its_gradient_is_what_is_said_less_what_happened(self):
        logits = doubles(logit(0.8), logit(0.2), logit(0.9)).requires_grad_()
        objective.cross_entropy(logits, doubles(1.0, 0.0, 0.0)).sum().backward()
        assert logits.grad.tolist() == pytest.approx([-0.2, 0.2, 0.9])

    def test_far_out_it_is_a_number(self):
        lost = objective.cross_entropy(doubles(800.0, -800.0, 800.0), doubles(1.0, 0.0, 0.0))
        assert lost.tolist() == pytest.approx([0.0, 0.0, 800.0])

    def test_unknown_pairs_count_as_much_as_they_are_told_to(self):
        lost, weights = doubles(1.0, 3.0, 7.0), doubles(1.0, 0.5, 0.0)
        assert objective.weighted_mean(lost, weights).item() == pytest.approx(2.5 / 1.5)
        assert objective.weighted_mean(lost, torch.zeros(3, dtype=torch.float64)).item() == 0.0


class TestLikelihoods:
    def test_gaussian_by_hand(self):
        lost = objective.gaussian(doubles(0.0, 1.0), doubles(0.0, math.log(2.0)), doubles(0.0, 3.0))
        half = 0.5 * math.log(2 * math.pi)
        assert lost.tolist() == pytest.approx([half, half + math.log(2.0) + 0.5])

    def test_ordinal_by_hand(self):
        lost = objective.ordinal(doubles(0.0, 0.0, 0.0), doubles(-1.0, 1.0), torch.tensor([0, 1, 2]))
        low = 1 / (1 + math.e)
        assert lost.exp().reciprocal().tolist() == pytest.approx([low, 1 - 2 * low, low])
        # one above the middle: the upper threshold is as near as it, and high levels are the likely ones
        lost = objective.ordinal(doubles(1.0, 1.0, 1.0), doubles(-1.0, 1.0), torch.tensor([0, 1, 2]))
        lowest = 1 / (1 + math.exp(2))
        assert lost.exp().reciprocal().tolist() == pytest.approx([lowest, 0.5 - lowest, 0.5])

    def test_the_levels_of_a_rating_sum_to_one_wherever_it_stands(self):
        for predicted in (-30.0, -2.0, 0.3, 9.0):
            levels = torch.arange(5)
            lost = objective.ordinal(doubles(*[predicted] * 5), doubles(-2.0, -0.5, 0.1, 3.0), levels)
            assert torch.isfinite(lost).all()
            assert lost.neg().exp().sum().item() == pytest.approx(1.0)

    def test_thresholds_ascend_whatever_their_steps_are(self):
        found = objective.ascending(doubles(0.5, -3.0, 2.0))
        assert found.tolist() == pytest.approx([0.5, 0.5 + math.exp(-3), 0.5 + math.exp(-3) + math.exp(2)])


class TestFeedback:
    def test_by_hand(self):
        logits, rewards = doubles(logit(0.8), logit(0.2), logit(0.5)), doubles(1.0, 0.0, 1.0)
        cost = [-math.log(0.8), -math.log(0.8), math.log(2)]
        found = objective.feedback(logits, rewards, doubles(0.5, 0.01, NAN), 20.0)
        assert found.item() == pytest.approx((2 * cost[0] + 20 * cost[1] + cost[2]) / 3)  # 1 / .01 is cut
        found = objective.feedback(logits, rewards, doubles(0.5, 0.25, 1.0), 20.0, self_normalized=True)
        assert found.item() == pytest.approx((2 * cost[0] + 4 * cost[1] + cost[2]) / 7)

    @pytest.mark.parametrize("self_normalized", [False, True])
    def test_a_biased_log_says_the_truth_once_it_is_weighted(self, self_normalized):
        # Half of the people like the item. Of 100 who do 90 were shown it, of 100 who do not 10.
        rewards = torch.cat([torch.ones(90), torch.zeros(10)]).double()
        propensity = torch.cat([torch.full((90,), 0.9), torch.full((10,), 0.1)]).double()
        for known, truth in ((propensity, 0.5), (torch.full_like(propensity, NAN), 0.9)):
            said = doubles(0.0).requires_grad_()
            for _ in range(200):  # one number for all of them: the best guess of how many like it
                lost = objective.feedback(
                    said.expand(100), rewards, known, 1e6, self_normalized=self_normalized
                )
                (slope,) = torch.autograd.grad(lost, said)
                said = (said - 2.0 * slope).detach().requires_grad_()
            assert torch.sigmoid(said).item() == pytest.approx(truth, abs=1e-3)


class TestPolicyGradient:
    def test_by_hand(self):
        log_pi, rewards, logged = doubles(math.log(0.5)), doubles(1.0), doubles(0.25)
        assert objective.policy_gradient(log_pi, rewards, logged, 20.0).item() == pytest.approx(
            2 * math.log(2)
        )
        assert objective.policy_gradient(log_pi, rewards, logged, 1.5).item() == pytest.approx(
            1.5 * math.log(2)
        )
        # of two places: K (1 − π)^(K − 1) = 1
        assert objective.policy_gradient(log_pi, rewards, logged, 20.0, 2).item() == pytest.approx(
            2 * math.log(2)
        )
        assert objective.policy_gradient(log_pi, rewards, logged, 20.0, 3).item() == pytest.approx(
            1.5 * math.log(2)
        )
        assert objective.policy_gradient(log_pi, doubles(0.0), logged, 20.0).item() == 0.0

    def test_whoever_logged_the_gradient_is_that_of_what_the_policy_earns(self):
        reward, beta = doubles(0.2, 1.0, 0.5), doubles(0.7, 0.1, 0.2)
        theta = doubles(0.3, -0.4, 0.9).requires_grad_()
        (wanted,) = torch.autograd.grad((torch.softmax(theta, 0) * reward).sum(), theta)

        def expected(logged):
            """Return the mean gradient over actions that ``beta`` draws, when ``logged`` is taken for it."""
            total = torch.zeros(3, dtype=torch.float64)
            for action in range(3):
                log_pi = torch.log_softmax(theta, 0)[action : action + 1]
                lost = objective.policy_gradient(
                    log_pi, reward[action : action + 1], logged[action : action + 1], 1e9
                )
                total += beta[action] * torch.autograd.grad(lost, theta)[0]
            return -total

        np.testing.assert_allclose(expected(beta), wanted, atol=1e-12)
        even = expected(torch.softmax(theta, 0).detach())  # as if the policy itself had logged
        assert not np.allclose(even, wanted, atol=1e-2)


class TestGradients:
    @pytest.mark.parametrize(
        "loss",
        [
            lambda x: objective.cross_entropy(x, doubles(1.0, 0.0, 0.3)),
            lambda x: objective.gaussian(x, 0.3 * x, doubles(0.1, -2.0, 1.0)),
            lambda x: objective.ordinal(x, doubles(-0.5, 0.2, 1.0), torch.tensor([0, 2, 3])),
            lambda x: objective.ordinal(
                doubles(0.2, -1.0, 0.4), objective.ascending(x), torch.tensor([3, 0, 1])
            ),
            lambda x: objective.feedback(x, doubles(1.0, 0.0, 0.3), doubles(0.2, 0.9, NAN), 4.0),
            lambda x: objective.feedback(
                x, doubles(1.0, 0.0, 1.0), doubles(0.2, 0.9, 0.5), 4.0, self_normalized=True
            ),
            lambda x: objective.weighted_mean(x.square(), doubles(1.0, 0.1, 2.0)),
        ],
        ids=["cross entropy", "gaussian", "ordinal", "thresholds", "feedback", "self-normalized", "mean"],
    )
    def test_they_agree_with_finite_differences(self, loss):
        assert torch.autograd.gradcheck(loss, doubles(0.4, -1.2, 2.0).requires_grad_())

    def test_that_of_a_policy_holds_its_weights_fixed(self):
        log_pi = doubles(math.log(0.5), math.log(0.1)).requires_grad_()
        objective.policy_gradient(log_pi, doubles(1.0, 0.5), doubles(0.25, 0.4), 20.0).backward()
        assert log_pi.grad.tolist() == pytest.approx([-2.0 / 2, -0.25 * 0.5 / 2])


class TestBalance:
    def test_fixed_it_is_the_weighted_sum(self):
        balance = objective.Balance({"content": 2.0, "deep": 0.0, "feedback": 0.5}, False, 10.0)
        assert balance({"content": doubles(3.0), "feedback": doubles(4.0)}).item() == pytest.approx(8.0)
        assert balance.weights() == {"content": 2.0, "feedback": 0.5}
        assert not list(balance.parameters())

    def test_learnt_it_trusts_a_loss_less_the_higher_it_stays(self):
        balance = objective.Balance({"content": 1.0, "deep": 1.0, "feedback": 3.0}, True, 10.0)
        lost = {"content": torch.tensor(0.25), "deep": torch.tensor(1.0), "feedback": torch.tensor(0.5)}
        optimizer = torch.optim.Adam(balance.parameters(), lr=0.05)
        for _ in range(600):
            optimizer.zero_grad()
            balance(lost).backward()
            optimizer.step()
        found = balance.weights()  # e^{−s} L + s / 2 is least where e^{−s} = 1 / 2 L
        assert found["content"] == pytest.approx(2.0, rel=0.01)
        assert found["deep"] == pytest.approx(0.5, rel=0.01)
        assert found["feedback"] == pytest.approx(3.0, rel=0.01)

    def test_learnt_no_weight_vanishes_or_explodes(self):
        balance = objective.Balance({"content": 1.0, "deep": 1.0}, True, 10.0)
        lost = {"content": torch.tensor(1e6), "deep": torch.tensor(0.0)}
        optimizer = torch.optim.Adam(balance.parameters(), lr=0.5)
        for _ in range(300):
            optimizer.zero_grad()
            balance(lost).backward()
            optimizer.step()
        found = balance.weights()
        assert 0.1 <= found["content"] < 0.12
        assert 8.0 < found["deep"] <= 10.0
