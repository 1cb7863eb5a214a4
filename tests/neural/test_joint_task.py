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
