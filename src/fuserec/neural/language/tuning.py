"""Which weights of a language model are trained: all, the last layers, low-rank updates, adapters, or a prompt."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from fuserec.errors import ConfigError
from fuserec.neural.language.hadamard import fold, multiply
from fuserec.neural.language.ranks import RankBudget
from fuserec.neural.language.tuning_config import TuningConfig

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fuserec.neural.language.backbone import Backbone

__all__ = ["TuningConfig", "blocks_of", "merged", "sizes", "tune"]

ATTENTION: dict[str, list[str]] = {
    "bert": ["query", "value"],
    "roberta": ["query", "value"],
    "xlm-roberta": ["query", "value"],
    "camembert": ["query", "value"],
    "electra": ["query", "value"],
    "deberta-v2": ["query_proj", "value_proj"],
    "distilbert": ["q_lin", "v_lin"],
    "mpnet": ["q", "v"],
    "t5": ["q", "v"],
    "mt5": ["q", "v"],
    "umt5": ["q", "v"],
    "gpt2": ["c_attn"],
    "gpt_neox": ["query_key_value"],
}
"""Names of the maps to queries and values by type of model."""

OTHER_ATTENTION = ["q_proj", "v_proj"]
"""The same where the type of model does not stand there."""


class Adapter(nn.Module):
    """A transformer block followed by a bottleneck: h + up(gelu(down(norm(h)))), the identity when training begins.

    Houlsby et al. 2019, "Parameter-efficient transfer learning for NLP"; one a block, which Pfeiffer et al. 2021
    found enough.
    """

    def __init__(self, block: nn.Module, dim: int, width: int) -> None:
        super().__init__()
        self.block = block
        self.norm = nn.LayerNorm(dim)
        self.down = nn.Linear(dim, width)
        self.up = nn.Linear(width, dim)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def __getattr__(self, name: str) -> Any:
        """Return what is asked of the block: some models read settings off their blocks."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("block"), name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the block returns, its hidden state adapted."""
        out = self.block(*args, **kwargs)
        if isinstance(out, tuple):
            return (self._adapted(out[0]), *out[1:])
        return self._adapted(out)

    def _adapted(self, hidden: torch.Tensor) -> torch.Tensor:
        change: torch.Tensor = self.up(nn.functional.gelu(self.down(self.norm(hidden))))
        return hidden + change


def tune(backbone: Backbone, config: TuningConfig, steps: int) -> None:
    """Prepare a backbone for training, in place: what is added is added, the rest is frozen.

    Parameters
    ----------
    backbone : Backbone
    config : TuningConfig
    steps : int
        Steps that the training will take: adalora spreads its budget over them.

    Raises
    ------
    ConfigError
        For a method that the model does not allow.
    """
    model = backbone.model
    _drop(model, config.model_dropout)
    for parameter in model.parameters():
        parameter.requires_grad_(config.method == "full")
    if config.method == "last_layers":
        _train_last(model, config.layers)
    elif config.method == "biases":
        _train(p for name, p in model.named_parameters() if name.endswith("bias") or p.ndim == 1)
    elif config.method == "adapters":
        blocks = blocks_of(model)
        for place, block in enumerate(list(blocks)):
            blocks[place] = Adapter(block, backbone.dim, config.adapter_dim).to(backbone.device)
    elif config.method == "hira":
        multiply(_maps(model, config), config.rank, config.scale)
    elif config.method in ("lora", "adalora", "prefix", "soft_prompt"):
        backbone.model = _with_peft(backbone, config, steps)
    if config.method in ("prefix", "soft_prompt"):
        backbone.max_length = _left_to_read(backbone, config.virtual_tokens)
    if config.method == "adalora":
        warm, last = _phases(steps)
        every, total = max(1, steps // 50), max(steps, warm + last + 2)
        backbone.budget = RankBudget(
            backbone.model, config.rank, warm=warm, last=last, every=every, total=total
        )


def _train_last(model: nn.Module, layers: int) -> None:
    """Unfreeze the last layers and the norm behind them."""
    for block in list(blocks_of(model))[-layers:]:
        _train(block.parameters())
    behind = ("final_layer_norm", "ln_f", "norm.")
    _train(p for name, p in model.named_parameters() if name.startswith(behind))


def _train(parameters: Iterable[nn.Parameter]) -> None:
    """Unfreeze."""
    for parameter in parameters:
        parameter.requires_grad_(True)


def _drop(model: nn.Module, share: float | None) -> None:
    """Set how much is dropped in training: in layers of their own, and where blocks hold the share as a number."""
    if share is None:
        return
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = share
        for name in ("dropout", "attention_dropout"):  # T5 and Llama give it to the attention
            if type(vars(module).get(name)) in (float, int):  # a configuration may say 0 for 0.0
                setattr(module, name, share)


def blocks_of(model: nn.Module) -> nn.ModuleList:
    """Return the transformer's blocks: its longest list of modules."""
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList) and len(module)]
    if not lists:
        raise ConfigError("this language model has no list of layers: choose tuning = full, biases or frozen")
    return max(lists, key=lambda found: sum(p.numel() for p in found.parameters()))


