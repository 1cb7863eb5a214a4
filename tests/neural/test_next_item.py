"""The task of a sequence model: what is asked, what is drawn, what may be read, and how it is judged."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")
next_item = pytest.importorskip("fuserec.neural.sequence.next_item")

from fuserec.neural.architectures import body  # noqa: E402
from fuserec.neural.items import Ids  # noqa: E402
from fuserec.neural.sequence.model import SequenceModel  # noqa: E402
from fuserec.neural.windows import Histories  # noqa: E402

N, DIM, LENGTH = 10, 8, 6
LOSSES = ("softmax", "sampled_softmax", "gbce", "bpr")


class Echo(torch.nn.Module):
    """A body that says what it reads."""

    def forward(self, x, lengths):
        return x


def histories(*rows):
    """Return some histories."""
    indptr = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    return Histories(indptr, np.concatenate(rows).astype(np.int64))


def task(architecture="transformer", loss="softmax", held=None, trained=range(N), counts=None):
    """Return a task over ten items; ``echo`` reads nothing but the last one."""
    table = torch.randn(N, DIM)
    masked = architecture == "masked"
    inner = Echo() if architecture == "echo" else body(architecture, DIM, 1, 2, LENGTH + masked, 0.0)
    trained = np.array(list(trained))
    return next_item.NextItem(
        SequenceModel(Ids(table), inner, DIM, masked=masked),
        histories([0, 1, 2, 3, 4], [5, 6, 7], [2, 2, 0]),
        held,
        trained,
        np.ones(trained.size) if counts is None else np.asarray(counts, float),
        next_item.LossPlan(loss, 6, 0.75, 0.5, 0.3),
        length=LENGTH,
        batch_size=64,
        seed=3,
        dtype=torch.float32,
    )


def test_epochs_are_equal_for_equal_numbers_only():
    one = task()
    same, other = one.batches(2), one.batches(3)
    again = task().batches(2)
    assert all(np.array_equal(a.inputs, b.inputs) for a, b in zip(same, again, strict=True))
    assert any(a.inputs.tolist() != b.inputs.tolist() for a, b in zip(same, other, strict=True))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("architecture", ["transformer", "masked"])
def test_what_nobody_took_is_neither_predicted_nor_drawn(loss, architecture):
    made = task(architecture, loss, trained=range(8))
    made.model.train()
    for batch in made.batches(0):
        made.loss(batch).backward()
    slope = made.model.items.table.grad
    assert not slope[8:].any()
    assert slope[:8].any()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("architecture", ["transformer", "masked", "gru", "cnn"])
def test_every_loss_is_lowered_by_a_few_steps(loss, architecture):
    made = task(architecture, loss)
    optimizer = torch.optim.Adam(made.model.parameters(), lr=0.05)
    lost = []
    for epoch in range(12):
        for batch in made.batches(epoch):
            optimizer.zero_grad()
            value = made.loss(batch)
            value.backward()
            optimizer.step()
            lost.append(value.item())
    assert np.mean(lost[-3:]) < 0.8 * np.mean(lost[:3])


def test_negatives_are_drawn_by_a_power_of_the_count():
    made = task(loss="sampled_softmax", trained=[1, 4, 6], counts=[1, 4, 25])
    np.testing.assert_allclose(made.draw, np.array([1, 2, 5]) / 8, rtol=1e-6)


class TestMasked:
    def windows(self):
        """Return masked windows of many draws, without what fills them up: (items, targets, hidden) each."""
        made = task("masked")
        for _ in range(40):
            for batch in made.batches(0):
                given = [torch.from_numpy(a) for a in (batch.inputs, batch.lengths, batch.targets)]
                items, lengths, targets, hidden = made._masked(*given)
                for row, size in enumerate(lengths.tolist()):
                    assert not hidden[row, size:].any()
                    assert (targets[row, size:] == -1).all()
                    yield items[row, :size], targets[row, :size], hidden[row, :size]

    def test_what_is_hidden_is_asked_and_nothing_else(self):
        wholes = {(0, 1, 2, 3, 4), (5, 6, 7), (2, 2, 0)}
        found, shares, only_last = set(), [], 0
        for items, targets, hidden in self.windows():
            found.add(tuple(items.tolist()))
            assert hidden.any()
            assert torch.equal(targets[hidden], items[hidden])
            assert (targets[~hidden] == -1).all()
            shares.append(hidden.float().mean().item())
            only_last += hidden.nonzero().flatten().tolist() == [hidden.numel() - 1]
        assert found == wholes
        assert 0.2 < np.mean(shares) < 0.6
        assert only_last > 20

    def test_a_hidden_item_is_not_read(self):
        """The leak alarm: other items in the hidden places change nothing."""
        made = task("masked")
        inputs = torch.tensor([[1, 2, 3, 4]])
        hidden = torch.tensor([[False, True, False, True]])
        vectors, lengths = made.model.items(), torch.tensor([4])
        one = made.model.read(vectors, inputs, lengths, hidden)
        other = made.model.read(vectors, torch.tensor([[1, 9, 3, 8]]), lengths, hidden)
        seen = made.model.read(vectors, torch.tensor([[1, 2, 9, 4]]), lengths, hidden)
        assert torch.equal(one, other)
        assert not torch.allclose(one, seen)

    def test_the_next_item_is_asked_by_a_mask_after_the_last(self):
        made = task("masked")
        vectors = made.model.items()
        inputs, lengths = torch.tensor([[1, 2, 3], [4, 7, 7]]), torch.tensor([3, 1])
        found = made.model.last(vectors, inputs, lengths)
        for row, items in enumerate(([1, 2, 3], [4])):
            wide = torch.tensor([[*items, 0]])
            hidden = torch.arange(wide.shape[1])[None] == len(items)
            alone = made.model.read(vectors, wide, torch.tensor([wide.shape[1]]), hidden)[0, -1]
            torch.testing.assert_close(found[row], alone, rtol=1e-4, atol=1e-5)


class TestJudge:
    def test_it_is_ndcg_among_the_trained_items_not_yet_taken(self):
        asked, targets = histories([0, 1], [3], [5, 6, 2]), np.array([2, 4, 0])
        made = task("echo", held=(asked, targets), trained=[0, 1, 2, 3, 4, 5, 6])
        vectors = made.model.items.table.detach().double().numpy()
        wanted = []
        for row, target in enumerate(targets):
            taken = asked.items[asked.indptr[row] : asked.indptr[row + 1]]
            scores = vectors @ vectors[taken[-1]]
            open_ = [i for i in range(7) if i not in taken]
            rank = 1 + sum(scores[i] > scores[target] for i in open_)
            wanted.append(1 / np.log2(1 + rank))
        assert made.judge().mean() == pytest.approx(np.mean(wanted), rel=1e-5)

    def test_a_rank_beyond_ten_counts_nothing(self):
        made = task("echo", held=(histories([0]), np.array([1])))
        made.model.items.table.data[:] = 0.0
        made.model.items.table.data[:, 0] = torch.arange(N, 0, -1)
        made.model.items.table.data[1, 0] = -5.0
        assert made.judge().mean() == pytest.approx(1 / np.log2(1 + 9))

    def test_nothing_held_out_has_no_figure(self):
        assert task().judge() is None


@pytest.mark.parametrize(
    ("name", "count", "shared"),
    [("cuda", 2, True), ("cuda", 1, False), ("cuda:0", 2, False), ("cuda:1", 2, False), ("cpu", 2, False)],
)
def test_only_where_no_gpu_is_named_the_work_is_shared_among_all(monkeypatch, name, count, shared):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.nn, "DataParallel", torch.nn.Sequential)
    model = task("echo").model
    weights = set(model.state_dict())
    model.spread(torch.device(name))
    assert isinstance(vars(model).get("_spread"), torch.nn.Sequential) == shared
    assert set(model.state_dict()) == weights
