"""The pairs of joint training, what stays out of a user, and an objective that is the sum of its losses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from fuserec.data.dataset import SECONDS_PER_DAY
from fuserec.run import RunOptions
from fuserec.testing import small_dataset, small_features
from fuserec.testing.planted import dataset_of

torch = pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")
fit = pytest.importorskip("fuserec.neural.joint.fit")

from fuserec.neural.joint import pairs as joint_pairs  # noqa: E402
from fuserec.neural.joint.config import JointConfig  # noqa: E402
from fuserec.neural.joint.model import JointModel, Shape  # noqa: E402
from fuserec.neural.joint.task import JointTask  # noqa: E402
from fuserec.neural.semantic.examples import Reading  # noqa: E402

RUN = RunOptions(seed=5, threads=1)
SMALL = {"embedding_dim": 8, "hidden": 6, "batch_size": 64, "negatives": 10, "held_out": 0, "id_dropout": 0.0}


NONE = {"lambda_content": 0.0, "lambda_deep": 0.0, "lambda_feedback": 0.0}
LOSSES = {
    "content": {"lambda_content": 1.0},
    "bernoulli": {"lambda_deep": 1.0},
    "gaussian": {"lambda_deep": 1.0, "likelihood": "gaussian"},
    "ordinal": {"lambda_deep": 1.0, "likelihood": "ordinal"},
    "next item": {"lambda_deep": 1.0, "deep_loss": "next_item"},
    "interactions": {"lambda_feedback": 1.0},
    "feedback": {"lambda_feedback": 1.0},
}
POLICY = {"lambda_feedback": 1.0, "feedback_loss": "policy_gradient"}
"""Not the slope of any loss: its weights are held fixed."""


def task_of(data=None, **options):
    data = data or small_dataset()
    return fit.prepared(JointConfig(**{**SMALL, **options}), data, small_features(data, RUN), RUN)[0]


def histories_of(data):
    rows = data.interactions
    return joint_pairs.Histories(
        rows.item.astype(np.int64), rows.weight, np.full(len(rows), -1), np.zeros(len(rows), bool)
    )


def nothing_said(data):
    return np.full(data.n_interactions, -1, np.int64)


def shown(data, rows):
    """Return the dataset with impressions (user, item, day, propensity, reward)."""
    table = pl.DataFrame(
        {
            "request_id": [f"r{place}" for place in range(len(rows))],
            "user_id": [row[0] for row in rows],
            "item_id": [row[1] for row in rows],
            "position": [0.0] * len(rows),
            "propensity": [row[3] for row in rows],
            "reward": [row[4] for row in rows],
            "timestamp": [None if row[2] is None else row[2] * SECONDS_PER_DAY for row in rows],
        },
        schema_overrides={"propensity": pl.Float64, "reward": pl.Float64, "timestamp": pl.Float64},
    )
    return replace(data, impressions=table)


class TestPairs:
    DATA = dataset_of([[0, 1, 2, 0, 3], [4, 1]], 6, weights=[[1, 1, -0.5, 1, 1], [1, 0.5]])

    @pytest.mark.parametrize("context", ["earlier", "others"])
    def test_no_user_holds_the_item_that_is_asked_for(self, context):
        pairs = joint_pairs.interaction_pairs(self.DATA, nothing_said(self.DATA), context)
        reading = Reading(context, 0.5, 0.0, 50)
        bags = pairs.bags(histories_of(self.DATA), reading)
        held = [
            set(bags.items[bags.indptr[row] : bags.indptr[row + 1]].tolist()) for row in range(len(pairs))
        ]
        asked = pairs.item.tolist()
        assert asked == [0, 1, 2, 3, 4, 1]  # what is taken again is no pair of its own
        if context == "earlier":
            assert held == [set(), {0}, {0, 1}, {0, 1, 2}, set(), {4}]
        else:  # item 0 comes again on the fourth day: that event is left out too
            assert held == [{1, 2, 3}, {0, 2, 3}, {0, 1, 3}, {0, 1, 2}, {1}, {4}]
        assert not any(item in bag for item, bag in zip(asked, held, strict=True))

    def test_a_dislike_is_a_label_and_its_strength_a_weight(self):
        pairs = joint_pairs.interaction_pairs(self.DATA, nothing_said(self.DATA), "earlier")
        assert pairs.label.tolist() == [1, 1, 0, 1, 1, 1]
        mean = (4 + 0.5 + 0.5) / 6
        assert pairs.weight.tolist() == pytest.approx([w / mean for w in (1, 1, 0.5, 1, 1, 0.5)])

    def test_how_events_enter_a_user(self):
        pairs = joint_pairs.interaction_pairs(self.DATA, nothing_said(self.DATA), "earlier")
        bags = pairs.take(np.array([3])).bags(histories_of(self.DATA), Reading("earlier", 0.5, 0.0, 3))
        assert bags.items.tolist() == [1, 2, 0]  # three are read
        assert bags.values.tolist() == pytest.approx([0.25, -0.25, 1.0])

    def test_impressions_see_what_came_before_them(self):
        rows = [
            ("u0", "i5", 1.5, 0.25, 1.0),
            ("u0", "i4", 2.0, None, 0.0),  # at the very moment of an event: that one is not past
            ("u0", "i1", None, 0.5, 1.0),
            ("nobody", "i3", 1.0, 0.5, 0.0),
            ("u1", "no such item", 1.0, 0.5, 1.0),
            ("u1", "i4", 9.0, 0.5, None),  # nobody knows what came of it
        ]
        data = shown(self.DATA, rows)
        pairs = joint_pairs.impression_pairs(data, nothing_said(data))
        assert pairs.item.tolist() == [5, 4, 1, 3]
        assert pairs.label.tolist() == [1, 0, 1, 0]
        np.testing.assert_array_equal(pairs.propensity, np.float32([0.25, np.nan, 0.5, 0.5]))
        bags = pairs.bags(histories_of(data), Reading("earlier", 1.0, 0.0, 50))
        held = [bags.items[bags.indptr[row] : bags.indptr[row + 1]].tolist() for row in range(4)]
        assert held == [[0, 1], [0, 1], [0, 2, 0, 3], []]

    def test_what_is_held_out_is_nowhere(self):
        walks = [[u % 5, (u + 1) % 5, (u + 2) % 5, (u + 3) % 5] for u in range(20)]
        rows = [(f"u{u}", "i0", day, 0.5, 1.0) for u in range(20) for day in (0.5, 2.9, 3.5, None)]
        data = shown(dataset_of(walks, 5), rows)
        words = nothing_said(data)
        pairs, seen = (
            joint_pairs.interaction_pairs(data, words, "others"),
            joint_pairs.impression_pairs(data, words),
        )
        kept, logged, held, histories = joint_pairs.kept_apart(
            pairs, seen, histories_of(data), data, 2, np.arange(20)
        )
        assert held.user.tolist() == [0, 1]
        assert held.item.tolist() == [3, 4]
        assert len(kept) == 78
        bags = kept.bags(histories, Reading("others", 1.0, 0.0, 50))
        mine = kept.user[bags.rows] == 0
        assert 3 not in bags.items[mine]
        assert np.isin(logged.user, [0, 1]).sum() == 2  # only what was shown before the first day was over
        told = held.bags(histories, Reading("earlier", 1.0, 0.0, 50), shown=True)
        assert told.items.tolist() == [0, 1, 2, 1, 2, 3]


class TestObjective:
    def test_what_people_took_is_never_drawn_against_them(self):
        task = task_of(unknown_weight=0.25, negatives=1000)
        pairs = task.material.pairs
        free = task._free(pairs, task._unknown(np.random.default_rng(0)))
        for row in range(0, len(pairs), 7):
            mine = pairs.item[pairs.user == pairs.user[row]]
            np.testing.assert_array_equal(free[row] == 0, np.isin(task.trained, mine))
        assert set(np.unique(free)) == {np.float32(0), np.float32(0.25)}

    def test_the_content_loss_is_its_formula(self):
        task = task_of(lambda_deep=0, lambda_feedback=0, as_words=0, negatives=0, lambda_content=2.0)
        batch = task.batches(0)[0]
        pairs = task.material.pairs.take(batch[0])
        bags = pairs.bags(task.material.histories, task.reading)
        z = torch.from_numpy(task._said(pairs))
        u, (described, _) = task.model.users(bags, z), task.model.items()
        pi = torch.sigmoid((u * described[torch.from_numpy(pairs.item)]).sum(dim=1)).detach().numpy()
        r, weight = pairs.label, pairs.weight * task.told[pairs.item]
        wanted = -(weight * (r * np.log(pi) + (1 - r) * np.log(1 - pi))).sum() / weight.sum()
        assert 0 < r.mean() < 1
        assert task.loss(batch).item() == pytest.approx(2.0 * wanted, rel=1e-5)

    def test_a_drawn_pair_is_a_negative_at_its_own_weight(self):
        """Summed pair by pair over liked, disliked and unknown items; what a person took is no negative of theirs."""
        task = task_of(lambda_deep=0, lambda_feedback=0, as_words=0, negatives=1000, unknown_weight=0.25)
        (which, _, _) = task.batches(0)[0]
        batch = (which[:20], np.empty(0, np.int64), 0)
        pairs = task.material.pairs.take(batch[0])
        z, items = torch.from_numpy(task._said(pairs)), task.model.items()[0]
        u = task.model.users(pairs.bags(task.material.histories, task.reading), z)
        pi = torch.sigmoid(u @ items.T).detach().double().numpy()
        known, cost, total = task.material.pairs, 0.0, 0.0
        for row in range(20):
            mine = known.item[known.user == pairs.user[row]]
            cases = [(int(pairs.item[row]), float(pairs.label[row]), float(pairs.weight[row]))]
            cases += [(j, 0.0, 0.25) for j in task.trained if j not in mine]
            for j, r, counts in cases:
                weight = counts * task.told[j]
                cost -= weight * (r * np.log(pi[row, j]) + (1 - r) * np.log(1 - pi[row, j]))
                total += weight
        assert task.loss(batch).item() == pytest.approx(cost / total, rel=1e-5)

    @pytest.mark.parametrize("name", LOSSES)
    def test_each_loss_alone_agrees_with_finite_differences(self, name):
        """Along three directions through all parameters at once: (L(θ + εv) − L(θ − εv)) / 2ε = ∇L · v."""
        task, batch = alone(name)
        parameters = [p for p in task.model.parameters() if p.requires_grad]
        torch.manual_seed(3)
        with torch.no_grad():
            for p in parameters:  # away from where they begin, zeros among them
                p.add_(0.1 * torch.randn_like(p))
        before = [p.detach().clone() for p in parameters]
        grads = torch.autograd.grad(task.loss(batch), parameters, allow_unused=True)
        for _ in range(3):
            along = [torch.randn_like(p) for p in parameters]
            slope = sum(float((g * v).sum()) for g, v in zip(grads, along, strict=True) if g is not None)
            sides = []
            for step in (1e-2, -1e-2):
                with torch.no_grad():
                    for p, start, v in zip(parameters, before, along, strict=True):
                        p.copy_(start + step * v)
                sides.append(task.loss(batch).item())
            assert slope == pytest.approx((sides[0] - sides[1]) / 2e-2, rel=0.03, abs=3e-3)

    @pytest.mark.parametrize("name", [*LOSSES, "policy gradient"])
    def test_a_step_down_each_loss_alone_lifts_what_was_liked_and_sinks_what_was_not(self, name):
        """In the batch itself: logits of liked pairs rise; those of disliked and of drawn ones fall beside them."""
        task, batch = alone(name)
        (head,) = task.model.heads
        pairs = (task.material.shown if len(batch[1]) else task.material.pairs).take(
            batch[1] if len(batch[1]) else batch[0]
        )

        def logits():
            bags = pairs.bags(task.material.histories, task.reading)
            said = task._said(pairs)
            u = task.model.users(bags, None if said is None else torch.from_numpy(said))
            mine, theirs, _ = task.model.sides(u, *task.model.items())[head]
            return (mine @ theirs.T).detach().numpy()

        before = logits()
        optimizer = torch.optim.SGD(task.model.parameters(), lr=0.02)
        for _ in range(20):
            optimizer.zero_grad()
            task.loss(batch).backward()
            optimizer.step()
        change, rows = logits() - before, np.arange(len(pairs))
        own = change[rows, pairs.item]
        if name in ("gaussian", "ordinal"):  # a rating: towards what was given
            high, low = own[pairs.rating > 4], own[pairs.rating < 2]
        else:
            high, low = own[pairs.label > 0], own[pairs.label == 0]
        assert high.size
        assert low.size
        assert high.mean() > low.mean() + 1e-4
        if name in ("content", "bernoulli", "next item", "interactions", "policy gradient"):
            drawn = np.array(
                [change[row, np.setdiff1d(task.trained, pairs.item[row])].mean() for row in rows]
            )
            assert high.mean() > drawn.mean() + 1e-4  # unknown is no like

    def test_its_gradient_is_the_weighted_sum_of_the_losses_alone(self):
        lambdas = {"lambda_content": 0.7, "lambda_deep": 2.0, "lambda_feedback": 0.3}
        whole = gradients(task_of(**lambdas))
        total: dict[str, torch.Tensor] = {}
        for one, value in lambdas.items():
            alone = gradients(task_of(**{**dict.fromkeys(lambdas, 0.0), one: 1.0}))
            for name, grad in alone.items():
                total[name] = total.get(name, torch.zeros_like(grad)) + value * grad
        assert whole.keys() == total.keys()
        for name, grad in whole.items():
            np.testing.assert_allclose(grad, total[name], rtol=1e-4, atol=1e-7, err_msg=name)

    @pytest.mark.parametrize("out", ["content", "deep", "feedback"])
    def test_a_weight_of_zero_is_a_loss_that_was_never_there_bit_for_bit(self, out):
        zero = task_of(**{f"lambda_{out}": 0.0}, id_dropout=0.3)
        heads = {head: 1.0 for head in ("content", "deep", "feedback") if head != out}
        model = JointModel(
            zero.model.text, start_of(zero), Shape(heads, zero.config.hidden, id_dropout=0.3, seed=zero.seed)
        )
        without = JointTask(
            model, zero.material, zero.config.model_copy(update={f"lambda_{out}": 5.0}), zero.seed
        )
        first, second = steps(zero), steps(without)
        assert first.keys() == second.keys()
        assert all(torch.equal(first[name], second[name]) for name in first)
        every = steps(task_of(id_dropout=0.3))
        assert not torch.equal(first["by_item_table"], every["by_item_table"])

    def test_every_batch_has_its_share_of_the_log(self):
        data = shown(small_dataset(), [(f"user {u}", "item-3", None, 0.5, 1.0) for u in range(50)])
        task = task_of(data)
        batches = task.batches(3)
        assert sorted(np.concatenate([batch[1] for batch in batches]).tolist()) == list(range(50))
        assert max(len(b[1]) for b in batches) - min(len(b[1]) for b in batches) <= 1


def alone(name):
    """Return a task with one loss only, and a batch of it."""
    data = small_dataset()
    if name == "feedback":
        rng = np.random.default_rng(0)
        rows = [
            (f"user {u}", f"item-{j}", None, 0.2 + 0.7 * ((u + j) % 2), float((u * j) % 2))
            for u, j in zip(range(40), rng.integers(0, 30, 40).tolist(), strict=True)
        ]
        data = shown(data, rows)
    task = task_of(data, **{**NONE, **LOSSES.get(name, POLICY)}, as_words=0, dropout=0)
    task.dtype = torch.float32  # not rounded as training rounds
    pairs, logged, seed = task.batches(0)[0]
    if name == "feedback":
        pairs, logged = pairs[:0], np.arange(len(task.material.shown))
    return task, (pairs, logged, seed)


def start_of(task):
    return task.model.ids.table.detach().clone() if task.model.ids is not None else torch.zeros(40, 8)


def gradients(task):
    """Return the gradient of the first batch by parameter."""
    task.loss(task.batches(0)[0]).backward()
    return {name: p.grad.clone() for name, p in task.model.named_parameters() if p.grad is not None}


def steps(task, n=3):
    """Return what a few steps of the optimizer make of a model."""
    torch.manual_seed(1)
    optimizer = torch.optim.AdamW(task.model.parameters(), lr=0.01, weight_decay=0.1)
    for batch in task.batches(0)[:n]:
        optimizer.zero_grad()
        task.loss(batch).backward()
        torch.nn.utils.clip_grad_norm_(task.model.parameters(), 0.1)
        optimizer.step()
    return {name: p.detach().clone() for name, p in task.model.named_parameters()}
