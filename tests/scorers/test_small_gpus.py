"""A GPU whose memory is too small is one line, whichever part is trained on it; no GPU is needed to say so."""

from __future__ import annotations

import pytest
from neural_tastes import RUN, fitted, tastes

from fuserec.errors import ConfigError
from fuserec.scorers import create
from fuserec.testing import small_features

torch = pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")

LOWER = {
    "sequence": "batch_size (16) or max_length (50)",
    "semantic_softmax": "batch_size (16) or embedding_dim (8)",
    "neural_cf": "batch_size (16) or negatives",
    "history_attention": "batch_size (16) or max_length",
    "joint": "batch_size (16) or negatives",
    "generative": "batch_size (16) or max_length",
    "meta_learned": "batch_size (16) or max_length",
}
SMALL = {"batch_size": 16, "embedding_dim": 8, "epochs": 1}
SAYS = (
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB\nand so on"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
)


@pytest.fixture(scope="module")
def data():
    """Return a few people of three tastes."""
    return tastes(n_users=40, n_items=18)


@pytest.mark.parametrize("fault", SAYS, ids=["memory", "cublas"])
@pytest.mark.parametrize("name", LOWER)
def test_a_training_says_what_to_lower(monkeypatch, data, name, fault):
    def full(*_, **__):
        raise fault

    monkeypatch.setattr(torch.Tensor, "backward", full)
    with pytest.raises(ConfigError, match="too little memory for this training") as caught:
        fitted(name, data, **SMALL)
    said = str(caught.value)
    assert said.startswith(f"{name}: ")
    assert f"lower {LOWER[name]}" in said
    assert "\n" not in said


@pytest.mark.parametrize("name", LOWER)
def test_so_does_the_trial_that_tells_its_time(monkeypatch, data, name):
    def full(*_, **__):
        raise SAYS[0]

    monkeypatch.setattr(torch.Tensor, "backward", full)
    scorer = create(name, SMALL)
    with pytest.raises(ConfigError, match="too little memory for this training"):
        scorer.within(60.0, data, small_features(data, RUN), RUN)
