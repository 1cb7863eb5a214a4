"""A BERT-like sentence-transformers folder as a CTranslate2 model, from its safetensors: no torch."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fuserec.encoders.base import WeightsError, one_line
from fuserec.encoders.model_files import own_json, read_json, whole
from fuserec.errors import MissingExtraError

MANIFEST = "fuserec-encoder.json"
FACTS = "fuserec-facts.json"
_BERT_LIKE = ("bert", "roberta", "xlm-roberta", "camembert")
_ACTIVATIONS = {
    "gelu": "GELU",
    "gelu_new": "GELUTanh",
    "gelu_pytorch_tanh": "GELUTanh",
    "relu": "RELU",
    "silu": "SWISH",
}
_NATIVE_MODULES = ("Transformer", "Pooling", "Normalize")
_EMBEDDINGS = ".word_embeddings.weight"
_FOREIGN = (".safetensors", ".bin", ".json", ".txt", ".model")
_BLOCK = 1 << 22

Tensors = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class FolderFacts:
    """What a sentence-transformers folder says of itself.

    Parameters
    ----------
    content_hash : str
        SHA-256 over weights, tokenizer, and everything below.
    pooling : str
        ``"mean"`` or ``"cls"``; another kind is named as it is.
    max_length : int
        Tokens of a text that are read.
    max_positions : int
        Tokens the model can read at most.
    lower_case : bool
        Whether text is lowered before it is cut into tokens.
    prompt : str
        What the folder's default prompt puts before every text.
    dim : int
        Length of a vector.
    """

    content_hash: str
    pooling: str
    max_length: int
    max_positions: int
    lower_case: bool
    prompt: str
    dim: int


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def read_facts(folder: Path) -> FolderFacts:
    """Read configuration and content hash of a sentence-transformers (or plain transformers) folder.

    The tokenizer counts without its truncation and padding, which are set anew when it is used.

    Raises
    ------
    WeightsError
        A file is missing or cannot be read.
    """
    config = read_json(folder / "config.json")
    sentence = read_json(folder / "sentence_bert_config.json", {})
    pooling = _pooling(read_json(folder / "1_Pooling" / "config.json", {}))
    told = folder / "config.json"
    positions = whole(config, "max_position_embeddings", 512, told) - _position_offset(config)
    tokenizer = read_json(folder / "tokenizer.json")
    tokenizer = {key: value for key, value in tokenizer.items() if key not in ("truncation", "padding")}
    facts: dict[str, Any] = {
        "pooling": pooling,
        "max_length": max(
            3,
            min(
                whole(sentence, "max_seq_length", positions, folder / "sentence_bert_config.json"), positions
            ),
        ),
        "max_positions": positions,
        "lower_case": bool(sentence.get("do_lower_case", False)),
        "prompt": default_prompt(folder),
        "dim": whole(config, "hidden_size", config.get("dim", 0), told),
    }
    digest = hashlib.sha256()
    for weights in sorted(folder.glob("*.safetensors")):
        digest.update(sha256_file(weights).encode())
    digest.update(json.dumps([facts, config.get("model_type"), tokenizer], sort_keys=True).encode())
    return FolderFacts(content_hash=digest.hexdigest(), **facts)


def read_foreign_facts(folder: Path, dim: int, max_length: int) -> FolderFacts:
    """Return the facts of a folder that another library runs: its files are hashed as they are."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.suffix in _FOREIGN and p.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{sha256_file(path)}\0".encode())
    return FolderFacts(digest.hexdigest(), "", max_length, max_length, False, default_prompt(folder), dim)


