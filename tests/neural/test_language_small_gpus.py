"""A GPU whose memory is too small is one line, also where a language model is only read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse
from small_language import RUN, WORDS, readers

from fuserec.encoders.word_config import LstmConfig
from fuserec.errors import ConfigError
from fuserec.scorers import create
from fuserec.testing.small import small_features

torch = pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")
pytest.importorskip("transformers")
pytest.importorskip("peft")

from fuserec.neural.language.adapt import AdaptConfig, CompressConfig, adapt, compress  # noqa: E402
from fuserec.neural.text_lstm import train_lstm  # noqa: E402
from fuserec.testing.language import tiny_model  # noqa: E402

ADAPT = "fuserec.neural.language.adapt"
TUNE = {"tuning": {"method": "full"}, "batch_size": 32, "held_out": 16, "epochs": 1}


def full(*_, **__):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB\nand so on")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return str(tiny_model(tmp_path_factory.mktemp("models") / "bert", "bert", WORDS))


def refused(work):
    """Return the line that a piece of work ends with."""
    with pytest.raises(ConfigError, match="too little memory for this training") as caught:
        work()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "place",
    [
        "fuserec.encoders.kept.Probe.cosines",
        f"{ADAPT}.space.Space.before",
        f"{ADAPT}.continual.ReplayTask.figures",
    ],
)
def test_around_the_adaptation_of_an_encoder(base, monkeypatch, place):
    data = readers()
    rows = data.interactions
    data = replace(data, interactions=replace(rows, time=np.arange(len(rows), dtype=np.float64)))
    config = AdaptConfig.parse({**TUNE, "continual": {"newest": 0.4}}, "test")
    monkeypatch.setattr(place, full)
    said = refused(lambda: adapt(data, config, RUN, base=base))
    assert said.startswith("encoder: ")
    assert said.endswith("lower batch_size (32) or max_length (32)")


def test_reading_with_a_teacher(base, monkeypatch, tmp_path):
    config = CompressConfig.parse({"form": "layers", "layers": 1, "batch_size": 16}, "test")
    monkeypatch.setattr(torch.nn.Embedding, "forward", full)
    said = refused(lambda: compress(base, tmp_path / "out", config, RUN, data=readers()))
    assert said.endswith("lower batch_size (16) or max_length (32)")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("place", ["outputs", "judge"])
def test_what_is_done_with_trained_pairs(base, monkeypatch, place):
    data = readers()
    scorer = create("language_pair", {"model": base, "batch_size": 16, "epochs": 1, "examples": 16})
    monkeypatch.setattr(f"fuserec.neural.language.pairs.task.PairTask.{place}", full)
    said = refused(lambda: scorer.fit(data, small_features(data, RUN), RUN))
    assert "lower batch_size (16) or user_length" in said


def test_the_recurrent_encoder(monkeypatch):
    texts = [f"red{i % 3} blue{i % 4} oak{i % 5}" for i in range(40)]
    config = LstmConfig(embedding_dim=8, hidden_dim=8, epochs=1, batch_size=16, min_count=1, max_ngrams=0)
    monkeypatch.setattr(torch.Tensor, "backward", full)
    no_tags = sparse.csr_matrix((40, 0), dtype=np.float32)
    said = refused(lambda: train_lstm(texts, [""] * 40, no_tags, config, (2, 3), RUN))
    assert said.startswith("the encoder lstm: ")
