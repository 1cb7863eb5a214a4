"""A pretrained transformer as a module that turns texts into vectors: BERT-, GPT- and T5-like ones alike."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import nn

from fuserec.encoders.base import WeightsError, one_line
from fuserec.encoders.convert import read_manifest
from fuserec.encoders.engines import quietly
from fuserec.encoders.sentence import located
from fuserec.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from fuserec.neural.language.ranks import RankBudget
    from fuserec.run import RunOptions

Family = Literal["encoder", "decoder", "encoder_decoder"]
"""BERT-like (reads both ways), GPT-like (reads forward), T5-like (only its encoder is used)."""

Pooling = Literal["mean", "cls", "last"]

TOKENIZERS = (
    "tokenizer.json",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "vocab.txt",
    "vocab.json",
)
"""Files that a tokenizer is read from; without any of them transformers makes up an empty one."""

T5_ENCODERS = {"t5": "T5EncoderModel", "mt5": "MT5EncoderModel", "umt5": "UMT5EncoderModel"}
"""Encoder-decoders of which the encoder can be loaded alone."""

Tokens = tuple[list[int], list[int]]
"""Token ids of a text (or of a pair of texts), and which of the two each belongs to."""


@dataclass(frozen=True)
class Batch:
    """Texts of one forward pass, padded on the right.

    Parameters
    ----------
    ids, types, mask : int64 (n, length)
        Tokens; 0 or 1 for the first or second text of a pair; 1 where there is a token.
    """

    ids: torch.Tensor
    types: torch.Tensor
    mask: torch.Tensor


class Backbone(nn.Module):
    """A transformer with its tokenizer and pooling.

    Parameters
    ----------
    model : nn.Module
        Gives ``last_hidden_state`` float (n, length, dim) for ids, or for embeddings, and a mask.
    tokenizer : transformers tokenizer
    family : Family
    pooling : Pooling
        mean over the tokens; the first token; the last token, the only one at which a GPT-like model has read
        everything.
    max_length : int
        Tokens of a text (or pair) that are read.
    """

    def __init__(
        self, model: nn.Module, tokenizer: Any, family: Family, pooling: Pooling, max_length: int
    ) -> None:
        super().__init__()
        self.model = model
        self.tokenizer = tokenizer
        self.family: Family = family
        self.pooling: Pooling = pooling
        self.max_length = max_length
        self.budget: RankBudget | None = None
        """Set by :func:`fuserec.neural.language.tuning.tune` where low ranks are handed out as training goes on."""

    def penalty(self) -> torch.Tensor | float:
        """Return what a method of tuning adds to the loss of a step (AdaLoRA: that directions are orthogonal)."""
        return 0.0 if self.budget is None else self.budget.penalty()

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return _dim(self.model.config)

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return next(self.parameters()).device

    def tokens(
        self, texts: Sequence[str], second: Sequence[str] | None = None, length: int | None = None
    ) -> list[Tokens]:
        """Return the tokens of texts, or of pairs of texts, unpadded.

        Parameters
        ----------
        texts : sequence of str
        second : sequence of str, optional
            The other text of each pair; of a pair that is too long the longer text is cut first.
        length : int, optional
            Tokens read, at most; ``max_length`` where it is not given or longer.
        """
        if not texts:
            return []
        limit = min(length or self.max_length, self.max_length)
        whole = [_clean(text) for text in texts]
        others = None if second is None else [_clean(text) for text in second]
        kinds = second is not None and getattr(self.model.config, "type_vocab_size", 0) > 1
        told = self.tokenizer(
            whole, others, truncation=True, max_length=limit, padding=False, return_token_type_ids=kinds
        )
        ids: list[list[int]] = told["input_ids"]
        types = told.get("token_type_ids") or [[0] * len(row) for row in ids]
        blank = self._blank
        return [(row, kind) if row else ([blank], [0]) for row, kind in zip(ids, types, strict=True)]

    @property
    def _blank(self) -> int:
        """What stands for an empty text, and for nothing in a padded batch (where the mask hides it)."""
        for name in ("pad_token_id", "eos_token_id"):
            index = getattr(self.tokenizer, name, None)
            if index is not None:
                return int(index)
        return 0

    def batch(self, rows: Sequence[Tokens]) -> Batch:
        """Return token rows as one padded batch on the device of the weights."""
        longest = max(len(ids) for ids, _ in rows)
        ids = np.full((len(rows), longest), self._blank, dtype=np.int64)
        types = np.zeros_like(ids)
        mask = np.zeros_like(ids)
        for r, (own, kinds) in enumerate(rows):
            ids[r, : len(own)], types[r, : len(own)], mask[r, : len(own)] = own, kinds, 1
        return Batch(*(torch.from_numpy(array).to(self.device) for array in (ids, types, mask)))

    def hidden(self, batch: Batch) -> torch.Tensor:
        """Return float (n, length, dim): a vector a token."""
        if self.budget is not None and self.training and torch.is_grad_enabled():
            self.budget.before_reading()
        words: dict[str, torch.Tensor] = {"input_ids": batch.ids, "attention_mask": batch.mask}
        if getattr(self.model.config, "type_vocab_size", 0) > 1:
            words["token_type_ids"] = batch.types
        told = self.model(**words)
        state: torch.Tensor = told.last_hidden_state
        return state[:, -batch.ids.shape[1] :]  # without the soft prompt that a tuning may have put before

    def forward(self, batch: Batch) -> torch.Tensor:
        """Return float32 (n, dim): a vector a text."""
        return pooled(self.hidden(batch), batch.mask, self.pooling)

    @torch.inference_mode()
    def encode(
        self, texts: Sequence[str], run: RunOptions, length: int | None = None, budget: int = 4096
    ) -> np.ndarray:
        """Return float32 (n, dim): vectors of texts, not of unit length; texts of like length share a batch.

        Parameters
        ----------
        texts : sequence of str
        run : RunOptions
        length : int, optional
        budget : int
            Tokens of a batch, padding included.
        """
        rows = self.tokens(texts, length=length)
        out = np.zeros((len(rows), self.dim), np.float32)
        self.eval()
        done = 0
        for which in by_length([len(ids) for ids, _ in rows], budget):
            run.check()
            out[which] = self(self.batch([rows[i] for i in which])).float().cpu().numpy()
            done += which.size
            run.progress("encoding text", done, len(rows))
        return out


def pooled(hidden: torch.Tensor, mask: torch.Tensor, pooling: Pooling) -> torch.Tensor:
    """Return float32 (n, dim) of token vectors (n, length, dim); float64 where they are."""
    hidden = hidden.to(torch.promote_types(hidden.dtype, torch.float32))
    if pooling == "cls":
        return hidden[:, 0]
    if pooling == "last":
        return hidden[torch.arange(hidden.shape[0], device=hidden.device), mask.sum(dim=1) - 1]
    share = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * share).sum(dim=1) / share.sum(dim=1).clamp(min=1.0)


def by_length(lengths: Sequence[int], budget: int) -> Iterator[np.ndarray]:
    """Yield positions of texts of like length, the longest first; a padded batch fits the budget of tokens."""
    sizes = np.asarray(lengths, dtype=np.int64)
    order = np.argsort(-sizes, kind="stable")
    start = 0
    while start < order.size:
        end = start + max(1, int(budget // max(1, sizes[order[start]])))
        yield order[start:end]
        start = end


def open_backbone(
    model: str,
    run: RunOptions,
    *,
    revision: str | None = None,
    pooling: Literal["auto", "mean", "cls", "last"] = "auto",
    max_length: int | None = None,
) -> Backbone:
    """Load a pretrained transformer.

    Parameters
    ----------
    model : str
        ``minilm``, a folder in the layout of transformers or sentence-transformers, or a name on the model hub.
    run : RunOptions
    revision : str, optional
        On the hub.
    pooling : str
        auto: what the folder says, else ``last`` for a GPT-like model and ``mean`` for others.
    max_length : int, optional
        At most what the model allows.

    Raises
    ------
    WeightsError
        Where the folder, its weights or its tokenizer are missing or broken, or the hub cannot be reached.
    MissingExtraError
        Without transformers.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        import transformers
    except ImportError:
        raise MissingExtraError("tuning a language model", "deep") from None
    folder = located(model, revision, run)
    if read_manifest(folder) is not None and not (folder / "model.safetensors").is_file():
        raise WeightsError(
            f"the language model {folder.name} is in the small form of CTranslate2, which cannot be trained: name the "
            "folder that it was made of"
        )
    with quietly():
        config = _read(folder, "its configuration", transformers.AutoConfig.from_pretrained)
        if not any((folder / name).is_file() for name in TOKENIZERS):
            raise WeightsError(
                f"the language model {folder.name}: its tokenizer is missing (one of {', '.join(TOKENIZERS)}): name a "
                "whole folder"
            )
        tokenizer = _read(folder, "its tokenizer", transformers.AutoTokenizer.from_pretrained)
        family = family_of(config)
        cls = _encoder_class(config, transformers) if family == "encoder_decoder" else transformers.AutoModel
        made, report = _read(
            folder, "its weights", cls.from_pretrained, dtype=torch.float32, output_loading_info=True
        )
    _check_tokenizer(tokenizer, made, folder)
    _check_weights(made, report["missing_keys"], folder)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    tokenizer.padding_side = "right"
    chosen = _pooling(folder, family) if pooling == "auto" else pooling
    return Backbone(made, tokenizer, family, chosen, _length(folder, config, tokenizer, max_length))


