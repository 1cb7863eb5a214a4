"""The hyperparameters of generative retrieval."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fuserec.settings import Settings


class GenerativeConfig(Settings):
    """Hyperparameters of generative retrieval."""

    levels: int = Field(
        default=3,
        ge=1,
        le=5,
        description="Digits of a semantic id; one more tells items apart that share them all.",
        json_schema_extra={"tune": False},
    )
    codebook_size: int = Field(
        default=256,
        ge=2,
        le=256,
        description="Values of a digit, at most; small catalogues have fewer.",
        json_schema_extra={"tune": {"choices": [64, 128, 256]}},
    )
    behaviour_share: float = Field(
        default=0.5,
        ge=0,
        lt=1,
        description="Share of vectors of behaviour (who took what, reduced by SVD) beside text in what is clustered.",
        json_schema_extra={"tune": [0.0, 0.8]},
    )
    behaviour_dim: int = Field(
        default=64,
        ge=1,
        le=1024,
        description="Numbers of a vector of behaviour.",
        json_schema_extra={"tune": False},
    )
    beside: Literal["nothing", "text", "ids", "both"] = Field(
        default="both",
        description="What an item of the history is read by beside its digits: its text (a trained map of it), a "
        "trainable vector of its own, both or neither.",
        json_schema_extra={"tune": False},
    )
    text_dim: int = Field(
        default=128,
        ge=1,
        le=4096,
        description="Whitened dimensions of the text that is read beside the digits.",
        json_schema_extra={"tune": False},
    )
    own_dim: int = Field(
        default=16,
        ge=0,
        le=256,
        description="Numbers that each prefix of an id has of its own, beside those of its digits, where it is "
        "generated; 0: a digit means the same after every prefix.",
        json_schema_extra={"tune": False},
    )
    embedding_dim: int = Field(
        default=128,
        ge=2,
        le=4096,
        description="Numbers of a digit's vector.",
        json_schema_extra={"tune": {"choices": [64, 128, 192]}},
    )
    blocks: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Layers of the transformer that reads the history.",
        json_schema_extra={"tune": [1, 3]},
    )
    heads: int = Field(
        default=2,
        ge=1,
        le=64,
        description="Attention heads; they have to divide embedding_dim.",
        json_schema_extra={"tune": False},
    )
    max_length: int = Field(
        default=50,
        ge=1,
        le=10_000,
        description="Newest events of a history that are read.",
        json_schema_extra={"tune": False},
    )
    beam: int = Field(
        default=100,
        ge=1,
        le=100_000,
        description="Prefixes kept at each digit of an answer: so many items get a score.",
        json_schema_extra={"tune": False},
    )
    label_smoothing: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Share of a digit's target that is spread over the digits that might stand there.",
        json_schema_extra={"tune": [0.0, 0.2]},
    )
    dropout: float = Field(
        default=0.3,
        ge=0,
        lt=1,
        description="Share of numbers dropped while training.",
        json_schema_extra={"tune": [0.1, 0.6]},
    )
    epochs: int = Field(
        default=8,
        ge=1,
        le=100_000,
        description="Passes over the data, at most.",
        json_schema_extra={"tune": [3, 20]},
    )
    learning_rate: float = Field(
        default=0.0015,
        gt=0,
        le=10,
        description="Its peak; it warms up and then falls as a cosine.",
        json_schema_extra={"tune": [0.0003, 0.004]},
    )
    regularization: float = Field(
        default=0.0,
        ge=0,
        description="Decay of weights that are no tables (AdamW).",
        json_schema_extra={"tune": [0.0, 0.1]},
    )
    batch_size: int = Field(
        default=2048,
        ge=1,
        le=2**31 - 1,
        description="Positions of a batch, at most.",
        json_schema_extra={"tune": {"choices": [512, 1024, 2048, 4096]}},
    )
    patience: int = Field(
        default=4,
        ge=0,
        description="Epochs in a row, surely worse on held-out histories, after which training stops; 0: never.",
        json_schema_extra={"tune": False},
    )
    held_out: int = Field(
        default=500,
        ge=0,
        description="Histories (at most a tenth of all) whose last event is kept from training, to know when to stop.",
        json_schema_extra={"tune": False},
    )
    sharpness: float = Field(
        default=1.0,
        gt=0,
        le=4,
        description="A score is the probability of the item's id to this power.",
        json_schema_extra={"tune": [0.5, 2.0]},
    )
