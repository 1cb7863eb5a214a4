"""Language models of a few thousand weights, made on the spot: folders that are loaded as real ones are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

Kind = Literal["bert", "gpt2", "qwen2", "t5"]

MARKS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def tiny_model(
    folder: Path,
    kind: Kind = "bert",
    words: Sequence[str] = (),
    *,
    layers: int = 2,
    dim: int = 32,
    seed: int = 0,
) -> Path:
    """Write a folder with random weights and a tokenizer of whole words, in the layout of transformers.

    Parameters
    ----------
    folder : Path
    kind : str
    words : sequence of str
        Lower-case words; others are unknown.
    layers, dim, seed : int
    """
    import torch
    import transformers
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    if kind == "qwen2":  # its class of tokenizer reads pieces of bytes, whatever the folder says
        return _byte_level(folder, words, layers, dim, seed)
    vocabulary = {word: at for at, word in enumerate([*MARKS, *dict.fromkeys(words)])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))  # noqa: S106 - no secret
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if kind == "bert":
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]",
            pair="[CLS] $A [SEP] $B:1 [SEP]:1",
            special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
        )
    named = dict(zip(("pad", "unk", "cls", "sep", "mask"), MARKS, strict=True))
    marks = {
        f"{name}_token": mark for name, mark in named.items() if kind == "bert" or name in ("pad", "unk")
    }
    tokenizer_class: Any = transformers.PreTrainedTokenizerFast
    fast = tokenizer_class(tokenizer_object=tokenizer, model_max_length=40, **marks)
    torch.manual_seed(seed)
    model = _model(
        kind, len(vocabulary) + 4, layers, dim, transformers
    )  # some classes add a mark of their own
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def _byte_level(folder: Path, words: Sequence[str], layers: int, dim: int, seed: int) -> Path:
    """Write a Qwen2 with a tokenizer of byte pairs that knows the words whole."""
    import torch
    import transformers
    from tokenizers import ByteLevelBPETokenizer

    tokenizer = ByteLevelBPETokenizer(lowercase=True)
    texts = [f" {word}" for word in words] * 3
    tokenizer.train_from_iterator(
        texts, 400, min_frequency=2, special_tokens=["<|endoftext|>"], show_progress=False
    )
    tokenizer_class: Any = transformers.Qwen2Tokenizer
    fast = tokenizer_class(
        tokenizer_object=tokenizer._tokenizer,
        model_max_length=40,
        pad_token="<|endoftext|>",  # noqa: S106
    )
    torch.manual_seed(seed)
    _model("qwen2", len(fast) + 1, layers, dim, transformers).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def _model(kind: Kind, size: int, layers: int, dim: int, transformers: Any) -> Any:
    """Return a model with random weights, a little larger than usual so that texts differ."""
    shared: dict[str, Any] = {"vocab_size": size, "initializer_range": 0.3}
    if kind == "gpt2":
        config = transformers.GPT2Config(
            n_layer=layers, n_embd=dim, n_head=2, n_positions=40, bos_token_id=0, eos_token_id=0, **shared
        )
        return transformers.GPT2Model(config)
    wide = {"hidden_size": dim, "num_attention_heads": 2, "num_hidden_layers": layers}
    if kind == "qwen2":
        config = transformers.Qwen2Config(
            **wide,
            intermediate_size=2 * dim,
            num_key_value_heads=1,
            max_position_embeddings=40,
            tie_word_embeddings=True,
            **shared,
        )
        return transformers.Qwen2Model(config)
    if kind == "t5":
        config = transformers.T5Config(
            vocab_size=size, d_model=dim, d_ff=2 * dim, d_kv=dim // 2, num_layers=layers, num_heads=2
        )
        return transformers.T5EncoderModel(config)
    config = transformers.BertConfig(
        **wide, intermediate_size=2 * dim, max_position_embeddings=40, pad_token_id=0, **shared
    )
    return transformers.BertModel(config, add_pooling_layer=False)