def family_of(config: Any) -> Family:
    """Return how a configuration of transformers reads: both ways, forward, or as a T5's encoder does."""
    from transformers.models.auto import modeling_auto

    if (
        config.is_encoder_decoder or config.model_type in T5_ENCODERS
    ):  # a saved encoder of one does not say so
        return "encoder_decoder"
    if config.model_type in modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        return "encoder"
    return "decoder" if config.model_type in modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES else "encoder"


def _encoder_class(config: Any, transformers: Any) -> Any:
    """Return the class that loads only the encoder of an encoder-decoder."""
    if config.model_type not in T5_ENCODERS:
        raise ConfigError(
            f"a model of type {config.model_type!r} is not supported: choose a BERT-, GPT- or T5-like one"
        )
    return getattr(transformers, T5_ENCODERS[config.model_type])


def _read(folder: Path, what: str, load: Any, **options: Any) -> Any:
    """Return what a loader of transformers makes of a folder, or say in one line what is wrong with it."""
    try:
        return load(str(folder), local_files_only=True, **options)
    except Exception as fault:  # transformers raises whatever the file formats raise
        why = one_line(fault)[:160]
        if "ignore_mismatched_sizes" in str(
            fault
        ):  # transformers tells of its own switch, not of what is wrong
            why = "their sizes are not those of config.json"
        raise WeightsError(
            f"the language model {folder.name}: {what} cannot be read ({why}): name a whole folder "
            "with config.json, model.safetensors and tokenizer files"
        ) from fault


