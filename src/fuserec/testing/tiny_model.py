"""Language models small enough to be made and trained in a test: two layers, 32 dimensions, a word a token."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


def tiny_language_model(
    folder: Path,
    texts: Iterable[str],
    family: Literal["encoder", "decoder", "encoder_decoder"] = "encoder",
    *,
    dim: int = 32,
    layers: int = 2,
    max_length: int = 64,
    seed: int = 0,
) -> Path:
    """Write a folder in the layout of transformers with random weights, and return it.

    Parameters
    ----------
    folder : Path
        Is made.
    texts : iterable of str
        Whose words are the vocabulary.
    family : {"encoder", "decoder", "encoder_decoder"}
        A BERT, a GPT-2 or a T5.
    dim, layers, max_length, seed : int
    """
    import torch
    from transformers import BertConfig, BertModel, GPT2Config, GPT2Model, T5Config, T5Model

    folder.mkdir(parents=True, exist_ok=True)
    size = _write_tokenizer(folder, texts, family, max_length)
    heads, inner = 4, 2 * dim
    made: Any
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if family == "encoder":
            made = BertModel(
                BertConfig(
                    vocab_size=size,
                    hidden_size=dim,
                    num_hidden_layers=layers,
                    num_attention_heads=heads,
                    intermediate_size=inner,
                    max_position_embeddings=max_length,
                    pad_token_id=0,
                    initializer_range=0.1,  # weights of the usual size say next to nothing in so few dimensions
                    hidden_dropout_prob=0.0,
                    attention_probs_dropout_prob=0.0,
                )
            )
        elif family == "decoder":
            ends: dict[str, Any] = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0}
            made = GPT2Model(
                GPT2Config(
                    vocab_size=size, n_embd=dim, n_layer=layers, n_head=heads, n_positions=max_length, **ends
                )
            )
        else:
            shape: dict[str, Any] = {
                "d_model": dim,
                "d_kv": dim // heads,
                "d_ff": inner,
                "num_layers": layers,
                "num_heads": heads,
            }
            made = T5Model(
                T5Config(vocab_size=size, pad_token_id=0, eos_token_id=3, num_decoder_layers=1, **shape)
            )
        made.save_pretrained(folder)
    return folder


def _write_tokenizer(folder: Path, texts: Iterable[str], family: str, max_length: int) -> int:
    """Write a tokenizer whose tokens are words, and return how many it has."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.normalizers import Lowercase
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing

    made = Tokenizer(WordLevel({}, unk_token=SPECIAL[1]))
    normalizer, splitter = Lowercase(), Whitespace()
    words = {w for text in texts for w, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text))}
    vocabulary = {token: place for place, token in enumerate([*SPECIAL, *sorted(words)])}
    made = Tokenizer(WordLevel(vocabulary, unk_token=SPECIAL[1]))
    made.normalizer, made.pre_tokenizer = normalizer, splitter
    ends = [("[CLS]", 2), ("[SEP]", 3)]
    if family == "encoder":
        made.post_processor = TemplateProcessing(
            single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
        )
    elif family == "encoder_decoder":
        made.post_processor = TemplateProcessing(
            single="$A [SEP]", pair="$A [SEP] $B [SEP]", special_tokens=ends
        )
    made.save(str(folder / "tokenizer.json"))
    told: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "eos_token": "[SEP]",
        "model_max_length": max_length,
    }
    if family == "encoder":
        told["model_input_names"] = ["input_ids", "token_type_ids", "attention_mask"]
    (folder / "tokenizer_config.json").write_text(json.dumps(told), encoding="utf-8")
    return len(vocabulary)
