from __future__ import annotations

import json
import math

import numpy as np
import pytest

from fuserec.encoders.lstm import LstmEncoder, numbered
from fuserec.encoders.word_config import LstmConfig
from fuserec.encoders.words import Words
from fuserec.errors import ModelFormatError, RequestError
from fuserec.run import RunOptions

RUN = RunOptions(threads=1)
WORDS = Words(("a", "b"), np.array([3, 1]), 4, (1, 2))


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def small(pooling="last", bidirectional=False, h=1):
    rng = np.random.default_rng(0)
    config = LstmConfig(embedding_dim=2, hidden_dim=2 * h, pooling=pooling, bidirectional=bidirectional)
    weights = {"table": rng.normal(size=(2, 2))}
    for side in ("forward", "backward") if bidirectional else ("forward",):
        weights |= {f"{side}.x": rng.normal(size=(8 * h, 2)), f"{side}.h": rng.normal(size=(8 * h, 2 * h))}
        weights[f"{side}.b"] = rng.normal(size=8 * h)
    return LstmEncoder(WORDS, weights, config, "key", {"loss": 1.0})


def test_states_by_hand():
    encoder = small()
    w = {k: v.astype(np.float64) for k, v in encoder.weights.items()}
    h, c = np.zeros(2), np.zeros(2)
    for word in (0, 1, 0):
        gates = w["forward.x"] @ w["table"][word] + w["forward.h"] @ h + w["forward.b"]
        i, f, o = ([sigmoid(x) for x in gates[lo : lo + 2]] for lo in (0, 2, 6))
        c = np.multiply(f, c) + np.multiply(i, np.tanh(gates[4:6]))
        h = np.multiply(o, np.tanh(c))
    np.testing.assert_allclose(encoder.encode(["a b unknown a"], RUN)[0], h / np.linalg.norm(h), atol=1e-6)


def test_order_is_read_and_emptiness_is_zero():
    encoder = small("mean", bidirectional=True)
    found = encoder.encode(["a b", "b a", "", "unknown"], RUN)
    assert np.abs(found[0] - found[1]).max() > 0.01
    np.testing.assert_allclose(np.linalg.norm(found[:2], axis=1), 1, atol=1e-6)
    assert not found[2:].any()
    assert encoder.encode([], RUN).shape == (0, 4)
    with pytest.raises(RequestError, match=r"pass \[text\]"):
        encoder.encode("a b", RUN)


@pytest.mark.parametrize("pooling", ["mean", "max", "last"])
def test_a_text_is_read_alike_whatever_stands_beside_it(pooling):
    encoder = small(pooling, bidirectional=True)
    texts = ["a", "a b b a b a", "b a b"]
    alone = np.concatenate([encoder.encode([text], RUN) for text in texts])
    np.testing.assert_allclose(encoder.encode(texts, RUN), alone, atol=1e-6)


def test_words_beyond_the_limit_are_not_read():
    rows, place = numbered([["x", "a", "b", "x", "a", "a"]], WORDS, 3)
    assert rows == [[0, 1, 0]]
    assert place == {"a": 0, "b": 1}


def test_state_round_trip_and_damage():
    encoder = small("max", bidirectional=True)
    arrays, info = encoder.state()
    info = json.loads(json.dumps(info))
    again = LstmEncoder.from_state({k: v.copy() for k, v in arrays.items()}, info)
    np.testing.assert_array_equal(again.encode(["a b"], RUN), encoder.encode(["a b"], RUN))
    assert (again.fingerprint, again.made_from, again.facts) == (encoder.fingerprint, "key", {"loss": 1.0})
    changed = arrays["weights.table"] + 1
    for name, value in {
        "weights.table": changed,
        "weights.forward.x": changed,
        "counts": changed[:1],
    }.items():
        with pytest.raises(ModelFormatError, match="the LSTM of this model is damaged"):
            LstmEncoder.from_state({**arrays, name: value}, info)
