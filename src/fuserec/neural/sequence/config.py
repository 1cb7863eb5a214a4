"""The hyperparameters of sequence models."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fuserec.settings import Settings

START = 0.02
"""Standard deviation of the numbers that a trainable vector starts from."""


class SequenceConfig(Settings):
    """Hyperparameters of sequence models."""

    architecture: Literal["transformer", "masked", "gru", "cnn"] = Field(
        default="transformer",
        description="transformer: causal attention (SASRec and its successors); masked: attention in both directions "
        "(BERT4Rec); gru: recurrent (GRU4Rec); cnn: dilated convolutions (NextItNet).",
        json_schema_extra={"tune": False},
    )
    item_vectors: Literal["auto", "ids", "initialised", "text", "experts", "union", "sum", "sum_experts"] = (
        Field(
            default="auto",
            description="ids: trainable, an item each. text: frozen text through a trained map; experts: through a "
            "mixture of experts. initialised: ids that start at the text. union: text in the first dimensions, ids in "
            "the others. sum, sum_experts: text plus ids. auto: sum where items have text, else ids.",
            json_schema_extra={"tune": False},
        )
    )
    reads: Literal["sentence", "words", "both"] = Field(
        default="sentence",
        description="Text is the language model's vectors, TF-IDF (reduced), or both.",
        json_schema_extra={"tune": False},
    )
    text_dim: int = Field(
        default=128,
        ge=1,
        le=4096,
        description="Whitened dimensions of the text that are kept.",
        json_schema_extra={"tune": [32, 256]},
    )
    embedding_dim: int = Field(
        default=128,
        ge=2,
        le=4096,
        description="Numbers of an item's vector.",
        json_schema_extra={"tune": {"choices": [64, 128, 192]}},
    )
    blocks: int = Field(
        default=1, ge=1, le=64, description="Layers of the body.", json_schema_extra={"tune": [1, 3]}
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
    id_dropout: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Share of items whose ids are hidden in a step (sum, union): text learns to stand alone.",
        json_schema_extra={"tune": [0.0, 0.3]},
    )
    dropout: float = Field(
        default=0.3,
        ge=0,
        lt=1,
        description="Share of numbers dropped while training.",
        json_schema_extra={"tune": [0.1, 0.6]},
    )
    loss: Literal["softmax", "sampled_softmax", "gbce", "bpr"] = Field(
        default="softmax",
        description="softmax: over the whole catalogue; sampled_softmax: over drawn negatives, logQ-corrected; gbce "
        "(gSASRec); bpr.",
        json_schema_extra={"tune": False},
    )
    negatives: int = Field(
        default=256,
        ge=1,
        description="Negatives of a batch (of a prediction in bpr); unused by softmax.",
        json_schema_extra={"tune": False},
    )
    calibration: float = Field(
        default=0.75, ge=0, le=1, description="t of gbce.", json_schema_extra={"tune": False}
    )
    negative_popularity: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="sampled_softmax draws negatives in proportion to count^this.",
        json_schema_extra={"tune": False},
    )
    mask_share: float = Field(
        default=0.3,
        gt=0,
        lt=1,
        description="Share of items hidden from `masked`.",
        json_schema_extra={"tune": False},
    )
    epochs: int = Field(
        default=16,
        ge=1,
        le=100_000,
        description="Passes over the data, at most.",
        json_schema_extra={"tune": [5, 40]},
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
        description="Decay of weights that are no ids (AdamW).",
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
        default=1000,
        ge=0,
        description="Histories (at most a tenth of all) whose last event is kept from training, to know when to stop.",
        json_schema_extra={"tune": False},
    )
    sharpness: float = Field(
        default=1.0,
        gt=0,
        le=4,
        description="A score is the item's probability to this power.",
        json_schema_extra={"tune": [0.5, 2.0]},
    )