def weights_hash(folder: Path) -> str:
    """Return the SHA-256 over a folder's safetensors, by which a base model is known again."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        digest.update(sha256_file(path).encode())
    return digest.hexdigest()


def keep_facts(folder: Path) -> None:
    """Write a folder's facts into it, so that hundreds of megabytes need not be hashed at every start.

    Only for folders of the cache, which nobody else writes to.
    """
    (folder / FACTS).write_text(json.dumps(asdict(read_facts(folder)), indent=1), encoding="utf-8")


def read_facts_kept(folder: Path) -> FolderFacts | None:
    """Return the facts that :func:`keep_facts` wrote, or None where there are none or weights are gone."""
    kept = own_json(folder / FACTS)
    if set(kept) != set(FolderFacts.__dataclass_fields__) or not (folder / "model.safetensors").is_file():
        return None
    return FolderFacts(**kept)


def why_not_native(folder: Path) -> str | None:
    """Return why CTranslate2 cannot run a folder as sentence-transformers would, or None.

    Raises
    ------
    WeightsError
        It is no folder of a language model at all.
    """
    config = read_json(folder / "config.json", {} if (folder / "modules.json").is_file() else None)
    kind = str(config.get("model_type", "unknown"))
    modules = [
        str(module.get("type", "") if isinstance(module, dict) else module).rsplit(".", 1)[-1]
        for module in read_json(folder / "modules.json", [])
    ]
    pooling = _pooling(read_json(folder / "1_Pooling" / "config.json", {}))
    reasons = [
        (kind not in _BERT_LIKE, f"its architecture is {kind!r} (natively run: {', '.join(_BERT_LIKE)})"),
        (config.get("position_embedding_type", "absolute") != "absolute", "its positions are relative"),
        (
            config.get("hidden_act", "gelu") not in _ACTIVATIONS,
            f"its activation is {config.get('hidden_act')!r}",
        ),
        (not (folder / "model.safetensors").is_file(), "it has no model.safetensors"),
        (not (folder / "tokenizer.json").is_file(), "it has no tokenizer.json"),
        (not set(modules) <= set(_NATIVE_MODULES), f"its modules are {', '.join(modules)}"),
        (pooling not in ("mean", "cls"), f"its pooling is {pooling!r}"),
    ]
    return next((reason for applies, reason in reasons if applies), None)


def convert(folder: Path, destination: Path, quantization: str, facts: FolderFacts) -> None:
    """Write a self-contained CTranslate2 encoder: weights, vocabulary, tokenizer, and a manifest.

    Parameters
    ----------
    folder : Path
        A BERT-like sentence-transformers folder.
    destination : Path
        An empty folder; the caller renames it into place.
    quantization : str
        ``"int8"`` or ``"float32"``.
    facts : FolderFacts
        What :func:`read_facts` returned.

    Raises
    ------
    MissingExtraError
        ctranslate2 is not installed.
    WeightsError
        A weight is missing.
    """
    try:
        import ctranslate2  # noqa: F401
    except ImportError as absent:
        raise MissingExtraError("the sentence encoder", "text") from absent
    config = read_json(folder / "config.json")
    tensors = _load(folder / "model.safetensors")
    try:
        _check_sizes(config, tensors, folder)
        spec = _specification(config, tensors)
    except KeyError as absent:
        raise WeightsError(
            f"{folder / 'model.safetensors'} lacks the weight {absent}: fetch the model again"
        ) from absent
    vocabulary = read_json(folder / "tokenizer.json")
    spec.register_vocabulary(_tokens(folder / "tokenizer.json", len(tensors[_words_of(tensors)])))
    spec.config.unk_token = str((vocabulary.get("model") or {}).get("unk_token") or "[UNK]")
    spec.config.layer_norm_epsilon = float(config.get("layer_norm_eps", 1e-12))
    spec.validate()
    spec.optimize(quantization=quantization)
    spec.save(str(destination))
    shutil.copyfile(folder / "tokenizer.json", destination / "tokenizer.json")
    manifest = {"format": 1, "quantization": quantization, **asdict(facts)}
    (destination / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")


def read_manifest(folder: Path) -> tuple[FolderFacts, str] | None:
    """Return facts and quantization of a folder that :func:`convert` wrote; None for others."""
    manifest = own_json(folder / MANIFEST)
    if (
        manifest.get("format") != 1
        or not (folder / "model.bin").is_file()
        or not (folder / "tokenizer.json").is_file()
    ):
        return None
    try:
        return FolderFacts(**{name: manifest[name] for name in FolderFacts.__dataclass_fields__}), manifest[
            "quantization"
        ]
    except KeyError:
        return None


def _words_of(tensors: Tensors) -> str:
    """Return the name of the word vectors, which tells what stands before all names."""
    return next((key for key in tensors if key.endswith(_EMBEDDINGS)), "embeddings" + _EMBEDDINGS)


def _check_sizes(config: dict[str, Any], tensors: Tensors, folder: Path) -> None:
    """Refuse weights of other sizes than config.json says: CTranslate2 would read past them, or divide by zero.

    Raises
    ------
    WeightsError
        Where they do not belong together.
    KeyError
        Where there are no word vectors, or no positions.
    """
    told, words = folder / "config.json", _words_of(tensors)
    positions = words.replace("word_embeddings", "position_embeddings")
    dim, heads = (whole(config, key, 0, told) for key in ("hidden_size", "num_attention_heads"))
    whole(config, "num_hidden_layers", 0, told)
    wanted = {
        words: (whole(config, "vocab_size", 0, told), dim),
        positions: (whole(config, "max_position_embeddings", 512, told), dim),
    }
    for name, shape in wanted.items():
        if tensors[name].shape != shape:
            raise WeightsError(
                f"{told} tells of other weights than lie beside it ({name}: {shape}, here {tensors[name].shape}): "
                "fetch the model again"
            )
    if heads < 1 or dim % heads:
        raise WeightsError(
            f"{told}: num_attention_heads = {heads} does not divide hidden_size = {dim}: fetch the model again"
        )


def _specification(config: dict[str, Any], tensors: Tensors) -> Any:
    """Return CTranslate2's description of a BERT encoder (queries, keys and values in one product)."""
    from ctranslate2.specs import common_spec, transformer_spec

    prefix = _words_of(tensors)[: -len("embeddings" + _EMBEDDINGS)]
    encoder = transformer_spec.TransformerEncoderSpec(
        int(config["num_hidden_layers"]),
        int(config["num_attention_heads"]),
        pre_norm=False,
        activation=common_spec.Activation[_ACTIVATIONS[config.get("hidden_act", "gelu")]],
        layernorm_embedding=True,
        num_source_embeddings=2,
        embeddings_merge=common_spec.EmbeddingsMerge.ADD,
    )
    encoder.scale_embeddings = False
    base = prefix + "embeddings."
    encoder.embeddings[0].weight = tensors[base + "word_embeddings.weight"]
    encoder.embeddings[1].weight = tensors[base + "token_type_embeddings.weight"]
    offset = _position_offset(config)
    encoder.position_encodings.encodings = np.ascontiguousarray(
        tensors[base + "position_embeddings.weight"][offset:]
    )
    _norm(encoder.layernorm_embedding, tensors, base + "LayerNorm")
    for number, layer in enumerate(encoder.layer):
        at = f"{prefix}encoder.layer.{number}."
        queries = [f"{at}attention.self.{part}" for part in ("query", "key", "value")]
        layer.self_attention.linear[0].weight = np.concatenate(
            [tensors[name + ".weight"] for name in queries]
        )
        layer.self_attention.linear[0].bias = np.concatenate([tensors[name + ".bias"] for name in queries])
        _linear(layer.self_attention.linear[1], tensors, at + "attention.output.dense")
        _norm(layer.self_attention.layer_norm, tensors, at + "attention.output.LayerNorm")
        _linear(layer.ffn.linear_0, tensors, at + "intermediate.dense")
        _linear(layer.ffn.linear_1, tensors, at + "output.dense")
        _norm(layer.ffn.layer_norm, tensors, at + "output.LayerNorm")
    return transformer_spec.TransformerEncoderModelSpec(encoder, pooling_layer=False)


