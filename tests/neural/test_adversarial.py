"""Adversarial training: where word vectors are moved to, what the gradient is, and that no trace is left."""

from __future__ import annotations

import math

import numpy as np
import pytest
from small_language import RUN, WORDS, readers

torch = pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")
pytest.importorskip("transformers")
pytest.importorskip("peft")

from fuserec.errors import ConfigError  # noqa: E402
from fuserec.neural.language.adapt import AdaptConfig, adapt  # noqa: E402
from fuserec.neural.language.adversarial import Adversary, move  # noqa: E402
from fuserec.neural.language.backbone import open_backbone  # noqa: E402
from fuserec.neural.language.pairs.config import LanguagePairConfig  # noqa: E402
from fuserec.neural.language.tuning import TuningConfig, tune  # noqa: E402
from fuserec.testing.language import tiny_model  # noqa: E402


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {kind: str(tiny_model(root / kind, kind, WORDS)) for kind in ("bert", "gpt2")}


def table(rows):
    made = torch.nn.Embedding(len(rows), len(rows[0]))
    made.weight.data = torch.tensor(rows, dtype=torch.float32)
    return made


def test_a_linear_loss_grows_by_epsilon_times_both_lengths():
    """L(s) = w·s has the slope w everywhere: L(s + r) = L(s) + ε ‖s‖ ‖w‖."""
    words = table([[3.0, 0.0], [0.0, 4.0]])
    w = torch.tensor([[1.0, 2.0], [2.0, 0.0]])

    def linear():
        read = words(torch.tensor([[0, 1]]))
        return (read * w).sum()

    found = Adversary(words, 0.1).loss(linear)
    clean, grown = 3.0, 0.1 * 5.0 * 3.0  # ‖s‖ = 5, ‖w‖ = 3
    assert found.item() == pytest.approx(clean + grown / 2)


def test_the_gradient_is_that_of_both_losses_at_a_move_that_stands_still():
    """r is held: ½ (L'(s) + L'(s + r)); by hand for L = ‖s‖²: r = ε s, so the slope is ½ (2 s + 2 · 1.5 s)."""
    words = table([[1.0, 2.0]])

    def square():
        read = words(torch.tensor([[0]]))
        return read.pow(2).sum()

    loss = Adversary(words, 0.5).loss(square)
    assert loss.item() == pytest.approx((5.0 + 1.5**2 * 5.0) / 2)
    loss.backward()
    expected = (2 * np.array([1.0, 2.0]) + 2 * np.array([1.5, 3.0])) / 2
    np.testing.assert_allclose(words.weight.grad[0].numpy(), expected)


def test_each_text_is_moved_by_its_own_length_and_padding_not_at_all():
    words = torch.tensor([[[3.0, 4.0], [9.0, 9.0]], [[6.0, 8.0], [0.0, 0.0]]])
    slope = torch.tensor([[[0.0, 2.0], [0.0, 0.0]], [[1.0, 0.0], [0.0, 0.0]]])  # no slope at padding
    r = move(words, slope, 0.1)
    assert r.flatten(1).norm(dim=1).tolist() == pytest.approx([0.5, 1.0])  # of (3, 4) and of (6, 8)
    assert r[0].tolist() == [[0.0, pytest.approx(0.5)], [0.0, 0.0]]
    assert move(words, torch.zeros_like(slope), 0.1).abs().max() == 0.0
    assert move(words, None, 0.1).abs().max() == 0.0


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
@pytest.mark.parametrize("method", ["full", "last_layers", "lora"])
def test_it_raises_the_loss_of_a_language_model_and_leaves_no_trace(folders, kind, method):
    backbone = open_backbone(folders[kind], RUN)
    tune(backbone, TuningConfig(method=method, layers=1), 10)
    backbone.eval()
    rows = backbone.tokens(["red0 oak1 w3", "blue2 sea2 w1 w2"])

    def read(which=rows):
        return backbone(backbone.batch(which))[:, 0].sum()

    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    clean = read()
    clean.backward()
    grads = {n: p.grad.clone() for n, p in backbone.named_parameters() if p.grad is not None}
    backbone.zero_grad()
    adversary = Adversary(backbone.model.get_input_embeddings(), 0.05)
    both = adversary.loss(read)
    assert not any(p.grad is not None and p.grad.abs().max() > 0 for p in backbone.parameters())
    assert both.item() > clean.item() + 1e-3
    both.backward()
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())
    backbone.zero_grad()
    read().backward()  # the hook is gone: the plain gradient is what it was, bit for bit
    for name, parameter in backbone.named_parameters():
        if name in grads:
            assert torch.equal(parameter.grad, grads[name]), name


def test_the_move_is_up_the_slope_and_padding_changes_nothing(folders):
    """To first order the loss grows by ε ‖s‖ ‖g‖; a text alone and beside a longer one is moved alike."""
    backbone = open_backbone(folders["bert"], RUN).double().eval()
    words = backbone.model.get_input_embeddings()
    short, long = backbone.tokens(["red0 oak1", "blue2 sea2 w1 w2 w3 w4 w5"])

    def loss_of(*rows):
        def summed():
            read = backbone(backbone.batch(list(rows)))
            return read[:, 0].sum()

        return summed

    kept = []
    handle = words.register_forward_hook(lambda module, given, out: kept.append(out))
    clean = loss_of(short)()
    handle.remove()
    slope = torch.autograd.grad(clean, kept[0])[0]
    epsilon = 1e-6
    grown = 2 * (Adversary(words, epsilon).loss(loss_of(short)) - clean).item()
    first = epsilon * kept[0].norm().item() * slope.norm().item()
    assert grown == pytest.approx(first, rel=1e-3)
    alone = sum(Adversary(words, 0.1).loss(loss_of(row)).item() for row in (short, long))
    assert Adversary(words, 0.1).loss(loss_of(short, long)).item() == pytest.approx(alone, rel=1e-6)


@pytest.mark.parametrize("objective", ["pairs", "masked"])
def test_an_encoder_is_tuned_with_it_and_stays_apart_from_one_without(folders, objective):
    told = {"epochs": 2, "batch_size": 32, "held_out": 16, "objective": objective, "patience": 0}
    told |= {"tuning": {"method": "full"}, "learning_rate": 2e-3}
    plain, moved, again = (
        adapt(readers(), AdaptConfig.parse({**told, "adversarial": e}, "test"), RUN, base=folders["bert"])
        for e in (0.0, 0.05, 0.05)
    )
    losses = [each.facts["figures"]["losses"] for each in (plain, moved, again)]
    assert losses[1] == losses[2] != losses[0]
    assert all(math.isfinite(loss) for loss in losses[1])


def test_nothing_to_learn_with_a_frozen_model():
    with pytest.raises(ConfigError, match="frozen"):
        LanguagePairConfig.parse(
            {"adversarial": 0.1, "tuning": {"method": "frozen"}}, "[parts.language_pair]"
        )
    with pytest.raises(ConfigError, match="adversarial"):
        LanguagePairConfig.parse({"adversarial": -1}, "[parts.language_pair]")
