"""Hyperparameters of the meta-learned scorer; read without PyTorch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fuserec.settings import Settings


class MetaLearnedConfig(Settings):
    """Hyperparameters of the meta-learned scorer."""

    embedding_dim: int = Field(default=32, ge=2, le=4096, description="Numbers of an item's vector.")
    hidden: int = Field(
        default=16, ge=1, le=1024, description="Width of the layer that is adapted to each person."
    )
    local_steps: int = Field(
        default=2, ge=0, le=100, description="Steps by which the head is adapted to the events of a query."
    )
    local_rate: float = Field(default=2.0, gt=0, le=100, description="Length of such a step.")
    background: int = Field(
        default=64,
        ge=1,
        le=10_000,
        description="Items, equal for all, that an adaptation takes for not taken.",
        json_schema_extra={"tune": False},
    )
    first_order: bool = Field(
        default=True,
        description="Whether adapted heads are taken as they are when the shared start is learnt (first-order "
        "MAML), or the derivative goes through the local steps.",
        json_schema_extra={"tune": False},
    )
    max_length: int = Field(
        default=10,
        ge=1,
        le=1000,
        description="Newest events that a query is adapted to; in training 0 to this many.",
        json_schema_extra={"tune": False},
    )
    reads: Literal["sentence", "words", "both", "nothing"] = Field(
        default="both",
        description="Text is the language model's vectors, TF-IDF (reduced), or both; nothing: ids alone.",
        json_schema_extra={"tune": False},
    )
    text_dim: int = Field(
        default=128,
        ge=2,
        le=4096,
        description="Whitened dimensions of the text that are kept.",
        json_schema_extra={"tune": False},
    )
    id_dropout: float = Field(
        default=0.1,
        ge=0,
        lt=1,
        description="Share of items whose own numbers are hidden in a step: text learns to stand alone.",
        json_schema_extra={"tune": [0.0, 0.3]},
    )
    negatives: int = Field(
        default=8, ge=1, le=1000, description="Items not taken that are drawn for each one taken."
    )
    negative_popularity: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="They, and the background, are drawn in proportion to count^this.",
    )
    epochs: int = Field(default=12, ge=1, le=100_000, description="Passes over the data, at most.")
    learning_rate: float = Field(
        default=0.01, gt=0, le=10, description="Its peak; it warms up and then falls as a cosine."
    )
    regularization: float = Field(
        default=0.01, ge=0, description="Weight of the squared lengths of items' vectors in each case."
    )
    batch_size: int = Field(
        default=512, ge=1, description="People of a batch, each an adaptation of its own."
    )
    patience: int = Field(
        default=3,
        ge=0,
        description="Epochs without gain on held-out events before training stops; 0: never.",
        json_schema_extra={"tune": False},
    )
    held_out: int = Field(
        default=500,
        ge=0,
        description="People (at most a tenth of all) whose last event is kept from training, to know when to stop.",
        json_schema_extra={"tune": False},
    )