def _load(path: Path) -> dict[str, NDArray[np.float32]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = {
            key: np.asarray(value, dtype=np.float32)
            for key, value in load_file(path).items()
            if value.ndim > 0
        }
    except (OSError, SafetensorError, TypeError) as fault:
        raise WeightsError(
            f"{path} cannot be read as safetensors ({fault}): fetch the model again"
        ) from fault
    strange = next((key for key, value in tensors.items() if not np.isfinite(value).all()), None)
    if strange is not None:
        raise WeightsError(
            f"{path}: the weight {strange!r} holds values that are not finite: fetch the model again"
        )
    return tensors


def _linear(spec: Any, tensors: Tensors, name: str) -> None:
    spec.weight, spec.bias = tensors[name + ".weight"], tensors[name + ".bias"]


def _norm(spec: Any, tensors: Tensors, name: str) -> None:
    spec.gamma, spec.beta = tensors[name + ".weight"], tensors[name + ".bias"]


def _tokens(path: Path, size: int) -> list[str]:
    """Return the token of every id; ids without one get a stand-in, as the weights have a row for them."""
    from tokenizers import Tokenizer

    try:
        names = {number: token for token, number in Tokenizer.from_file(str(path)).get_vocab().items()}
    except Exception as fault:  # the library raises nothing narrower
        raise WeightsError(f"{path} cannot be read ({one_line(fault)}): fetch the model again") from fault
    if max(names, default=0) >= size:
        raise WeightsError(
            f"{path} has {max(names) + 1:,} tokens, the weights {size:,}: they do not belong together, name a folder "
            "with its own tokenizer"
        )
    return [names.get(number, f"<unused_{number}>") for number in range(size)]


def _position_offset(config: dict[str, Any]) -> int:
    """Return the first used row of the position table: RoBERTa's kin count from behind the padding id."""
    if config.get("model_type", "bert") == "bert":
        return 0
    return whole(config, "pad_token_id", 1, Path("config.json")) + 1


def default_prompt(folder: Path) -> str:
    """Return what a sentence-transformers folder puts before every text."""
    path = folder / "config_sentence_transformers.json"
    told = read_json(path, {})
    prompts = told.get("prompts") or {}
    if not isinstance(prompts, dict):
        raise WeightsError(f"{path}: prompts is no table of names and texts: fetch the model again")
    return str(prompts.get(str(told.get("default_prompt_name") or ""), ""))


def _pooling(config: dict[str, Any]) -> str:
    """Return the kind of pooling that a ``1_Pooling/config.json`` asks for; without one, the mean."""
    if "pooling_mode" in config:
        return (
            "+".join(map(str, config["pooling_mode"]))
            if isinstance(config["pooling_mode"], list)
            else str(config["pooling_mode"])
        )
    chosen = [key for key, value in config.items() if key.startswith("pooling_mode_") and value]
    names = {"pooling_mode_cls_token": "cls", "pooling_mode_mean_tokens": "mean"}
    return "+".join(names.get(key, key.removeprefix("pooling_mode_")) for key in chosen) or "mean"