def _with_peft(backbone: Backbone, config: TuningConfig, steps: int) -> nn.Module:
    """Return the model with low-rank updates or virtual tokens, made by peft."""
    import peft

    if config.method in ("prefix", "soft_prompt"):
        if backbone.family != "decoder":
            raise ConfigError(
                f"tuning = {config.method}: for GPT-like models only, this one reads as {backbone.family}: choose "
                "lora, adapters or last_layers"
            )
        kind = peft.PrefixTuningConfig if config.method == "prefix" else peft.PromptTuningConfig
        told = kind(task_type="FEATURE_EXTRACTION", num_virtual_tokens=config.virtual_tokens)
    else:
        told = _low_rank(backbone, config, steps, peft)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers by an old name
            made: nn.Module = peft.get_peft_model(backbone.model, told)
    except ValueError as fault:
        raise ConfigError(f"tuning = {config.method}: {fault}") from None
    return made


def _left_to_read(backbone: Backbone, virtual: int) -> int:
    """Return how many tokens of a text can still be read: words put before it take positions of their own.

    Raises
    ------
    ConfigError
        Where they take all of them.
    """
    places = int(getattr(backbone.model.config, "max_position_embeddings", 0) or 0)
    if not places:
        return backbone.max_length
    if virtual >= places:
        raise ConfigError(
            f"virtual_tokens = {virtual}: this language model has {places} positions and none is left for the text: "
            f"name at most {places // 2}"
        )
    return min(backbone.max_length, places - virtual)


def _low_rank(backbone: Backbone, config: TuningConfig, steps: int, peft: Any) -> Any:
    """Return peft's description of the low-rank updates."""
    kind = getattr(backbone.model.config, "model_type", "")
    shared = {
        "target_modules": _targets(backbone, config, kind),
        "lora_alpha": config.scale * config.rank,
        "lora_dropout": config.dropout,
        "fan_in_fan_out": kind == "gpt2",  # its maps are stored turned round
    }
    if config.method == "lora":
        words = {_words_of(backbone.model): config.word_rank} if config.word_rank else {}
        scales = {name: config.scale * rank for name, rank in words.items()}
        return peft.LoraConfig(r=config.rank, rank_pattern=words, alpha_pattern=scales, **shared)
    warm, last = _phases(steps)
    return peft.AdaLoraConfig(
        init_r=config.rank + max(1, config.rank // 2),
        target_r=config.rank,
        tinit=warm,
        tfinal=last,
        total_step=max(steps, warm + last + 2),
        **shared,
    )


def _targets(backbone: Backbone, config: TuningConfig, kind: str) -> str | list[str]:
    """Return the names of the maps that are updated, as peft has them: suffixes, or its word for every linear map."""
    attention = ATTENTION.get(kind, OTHER_ATTENTION)
    if not config.word_rank:
        return attention if config.targets == "attention" else "all-linear"
    model = backbone.model
    if config.targets == "attention":
        return [*attention, _words_of(model)]
    maps = {id(part) for block in blocks_of(model) for part in block.modules() if _is_map(part)}
    return [*(name for name, part in model.named_modules() if id(part) in maps), _words_of(model)]


def _maps(model: nn.Module, config: TuningConfig) -> list[nn.Module]:
    """Return the linear maps of the blocks that are updated."""
    named = ATTENTION.get(getattr(model.config, "model_type", ""), OTHER_ATTENTION)
    return [
        part
        for block in blocks_of(model)
        for name, part in block.named_modules()
        if _is_map(part) and (config.targets == "all" or name.rpartition(".")[2] in named)
    ]


def _is_map(part: nn.Module) -> bool:
    """Return whether a module is a linear map, as GPT-2 has it too."""
    from transformers.pytorch_utils import Conv1D

    return isinstance(part, (nn.Linear, Conv1D))


def _words_of(model: nn.Module) -> str:
    """Return the name of the module that looks word vectors up; T5 holds them twice and reads by the second."""
    words = model.get_input_embeddings().weight  # type: ignore[operator]
    found: list[str] = [
        name for name, part in model.named_modules() if getattr(part, "weight", None) is words
    ]
    return found[-1]


def _phases(steps: int) -> tuple[int, int]:
    """Return for how many steps AdaLoRA's budget stays at first, and in the end."""
    return max(1, steps // 10), max(1, steps // 3)


def sizes(module: nn.Module) -> tuple[int, int]:
    """Return how many parameters are trained, and how many there are."""
    every = list(module.parameters())
    return sum(p.numel() for p in every if p.requires_grad), sum(p.numel() for p in every)


def merged(backbone: Backbone) -> Backbone:
    """Return the backbone with low-rank updates added into its weights, so that serving knows nothing of them.

    Adapters, prefixes and prompts cannot be merged and stay.
    """
    unload = getattr(backbone.model, "merge_and_unload", None)
    if unload is not None and not getattr(backbone.model, "active_peft_config", None).is_prompt_learning:  # type: ignore[union-attr]
        if backbone.budget is not None:
            backbone.budget.settle()
        backbone.model = unload()
        backbone.budget = None
    fold(backbone.model)
    return backbone