def _check_tokenizer(tokenizer: Any, model: Any, folder: Path) -> None:
    """Refuse a tokenizer that names tokens the model has no vector for, or that has none at all."""
    size = int(model.config.vocab_size)
    if not 0 < len(tokenizer) <= size:
        raise WeightsError(
            f"the language model {folder.name}: its tokenizer has {len(tokenizer):,} tokens, the weights {size:,}: "
            "they do not belong together, name a folder with its own tokenizer"
        )


def _check_weights(model: nn.Module, missing: Iterable[str], folder: Path) -> None:
    """Refuse weights that were not there, which would be drawn at random in silence, or that are no numbers."""
    absent = sorted(name for name in missing if not name.startswith("pooler."))  # nothing reads a pooler
    if absent:
        raise WeightsError(
            f"the language model {folder.name}: its weights lack {absent[0]!r} and {len(absent) - 1:,} more that "
            "config.json tells of: name a whole folder"
        )
    strange = next((name for name, p in model.named_parameters() if not torch.isfinite(p).all()), None)
    if strange is not None:
        raise WeightsError(
            f"the language model {folder.name}: its weight {strange!r} holds values that are not finite: fetch it again"
        )


def _pooling(folder: Path, family: Family) -> Pooling:
    """Return what a sentence-transformers folder says, or what suits the family."""
    path = folder / "1_Pooling" / "config.json"
    with contextlib.suppress(OSError, ValueError, AttributeError):  # AttributeError: it holds no table
        told = json.loads(path.read_text(encoding="utf-8"))
        if told.get("pooling_mode_cls_token"):
            return "cls"
        if told.get("pooling_mode_lasttoken"):
            return "last"
        return "mean"
    return "last" if family == "decoder" else "mean"


def _length(folder: Path, config: Any, tokenizer: Any, wanted: int | None) -> int:
    """Return how many tokens are read: what is wanted, as far as the model allows it."""
    limits = [int(getattr(config, name, 0) or 0) for name in ("max_position_embeddings", "n_positions")]
    limits = [limit for limit in [*limits, int(tokenizer.model_max_length)] if 0 < limit < 10**6] or [512]
    own = min(limits)
    # AttributeError, TypeError: it holds no table, or no number
    with contextlib.suppress(OSError, ValueError, AttributeError, TypeError):
        told = json.loads((folder / "sentence_bert_config.json").read_text(encoding="utf-8"))
        own = max(3, min(own, int(told.get("max_seq_length") or own)))
    return own if wanted is None else min(wanted, *limits)


def _dim(config: Any) -> int:
    """Return the length of a token's vector."""
    return int(getattr(config, "hidden_size", None) or config.d_model)


def _clean(text: str) -> str:
    """Return the text without what no tokenizer takes (lone surrogates)."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
