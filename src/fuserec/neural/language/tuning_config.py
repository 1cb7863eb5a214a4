"""What of a language model is trained; read without PyTorch."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from fuserec.settings import Settings

Method = Literal[
    "full", "last_layers", "biases", "lora", "adalora", "hira", "adapters", "prefix", "soft_prompt", "frozen"
]

MERGED: tuple[Method, ...] = ("full", "last_layers", "biases", "lora", "adalora", "hira", "frozen")
"""Methods that leave a model of the same shape, which other libraries load."""


class TuningConfig(Settings):
    """What of a language model is trained."""

    method: Method = Field(
        default="last_layers",
        description="full: every weight. last_layers: the last of them. biases: biases and norms (BitFit). lora, "
        "adalora: low-rank updates. hira: low-rank matrices that weights are multiplied by, so that updates have full "
        "rank. adapters: small bottlenecks between the layers. prefix, soft_prompt: keys and "
        "values, or words, put before the text (GPT-like models). frozen: nothing, only the heads.",
    )
    layers: int = Field(default=2, ge=1, le=200, description="last_layers: how many.")
    rank: int = Field(
        default=8,
        ge=1,
        le=512,
        description="lora, hira: rank of what is learnt of a map; adalora: its mean in the end.",
    )
    scale: float = Field(
        default=2.0,
        gt=0,
        le=1000,
        description="lora, adalora, hira: an update counts times this (alpha / rank).",
    )
    targets: Literal["attention", "all"] = Field(
        default="attention",
        description="lora, adalora, hira: the maps to queries and values, or every linear map.",
    )
    word_rank: int = Field(
        default=0,
        ge=0,
        le=512,
        description="lora: rank of an update of the word vectors too, where names of a catalogue are learnt; 0: none.",
    )
    adapter_dim: int = Field(default=64, ge=1, le=4096, description="adapters: width of the bottleneck.")
    virtual_tokens: int = Field(default=16, ge=1, le=512, description="prefix, soft_prompt: how many.")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="lora, adalora: on what an update reads.")
    model_dropout: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="In the language model's own layers while it is trained; left out: as it says itself (mostly 0.1).",
    )

    @model_validator(mode="after")
    def _words_by_lora(self) -> Self:
        if self.word_rank and self.method != "lora":
            raise ValueError(f"word_rank is for method = 'lora', not for {self.method}: leave it out")
        return self
