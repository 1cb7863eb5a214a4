"""Answers in numpy equal what the trained modules of PyTorch say."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from fuserec.neural import plain  # noqa: E402
from fuserec.neural.architectures import body  # noqa: E402
from fuserec.neural.items import items_of  # noqa: E402
from fuserec.neural.sequence.config import SequenceConfig  # noqa: E402
from fuserec.neural.sequence.fitted import FittedSequence  # noqa: E402
from fuserec.neural.sequence.model import SequenceModel  # noqa: E402
from fuserec.neural.text_basis import TextBasis  # noqa: E402

N, DIM, TEXT, LENGTH = 17, 12, 5, 7
HISTORIES = [[3], [1, 2, 3, 4, 5, 6, 7, 8, 9], [16, 0], [5, 5, 5, 5]]


def made(kind="ids", architecture="transformer", blocks=2, heads=3):
    """Return a model with random weights, and what is kept of it."""
    torch.manual_seed(3)
    masked = architecture == "masked"
    text = torch.randn(N, TEXT)
    inner = body(architecture, DIM, blocks, heads, LENGTH + masked, 0.4)
    model = SequenceModel(items_of(kind, text, torch.randn(N, DIM)), inner, DIM, masked=masked)
    for parameter in model.parameters():  # norms and biases begin at one and zero, where mistakes do not show
        torch.nn.init.normal_(parameter, std=0.3)
    model.eval()
    config = SequenceConfig(
        architecture=architecture,
        item_vectors=kind,
        embedding_dim=DIM,
        blocks=blocks,
        heads=heads,
        max_length=LENGTH,
    )
    with torch.inference_mode():
        vectors = model.items().numpy()
    weights = {name: value.numpy() for name, value in model.state_dict().items()}
    basis = TextBasis(None, TEXT, np.zeros(TEXT, np.float32), np.eye(TEXT, dtype=np.float32))
    everything = np.ones(N, dtype=bool)
    return model, FittedSequence(config, weights, vectors, everything, everything, basis)


def ragged(histories):
    lengths = [len(history) for history in histories]
    return np.concatenate([[0], np.cumsum(lengths)]), np.concatenate(histories)


def expected(model, history):
    """Return what the module says at the end of one history: no filling up, nothing batched."""
    window = torch.tensor([history[-LENGTH:]])
    with torch.inference_mode():
        return model.last(model.items(), window, torch.tensor([window.shape[1]]))[0].numpy()


@pytest.mark.parametrize("architecture", ["transformer", "masked", "gru", "cnn"])
@pytest.mark.parametrize("blocks", [1, 3])
def test_bodies_equal_their_modules(architecture, blocks):
    model, kept = made(architecture=architecture, blocks=blocks)
    found = kept.ends(*ragged(HISTORIES), np.empty((0, DIM), np.float32))
    wanted = np.stack([expected(model, history) for history in HISTORIES])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("kind", ["text", "experts", "union", "sum", "sum_experts"])
def test_texts_become_the_same_vectors(kind):
    model, kept = made(kind)
    told = np.random.default_rng(0).standard_normal((6, TEXT)).astype(np.float32)
    with torch.inference_mode():
        wanted = model.items.of_text(torch.from_numpy(told)).numpy()
    assert kept.reads_text
    np.testing.assert_allclose(kept.of_text(told), wanted, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("kind", ["ids", "initialised"])
def test_ids_know_nothing_of_a_text(kind):
    assert not made(kind)[1].reads_text


def test_words_are_read_like_an_items_vector():
    _, kept = made("sum")
    words = kept.vectors[[4]]  # words that say what item 4's vector says
    indptr, events = ragged([[N, 2, 3]])  # the words come first
    as_item = kept.ends(*ragged([[4, 2, 3]]), words)
    np.testing.assert_allclose(kept.ends(indptr, events, words), as_item, rtol=1e-6)


def test_probabilities_are_a_softmax_over_what_was_trained():
    _, kept = made()
    trained = kept.trained.copy()
    trained[[2, 9]] = False
    half = FittedSequence(kept.config, kept.weights, kept.vectors, trained, kept.known, kept.basis)
    ends = np.random.default_rng(1).standard_normal((3, DIM)).astype(np.float32)
    logits = (ends @ kept.vectors.T).astype(np.float64)
    wanted = np.exp(logits) / np.exp(logits[:, trained]).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(half.probabilities(ends, 1.0), wanted, rtol=1e-4)
    np.testing.assert_allclose(half.probabilities(ends, 0.5), np.sqrt(wanted), rtol=1e-4)
    assert half.probabilities(ends, 1.0)[:, trained].sum(axis=1) == pytest.approx(1.0, rel=1e-5)


def test_a_layer_norm_and_a_line_by_hand():
    weights = {"n.weight": np.array([1.0, 2.0], np.float32), "n.bias": np.array([0.0, 1.0], np.float32)}
    found = plain.norm(weights, "n", np.array([[1.0, 3.0]], np.float32))
    np.testing.assert_allclose(found, [[-1.0, 3.0]], atol=1e-4)
    line = {"l.weight": np.array([[1.0, 1.0]], np.float32), "l.bias": np.array([0.5], np.float32)}
    np.testing.assert_allclose(plain.linear(line, "l", np.array([[2.0, 3.0]], np.float32)), [[5.5]])
